"""A log as static files (C2SP tlog-tiles): what `registry log export` writes, or a copy of what is served at /log/."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from events.merkle import VerificationError
from events.merkle.note import MAX_NOTE_BYTES
from events.merkle.tiles import ENTRIES, TILE_BYTES, WIDTH, Tile, decode_bundle, encode_bundle, parse_path, width_at
from events.merkle.tree import HASH_BYTES
from services.registry.verify.chunk import Bundle
from services.registry.verify.files import MAX_BUNDLE_BYTES, read
from services.registry.verify.findings import Finding, Findings
from services.registry.verify.source import Head, Published, Unreadable

KEYS: Final = "keys"
ORIGINS: Final = "origins"
MAX_ORIGINS_BYTES: Final = 10_000_000
IN_AN_IMPORT: Final = "the form of what entries say (RFC 8785): the database, a service and an import are held to it"
ONLY_IN_THE_DATABASE: Final = "columns, claims and checkpoints of the past: they are in the database only"


class Export:
    """A folder. What is missing in it is found; a folder without a checkpoint is no export."""

    complete = True
    events = False  # it would take longer by two fifths, and whoever imports it looks into it
    checks: Sequence[str] = ("tiles that older checkpoints left",)
    beyond: Sequence[str] = (ONLY_IN_THE_DATABASE, IN_AN_IMPORT)

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._folder = folder

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """End; nothing was kept open."""

    async def published(self) -> Published:
        """Return the three files."""
        checkpoint = self._file("checkpoint", MAX_NOTE_BYTES)
        if checkpoint is None:
            raise Unreadable(f"{self._folder} is no export of a log: there is no file named checkpoint in it.")
        keys = self._file(KEYS, MAX_NOTE_BYTES) or b""
        return Published(checkpoint, keys, self._file(ORIGINS, MAX_ORIGINS_BYTES))

    async def bundles(self, first: int, end: int) -> Sequence[Bundle]:
        """Say where the bundles and the tiles of level 0 beside them are: whoever examines them reads them."""
        tiles = [Tile(0, at // WIDTH, min(WIDTH, end - at)) for at in range(first, end, WIDTH)]
        return [
            Bundle(tile.index * WIDTH, tile.width, None, None, folder=self.name if self._has(tile) else None)
            for tile in tiles
        ]

    def _has(self, tile: Tile) -> bool:
        return (self._folder / tile.bundle_path).exists() or (self._folder / tile.path).exists()

    async def tile(self, tile: Tile) -> bytes | None:
        """Read a tile; a partial one also from the full one, which may have come since."""
        found = self._file(tile.path, TILE_BYTES)
        if found is None and tile.width < WIDTH:
            full = self._file(Tile(tile.level, tile.index).path, TILE_BYTES)
            return None if full is None else full[: tile.width * HASH_BYTES]
        return found

    async def heads(self, after: int, to: int) -> AsyncGenerator[Head]:
        """Yield none: there is the checkpoint."""
        del after, to
        for none in ():
            yield none

    async def more(self, size: int, findings: Findings) -> None:
        """Check that all is there, and that what older checkpoints left is the beginning of what is there today."""
        for name in (KEYS, ORIGINS):
            if not (self._folder / name).is_file():
                findings.note(Finding("file-missing", "it is not there", file=name))
        for level, place in self._partial():
            try:
                tile = parse_path(level, place)
            except VerificationError:
                continue  # nothing of a log
            width = width_at(size, tile.level, tile.index)
            if tile.width < width:
                self._check_beginning(level, tile, width, findings)

    def _check_beginning(self, level: str, tile: Tile, width: int, findings: Findings) -> None:
        whole = Tile(tile.level, tile.index, width)
        if level == ENTRIES:
            part, full = self._file(tile.bundle_path, MAX_BUNDLE_BYTES), self._file(whole.bundle_path, MAX_BUNDLE_BYTES)
            try:
                expected = encode_bundle(decode_bundle(full or b"", width)[: tile.width])
            except VerificationError:
                return  # that it is malformed has been found
        else:
            part, full = self._file(tile.path, TILE_BYTES), self._file(whole.path, TILE_BYTES)
            expected = (full or b"")[: tile.width * HASH_BYTES]
        if full is not None and part != expected:
            name = (tile.bundle_path if level == ENTRIES else tile.path).removeprefix("tile/")
            findings.note(Finding("tile-altered", "it is not the beginning of what is there now", tile=name))

    def _partial(self) -> Iterator[tuple[str, str]]:
        for path in (self._folder / "tile").glob("**/*.p/*"):
            level, *place = path.relative_to(self._folder / "tile").parts
            yield level, "/".join(place)

    def _file(self, path: str, most: int) -> bytes | None:
        try:
            return read(self._folder / path, most)
        except OSError as error:
            raise Unreadable(f"{self._folder / path} cannot be read: {error.strerror}.") from None
