"""The log as a program uses it: one writer and a pool of readers, on one database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Final, Self

from events.errors import LogUnavailable
from events.log.append import Counts, Limits, Writer
from events.log.command import Append, Appended
from events.log.connection import Unreachable, WriterConnection
from events.log.distribution import Distribution
from events.log.failure import TRANSIENT
from events.log.observer import Observer
from events.log.read import Pool, Reader
from events.log.servers import create_pool

READERS: Final = 10  # connections of a pool of the log's own, at most


class Log(Reader):
    """An append-only log in PostgreSQL, to read and to append to; made by `Log.open`, left by `close`.

    Several processes may have the same log open and append to it at once.
    """

    def __init__(self, writer: Writer, pool: Pool, *, owns_pool: bool) -> None:
        super().__init__(pool)
        self._writer = writer
        self._owns_pool = owns_pool

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        origin: str,
        clock: Callable[[], datetime],
        limits: Limits | None = None,
        pool: Pool | None = None,
    ) -> Self:
        """Connect as the service's role, directly (a pooler would break the writer's session) and begin to write.

        `origin` is the log's name for ever (C2SP tlog-checkpoint); `clock` is aware of its zone. Reads go through
        `pool`, or through a pool of its own. Raises `LogUnavailable` when PostgreSQL cannot be reached, or would
        answer commits before they are durable (synchronous_commit off, local or remote_write).
        """
        limits = limits or Limits()
        connection = WriterConnection(dsn, timeout=limits.statement)
        owns_pool = pool is None
        try:
            head = await connection.head()
            if pool is None:
                pool = await create_pool(
                    dsn, min_size=0, max_size=READERS, server_settings={"application_name": "registry-reader"}
                )
        except (Unreachable, *TRANSIENT) as error:
            connection.drop()
            raise LogUnavailable(f"The log cannot be opened: {error}") from error
        return cls(Writer(connection, head, origin=origin, clock=clock, limits=limits), pool, owns_pool=owns_pool)

    async def close(self) -> None:
        """Refuse new commands, record those that wait, then leave the database."""
        await self._writer.close()
        if self._owns_pool:
            await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """How many commands wait for the writer."""
        return self._writer.waiting

    @property
    def known_size(self) -> int:
        """The greatest size of the log that was seen from here; another program may have appended since."""
        return max(self._writer.size, self._seen)

    @property
    def counts(self) -> Counts:
        """What the writer has done since the log was opened."""
        return self._writer.counts

    @property
    def waiting_bytes(self) -> int:
        """How large the entries are that wait for the writer."""
        return self._writer.waiting_bytes

    @property
    def latency(self) -> Distribution:
        """How many seconds it took from a call of `append` until what it recorded was durable, for each command."""
        return self._writer.latency

    @property
    def batch_entries(self) -> Distribution:
        """How many entries were recorded together, for each batch."""
        return self._writer.batch_entries

    def observe(self, observer: Observer) -> None:
        """Have somebody told of each commit from now on."""
        self._writer.observer = observer

    async def append(self, command: Append, *, within: float | None = None) -> Appended:
        """Record a command: all of it or nothing, durably before this returns, and once however often it is sent.

        A command that was recorded before, under the same id and hash, is answered with what it recorded then.
        Commands are recorded in the order of the calls, except that one sent together with another that it does
        not fit with may come after later ones. From one entry to a bulk of thousands.

        If the caller is cancelled before the command was sent to the database it is dropped; after that the outcome
        stands. The same holds when the deadline passes, that of the log's limits or `within` so many seconds if that is
        sooner: then `LogUnavailable` says whether the outcome is known.

        Raises `WrongExpectedVersion` (with every stream that is not as expected), `AlreadyClaimed` (with every claim
        that is taken), `AlreadyExists` (a key's owner has one), `Overtaken` (what it rests on is not as it was),
        `CommandIdReused`, `EntryTooLarge`, `QueueFull` at once when too much waits, and `LogUnavailable`.
        """
        return await self._writer.append(command, within)
