"""`registry replay --into`: the log and its read models once more, in a database of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

from events import sql
from events.entry import leaf_hash
from events.log.command import Head
from events.log.migrate import migrate
from events.log.read import Reader, head_of
from events.log.servers import connect
from events.log.transfer import receive
from events.merkle.tree import extend, root_of_frontier
from projections import rebuild
from projections.engine import QUERIES, SESSION
from projections.projector import OWN_LOCK
from projections.shares import Helpers
from services.registry.cli import working
from services.registry.cli.failures import Unusable
from services.registry.provision import grant

OWNER: Final = {"application_name": "registry replay", "role": "registry_owner"}
_SQL: Final = sql.load("services.registry.cli", "replica.sql")


async def replay_into(url: str, reader: Reader, size: int) -> str:
    """Copy the first `size` entries into an empty database, build the read models of them, and say what is there.

    A database into which the same entries were being copied when that was interrupted is gone on with. Raises
    `Unusable` for one that holds anything else.
    """
    there = await _found(url)
    if there is not None and there.size > size:
        raise Unusable(f"The database has {there.size} entries already, more than {size}. Name an empty one.")
    await grant(url)
    await migrate(url)
    with working.bar("copying entries", size) as progress:
        head = await _copy(url, reader, size, progress)
    with working.bar("building read models", size) as progress:
        generation = await _build(url, progress)
    root = head.frontier.root().hex()
    return (
        f"Generation {generation} is live there, with {head.size} entries and the root {root}.\n"
        f"Compare: registry digest --size {head.size}\n"
    )


async def _found(url: str) -> Head | None:
    """Return the head of an interrupted copy, if there is one. Raises `Unusable` for a registry that is in use."""
    connection = await connect(url)
    try:
        if not await connection.fetchval(_SQL["is_registry"]):
            return None
        found = await connection.fetchrow(_SQL["found"])
    finally:
        await connection.close()
    if found is not None and found["live"]:
        raise Unusable("The database holds a registry that is in use, or was. Name an empty one.")
    return head_of(found)


async def _copy(url: str, reader: Reader, size: int, progress: Callable[[int], None]) -> Head:
    connection = await connect(url, server_settings=OWNER)
    try:
        there = head_of(await connection.fetchrow(_SQL["found"]))
        return await receive(connection, _entries(reader, there, size), progress)
    finally:
        await connection.close(timeout=10)


async def _entries(reader: Reader, there: Head, size: int) -> AsyncIterator[bytes]:
    """Yield the entries that are not there yet, once those that are have been found to be the same. Raises `Unusable`.

    That they are is told by the root that ours have. Raises `Corrupt` where one of ours is missing or altered.
    """
    roots: list[bytes] = []
    async for entry in reader.iterate(below=there.size):
        extend(entry.position, roots, leaf_hash(entry.bytes))
    if root_of_frontier(roots) != there.frontier.root():
        raise Unusable("The database holds the entries of another log. Name an empty one.")
    async for entry in reader.iterate(there.size, below=size):
        yield entry.bytes


async def _build(url: str, progress: Callable[[int], None]) -> int:
    connection = await connect(url, server_settings={**SESSION, "application_name": "registry replay"})
    try:
        if not await connection.fetchval(QUERIES["lock"], OWN_LOCK):
            raise Unusable("A projector is at work on the database already; it builds the read models.")
        await rebuild.tidy(connection)
        projection = await rebuild.build(connection, progress, helpers=Helpers(url))
        await rebuild.switch(connection, projection)
        return projection.generation
    finally:
        await connection.close(timeout=10)
