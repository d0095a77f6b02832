"""Turns: of the commands in one process that write the same stream, one is decided at a time, in order of arrival.

The append would refuse all but one of those that were decided on the same revision, and under many clients the same
ones would lose again and again. Other processes are left to the append: what they record makes a command be decided
again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence

from events.errors import LogUnavailable
from services.registry.tracing.spans import span


class Turns:
    """One for each stream that is being written to."""

    def __init__(self) -> None:
        self._taken: dict[str, deque[asyncio.Future[None]]] = {}  # with those who wait for it

    def at(self, streams: Iterable[str], deadline: float) -> Turn:
        """Return what waits for the turn at streams when it is entered, and keeps it until it is left.

        Raises `LogUnavailable` when it does not come by the `deadline` (on the loop's clock).
        """
        return Turn(self, sorted(set(streams)), deadline)  # in one order, so that no two wait for each other

    async def take(self, stream: str, deadline: float) -> None:
        """Wait for the turn at a stream. Raises `LogUnavailable`."""
        if stream not in self._taken:
            self._taken[stream] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        self._taken[stream].append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except (TimeoutError, asyncio.CancelledError) as gone:
            if not turn.cancelled():  # it came at the very moment
                self.pass_on(stream)
            if not isinstance(gone, TimeoutError):
                raise
            raise LogUnavailable(
                "Too many commands are waiting to be recorded there. Nothing was recorded; try again in a moment."
            ) from None

    def pass_on(self, stream: str) -> None:
        """Give the turn to who has waited for it longest, and waits still."""
        waiting = self._taken[stream]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._taken[stream]


class Turn:
    """The turn at some streams, kept from when this is entered until it is left."""

    __slots__ = ("_deadline", "_held", "_streams", "_turns")

    def __init__(self, turns: Turns, streams: Sequence[str], deadline: float) -> None:
        self._turns = turns
        self._streams = streams
        self._deadline = deadline
        self._held: list[str] = []

    async def __aenter__(self) -> None:
        try:
            with span("wait for the stream's turn"):
                for stream in self._streams:
                    await self._turns.take(stream, self._deadline)
                    self._held.append(stream)
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        for stream in self._held:
            self._turns.pass_on(stream)
