"""Tiles (C2SP tlog-tiles): the tree cut into pieces of 256 hashes, and the entries into bundles beside them.

A tile at level l holds roots of perfect subtrees of 256^l leaves, 256 in a row; the last one of a level is partial
while the tree grows, and only full tiles are hashed into the level above. From tiles any proof can be made:
`tile_of` says in which tile, and where in it, the root of a perfect subtree is found. Reading what comes from outside
raises `TileError`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from events.merkle import VerificationError
from events.merkle.tree import HASH_BYTES, Subtree, perfect_subtrees, root_of, root_of_frontier

WIDTH: Final = 256
TILE_BYTES: Final = WIDTH * HASH_BYTES
MAX_LEVEL: Final = 63
ENTRIES: Final = "entries"
_HEIGHT: Final = 8  # 256 is 2^8
_PATH: Final = re.compile(r"(?:(x[0-9]{3}(?:/x[0-9]{3})*)/)?([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_LENGTH: Final = struct.Struct(">H")
_MAX_INDEX: Final = 2**64 // WIDTH


class TileError(VerificationError):
    """It is no address of a tile, or not what a tile or a bundle has to be."""


class Tile(msgspec.Struct, frozen=True, order=True):
    """Where a tile is; `width` is how many hashes (in a bundle: entries) it has, 256 if it is full."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Write its address below the log's prefix: `tile/0/x001/234/067.p/8` (levels 0 to 63)."""
        return f"tile/{self.level}/{_numbered(self)}"

    @property
    def bundle_path(self) -> str:
        """Write the address of the entries whose leaves a tile of level 0 has."""
        return f"tile/{ENTRIES}/{_numbered(self)}"


def parse_path(level: str, rest: str) -> Tile:
    """Read the parts of an address behind `tile/`: `0` and `x001/234/067.p/8`. Raises `TileError`.

    `entries` in place of a level is level 0.
    """
    if level != ENTRIES and not (re.fullmatch("0|[1-9][0-9]?", level) and int(level) <= MAX_LEVEL):
        raise TileError(f"a level is a number from 0 to {MAX_LEVEL}")
    found = _PATH.fullmatch(rest)
    if found is None:
        raise TileError("a tile's address is like 067, x001/234/067 or 067.p/8")
    groups = [*(found[1] or "").replace("x", "").split("/"), found[2]]
    index, width = int("".join(groups)), int(found[3] or WIDTH)
    tile = Tile(0 if level == ENTRIES else int(level), index, width)
    if index >= _MAX_INDEX or width > WIDTH or (found[3] and width == WIDTH) or _numbered(tile) != rest:
        raise TileError("this is not how a tile's address is written")
    return tile


def _numbered(tile: Tile) -> str:
    groups = [f"{tile.index % 1000:03}"]
    rest = tile.index // 1000
    while rest:
        groups.insert(0, f"x{rest % 1000:03}")
        rest //= 1000
    return "/".join(groups) + (f".p/{tile.width}" if tile.width < WIDTH else "")


def width_at(size: int, level: int, index: int) -> int:
    """Return how many hashes the tile has in a tree of this size: 0 to 256."""
    return max(0, min(WIDTH, (size >> (_HEIGHT * level)) - WIDTH * index))


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """Yield the tiles of a tree of this size, level by level; without those that were full at size `since`."""
    level = 0
    while hashes := size >> (_HEIGHT * level):
        begun = since >> (_HEIGHT * (level + 1))
        yield from (Tile(level, index, width_at(size, level, index)) for index in range(begun, -(-hashes // WIDTH)))
        level += 1


class Place(msgspec.Struct, frozen=True):
    """Where the root of a perfect subtree comes from: `count` hashes (a power of two) of a tile, from `first` on."""

    level: int
    index: int
    first: int
    count: int


def place_of(subtree: Subtree) -> Place:
    """Say where the root of a perfect subtree is found."""
    height = (subtree.end - subtree.start).bit_length() - 1
    level = height // _HEIGHT
    number = subtree.start >> (_HEIGHT * level)
    return Place(level, number // WIDTH, number % WIDTH, 1 << (height % _HEIGHT))


def tiles_for(subtrees: Iterable[Subtree], size: int) -> list[Tile]:
    """Return the tiles, as a tree of this size has them, from which the roots of these parts of it can be made."""
    places = [place_of(perfect) for subtree in subtrees for perfect in perfect_subtrees(subtree)]
    wanted = {(place.level, place.index) for place in places}
    return [Tile(level, index, width_at(size, level, index)) for level, index in sorted(wanted)]


def roots_from(tiles: Mapping[tuple[int, int], bytes], subtrees: Iterable[Subtree]) -> list[bytes]:
    """Make the roots of parts of a tree from the tiles that `tiles_for` named, by level and index.

    Raises `TileError` where a tile is missing or has too few hashes.
    """
    return [
        root_of_frontier([_root_in(tiles, place_of(perfect)) for perfect in perfect_subtrees(subtree)])
        for subtree in subtrees
    ]


def _root_in(tiles: Mapping[tuple[int, int], bytes], place: Place) -> bytes:
    tile = tiles.get((place.level, place.index), b"")
    begin, end = place.first * HASH_BYTES, (place.first + place.count) * HASH_BYTES
    if len(tile) < end:
        raise TileError(f"tile {place.level}/{place.index} has not the hashes that it must have")
    return root_of(hashes_of(tile[begin:end]))


def hashes_of(tile: bytes) -> list[bytes]:
    """Take a tile apart. Raises `TileError` unless it is made of whole hashes, 256 at most."""
    if len(tile) % HASH_BYTES or len(tile) > TILE_BYTES:
        raise TileError(f"a tile of {len(tile)} bytes is not made of up to {WIDTH} hashes")
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def encode_bundle(entries: Iterable[bytes]) -> bytes:
    """Write entries one after the other, each behind its length in two bytes (big-endian)."""
    return b"".join(_LENGTH.pack(len(entry)) + entry for entry in entries)


def decode_bundle(bundle: bytes, width: int) -> Sequence[bytes]:
    """Take a bundle of `width` entries apart. Raises `TileError` if it is of another number, or cut short."""
    entries: list[bytes] = []
    append, at, end = entries.append, 0, len(bundle)
    try:
        while at < end:
            begin = at + _LENGTH.size
            at = begin + (bundle[at] << 8 | bundle[at + 1])
            append(bundle[begin:at])
    except IndexError:
        at = -1
    if at != end:
        raise TileError("the bundle is cut short")
    if len(entries) != width:
        raise TileError(f"the bundle has {len(entries)} entries, not {width}")
    return entries
