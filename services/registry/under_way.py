"""The requests that are being served, and how an application ends that cannot wait for all of them.

A server that is told to end waits for every request, however long a client takes to send or to read. Whoever waits for
the server may then cut short what is left: who has not been answered gets a problem (ADR 0024), who is being answered
sees the connection close before the answer is whole, and the application closes as if the server had told it to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, cast

import msgspec
from litestar.types import ASGIApp, HTTPReceiveMessage, LifeSpanReceive, Message, Receive, Scope, Send

from events.errors import RegistryError
from services.registry import journal, problems
from services.registry.arrival import NotInTime
from services.registry.problems import NotReady

FINISH_SECONDS: Final = 20.0
"""That requests under way are given when a server is told to end; the log's queue needs 10 at most."""
CUT_SECONDS: Final = 1.0
"""In which a request that is cut short answers, and the server sends that."""
CLOSE_SECONDS: Final = 4.0
"""That all of `end` may take; what waits to be recorded then has nobody any more who waits for its answer."""


class UnderWay:
    """What an application is about to answer; of one event loop, in which the application is opened and closed."""

    def __init__(self, opened: Callable[[], None] | None = None) -> None:
        """Take who is told when the application begins to open, in its loop."""
        self._opened = opened
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cut = False
        self._told = asyncio.Event()
        self._closed = asyncio.Event()
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop, once the application is opened."""

    async def end(self) -> None:
        """Cut short whatever is under way, and close the application, unless the server has by then.

        Returns when the application has closed, or if it never opened.
        """
        self._cut = True
        if cut := list(self._tasks):
            journal.logger().warning("requests_cut_short", after_seconds=FINISH_SECONDS, requests=len(cut))
            for task in cut:
                task.cancel()
            await asyncio.wait(cut, timeout=CUT_SECONDS)
        if self.loop is None:
            return
        try:
            async with asyncio.timeout(CUT_SECONDS):
                await self._closed.wait()
        except TimeoutError:
            self._told.set()
            await self._closed.wait()

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return an application that is `app`, and can be ended."""

        async def serving(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await self._serve(app, scope, receive, send)
            elif scope["type"] == "websocket":
                await app(scope, receive, send)
            else:
                await self._live(app, scope, cast("LifeSpanReceive", receive), send)

        return serving

    async def _serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        arriving = whole = answering = False

        async def receiving() -> HTTPReceiveMessage:
            nonlocal arriving, whole
            arriving = not whole
            message = cast("HTTPReceiveMessage", await receive())
            whole = not message.get("more_body", False)
            arriving = not whole
            return message

        async def sending(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._tasks.add(task)
        try:
            await app(scope, receiving, sending)
        except asyncio.CancelledError:
            if answering or not self._cut:
                raise
            task.uncancel()
            await _refuse(_reason(arriving=arriving), send)
        finally:
            self._tasks.discard(task)

    async def _live(self, app: ASGIApp, scope: Scope, receive: LifeSpanReceive, send: Send) -> None:
        self.loop = asyncio.get_running_loop()
        if self._opened is not None:
            self._opened()

        async def receiving() -> Any:
            """Return what the server says, or that it is over when that was said here."""
            asked, told = asyncio.ensure_future(receive()), asyncio.create_task(self._told.wait())
            try:
                await asyncio.wait([asked, told], return_when=asyncio.FIRST_COMPLETED)
                return asked.result() if asked.done() else {"type": "lifespan.shutdown"}
            finally:
                asked.cancel()
                told.cancel()

        try:
            await app(scope, receiving, send)
        finally:
            self._closed.set()


def _reason(*, arriving: bool) -> RegistryError:
    if arriving:
        return NotInTime("The service ends, and the body was not whole by then. Nothing was recorded; send it again.")
    return NotReady(
        "The service ends, and this took longer than it waits. If it was to record something, whether it did is not "
        "known: send it again, with the same Idempotency-Key."
    )


async def _refuse(error: RegistryError, send: Send) -> None:
    """Answer with a problem, where there is no application any more that would."""
    described = problems.problem(error)
    headers = [(b"content-type", problems.MEDIA_TYPE.encode()), (b"connection", b"close")]
    if described.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append((b"retry-after", str(problems.RETRY_AFTER_SECONDS).encode()))
    body = msgspec.json.encode(described)
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": described.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
