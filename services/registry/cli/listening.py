"""An application that is served in the loop of the process, with an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Final

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from litestar.types import ASGIApp

from services.registry import under_way as ending
from services.registry.cli import ports
from services.registry.cli.failures import Unusable
from services.registry.cli.heads import bounded
from services.registry.under_way import UnderWay

POLL_SECONDS: Final = 0.005


@contextlib.asynccontextmanager
async def listening(
    app: ASGIApp, address: str, port: int, *, head_timeout: float, under_way: UnderWay | None = None
) -> AsyncGenerator[asyncio.Task[None]]:
    """Serve the application in this loop; on the way out requests under way are finished, and then the app closes.

    What is not finished in `FINISH_SECONDS` is cut short: in order, where `under_way` is around the application.
    """
    server = Server(
        app,
        address=address,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.critical,
        **bounded(head_timeout),
    )
    serving = asyncio.create_task(server.serve(), name="server")
    try:
        await _connectable(address, port, serving)
        yield serving
    finally:
        server.stop()
        finished, _ = await asyncio.wait([serving], timeout=ending.FINISH_SECONDS)
        if not finished:
            if under_way is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(under_way.end(), ending.CLOSE_SECONDS)
            serving.cancel()
            await asyncio.wait([serving], timeout=ending.CUT_SECONDS)


async def _connectable(address: str, port: int, serving: asyncio.Task[None]) -> None:
    """Return when connections are taken, of which nothing tells; raise what kept the server from it."""
    while True:
        if serving.done():
            await serving
            raise Unusable("The HTTP server did not start.")
        try:
            _, writer = await asyncio.open_connection(ports.ANY.get(address, address), port)
        except OSError:
            await asyncio.sleep(POLL_SECONDS)
        else:
            writer.close()
            return
