"""Generations: built beside those that are shown from position 0, then shown in one transaction.

The projector makes a new one when there are no read models of its own version, and an operator when told to (`registry
rebuild`). Readers of the same version go on with the old one until the switch, and whoever follows the log into it
finds it retired; those of another version read their own, which stays live (ADR 0036). A builder holds a lock by which
others tell what is being built from what an interrupted build left: that is removed by the projector, and by the next
build.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import structlog

from projections import MODELS, shares
from projections.engine import BUILDERS, ENTRIES, QUERIES, Connection, Progress, Projection, version_of
from projections.model import ReadModel
from projections.shares import Helpers

SWITCH_SECONDS = 0.2  # to wait before trying again to switch where readers were in the way

log = structlog.get_logger("rebuild")


async def shown(connection: Connection, models: Sequence[ReadModel] = MODELS) -> Projection | None:
    """Return the generation that readers of this code see, if there is one."""
    version = version_of(models)
    record = await connection.fetchrow(QUERIES["shown"], version)
    if record is None:
        return None
    return Projection(connection, record["id"], record["position"], shown=True, models=models, version=version)


async def begin(
    connection: Connection, models: Sequence[ReadModel] = MODELS, alone: ReadModel | None = None
) -> Projection:
    """Make a new generation, beside those that are shown, that is empty; with `alone` one of that read model only.

    It is the connection's: others leave it alone until that ends. Its tables have no indexes before it is caught up.
    """
    built = models if alone is None else (alone,)
    version = version_of(models)
    async with connection.transaction():
        generation: int = await connection.fetchval(QUERIES["add"], version, None if alone is None else alone.name)
        await connection.execute(QUERIES["hold"], BUILDERS, generation)
        await connection.execute(QUERIES["open_schema"], generation)
        await connection.execute(QUERIES["search_path"], f"read_{generation}")
        await connection.execute(";\n".join(model.queries["create"] for model in built))
    return Projection(connection, generation, 0, shown=False, models=built, version=version)


async def build(
    connection: Connection,
    progress: Progress = lambda _position: None,
    models: Sequence[ReadModel] = MODELS,
    alone: ReadModel | None = None,
    helpers: Helpers | None = None,
) -> Projection:
    """Make a new generation and bring it up to the log's end, without switching to it.

    One of a single read model comes as far as the one that is shown, as that is what it is to be put into. `progress`
    is told the position after each batch.
    """
    projection = await begin(connection, models, alone)
    await catch_up(connection, projection, alone, progress, helpers)
    return projection


async def switch(connection: Connection, projection: Projection, alone: ReadModel | None = None) -> None:
    """Show a built generation to readers of its version, as far on as the one that they saw; `alone` as it was built.

    Waits until no reader is in the way, however long that takes. Raises `Corrupt` if readers have seen more entries
    than there are.
    """
    while True:
        try:
            await projection.show()
            return
        except asyncpg.LockNotAvailableError:
            log.info("switch_waits_for_readers", generation=projection.generation)
            await asyncio.sleep(SWITCH_SECONDS)
            await catch_up(connection, projection, alone)


async def catch_up(
    connection: Connection,
    projection: Projection,
    alone: ReadModel | None = None,
    progress: Progress = lambda _position: None,
    helpers: Helpers | None = None,
) -> None:
    """Bring what is being built up to the log's end or, if it is of one read model `alone`, to what is shown.

    With `helpers`, what shows nothing yet is shared out among processes, if it is of this program's read models.
    """
    until: int | None = await connection.fetchval(QUERIES["position"], projection.version) if alone else None
    if projection.position == 0:
        size: int = await connection.fetchval(ENTRIES["size"]) if until is None else until
        await shares.fill(projection, size, helpers, progress)
    await projection.catch_up(until, progress=progress)


async def drop(connection: Connection, generation: int) -> None:
    """Remove a generation that is not shown. Raises `asyncpg.LockNotAvailableError` if somebody still reads it."""
    await connection.execute(QUERIES["drop"], generation)
    await connection.execute(QUERIES["let_go"], BUILDERS, generation)


async def tidy(connection: Connection) -> None:
    """Remove the generations that are neither shown nor being built by others, save those that somebody still reads."""
    for record in await connection.fetch(QUERIES["unfinished"]):
        generation: int = record["id"]
        if not await connection.fetchval(QUERIES["try_hold"], BUILDERS, generation):
            continue
        try:
            await drop(connection, generation)
        except asyncpg.LockNotAvailableError:
            log.info("generation_still_read", generation=generation)
            await connection.execute(QUERIES["let_go"], BUILDERS, generation)
        except asyncpg.ObjectInUseError:  # its builder has switched to it, or somebody else has removed it, meanwhile
            await connection.execute(QUERIES["let_go"], BUILDERS, generation)


async def ensure(
    connection: Connection, models: Sequence[ReadModel] = MODELS, helpers: Helpers | None = None
) -> Projection:
    """Return the generation that readers of this code see, made first if there is none. Tidies up behind itself."""
    await tidy(connection)
    projection = await shown(connection, models)
    if projection is None:
        log.info("read_models_are_built", version=version_of(models)[:12])
        projection = await build(connection, models=models, helpers=helpers)
        await switch(connection, projection)
        await tidy(connection)
    return projection
