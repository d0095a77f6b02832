"""The HTTP contract (5-http.md): commands in, read models and the log out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from litestar import HttpMethod, Response, route
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_204_NO_CONTENT

from services.registry import problems
from services.registry.access.roles import OPEN
from services.registry.api import (
    access,
    calendar,
    commands,
    docs,
    documents,
    evidence,
    health,
    log,
    metrics,
    overviews,
    proofs,
    reads,
    schema_registry,
    transparency,
)
from services.registry.api.sending import answering_head

_SERVED: list[HTTPRouteHandler] = answering_head(
    [
        *commands.HANDLERS,
        *documents.HANDLERS,
        *reads.HANDLERS,
        *overviews.HANDLERS,
        *calendar.HANDLERS,
        *log.HANDLERS,
        *proofs.HANDLERS,
        *evidence.HANDLERS,
        *transparency.HANDLERS,
        *access.HANDLERS,
        *schema_registry.HANDLERS,
        *health.HANDLERS,
        *metrics.HANDLERS,
        *docs.HANDLERS,
        problems.explained,
    ]
)


def _options(handlers: Iterable[HTTPRouteHandler]) -> Iterator[HTTPRouteHandler]:
    """Make what answers OPTIONS: Litestar's own tells only the method that was registered first at an address."""
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    for path, allowed in methods.items():
        yield _option(path, ", ".join(sorted(allowed)))


def _option(path: str, allowed: str) -> HTTPRouteHandler:
    def tell() -> Response[None]:
        return Response(None, status_code=HTTP_204_NO_CONTENT, headers={"Allow": allowed})

    return route(
        path, http_method=[HttpMethod.OPTIONS], opt=OPEN, status_code=HTTP_204_NO_CONTENT, sync_to_thread=False
    )(tell)


HANDLERS: list[HTTPRouteHandler] = [*_options(_SERVED), *_SERVED]
"""All routes; what answers OPTIONS comes first, so that Litestar makes none."""

__all__ = ["HANDLERS"]
