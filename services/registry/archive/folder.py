"""A folder with the log in its static form (C2SP tlog-tiles): the paths are those below the log's prefix over HTTP.

A file is there whole or not at all. `Folder.settle` makes what was written durable, names included; what vouches for
other files is written after it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Final

from events.errors import RegistryError
from events.merkle.tiles import Tile
from services.registry import durable
from services.registry.verify import files

CHECKPOINT: Final = "checkpoint"
KEYS: Final = "keys"
ORIGINS: Final = "origins"
TILES: Final = "tile"
_OURS: Final = frozenset({CHECKPOINT, KEYS, ORIGINS, TILES})
_UNFINISHED: Final = re.compile(rf"\..+{re.escape(durable.UNFINISHED)}")


class ArchiveUnusable(RegistryError):
    """The folder with the log as files cannot be used."""

    code = "archive-unusable"


class Folder:
    """The folder. Every method raises `ArchiveUnusable`, naming the file, where it cannot do what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unsettled: set[Path] = set()

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Make the folder if need be, and keep other writers out. The kernel lets go of it whatever happens."""
        with self._told(self.path, "used"):
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ArchiveUnusable(f"Somebody else is writing to {self.path}. Wait for them.") from None
            yield
        finally:
            os.close(descriptor)

    def strangers(self) -> list[str]:
        """Return the names of what is in the folder and is no part of an export."""
        with self._told(self.path, "read"):
            names = sorted(one.name for one in self.path.iterdir())
        return [name for name in names if name not in _OURS and not _UNFINISHED.fullmatch(name)]

    def read(self, name: str, most: int) -> bytes | None:
        """Return a file's content, None if there is no such file; of one larger than `most` bytes, its beginning."""
        with self._told(self.path / name, "read"):
            return files.read(self.path / name, most)

    def need(self, name: str, most: int) -> bytes:
        """Return a file's content. Raises `ArchiveUnusable` if it is not there, or larger than `most` bytes."""
        content = self.read(name, most)
        if content is None:
            raise ArchiveUnusable(f"{self.path / name} is missing.")
        if len(content) > most:
            raise ArchiveUnusable(f"{self.path / name} is larger than it can be.")
        return content

    def write(self, name: str, content: bytes) -> None:
        """Put a file in its place, its content durable by then; its name is with the next `settle`."""
        path = self.path / name
        with self._told(path, "written"):
            self._make(path.parent)
            durable.replace(path, content)
        self._unsettled.add(path.parent)

    def settle(self) -> None:
        """Make all that was written durable."""
        for folder in sorted(self._unsettled):
            self._sync(folder)
        self._unsettled.clear()

    def drop_partials(self, full: str) -> None:
        """Remove the partial tiles or bundles of a place, whose full one (named here) is durable."""
        partials = self.path / f"{full}.p"
        with self._told(partials, "removed"):
            if partials.is_dir():
                for partial in partials.iterdir():
                    partial.unlink()
                partials.rmdir()

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make(folder.parent)
            folder.mkdir(exist_ok=True)
            self._unsettled.add(folder.parent)

    def _sync(self, folder: Path) -> None:
        with self._told(folder, "written"):
            durable.sync_folder(folder)

    @contextlib.contextmanager
    def _told(self, path: Path, done: str) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise ArchiveUnusable(f"{path} cannot be {done}: {error.strerror or error}.") from None


def full_paths(tile: Tile) -> list[str]:
    """Return where the full tile of a place is, and for level 0 its bundle."""
    full = Tile(tile.level, tile.index)
    return [full.path, full.bundle_path] if tile.level == 0 else [full.path]
