"""Turns: of the commands in one process that write the same stream, one is decided at a time, in order of arrival.

The append would refuse all but one of those that were decided on the same revision, and under many clients the same
ones would lose again and again. Other processes are left to the append: what they record makes a command be decided
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from events.errors import LogUnavailable
from services.registry.tracing.spans import span


class _Turn(asyncio.Lock):
    """A lock (first come, first served), and how many hold it or wait for it."""

    users = 0


class Turns:
    """One for each stream that is being written to, or waited for."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    @asynccontextmanager
    async def at(self, streams: Iterable[str], deadline: float) -> AsyncGenerator[None]:
        """Wait for the turn at streams, and keep it.

        Raises `LogUnavailable` when it does not come by the `deadline` (on the loop's clock).
        """
        async with AsyncExitStack() as held:
            try:
                with span("wait for the stream's turn"):
                    async with asyncio.timeout_at(deadline):
                        for stream in sorted(set(streams)):  # in one order, so that no two wait for each other
                            await held.enter_async_context(self._one(stream))
            except TimeoutError:
                raise LogUnavailable(
                    "Too many commands are waiting to be recorded there. Nothing was recorded; try again in a moment."
                ) from None
            yield

    @asynccontextmanager
    async def _one(self, stream: str) -> AsyncGenerator[None]:
        turn = self._turns.setdefault(stream, _Turn())
        turn.users += 1
        try:
            async with turn:
                yield
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[stream]
