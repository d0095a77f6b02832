"""Moments on the event loop's clock, as spans have them."""

from __future__ import annotations

import asyncio
import time
from typing import Final

NANOSECONDS: Final = 1_000_000_000


def epoch_nanoseconds(moment: float) -> int:
    """Return when a moment on the running loop's clock (seconds) was, in nanoseconds since 1970."""
    return time.time_ns() - round((asyncio.get_running_loop().time() - moment) * NANOSECONDS)
