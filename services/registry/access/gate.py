"""Who may pass: every route declares the roles that open it, or that it is open to all, and is held to it.

Owns the middleware that all routes share (RFC 6750, the header form only) and the check at the start that no route
is open by accident. It is no guard of Litestar's: those are handed a copy of their handler with every request, and a
request whose headers have all been read.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.routes import ASGIRoute, HTTPRoute, WebSocketRoute
from litestar.types import ASGIApp, Receive, Scope, Send

from events.errors import FieldProblem, RegistryError
from services.registry.access.roles import Role
from services.registry.access.tokens import Principal
from services.registry.problems import Forbidden, Unauthenticated

Identify: TypeAlias = Callable[[str, Scope], Awaitable[Principal]]
"""Tells whose token it is that was presented, and may leave in the scope what it learned beside.

Raises `Unauthenticated` for one that does not hold.
"""

_BEARER: Final = re.compile(r"(?i:bearer) +([A-Za-z0-9._~+/-]+=*) *")


class UndeclaredRoute(RuntimeError):
    """A route that does not say who may use it: the program is broken, and must not start."""


def gate(identify: Identify) -> Callable[[ASGIApp], ASGIApp]:
    """Make the application's middleware; behind it, `request.auth` is the `Principal` (on an open route it is not set).

    Runs before the body is read. Raises `Unauthenticated`, or `Forbidden` for a token without any of the roles needed.
    """

    def around(app: ASGIApp) -> ASGIApp:
        async def admit(scope: Scope, receive: Receive, send: Send) -> None:
            handler = scope["route_handler"]
            needed = _needed(handler)
            if needed is not None:
                in_header = [value for name, value in scope["headers"] if name == b"authorization"]
                in_address = None if in_header else _in_address(scope, handler)
                try:
                    principal = await identify(_presented(in_header) if in_address is None else in_address, scope)
                    _must_open(principal, needed, in_address=in_address is not None)
                except (Unauthenticated, Forbidden) as refused:
                    if in_address is not None:
                        _name_query(refused)
                    raise
                scope["auth"] = principal
            await app(scope, receive, send)

        return admit

    return around


def _must_open(principal: Principal, needed: frozenset[Role], *, in_address: bool) -> None:
    if in_address and principal.roles != frozenset({Role.READER}):
        raise Forbidden(
            "A token in an address lies about in many places: it may be a reader's and nothing else.",
            expected="a token with the role reader and no other",
        )
    if principal.roles.isdisjoint(needed):
        raise Forbidden(
            f"This takes a token with one of the roles {_listed(needed)}; "
            f"this one has {_listed(principal.roles) or 'none'}."
        )


def check(app: Litestar) -> None:
    """Refuse an application that has a route which declares neither its roles nor that it is open, or both."""
    undeclared: list[str] = []
    for path, handler in _handlers(app):
        try:
            _needed(handler)
        except UndeclaredRoute as error:
            undeclared.append(f"{path}: {error}")
    if undeclared:
        raise UndeclaredRoute("\n".join(undeclared))


def declared(app: Litestar) -> Iterator[tuple[str, str, frozenset[Role] | None]]:
    """Yield each route's path, method and the roles that open it (None: open to all)."""
    for path, handler in _handlers(app):
        for method in sorted(getattr(handler, "http_methods", ("GET",))):
            yield path, method, _needed(handler)


def _handlers(app: Litestar) -> Iterator[tuple[str, BaseRouteHandler]]:
    for route in app.routes:
        match route:
            case HTTPRoute():
                yield from ((route.path, handler) for handler in route.route_handlers)
            case ASGIRoute() | WebSocketRoute():
                yield route.path, route.route_handler
            case _:
                raise UndeclaredRoute(f"{route.path}: a kind of route that is not known here")


def _needed(handler: BaseRouteHandler) -> frozenset[Role] | None:
    """Return what a route declares; None for an open one.

    Litestar answers OPTIONS by itself, for every address, with the methods that there are and nothing else.
    """
    if getattr(handler, "http_methods", None) == {"OPTIONS"}:
        return None
    roles: frozenset[Role] | None = handler.opt.get("roles")
    is_open: bool = handler.opt.get("open", False)
    if is_open is bool(roles):
        raise UndeclaredRoute(f"{handler} has to declare roles or to be open, in its opt")
    return roles


def _in_address(scope: Scope, handler: BaseRouteHandler) -> str | None:
    """Return the token in the query, on a route for programs that cannot send headers."""
    if not handler.opt.get("token_in_address"):
        return None
    given = ASGIConnection[Any, Any, Any, Any](scope).query_params.getall("token", [])
    if len(given) != 1:
        refused = Unauthenticated(
            "Send Authorization: Bearer, or one ?token= with a token of the role reader.", presented=False
        )
        if given:
            _name_query(refused)
        raise refused
    token: str = given[0]
    return token


def _name_query(refused: RegistryError) -> None:
    """Have a refusal say that the token stands in the query."""
    refused.problems = tuple(FieldProblem(one.detail, parameter="token") for one in refused.problems)


def _presented(in_header: Sequence[bytes]) -> str:
    found = _BEARER.fullmatch(in_header[0].decode("latin-1")) if len(in_header) == 1 else None
    if found is None:
        raise Unauthenticated("Send one header Authorization: Bearer, with a token.", presented=False)
    return found[1]


def _listed(roles: frozenset[Role]) -> str:
    return ", ".join(role for role in Role if role in roles)
