"""How far a standby has replayed, which it tells nobody: it is asked, less and less often, for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PAUSES: Final = (0.02, 0.05, 0.1, 0.2)  # seconds between asking, the last again and again


async def replayed(position: Callable[[], Awaitable[int | None]], size: int, seconds: float) -> int:
    """Ask for a position until it is at least `size` or so many seconds are over, and return what it was in the end."""
    loop, pauses = asyncio.get_running_loop(), iter(PAUSES)
    until = loop.time() + seconds
    while (at := await position() or 0) < size:
        pause = next(pauses, PAUSES[-1])
        if loop.time() + pause > until:
            break
        await asyncio.sleep(pause)
    return at
