"""Hints: which commit's span some entries belong to, told to whoever projects, over PostgreSQL.

They are told after the commit, apart from it, on a channel of their own, and nothing but traces rests on them: one that
is lost costs a link, and so does one that somebody made up.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from typing import Final, NamedTuple

from opentelemetry.trace import SpanContext, TraceFlags

from events.log.failure import FAILURES
from events.log.read import Pool
from events.sql import load

QUERIES = load("services.registry.tracing", "hints.sql")
PAUSE_SECONDS: Final = 0.05  # between two tellings: every one takes a connection and the lock of all notifications
KEPT: Final = 1024
_FORM: Final = re.compile(r"([0-9]{1,18}) ([0-9]{1,18}) 00-([0-9a-f]{32})-([0-9a-f]{16})-01")


class Hint(NamedTuple):
    """The entries from position `first` to below `size` were recorded in this span."""

    first: int
    size: int
    span: SpanContext


def written(hint: Hint) -> str:
    """Write a hint: first position, size, and a W3C traceparent."""
    return f"{hint.first} {hint.size} 00-{hint.span.trace_id:032x}-{hint.span.span_id:016x}-01"


def read(text: str) -> Hint | None:
    """Read a hint; anybody may send one, so what is none is passed over."""
    if (found := _FORM.fullmatch(text)) is None:
        return None
    span = SpanContext(int(found[3], 16), int(found[4], 16), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return Hint(int(found[1]), int(found[2]), span) if span.is_valid else None


class Hints:
    """Those that are to be told: the newest, where they come faster than they go."""

    def __init__(self) -> None:
        self._waiting: deque[str] = deque(maxlen=KEPT)
        self._woken = asyncio.Event()

    def add(self, first: int, size: int, span: SpanContext) -> None:
        """Have a hint told soon."""
        self._waiting.append(written(Hint(first, size, span)))
        self._woken.set()

    async def tell(self, pool: Pool) -> None:
        """Tell hints until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            told = list(self._waiting)
            self._waiting.clear()
            try:
                await pool.execute(QUERIES["tell"], told)
            except FAILURES:  # the database is away, of which others tell; the hints are lost
                continue
            await asyncio.sleep(PAUSE_SECONDS)
