"""What verifying finds: where something is wrong, and how. A whole log may be wrong: only the first are kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

KEPT: Final = 20  # of a kind
LAST: Final = 2**64


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong: where (one of the four), a stable code for programs, and words for people.

    `size` is that of the tree which a checkpoint is over; `tile` an address below the log's prefix without `tile/`.
    """

    code: str
    words: str
    position: int | None = None
    size: int | None = None
    tile: str | None = None
    file: str | None = None

    @property
    def line(self) -> str:
        """Write it for people."""
        where = (("position", self.position), ("size", self.size), ("tile", self.tile), ("file", self.file))
        return "".join(f"{what} {value}: " for what, value in where if value is not None) + self.words


class Findings(msgspec.Struct):
    """The first findings of each kind, and how many there are."""

    kept: list[Finding] = []
    count: int = 0
    kinds: dict[str, int] = {}  # how many of each code are kept

    def add(self, code: str, words: str, *, position: int | None = None, size: int | None = None) -> None:
        """Note what is wrong with an entry, with a tree head or, without a place, with the log as a whole."""
        self.note(Finding(code, words, position=position, size=size))

    def note(self, finding: Finding) -> None:
        """Note a finding."""
        self.count += 1
        kept = self.kinds.get(finding.code, 0)
        if kept < KEPT:
            self.kept.append(finding)
            self.kinds[finding.code] = kept + 1

    def take(self, others: Findings) -> None:
        """Note what was found elsewhere behind what is here, by position."""
        for finding in sorted(others.kept, key=lambda one: LAST if one.position is None else one.position):
            self.note(finding)
        self.count += others.count - len(others.kept)

    def at(self, positions: Iterable[int], code: str, words: str) -> None:
        """Note the same of several entries."""
        for position in positions:
            self.add(code, words, position=position)
