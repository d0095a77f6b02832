"""Generations: built beside the live one from position 0, then made live in one transaction.

The projector makes a new one when its own read models are not those that the live tables were made by. Readers go
on with the old one until the switch. Whatever an interrupted build left is removed by the next.
"""

from __future__ import annotations

from collections.abc import Callable

from projections import MODELS
from projections.engine import QUERIES, Connection, Projection, version_of

REBUILD_BATCH = 2_000


async def live(connection: Connection) -> Projection | None:
    """Return the live generation if it was made by this code, else None."""
    record = await connection.fetchrow(QUERIES["live"])
    if record is None or record["version"] != version_of():
        return None
    return Projection(connection, record["id"], record["position"], live=True)


async def build(connection: Connection, progress: Callable[[int], None] = lambda _position: None) -> Projection:
    """Make a new generation and bring it up to the log's end, without switching to it.

    `progress` is told the position after each batch.
    """
    async with connection.transaction():
        generation: int = await connection.fetchval(QUERIES["add"], version_of())
        await connection.execute(QUERIES["open_schema"], generation)
        await connection.execute(QUERIES["search_path"], f"read_{generation}")
        for model in MODELS:
            await connection.execute(model.queries["create"])
    projection = Projection(connection, generation, 0, live=False)
    while await projection.catch_up(projection.position + REBUILD_BATCH, REBUILD_BATCH):
        progress(projection.position)
    return projection


async def tidy(connection: Connection) -> None:
    """Remove every generation that is neither live nor being built by this connection's own caller."""
    for record in await connection.fetch(QUERIES["unfinished"]):
        await connection.execute(QUERIES["drop"], record["id"])


async def ensure(connection: Connection) -> Projection:
    """Return the live generation, made anew first if it is missing or of other code. Tidies up behind itself."""
    await tidy(connection)
    projection = await live(connection)
    if projection is None:
        projection = await build(connection)
        await projection.go_live()
        await tidy(connection)
    return projection
