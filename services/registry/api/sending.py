"""What every answer has, whoever made it: the log's size as last known, and to HEAD no content (RFC 9110, 9.3.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from time import monotonic
from typing import Final

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.types import Message, Scope

from services.registry.access import tokens
from services.registry.api.query import Asking
from services.registry.parts import Parts
from services.registry.present import ASKED_WITH

SIZE: Final = b"registry-size"
LOOKED_AFTER: Final = 1.0  # seconds


def complete(message: Message, scope: Scope) -> None:
    """Complete an answer of the application on its way out; it waits for nothing and asks nobody."""
    if message["type"] == "http.response.start":
        if SIZE not in [name for name, _ in message["headers"]]:
            parts: Parts | None = Litestar.from_scope(scope).state.get("parts")
            if parts is not None:
                message["headers"] = [*message["headers"], (SIZE, str(known_size(parts)).encode())]
    elif message["type"] == "http.response.body" and scope["type"] == "http" and scope["method"] == "HEAD":
        message["body"] = b""


def known_size(parts: Parts) -> int:
    """Return the greatest size of the log that this process has seen or heard of."""
    return max(parts.log.known_size, parts.read_models.heard)


def answering_head(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """Let what answers GET answer HEAD: with the same roles, the same headers, and on record in the same way."""
    found = list(handlers)
    for handler in found:
        if "GET" in handler.http_methods:
            handler.http_methods.add("HEAD")
    return found


def streamed(request: Asking, body: AsyncGenerator[bytes]) -> AsyncIterable[bytes] | tuple[()]:
    """Return what is to be streamed: to HEAD nothing, so that nothing is made either."""
    return () if request.method == "HEAD" else _as_long_as_it_opens(request, body)


async def _as_long_as_it_opens(request: Asking, body: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield a body. Raises `Unauthenticated`, which cuts the answer off, once the token does not hold any more.

    That is looked at ahead of each piece, if the last look is longer ago than `LOOKED_AFTER`.
    """
    parts: Parts = request.app.state.parts
    looked = monotonic()
    async with aclosing(body):
        async for piece in body:
            if monotonic() - looked >= LOOKED_AFTER:
                token, _ = await parts.presently.of(request.scope["state"][ASKED_WITH])
                tokens.principal(token, now=parts.clock())
                looked = monotonic()
            yield piece
