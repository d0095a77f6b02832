"""How a request has to arrive, whatever it asks for: to one host, and whole within a time (RFC 9112; ADR 0024).

Heads are bounded by the HTTP server, before there is a request (`services.registry.cli.heads`).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from litestar.types import ASGIApp, HTTPReceiveMessage, Receive, Scope, Send

from events.errors import RegistryError

HOST: Final = re.compile(rb"([A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?")
NO_HOST: Final = b"\0"
"""A host that there cannot be: the application refuses it, with all that its answers have."""


class NotInTime(RegistryError):
    """The request did not arrive in time."""

    code = "not-in-time"


class Arrival:
    """Wraps an application: it sees one `Host`, or one that it refuses, and is not kept waiting for a body.

    The time runs from when the body is first asked for: a client does not answer for what the application did before.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        """Take the application, and how long a body may take to come."""
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. `receive` raises `NotInTime` where the body is not whole by then."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not _to_one([value for name, value in scope["headers"] if name == b"host"], scope["http_version"]):
            rest = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [*rest, (b"host", NO_HOST)]
        await self._app(scope, _in_time(receive, self._seconds), send)


def _to_one(hosts: Sequence[bytes], version: str) -> bool:
    """Tell whether a request names one host (RFC 9112, section 3.2). The server makes an empty one of none."""
    if version != "1.1" and not any(hosts):
        return True
    return len(hosts) == 1 and HOST.fullmatch(hosts[0]) is not None


def _in_time(receive: Receive, seconds: float) -> Receive:
    """Return `receive` with a time for the whole body; what comes after it, which is the client's going, has none."""
    until: float | None = None
    whole = False

    async def receiving() -> HTTPReceiveMessage:
        nonlocal until, whole
        if whole:
            return await receive()  # type: ignore[return-value]
        if until is None:
            until = asyncio.get_running_loop().time() + seconds
        time = asyncio.timeout_at(until)
        try:
            async with time:
                message = await receive()
        except TimeoutError:
            if not time.expired():
                raise
            raise NotInTime(f"The body was not whole after {seconds:g} seconds. Send it again.") from None
        whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message  # type: ignore[return-value]

    return receiving
