"""Reading an export, and believing nothing of it that its checkpoint does not vouch for.

From the checkpoint's root down: the tiles at the right edge lead to it, each tile below is held against its hash in the
one above, each entry against its leaf. So every entry is proved before it is handed on, in one reading, with a tile a
level in memory. Names that were taken are proved by what was signed then; which further keys are the log's rests on the
export's word alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from events.entry import leaf_hash
from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import MAX_NOTE_BYTES, Note, NoteError, VerifierKey
from events.merkle.tiles import TILE_BYTES, WIDTH, Tile, TileError, decode_bundle, hashes_of, roots_from, tiles_for
from events.merkle.tree import EMPTY_ROOT, HASH_BYTES, Subtree, root_of
from services.registry.archive.folder import CHECKPOINT, KEYS, ORIGINS, ArchiveUnusable, Folder
from services.registry.archive.writing import BUNDLE_BYTES, MAX_KEYS_BYTES, MAX_ORIGINS_BYTES
from services.registry.signing import adoptions, published
from services.registry.signing.published import Origins


class Manifest(msgspec.Struct, frozen=True):
    """What an export says of itself: the checkpoint, verified, with its note; the log's keys and names."""

    note: Note
    checkpoint: Checkpoint
    keys: tuple[VerifierKey, ...]
    origins: Origins


class Export:
    """A folder with an export. Every method raises `ArchiveUnusable`, naming the file that is not as it has to be."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder

    def manifest(self, trusted: Sequence[VerifierKey] = ()) -> Manifest:
        """Read what the export says of itself; the checkpoint has to be signed by its own keys, and a trusted one."""
        raw = self._folder.need(CHECKPOINT, MAX_NOTE_BYTES)
        at = KEYS
        try:
            keys = tuple(published.decode_keys(self._folder.need(KEYS, MAX_KEYS_BYTES)))
            at = ORIGINS
            origins = published.decode_origins(self._folder.need(ORIGINS, MAX_ORIGINS_BYTES))
            for one in origins.adopted:
                adoptions.check(one, (*keys, *trusted))
            at = CHECKPOINT
            checkpoint = Checkpoint.verified(raw, keys, origin=origins.origin)
            if trusted:
                Checkpoint.verified(raw, trusted)
            if not any(key.name == checkpoint.origin for key in keys):
                raise NoteError("none of the keys is of the log's name")
            if checkpoint.extensions:
                raise NoteError("it has lines that are not known here")
            return Manifest(Note.parse(raw), checkpoint, keys, origins)
        except VerificationError as refused:
            raise ArchiveUnusable(f"{self._folder.path / at} is not to be believed: {refused}.") from None

    def entries(self, checkpoint: Checkpoint) -> Iterator[bytes]:
        """Yield the entries that a checkpoint vouches for, in order, each proved to be its own."""
        if checkpoint.size == 0:
            if checkpoint.root != EMPTY_ROOT:
                raise ArchiveUnusable(f"{self._folder.path / CHECKPOINT} is not of an empty log, as it says.")
            return
        whole = [Subtree(0, checkpoint.size)]
        edges = tiles_for(whole, checkpoint.size)
        contents = {(tile.level, tile.index): self._tile(tile) for tile in edges}
        if roots_from(contents, whole)[0] != checkpoint.root:
            paths = " and ".join(tile.path for tile in edges)
            raise ArchiveUnusable(f"{self._folder.path}: {paths} do not lead to the root of the checkpoint.")
        for tile in reversed(edges):  # the highest level is the leftmost
            yield from self._below(tile, contents[tile.level, tile.index])

    def _below(self, tile: Tile, hashes: bytes) -> Iterator[bytes]:
        """Yield the entries below a tile that is proved."""
        if tile.level == 0:
            yield from self._bundle(tile, hashes)
            return
        for number, root in enumerate(hashes_of(hashes)):
            child = Tile(tile.level - 1, tile.index * WIDTH + number)
            content = self._tile(child)
            if root_of(hashes_of(content)) != root:
                raise ArchiveUnusable(f"{self._folder.path / child.path} is not what {tile.path} is made of.")
            yield from self._below(child, content)

    def _tile(self, tile: Tile) -> bytes:
        size = tile.width * HASH_BYTES
        content = self._content(tile.path, Tile(tile.level, tile.index).path, TILE_BYTES)
        content = content[:size] if len(content) == TILE_BYTES else content
        if len(content) != size:
            raise ArchiveUnusable(f"{self._folder.path / tile.path} has {len(content)} bytes, not {size}.")
        return content

    def _bundle(self, tile: Tile, hashes: bytes) -> Sequence[bytes]:
        path = tile.bundle_path
        content = self._content(path, Tile(0, tile.index).bundle_path, BUNDLE_BYTES)
        try:
            entries = _decoded(content, tile.width)
        except TileError as refused:
            raise ArchiveUnusable(f"{self._folder.path / path}: {refused}.") from None
        for number, (entry, leaf) in enumerate(zip(entries, hashes_of(hashes), strict=True)):
            if leaf_hash(entry) != leaf:
                position = tile.index * WIDTH + number
                raise ArchiveUnusable(f"{self._folder.path / path}: the entry at position {position} was altered.")
        return entries

    def _content(self, path: str, full: str, most: int) -> bytes:
        """Read a tile or bundle; in place of a partial one that is gone, the full one that took its place."""
        content = self._folder.read(path, most)
        return (
            self._folder.need(path if self._folder.read(full, 0) is None else full, most)
            if content is None
            else content
        )


def _decoded(content: bytes, width: int) -> Sequence[bytes]:
    try:
        return decode_bundle(content, width)
    except TileError:
        if width == WIDTH:
            raise
        return decode_bundle(content, WIDTH)[:width]
