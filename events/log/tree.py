"""The log's Merkle tree as PostgreSQL keeps it: finished tiles, roots and proofs at any size.

Tiles of 256 leaves are stored once they are full, and so are those above them; what is not stored yet is made of the
leaves. A proof over n entries needs two tiles a level, so its cost grows with log n. Roots and proofs rest on the
leaves; that these are those of the bytes, and stored tiles those of the leaves, `registry verify` shows. A stored tile
is given, and proofs made of it, only if its hashes have the root that is stored with it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

import asyncpg

from events import sql
from events.errors import Corrupt
from events.log.read import Connection, Pool, lacking, reachable
from events.merkle.proofs import consistency_subtrees, inclusion_subtrees
from events.merkle.tiles import TILE_BYTES, WIDTH, Tile, roots_from, tiles_for
from events.merkle.tree import EMPTY_ROOT, HASH_BYTES, Subtree, root_of, row_above

STEP: Final = 16  # tiles of level 0 that are added in one transaction
KEPT: Final = 4096  # tiles that were found good, of which no more is remembered than a hash: those of a million entries

_queries: Final = sql.load("events.log", "tree.sql")
_TILED: Final = _queries["tiled"]
_FULL: Final = _queries["full"]
_ROOTS: Final = _queries["roots"]
_LEAVES: Final = _queries["leaves"]
_ENTRIES: Final = _queries["entries"]
_ADD_TILES: Final = _queries["add_tiles"]

Key: TypeAlias = tuple[int, int]
"""The level and the index of a tile."""


class Tree:
    """The tree over a pool of connections. Each method raises `LogUnavailable` when the database cannot be used.

    Raises `Corrupt` where the log has not the leaves that a size asks for, naming the first position that is missing,
    and where a stored tile is not what it was, naming the tile. Sizes and positions are not checked against the log's
    head: the caller knows it.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._good = _Good()

    async def root(self, size: int) -> bytes:
        """Return the root of the first `size` entries."""
        return (await self._roots([Subtree(0, size)], size))[0] if size else EMPTY_ROOT

    async def inclusion(self, position: int, size: int) -> list[bytes]:
        """Prove that an entry is in the tree of a size (RFC 9162, 2.1.3). Raises ValueError if it is not."""
        return await self._roots(inclusion_subtrees(position, size), size)

    async def inclusions(self, positions: Sequence[int], size: int) -> list[list[bytes]]:
        """Prove the same of several entries, looking up together what their proofs are made of."""
        proofs = [inclusion_subtrees(position, size) for position in positions]
        subtrees = [subtree for proof in proofs for subtree in proof]
        stored, made = await self._read(tiles_for(subtrees, size))

        def work() -> list[bytes]:
            return roots_from(self._good.tiles(stored) | made, subtrees)

        roots = iter(await asyncio.to_thread(work))
        return [[next(roots) for _ in proof] for proof in proofs]

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Prove that the tree of the second size extends that of the first (RFC 9162, 2.1.4).

        Raises ValueError unless 0 < first <= second.
        """
        return await self._roots(consistency_subtrees(first, second), second)

    async def tile(self, tile: Tile) -> bytes:
        """Return a tile's hashes, one after the other."""
        stored, made = await self._read([tile])
        return (self._good.tiles(stored) | made)[tile.level, tile.index]

    async def bundle(self, tile: Tile) -> list[bytes]:
        """Return the entries whose leaves a tile of level 0 has."""
        first = tile.index * WIDTH
        with reachable():
            rows = await self._pool.fetch(_ENTRIES, first, first + tile.width)
        return _whole(rows, tile)

    async def integrate(self, size: int) -> int:
        """Store the tiles that are full at a size and not stored yet. Returns how many of level 0 were added.

        Several processes may do this at once: what a tile holds is decided by the leaves.
        """
        added = 0
        with reachable():
            async with self._pool.acquire() as connection:
                begun: int = await connection.fetchval(_TILED)
                for first in range(begun, size // WIDTH, STEP):
                    last = min(first + STEP, size // WIDTH)
                    async with connection.transaction():
                        await _add(connection, first, last)
                    added += last - first
        return added

    async def _roots(self, subtrees: Sequence[Subtree], size: int) -> list[bytes]:
        stored, made = await self._read(tiles_for(subtrees, size))
        return roots_from(self._good.tiles(stored) | made, subtrees)

    async def _read(self, tiles: Sequence[Tile]) -> tuple[list[asyncpg.Record], dict[Key, bytes]]:
        """Return the rows of tiles that are stored, not looked at yet, and the others as made of what is below them."""
        with reachable():
            async with self._pool.acquire() as connection:
                return await _tiles(connection, tiles)


class _Good:
    """Stored tiles that were found to have the root that is stored with them.

    To find it takes 255 hashes. So what it was found of is remembered as one hash of it all: a tile that is read again
    is compared with that, and found out anew if it is another.
    """

    def __init__(self) -> None:
        self._known: dict[Key, bytes] = {}

    def tiles(self, rows: Iterable[asyncpg.Record]) -> dict[Key, bytes]:
        """Return the tiles that are stored in rows. Raises `Corrupt`, naming the tile that is not what it was."""
        return {(row["level"], row["index"]): self._checked(*row) for row in rows}

    def _checked(self, level: int, index: int, hashes: bytes, root: bytes) -> bytes:
        seen = hashlib.sha256(hashes + root).digest()
        if self._known.get((level, index)) != seen:
            if len(hashes) != TILE_BYTES or _root_of_full(hashes) != root:
                place = f"tile {Tile(level, index).path.removeprefix('tile/')}"
                raise Corrupt(
                    f"{place}: the stored hashes are not those of its root; see `registry verify`", place=place
                )
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[level, index] = seen
        return hashes


def _root_of_full(hashes: bytes) -> bytes:
    while len(hashes) > HASH_BYTES:
        hashes = row_above(hashes)
    return hashes


async def _add(connection: Connection, first: int, last: int) -> None:
    """Store full tiles of level 0, and those above that are full with them."""
    leaves = _unbroken(await connection.fetch(_LEAVES, first * WIDTH, last * WIDTH), first * WIDTH, last * WIDTH)
    tiles = {Tile(0, first + n): leaves[n * WIDTH : (n + 1) * WIDTH] for n in range(last - first)}
    await _store(connection, tiles)
    level = 0
    while above := range(first // WIDTH, last // WIDTH):
        level += 1
        full = [Tile(level, index) for index in above]
        await _store(connection, {tile: await _hashes(connection, tile) for tile in full})
        first, last = above.start, above.stop


async def _store(connection: Connection, tiles: Mapping[Tile, list[bytes]]) -> None:
    await connection.execute(
        _ADD_TILES,
        [tile.level for tile in tiles],
        [tile.index for tile in tiles],
        [root_of(hashes) for hashes in tiles.values()],
        [b"".join(hashes) for hashes in tiles.values()],
    )


async def _tiles(connection: Connection, tiles: Sequence[Tile]) -> tuple[list[asyncpg.Record], dict[Key, bytes]]:
    """Return the rows of stored tiles, all read at once, and other tiles by level and index."""
    full = [tile for tile in tiles if tile.width == WIDTH]
    rows: list[asyncpg.Record] = []
    if full:
        rows = await connection.fetch(_FULL, [tile.level for tile in full], [tile.index for tile in full])
    stored = {(row["level"], row["index"]) for row in rows}
    made: dict[Key, bytes] = {}
    for tile in tiles:
        if (tile.level, tile.index) not in stored:
            made[tile.level, tile.index] = b"".join(await _hashes(connection, tile))
    return rows, made


async def _hashes(connection: Connection, tile: Tile) -> list[bytes]:
    """Make a tile of what is below it: leaves, or the roots of full tiles."""
    first = tile.index * WIDTH
    if tile.level == 0:
        return _whole(await connection.fetch(_LEAVES, first, first + tile.width), tile)
    rows = await connection.fetch(_ROOTS, tile.level - 1, first, first + tile.width)
    stored: dict[int, bytes] = {row["index"]: row["root"] for row in rows}
    for index in range(first, first + tile.width):
        if index not in stored:
            stored[index] = root_of(await _hashes(connection, Tile(tile.level - 1, index)))
    return [stored[index] for index in range(first, first + tile.width)]


def _whole(rows: Sequence[asyncpg.Record], tile: Tile) -> list[bytes]:
    first = tile.index * WIDTH
    return _unbroken(rows, first, first + tile.width)


def _unbroken(rows: Sequence[asyncpg.Record], first: int, end: int) -> list[bytes]:
    """Return what rows have beside their positions. Raises `Corrupt`, naming the first position that is missing."""
    if len(rows) != end - first:
        there = {position for position, _ in rows}
        raise lacking(next(position for position in range(first, end) if position not in there))
    return [found for _, found in rows]
