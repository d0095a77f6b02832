"""Turns: of the commands in one process that write the same stream, one is decided at a time, in order of arrival.

The append would refuse all but one of those that were decided on the same revision, and under many clients the same
ones would lose again and again. Other processes are left to the append: what they record makes a command be decided
again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager

from events.errors import LogUnavailable
from services.registry.tracing.spans import span


class Turns:
    """One for each stream that is being written to."""

    def __init__(self) -> None:
        self._taken: dict[str, deque[asyncio.Future[None]]] = {}  # with those who wait for it

    @asynccontextmanager
    async def at(self, streams: Iterable[str], deadline: float) -> AsyncGenerator[None]:
        """Wait for the turn at streams, and keep it.

        Raises `LogUnavailable` when it does not come by the `deadline` (on the loop's clock).
        """
        held: list[str] = []
        try:
            with span("wait for the stream's turn"):
                for stream in sorted(set(streams)):  # in one order, so that no two wait for each other
                    if stream in self._taken:
                        await self._wait(stream, deadline)
                    else:
                        self._taken[stream] = deque()
                    held.append(stream)
            yield
        finally:
            for stream in held:
                self._pass_on(stream)

    async def _wait(self, stream: str, deadline: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._taken[stream].append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except (TimeoutError, asyncio.CancelledError) as gone:
            if not turn.cancelled():  # it came at the very moment
                self._pass_on(stream)
            if not isinstance(gone, TimeoutError):
                raise
            raise LogUnavailable(
                "Too many commands are waiting to be recorded there. Nothing was recorded; try again in a moment."
            ) from None

    def _pass_on(self, stream: str) -> None:
        """Give the turn to who has waited for it longest, and waits still."""
        waiting = self._taken[stream]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._taken[stream]
