"""Waiting to be told something, and looking for oneself when nothing was told for a while."""

from __future__ import annotations

import asyncio


async def heard(told: asyncio.Event, seconds: float) -> bool:
    """Wait until an event is set, for so many seconds at the most, and say whether it is.

    Being cancelled at the moment at which it is set is being cancelled: `asyncio.wait_for` loses that before
    Python 3.12, and who waits in a loop then waits for ever.
    """
    try:
        async with asyncio.timeout(seconds):
            await told.wait()
    except TimeoutError:
        return False
    return True
