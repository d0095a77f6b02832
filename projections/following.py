"""Hearing of how far the read models of this version have come, and waiting until they have come that far.

What is heard of is the position on the server that is projected on: a standby has no LISTEN, and shows it later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from events.errors import RegistryError
from events.log.failure import FAILURES
from events.log.servers import connect
from projections.engine import QUERIES, VERSION, Connection, reader_of
from projections.heartbeat import heard
from projections.projector import HEARTBEAT_SECONDS, RETRY_SECONDS

log = structlog.get_logger("reader")

NOT_BUILT: Final = "The read models have not been built yet. Try again in a moment."
NONE_YET: Final = -1  # where there are no read models, or none were heard of: not even those of an empty log


class ReadModelBehind(RegistryError):
    """The read models have not come as far as was asked for."""

    code = "read-model-behind"


class Following:
    """The position as last heard of, kept by LISTEN on a connection of its own, which is made anew when lost.

    `dsn` names the server that is projected on; `live` asks for the position where that may not have been heard.
    """

    def __init__(self, dsn: str, live: Callable[[], Awaitable[int | None]]) -> None:
        self._dsn = dsn
        self._live = live
        self._moved = asyncio.Condition()
        self._listener: asyncio.Task[None] | None = None
        self._failures = 0  # in a row
        self.position = NONE_YET

    def start(self) -> None:
        """Begin to listen."""
        self._listener = asyncio.create_task(self._listen(), name="read-model-position")
        self._listener.add_done_callback(_told)

    async def stop(self) -> None:
        """Stop listening."""
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def wait_for(self, size: int, seconds: float) -> None:
        """Wait until the first `size` entries are projected; for none of them, until there are read models.

        Raises `ReadModelBehind` after `seconds`.
        """
        try:
            async with asyncio.timeout(seconds):
                if self.position < size:  # which may be because nothing was heard: ask once
                    await self.note(_position(await self._live()))
                async with self._moved:
                    await self._moved.wait_for(lambda: self.position >= size)
        except TimeoutError:
            raise behind(self.position, size) from None

    async def note(self, position: int, *, lower: bool = False) -> None:
        """Take a position that was learned of, and tell who waits; a `lower` one only of who hears of each in turn."""
        if position > self.position or (lower and position != self.position):
            async with self._moved:
                self.position = position if lower else max(position, self.position)
                self._moved.notify_all()

    async def _listen(self) -> None:
        while True:
            try:
                connection = await connect(
                    self._dsn,
                    timeout=5,
                    command_timeout=5,
                    server_settings={"application_name": reader_of(VERSION)},
                )
                try:
                    await self._hear(connection)
                finally:
                    connection.terminate()
            except FAILURES as lost:
                wait = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
                self._failures += 1
                log.warning("reader_lost_database", error=type(lost).__name__, retry_in_seconds=wait)
                await asyncio.sleep(wait)

    async def _hear(self, connection: Connection) -> None:
        """Note the position whenever it moves, until the connection is lost.

        It is asked for rather than taken from the notification, as anybody may send one.
        """
        told = asyncio.Event()

        def tell(*_what: object) -> None:
            told.set()

        connection.add_termination_listener(tell)
        await connection.add_listener("registry_projected", tell)
        while True:
            told.clear()
            await self.note(_position(await connection.fetchval(QUERIES["position"], VERSION)), lower=True)
            self._failures = 0
            await heard(told, HEARTBEAT_SECONDS)


def behind(position: int, size: int) -> ReadModelBehind:
    """Say that the read models show fewer entries than were asked for, or that there are none."""
    if position == NONE_YET:
        return ReadModelBehind(NOT_BUILT)
    return ReadModelBehind(f"The read models show {position} entries, not yet {size}. Try again in a moment.")


def _position(live: int | None) -> int:
    return NONE_YET if live is None else live


def _told(listener: asyncio.Task[None]) -> None:
    """Journal that nothing is heard any more, for a reason that nobody foresaw; who waits asks, meanwhile."""
    if not listener.cancelled() and (error := listener.exception()) is not None:
        log.error("reader_stopped_listening", error=type(error).__name__)
