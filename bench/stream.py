"""Projecting one stream of 10,000 entries beside 10,000 streams of one: what a fold of a long stream costs.

Both are in one log, one behind the other, and are measured in the same build of the read models. The entries of a
stream of one are beginnings, those of the long one all that happens in a line of cooperation, which writes more.
"""

from __future__ import annotations

import time

import asyncpg

from bench.filling import fill
from bench.history import History
from bench.measure import Figure, Result, paired
from projections import rebuild, shares
from projections.projector import SESSION
from services.registry.provision import Access

TARGETS = {"many_streams": 0.5}


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure by entries a second, in one process; the first build is not counted."""
    size, rounds = (2_000, 2) if quick else (10_000, 5)
    await fill(access, size, History(2).endless())
    await fill(access, 2 * size, History(3).openings())
    connection = await asyncpg.connect(access.projector, server_settings=dict(SESSION))
    found: dict[str, list[float]] = {"one_stream": [], "many_streams": []}
    for number in range(rounds + 1):
        projection = await rebuild.begin(connection)
        await shares.fill(projection, 0)  # nothing: with its indexes, as if it were followed
        for name, until in (("one_stream", size), ("many_streams", 2 * size)):
            begun = time.perf_counter()
            await projection.catch_up(until, batch=4_000)
            if number:
                found[name].append(size / (time.perf_counter() - begun))
        await rebuild.drop(connection, projection.generation)
    await connection.close()
    figures = {name: Figure.of("entries/s", rates) for name, rates in found.items()}
    return Result(figures, {"many_streams": paired(found["one_stream"], found["many_streams"])}, TARGETS)
