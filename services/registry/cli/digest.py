"""`registry digest`."""

from __future__ import annotations

import os
import sys

import uvloop

from events.log.migrate import check
from events.log.read import Reader
from events.log.servers import create_pool
from projections.engine import READING
from projections.reader import Digested, ReadModels
from services.registry.cli.failures import UsedWrongly
from services.registry.settings import Settings, load


def digest(size: int | None) -> int:
    """Print a line for each read model: the digest and the name, after one with the size and the version."""
    digested = uvloop.run(_digest(load(os.environ, needed=["database_url"]), size))
    sys.stdout.write(f"size {digested.size}, version {digested.version}\n")
    for model, hashed in digested.digests.items():
        sys.stdout.write(f"{hashed}  {model}\n")
    return 0


async def _digest(settings: Settings, size: int | None) -> Digested:
    await check(settings.database_url)
    options = {"application_name": "registry digest", **READING}
    async with create_pool(settings.database_url, min_size=1, max_size=2, server_settings=options) as pool:
        read_models = ReadModels(pool, settings.database_url)
        if size is None:
            return await read_models.digested(await read_models.position())
        head = (await Reader(pool).head()).size
        if size > head:
            raise UsedWrongly(f"the log has {head} entries", parameter="--size")
        await read_models.start()
        try:
            await read_models.wait_for(size, settings.min_size_wait)
        finally:
            await read_models.stop()
        return await read_models.digested(size)
