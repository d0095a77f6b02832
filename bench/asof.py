"""A list as of a size beside the current list, where each row has four versions.

Both are pages of 50 over the read models, as the API reads them: at the end, a quarter, a half and three quarters back.
"""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable

import asyncpg

from bench.filling import fill
from bench.history import versions
from bench.measure import Failed, Figure, Result, interleave
from projections import LISTED, rebuild
from projections.engine import READING, SESSION
from projections.reader import ReadModels
from services.registry.provision import Access

TARGETS = {"current_list": 0.5}
LIMIT = 50
VERSIONS = 4  # of a row
PARTS = (0.25, 0.5, 0.75)


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure by pages a second, of the list without a filter, each page from somewhere in it."""
    size, rounds, pages = (8_000, 3, 50) if quick else (1_000_000, 7, 200)
    await fill(access, size, versions(size // VERSIONS))
    connection = await asyncpg.connect(access.projector, server_settings=dict(SESSION))
    projection = await rebuild.build(connection, helpers=rebuild.Helpers(access.projector))
    await rebuild.switch(connection, projection)
    await connection.close()
    owner = await asyncpg.connect(access.owner)
    await owner.execute("ANALYZE")
    await owner.close()
    parties = next(model for model in LISTED if model.name == "parties")
    settings = {"plan_cache_mode": "force_custom_plan", **READING}
    async with asyncpg.create_pool(access.service, min_size=1, max_size=1, server_settings=settings) as pool:
        models = ReadModels(pool, access.service)

        def listing(as_of: int) -> Callable[[], Awaitable[float]]:
            async def run() -> float:
                chance = random.Random(as_of)
                begun = time.perf_counter()
                for _ in range(pages):
                    after = f"party {chance.randrange(size // VERSIONS - LIMIT):09}", ""
                    found = await models.page(parties, as_of, {}, after=after, limit=LIMIT + 1)
                    if not found:
                        raise Failed("a page is empty")
                return pages / (time.perf_counter() - begun)

            return run

        wanted = {"current_list": listing(size)} | {f"as_of_{part:g}": listing(int(size * part)) for part in PARTS}
        found = await interleave(wanted, rounds)
    figures = {name: Figure.of("pages/s", rates) for name, rates in found.items()}
    slowest = min(figures[f"as_of_{part:g}"].median for part in PARTS)
    return Result(figures, {"current_list": slowest / figures["current_list"].median}, TARGETS)
