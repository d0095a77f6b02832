"""Moments by the monotonic clock, as spans have them."""

from __future__ import annotations

import time
from typing import Final

NANOSECONDS: Final = 1_000_000_000


def epoch_nanoseconds(moment: float) -> int:
    """Return when a moment of `time.monotonic` (seconds) was, in nanoseconds since 1970.

    An event loop's time is of the same clock, as it was when the loop's turn began, and uvloop's in whole milliseconds.
    """
    return time.time_ns() - round((time.monotonic() - moment) * NANOSECONDS)
