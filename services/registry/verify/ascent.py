"""Grows the tree out of bundles, and holds every tile above against what is below it. Memory grows with log n only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from events.merkle.tiles import WIDTH, Tile, TileError, hashes_of, width_at
from events.merkle.tree import HASH_BYTES, Frontier, extend, root_of, root_of_frontier
from services.registry.verify.chunk import Grown
from services.registry.verify.findings import Finding, Findings

ALTERED: Final = "the entry's bytes are not those that its leaf is the hash of"


class Ascent:
    """The tree up to the entries that it was given; `size` is that of the tree which the tiles are of.

    Which of two is wrong where a hash does not agree with what it is of, a third tells: the hash in the tile above. In
    the last, partial tile it is the checkpoint; until `finish` is told its root, what differs there waits.
    """

    def __init__(
        self, start: Frontier, size: int, tile: Callable[[Tile], Awaitable[bytes | None]], *, complete: bool
    ) -> None:
        self._size = size
        self._tile = tile
        self._complete = complete
        self._entries = start.size
        self._roots = list(start.roots)  # of full tiles of level 0, as their entries are
        self._rows: dict[int, list[bytes | None]] = {}  # by level above 0: of the tile that is not full yet
        self._above: dict[int, tuple[int, list[bytes] | None]] = {}  # by level: the tile that was read last
        self._last: Grown | None = None

    @property
    def frontier(self) -> Frontier:
        """Return the tree over the entries so far."""
        tail = self._last.roots if self._last else ()
        return Frontier(self._entries, (*self._roots, *tail))

    async def grow(self, grown: Grown, findings: Findings) -> list[tuple[int, bytes]]:
        """Add a bundle. Returns the roots at the sizes that were asked for, its own end included."""
        before = tuple(self._roots)
        at = [(size, root_of_frontier([*before, *inner])) for size, inner in grown.at]
        self._entries += grown.width
        if grown.width == WIDTH:
            extend(grown.first // WIDTH, self._roots, grown.roots[0])
            await self._hold(grown, findings)
        else:
            self._last = grown
        return [*at, (self._entries, self.frontier.root())]

    def finish(self, root: bytes | None, findings: Findings) -> None:
        """Judge the last, partial tile by the root that the tree should have (None: it is not known)."""
        last = self._last
        if last is None or not last.differs:
            return
        altered = root is not None and self.frontier.root() == root
        self._differ(last, findings, tile_is_wrong=altered)

    async def _hold(self, grown: Grown, findings: Findings) -> None:
        """Hold a full tile of level 0 against its entries and the tile above."""
        number, (own,) = grown.first // WIDTH, grown.roots
        above = await self._hash(0, number, findings)
        if grown.differs:
            self._differ(grown, findings, tile_is_wrong=above == own)
        if above is not None and above not in (own, *grown.stated):
            self._contradicted(0, number, findings)
        await self._up(1, number, above if above in (own, *grown.stated) else own, findings)

    def _differ(self, grown: Grown, findings: Findings, *, tile_is_wrong: bool) -> None:
        for number in grown.differs:
            position = grown.first + number
            if tile_is_wrong:
                words = f"its hash {number} is not that of the entry at position {position}"
                findings.note(Finding("tile-altered", words, tile=_named(0, grown.first // WIDTH, grown.width)))
            else:
                findings.add("entry-altered", ALTERED, position=position)

    async def _up(self, level: int, number: int, root: bytes | None, findings: Findings) -> None:
        """Put the root of a full tile into the row above it, and go up where that is full."""
        row = self._rows.setdefault(level, [None] * (number % WIDTH))
        row.append(root)
        if len(row) < WIDTH:
            return
        del self._rows[level]
        index = number // WIDTH
        above = await self._hash(level, index, findings)
        stated = await self._read(Tile(level, index), findings)
        whole = [one for one in row if one is not None]
        own = root_of(whole) if len(whole) == WIDTH else None  # a run that was resumed did not see the first of them
        stands = None if stated is None else root_of(stated)
        if above is not None and above not in (own, stands):
            self._contradicted(level, index, findings)
        await self._up(level + 1, index, above if above in (own, stands) else own or stands, findings)

    def _contradicted(self, level: int, number: int, findings: Findings) -> None:
        tile = _named(level + 1, number // WIDTH, width_at(self._size, level + 1, number // WIDTH))
        words = f"its hash {number % WIDTH} is not the root of the tile {_named(level, number, WIDTH)} below it"
        if level == 0:
            words += f" (the entries from position {number * WIDTH} to {number * WIDTH + WIDTH - 1})"
        findings.note(Finding("tile-altered", words, tile=tile))

    async def _hash(self, level: int, number: int, findings: Findings) -> bytes | None:
        """Return what the tile above has for a full tile."""
        index = number // WIDTH
        hashes = await self._read(Tile(level + 1, index, width_at(self._size, level + 1, index)), findings)
        return None if hashes is None else hashes[number % WIDTH]

    async def _read(self, tile: Tile, findings: Findings) -> list[bytes] | None:
        """Return a tile's hashes, reading it once while it is needed; None if it is not there or malformed."""
        known = self._above.get(tile.level)
        if known is None or known[0] != tile.index:
            known = (tile.index, self._taken_apart(tile, await self._tile(tile), findings))
            self._above[tile.level] = known
        return known[1]

    def _taken_apart(self, tile: Tile, raw: bytes | None, findings: Findings) -> list[bytes] | None:
        if raw is None:
            if self._complete:
                findings.note(Finding("tile-missing", "it is not there", tile=_named_as(tile)))
            return None
        try:
            hashes = hashes_of(raw)
        except TileError as refused:
            findings.note(Finding("tile-malformed", str(refused), tile=_named_as(tile)))
            return None
        if len(hashes) != tile.width:
            words = f"it has {len(hashes)} hashes of {HASH_BYTES} bytes, not {tile.width}"
            findings.note(Finding("tile-malformed", words, tile=_named_as(tile)))
            return None
        return hashes


def _named(level: int, index: int, width: int) -> str:
    return _named_as(Tile(level, index, width))


def _named_as(tile: Tile) -> str:
    return tile.path.removeprefix("tile/")
