"""Generations: built beside the live one from position 0, then made live in one transaction.

The projector makes a new one when its own read models are not those that the live tables were made by. Readers go
on with the old one until the switch. Whatever an interrupted build left is removed by the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import structlog

from events.errors import Corrupt
from projections import MODELS
from projections.engine import QUERIES, Connection, Progress, Projection, version_of
from projections.model import ReadModel

REBUILD_BATCH = 1_000  # entries a transaction
SWITCH_SECONDS = 0.2  # to wait before trying again to switch where readers were in the way

log = structlog.get_logger("rebuild")


async def live(connection: Connection, models: Sequence[ReadModel] = MODELS) -> Projection | None:
    """Return the live generation if it was made by this code, else None."""
    record = await connection.fetchrow(QUERIES["live"])
    if record is None or record["version"] != version_of(models):
        return None
    return Projection(connection, record["id"], record["position"], live=True, models=models)


async def begin(connection: Connection, models: Sequence[ReadModel] = MODELS) -> Projection:
    """Make a new generation, beside the live one, that shows nothing yet."""
    async with connection.transaction():
        generation: int = await connection.fetchval(QUERIES["add"], version_of(models))
        await connection.execute(QUERIES["open_schema"], generation)
        await connection.execute(QUERIES["search_path"], f"read_{generation}")
        for model in models:
            await connection.execute(model.queries["create"])
    return Projection(connection, generation, 0, live=False, models=models)


async def build(
    connection: Connection, progress: Progress = lambda _position: None, models: Sequence[ReadModel] = MODELS
) -> Projection:
    """Make a new generation and bring it up to the log's end, without switching to it.

    `progress` is told the position after each batch.
    """
    projection = await begin(connection, models)
    await projection.catch_up(batch=REBUILD_BATCH, progress=progress)
    return projection


async def switch(connection: Connection, projection: Projection) -> None:
    """Make a built generation live, as far on as the log is.

    Waits until no reader is in the way, however long that takes. Raises `Corrupt` if readers have seen more entries
    than there are.
    """
    shown = await connection.fetchval(QUERIES["position"])
    if shown is not None and shown > projection.position:
        raise Corrupt(f"the read models show {shown} entries, but the log has only {projection.position}")
    while True:
        try:
            await projection.go_live()
            return
        except asyncpg.LockNotAvailableError:
            log.info("switch_waits_for_readers", generation=projection.generation)
            await asyncio.sleep(SWITCH_SECONDS)
            await projection.catch_up()


async def tidy(connection: Connection) -> None:
    """Remove the generations that are neither live nor being built, save those that somebody still reads.

    Only for the one projector: what another builds looks the same as what it left.
    """
    for record in await connection.fetch(QUERIES["unfinished"]):
        try:
            await connection.execute(QUERIES["drop"], record["id"])
        except asyncpg.LockNotAvailableError:
            log.info("generation_still_read", generation=record["id"])


async def ensure(connection: Connection, models: Sequence[ReadModel] = MODELS) -> Projection:
    """Return the live generation, made anew first if it is missing or of other code. Tidies up behind itself."""
    await tidy(connection)
    projection = await live(connection, models)
    if projection is None:
        log.info("read_models_are_built", version=version_of(models)[:12])
        projection = await build(connection, models=models)
        await switch(connection, projection)
        await tidy(connection)
    return projection
