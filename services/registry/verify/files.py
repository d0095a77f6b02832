"""Reads an export's files: where they are needed, so that they do not have to be passed from process to process."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from events.entry import MAX_ENTRY_BYTES
from events.merkle.tiles import TILE_BYTES, WIDTH, Tile
from services.registry.verify.chunk import Bundle, Chunk

MAX_BUNDLE_BYTES: Final = WIDTH * (MAX_ENTRY_BYTES + 2)


def read(path: Path, most: int) -> bytes | None:
    """Return a file's content, up to one byte more than it may have; None if there is none. Raises OSError.

    What is no regular file is none: nobody is waited for at the other end of a pipe.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            return file.read(min(most, found.st_size) + 1) if stat.S_ISREG(found.st_mode) else None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def loaded(chunk: Chunk) -> Chunk:
    """Return the chunk with the bundles and tiles that lie in a folder. Raises OSError."""
    if all(bundle.folder is None for bundle in chunk.bundles):
        return chunk
    return Chunk(tuple(map(_loaded, chunk.bundles)), chunk.sizes, chunk.events)


def _loaded(bundle: Bundle) -> Bundle:
    if bundle.folder is None:
        return bundle
    folder, tile = Path(bundle.folder), Tile(0, bundle.first // WIDTH, bundle.width)
    entries = read(folder / tile.bundle_path, MAX_BUNDLE_BYTES)
    return replace(bundle, entries=entries, tile=read(folder / tile.path, TILE_BYTES), folder=None)
