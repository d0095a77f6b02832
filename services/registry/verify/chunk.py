"""A stretch of the log as it is examined on its own, maybe in another process: what goes in, and what comes out.

Everything that one entry or one bundle shows by itself is found there (`examine`); what spans stretches is carried in
`Examined` to whoever puts them in a row.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

import msgspec

from events.merkle.tiles import WIDTH
from services.registry.verify.findings import Findings

BUNDLES: Final = 8  # of a chunk: some 2 MB of entries, and as much of what is made of them; more leaves the caches
STRETCH: Final = BUNDLES * WIDTH
KEY_BYTES: Final = 16
LENGTH: Final = struct.Struct(">I")  # of a message, or of a record in a file
NO_KEY: Final = bytes(KEY_BYTES)

Columns: TypeAlias = tuple[str, int, str, str, str, str, str, bytes]
"""stream, revision, id, type, classification, recorded at, command id (as entries write them), leaf."""


class Bundle(msgspec.Struct, frozen=True):
    """Up to 256 entries from `first` on, and what is said of them.

    `entries`: a bundle as it is served; `singles`: entries one by one (None: there is none); neither if there is no
    bundle. `tile`: their leaves as the tile of level 0 has them, one after the other; None if there is no tile.
    `folder`: where bundle and tile are still to be read from (`files`). `root`: the root over the tile as it is kept
    beside it. `columns`: the copies of each entry; None if there are none.
    """

    first: int
    width: int
    entries: bytes | None
    tile: bytes | None
    singles: tuple[bytes | None, ...] | None = None
    root: bytes | None = None
    columns: tuple[Columns | None, ...] | None = None
    folder: str | None = None


class Chunk(msgspec.Struct, frozen=True):
    """Bundles in a row; `sizes` are those within, in order, at which the tree's root is asked for.

    `events`: whether the form of what entries say is looked into, which takes some two fifths of the time of all else.
    """

    bundles: tuple[Bundle, ...]
    sizes: tuple[int, ...] = ()
    events: bool = True


class Grown(msgspec.Struct, frozen=True):
    """What a bundle adds to the tree.

    `roots` is the frontier over its entries: one root if it is full. `differs`: which of its leaves are not those of
    the tile; `stated`: the root over the tile's hashes if some are not. `at`: the frontier over its entries up to each
    size that was asked for.
    """

    first: int
    width: int
    roots: tuple[bytes, ...]
    differs: tuple[int, ...] = ()
    stated: tuple[bytes, ...] = ()
    at: tuple[tuple[int, tuple[bytes, ...]], ...] = ()


class Edge(msgspec.Struct, frozen=True):
    """What the first or last entry of a stretch has to agree on with its neighbour."""

    position: int
    time: str
    source: str
    command: str
    command_hash: str


class Examined(msgspec.Struct, frozen=True):
    """What a chunk was found to be.

    `ids` and `commands`: 16 bytes an entry; those of a command stand at its first entry only, and where nothing could
    be read there are zeros. `streams`: records of `Opened`, as msgpack.
    """

    findings: Findings
    grown: tuple[Grown, ...]
    ids: bytes
    commands: bytes
    streams: bytes
    first: Edge | None
    last: Edge | None


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """A stream within a chunk: its first entry there, that one's revision, and the revision that has to come next."""

    stream: str
    position: int
    revision: int
    following: int
