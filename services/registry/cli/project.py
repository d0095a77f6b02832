"""`registry project`."""

from __future__ import annotations

import asyncio
import os
import signal

from events.log.migrate import check
from projections.projector import Projector
from services.registry import journal
from services.registry.settings import load


def project() -> int:
    """Project until SIGTERM or Ctrl-C."""
    settings = load(os.environ, needed=["projector_database_url"])
    journal.configure(settings.log_level, settings.log_format)
    asyncio.run(_project(settings.projector_database_url))
    return 0


async def _project(dsn: str) -> None:
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(_checked(dsn))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, working.cancel)
    await asyncio.wait([working])
    if not working.cancelled():
        await working  # raises what ended it


async def _checked(dsn: str) -> None:
    await check(dsn)
    await Projector(dsn).run()
