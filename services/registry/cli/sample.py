"""`registry sample`."""

from __future__ import annotations

import os
import sys

import uvloop

from events.log.migrate import check
from services.registry.cli.failures import Unusable
from services.registry.main import open_registry
from services.registry.sample import story
from services.registry.settings import Settings, load


def sample() -> int:
    """Record the story, or what is missing of it. Raises `Unusable` for a log that holds something else."""
    settings = load(os.environ, needed=["database_url", "master_key_file"])
    sys.stdout.write(f"Recorded: {uvloop.run(_record(settings))}.\n")
    return 0


async def _record(settings: Settings) -> str:
    await check(settings.database_url)
    async with open_registry(settings) as parts:
        if await story.is_of_others(parts):
            raise Unusable("The log holds other entries already, and the sample is recorded into an empty one.")
        return await story.begin(parts)
