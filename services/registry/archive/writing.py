"""Writing an export: what the published checkpoint vouches for, then the checkpoint.

At every moment the folder can be served: the checkpoint that is there has all its tiles and bundles, durably. So an
export that was interrupted is completed by the next, and a later one adds what the log has gained. What is there is not
believed: each file is held against the log, and written again if it is another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from events.entry import MAX_ENTRY_BYTES, leaf_hash
from events.errors import Corrupt
from events.log.checkpoints import Checkpoints
from events.log.tree import Tree
from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import MAX_NOTE_BYTES
from events.merkle.tiles import (
    TILE_BYTES,
    WIDTH,
    Tile,
    TileError,
    decode_bundle,
    encode_bundle,
    hashes_of,
    roots_from,
    tiles_for,
    tiles_of,
    width_at,
)
from events.merkle.tree import EMPTY_ROOT, Subtree, root_of
from services.registry.archive.folder import CHECKPOINT, KEYS, ORIGINS, ArchiveUnusable, Folder, full_paths
from services.registry.signing import published
from services.registry.signing.publication import Publication

MAX_KEYS_BYTES: Final = 1_000_000
MAX_ORIGINS_BYTES: Final = 16 * 2**20
BUNDLE_BYTES: Final = WIDTH * (2 + MAX_ENTRY_BYTES)


class Written(msgspec.Struct):
    """What an export has come to: the checkpoint's size, how many files were written, and how many were there."""

    size: int
    root: bytes
    written: int = 0
    kept: int = 0


class Writer:
    """Writes one log to one folder, in memory that does not grow with the log."""

    def __init__(self, folder: Folder, tree: Tree, checkpoints: Checkpoints, publication: Publication) -> None:
        self._folder = folder
        self._tree = tree
        self._checkpoints = checkpoints
        self._publication = publication

    async def write(self, note: bytes, checkpoint: Checkpoint, progress: Callable[[int], None]) -> Written:
        """Bring the folder to a checkpoint of the log, which is published with this note.

        `progress` is told how many entries are done. Raises `ArchiveUnusable`, for a folder with another log too,
        `LogUnavailable`, and `Corrupt` where the log is not what the checkpoint vouches for; then the checkpoint that
        was there stays, and what it needs.
        """
        with self._folder.locked():
            await self._must_be_of_this_log(checkpoint)
            done = Written(checkpoint.size, checkpoint.root)
            edges = await self._write_tiles(done, progress)
            if _root(edges, checkpoint.size) != checkpoint.root:
                raise Corrupt("the log's leaves do not lead to the root of its checkpoint; `registry verify` says more")
            self._put(done, KEYS, published.encode_keys(await self._publication.keys()))
            names = await published.origins(self._checkpoints, await self._publication.origin())
            self._put(done, ORIGINS, published.encode_origins(names))
            self._folder.settle()
            self._put(done, CHECKPOINT, note)
            self._folder.settle()
            for tile in tiles_of(checkpoint.size):
                if tile.width == WIDTH:
                    for path in full_paths(tile):
                        self._folder.drop_partials(path)
        return done

    async def _write_tiles(self, done: Written, progress: Callable[[int], None]) -> dict[tuple[int, int], bytes]:
        """Write tiles and bundles; return the tiles at the right edge, by level and index.

        Tiles above the leaves are made of those below, so that what is written is what the entries lead to.
        """
        size, above, hashes = done.size, list[list[bytes]](), b""
        for index in range(-(-size // WIDTH)):
            tile = Tile(0, index, width_at(size, 0, index))
            hashes = await self._tree.tile(tile)
            await self._write_bundle(done, tile, hashes)
            self._put(done, tile.path, hashes)
            if tile.width == WIDTH:
                self._carry(done, above, index, hashes_of(hashes))
            progress(index * WIDTH + tile.width)
        edges = {(0, size // WIDTH): hashes} if size % WIDTH else {}
        for level, roots in enumerate(above, 1):
            if roots:
                edge = Tile(level, (size >> 8 * level) // WIDTH, len(roots))
                edges[level, edge.index] = b"".join(roots)
                self._put(done, edge.path, edges[level, edge.index])
        return edges

    def _carry(self, done: Written, above: list[list[bytes]], index: int, hashes: Sequence[bytes]) -> None:
        """Put the root of a full tile into the one above, which is written when it is full with it, and so on."""
        level = 0
        while True:
            if len(above) == level:
                above.append([])
            above[level].append(root_of(hashes))
            if len(above[level]) < WIDTH:
                return
            hashes, above[level] = above[level], []
            level, index = level + 1, index // WIDTH
            self._put(done, Tile(level, index).path, b"".join(hashes))

    async def _write_bundle(self, done: Written, tile: Tile, hashes: bytes) -> None:
        there = self._folder.read(tile.bundle_path, BUNDLE_BYTES)
        if there is not None and _leaves(there, tile.width) == hashes:
            done.kept += 1
            return
        entries = await self._tree.bundle(tile)
        for number, entry in enumerate(entries):
            if leaf_hash(entry) != hashes[number * 32 : number * 32 + 32]:
                position = tile.index * WIDTH + number
                raise Corrupt(f"position {position}: the entry's bytes are not those that its leaf is the hash of")
        self._folder.write(tile.bundle_path, encode_bundle(entries))
        done.written += 1

    def _put(self, done: Written, name: str, content: bytes) -> None:
        if self._folder.read(name, max(len(content), TILE_BYTES)) == content:
            done.kept += 1
            return
        self._folder.write(name, content)
        done.written += 1

    async def _must_be_of_this_log(self, checkpoint: Checkpoint) -> None:
        """Raise `ArchiveUnusable` for a folder with something else, or with a log that this one does not extend."""
        where = self._folder.path
        adopted = await self._checkpoints.origins()
        names = {checkpoint.origin, *(one.origin for one in adopted), *(one.replaces for one in adopted)}
        raw = self._folder.read(CHECKPOINT, MAX_NOTE_BYTES)
        if raw is None:
            if strangers := self._folder.strangers():
                raise ArchiveUnusable(f"{where} has {strangers[0]} in it and is no export. Name an empty folder.")
            begun = self._folder.read(ORIGINS, MAX_ORIGINS_BYTES)
            if begun is not None and (other := _origin(begun)) not in names:
                raise ArchiveUnusable(f"{where} holds the log {other}, not {checkpoint.origin}. Name another folder.")
            return
        there = _unverified(raw)
        if there is None or there.origin not in names:
            other = "something else" if there is None else f"the log {there.origin}"
            raise ArchiveUnusable(f"{where} holds {other}, not {checkpoint.origin}. Name another folder.")
        try:
            Checkpoint.verified(raw, await self._checkpoints.verifiers())
        except VerificationError as refused:
            raise ArchiveUnusable(
                f"{where} holds another log of the name {there.origin}, or its checkpoint was altered: {refused}."
            ) from None
        if there.size > checkpoint.size:
            raise ArchiveUnusable(
                f"{where} holds {there.size} entries, but this log's published checkpoint has {checkpoint.size}: it is "
                "behind, or was rolled back. Name another folder, or find out which."
            )
        if await self._tree.root(there.size) != there.root:
            raise ArchiveUnusable(
                f"{where} holds {there.size} entries that are not the first of this log: the histories differ. Name "
                "another folder, and find out why."
            )


def _root(edges: dict[tuple[int, int], bytes], size: int) -> bytes:
    if not size:
        return EMPTY_ROOT
    whole = [Subtree(0, size)]
    missing = [tile for tile in tiles_for(whole, size) if (tile.level, tile.index) not in edges]
    if missing:
        raise Corrupt(f"the log lacks the hashes of tile {missing[0].path}")
    return roots_from(edges, whole)[0]


def _leaves(bundle: bytes, width: int) -> bytes | None:
    """Return the leaves of a bundle, one after the other; None for what is no bundle of this width."""
    try:
        return b"".join(leaf_hash(entry) for entry in decode_bundle(bundle, width))
    except TileError:
        return None


def _unverified(raw: bytes) -> Checkpoint | None:
    """Return what a checkpoint says of itself; None for what is none."""
    try:
        return Checkpoint.parse(raw.decode().rpartition("\n\n")[0] + "\n")
    except (VerificationError, UnicodeDecodeError):
        return None


def _origin(raw: bytes) -> str:
    try:
        return published.decode_origins(raw).origin
    except VerificationError:
        return "something else"
