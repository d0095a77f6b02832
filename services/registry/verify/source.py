"""Where a log is read from to be verified: a running service, an exported folder, or the database itself.

Sources say what is there and judge nothing, but for what only they have. Whoever verifies asks in the order of the
positions, and once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import msgspec

from events.errors import RegistryError
from events.merkle.note import Signature
from events.merkle.tiles import Tile
from events.merkle.tree import Frontier
from services.registry.verify.chunk import Bundle
from services.registry.verify.findings import Findings


class Unreadable(RegistryError):
    """What is to be verified cannot be read, so that nothing can be said of it."""

    code = "verify-unreadable"


def damaged(path: Path) -> Unreadable:
    """Return what to raise for a file, taken down by a verification before, that is not as it was left."""
    return Unreadable(f"{path} is damaged: remove the folder to begin anew.")


class Published(msgspec.Struct, frozen=True):
    """What a log says of itself: its checkpoint (a signed note; None if it has none), keys and names, as they stand.

    `size` is that of the log, where it is known beside the checkpoint; `frontier` that which it is kept with, `origin`
    the name that it has now. `remembered` is a checkpoint, as a signed note, that is known from elsewhere.
    """

    checkpoint: bytes | None
    keys: bytes
    origins: bytes | None = None
    size: int | None = None
    frontier: Frontier | None = None
    origin: str | None = None
    remembered: bytes | None = None


class Head(msgspec.Struct, frozen=True):
    """A tree head that was signed before, and its signatures."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[Signature, ...]


class Source(Protocol):
    """One log. Every method raises `Unreadable` when it cannot be read at all, which is not when something is missing.

    `name` says for people where it is; `beyond` what is not in such a source, so that it cannot be checked;
    `checks` what is checked beyond what every source has. `complete`: every tile has to be there, partial ones too.
    `events`: the form of what entries say is looked into.
    """

    name: str
    complete: bool
    events: bool
    beyond: Sequence[str]
    checks: Sequence[str]

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    async def published(self) -> Published:
        """Return what the log says of itself now."""
        ...

    async def bundles(self, first: int, end: int) -> Sequence[Bundle]:
        """Return the entries from a multiple of 256 up to `end`, and the tiles over them."""
        ...

    async def tile(self, tile: Tile) -> bytes | None:
        """Return a tile above level 0, or of level 0 for a proof; None if it is not there."""
        ...

    def heads(self, after: int, to: int) -> AsyncIterator[Head]:
        """Yield the tree heads with more than `after` and up to `to` entries that the log keeps beside the last."""
        ...

    async def more(self, size: int, findings: Findings) -> None:
        """Check what only this source has, after a log of this size was walked through."""
        ...
