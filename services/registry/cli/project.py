"""`registry project`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator

import uvloop

from events.log.migrate import check
from events.log.servers import create_pool
from projections.garbage import look_seldom
from projections.projector import Projector
from services.registry import journal
from services.registry.cli.ports import claim_metrics
from services.registry.metrics.listener import listening
from services.registry.metrics.page import PATIENCE
from services.registry.metrics.projecting import page
from services.registry.settings import Settings, load
from services.registry.tracing import switch


def project() -> int:
    """Project until SIGTERM or Ctrl-C."""
    settings = load(os.environ, needed=["projector_database_url"])
    journal.configure(settings.log_level, settings.log_format)
    switch.check(settings)
    claim_metrics(settings, api=False)
    look_seldom()
    uvloop.run(_project(settings))
    return 0


async def _project(settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(_checked(settings))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    await asyncio.wait([working])
    if not working.cancelled():
        await working  # raises what ended it


async def _checked(settings: Settings) -> None:
    await check(settings.projector_database_url)
    async with switch.following(settings) as following:
        projector = Projector(settings.projector_database_url, observer=following)
        async with _measuring(projector, settings):
            await projector.run()


@contextlib.asynccontextmanager
async def _measuring(projector: Projector, settings: Settings) -> AsyncGenerator[None]:
    """Show metrics meanwhile, where the settings name a port; they are asked for over a connection of their own."""
    if settings.metrics_port is None:
        yield
        return
    async with (
        create_pool(
            settings.projector_database_url,
            min_size=0,
            max_size=1,
            timeout=PATIENCE,
            command_timeout=PATIENCE,
            server_settings={"application_name": "registry-metrics"},
        ) as pool,
        listening(settings.metrics_host, settings.metrics_port, lambda: page(projector, pool)),
    ):
        yield
