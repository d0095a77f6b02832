"""How measured values are spread: counted between bounds, so that what is kept does not grow with what is measured."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence


class Distribution:
    """How many values were at or below each bound, and their sum. To be noted and read in one thread."""

    __slots__ = ("_bounds", "_counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Take the bounds, ascending; what is above the last is counted too."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def note(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values were noted."""
        return sum(self._counts)

    def cumulated(self) -> Iterator[tuple[float, int]]:
        """Yield each bound, infinity last, with how many values were at or below it."""
        below = 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            below += count
            yield bound, below
