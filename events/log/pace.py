"""Whether batches are sent one behind another or one after another: whichever records more, here and now.

Two on the way make use of the time that a flush takes, but each is half as large, and what a batch costs whatever is in
it comes twice. Which of these weighs more depends on the disk, the processors and what else runs, so it is measured
(ADR 0022): both are tried in turn, and the one that did better is kept to, with a short look at the other now and then.
"""

from __future__ import annotations

from typing import Final

WINDOW: Final = 0.05  # seconds over which a rate is taken
IDLE: Final = 0.02  # seconds without a batch, after which a rate would tell of those who ask, not of who records
LOOK: Final = 16  # windows, of which one is a look at the other way
WEIGHT: Final = 0.25  # of a new rate beside those before


class Pace:
    """Two batches `behind` each other, or one at a time. It is at first as it was given, for want of any measure."""

    def __init__(self, *, behind: bool = True) -> None:
        self.behind = behind
        self._rates: dict[bool, float] = {}
        self._windows = 0
        self._begun = self._last = float("-inf")
        self._entries = 0

    def note(self, entries: int, now: float, *, busy: bool) -> None:
        """Take note that entries are durable at a time (seconds); `busy` if there was enough for two batches."""
        if not busy or now - self._last > IDLE:
            self._begun, self._entries = now, 0
        else:
            self._entries += entries
        self._last = now
        if now - self._begun >= WINDOW:
            self._judge(self._entries / (now - self._begun))
            self._begun, self._entries = now, 0

    def _judge(self, rate: float) -> None:
        known = self._rates.get(self.behind, rate)
        self._rates[self.behind] = known + WEIGHT * (rate - known)
        self._windows += 1
        other = not self.behind
        if other not in self._rates:
            self.behind = other
            return
        better = max(self._rates, key=self._rates.__getitem__)
        self.behind = better if self._windows % LOOK else not better
