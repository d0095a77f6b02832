"""Serves the page where there is no API, or apart from it: HTTP/1.1, one address, one answer a connection.

It asks nobody who they are, so it listens on the loopback unless told otherwise, and on nothing unless told a port.
One page is made at a time: what is asked of the database does not grow with who asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final, TypeAlias

from services.registry import journal
from services.registry.metrics.page import MEDIA_TYPE

Expose: TypeAlias = Callable[[], Awaitable[bytes]]

PATH: Final = "/metrics"
MAX_HEAD: Final = 16 * 1024  # bytes of a request's head
MAX_CONNECTIONS: Final = 16
PATIENCE: Final = 10.0  # seconds for a request to come, and for its answer to go
PLAIN: Final = "text/plain; charset=utf-8"


@asynccontextmanager
async def listening(host: str, port: int, expose: Expose) -> AsyncGenerator[None]:
    """Answer with what `expose` makes, until this is left. Raises `OSError` if nothing can be listened on there."""
    one = asyncio.Lock()
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(served) >= MAX_CONNECTIONS:
            writer.close()
            return
        served.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(await _answer(await reader.readuntil(b"\r\n\r\n"), one, expose))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # a client that went, or never said what it wanted: there is nobody to tell
        finally:
            served.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, host, port, limit=MAX_HEAD)
    try:
        yield
    finally:
        server.close()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


async def _answer(head: bytes, one: asyncio.Lock, expose: Expose) -> bytes:
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    target, _, protocol = rest.partition(" ")
    if not protocol.startswith("HTTP/1."):
        return _response(HTTPStatus.BAD_REQUEST)
    if target.partition("?")[0] != PATH:
        return _response(HTTPStatus.NOT_FOUND)
    if method not in ("GET", "HEAD"):
        return _response(HTTPStatus.METHOD_NOT_ALLOWED, more="Allow: GET, HEAD\r\n")
    try:
        async with one:
            page = await expose()
    except Exception as error:  # noqa: BLE001 - told in the journal, and a page that fails takes nothing with it
        journal.failure(error)
        return _response(HTTPStatus.INTERNAL_SERVER_ERROR)
    return _response(HTTPStatus.OK, page, MEDIA_TYPE, bodiless=method == "HEAD")


def _response(
    status: HTTPStatus, body: bytes = b"", media_type: str = PLAIN, *, more: str = "", bodiless: bool = False
) -> bytes:
    body = body or f"{status.phrase.lower()}\n".encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\n{more}Connection: close\r\n\r\n"
    )
    return head.encode() + (b"" if bodiless else body)
