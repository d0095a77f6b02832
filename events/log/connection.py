"""The writer's own connection to PostgreSQL: opened when needed, watched while in use, dropped when in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.prepared_stmt import PreparedStatement

from events import sql
from events.errors import Corrupt, MasterKeyUnusable
from events.log.command import Head
from events.log.confirmation import Confirmation
from events.log.failure import AWAY, TRANSIENT
from events.log.read import RecordedCommand, head_of, recorded_commands
from events.log.servers import connect

_queries: Final = sql.load("events.log", "queries.sql")
_APPEND: Final = _queries["append"]
_DURABILITY: Final = _queries["durability"]
_HEAD: Final = _queries["head"]
_LOCK_HEAD: Final = _queries["lock_head"]

DURABLE: Final = frozenset({"on", "remote_apply"})
"""The values of synchronous_commit under which an answered commit is on disk, and at the standbys that must have it."""


class Unreachable(Exception):
    """The database cannot be used now; what was sent last may have been carried out."""


class Found(msgspec.Struct, frozen=True):
    """What is, when a batch assumed something else: nothing of it was written."""

    head: Head
    revisions: dict[str, int]  # of the streams that were asked for
    known: list[UUID]  # the command ids that are recorded
    taken: frozenset[tuple[str, str]]  # the claims that are taken
    keys: frozenset[str]  # the owners that have a key
    overtaken: frozenset[str] = frozenset()  # what commands rest on and is not so: streams, texts, owners


class WriterConnection:
    """One connection at a time, and none once it was in doubt. For one task; every method may raise `Unreachable`.

    `timeout` (seconds) is how long the database may take over one thing. Then the connection is cut without a
    request to cancel: a cancelled commit would not wait for the standbys that must have it.
    """

    def __init__(self, dsn: str, *, timeout: float) -> None:
        self._dsn = dsn
        self._timeout = timeout
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._append: PreparedStatement[asyncpg.Record] | None = None
        self._confirmation = Confirmation()

    def another(self) -> WriterConnection:
        """Return one more to the same database, not open yet."""
        return WriterConnection(self._dsn, timeout=self._timeout)

    async def head(self) -> Head:
        """Read the log's head."""
        connection, _ = await self._ready()
        with self._watch():
            return head_of(await connection.fetchrow(_HEAD))

    async def append(self, arguments: Sequence[object]) -> Found | None:
        """Send one batch (`Batch.arguments`); None when it is recorded, and durable.

        What is found to be recorded already is durable too: the head's lock is WAL, which is waited for. Raises
        `MasterKeyUnusable` where a key is to be added that is wrapped by one which was replaced.
        """
        _, append = await self._ready()
        try:
            with self._watch():
                return _found(await append.fetchrow(*arguments))
        except asyncpg.RestrictViolationError as refused:
            raise MasterKeyUnusable(str(refused)) from refused

    async def recorded(self, command_ids: Sequence[UUID]) -> dict[UUID, RecordedCommand]:
        """Read back what commands recorded."""
        connection, _ = await self._ready()
        with self._watch():
            return await recorded_commands(connection, command_ids)

    @asynccontextmanager
    async def locked_head(self) -> AsyncGenerator[Head, None]:
        """Keep other writers out; commits on the way out, and only then is what was appended durable."""
        connection, _ = await self._ready()
        with self._watch():
            async with connection.transaction(isolation="read_committed"):
                yield head_of(await connection.fetchrow(_LOCK_HEAD))

    def drop(self) -> None:
        """Cut the connection; the next use opens another."""
        connection, self._connection, self._append = self._connection, None, None
        if connection is not None:
            connection.terminate()

    async def close(self) -> None:
        """Take leave of the database, or cut the connection if that takes long."""
        if self._connection is not None:
            try:
                await self._connection.close(timeout=self._timeout)
            except (TimeoutError, *TRANSIENT):
                self.drop()

    async def _ready(self) -> tuple[asyncpg.Connection[asyncpg.Record], PreparedStatement[asyncpg.Record]]:
        if self._connection is not None and self._append is not None and not self._connection.is_closed():
            return self._connection, self._append
        self.drop()
        with self._watch():
            self._connection = connection = await connect(
                self._dsn,
                timeout=self._timeout,
                server_settings={
                    "application_name": "registry-writer",
                    "default_transaction_isolation": "read committed",
                    "statement_timeout": str(int(self._timeout * 1000)),
                },
            )
            self._confirmation = Confirmation()
            connection.add_log_listener(self._confirmation.hear)
            durability = await connection.fetchval(_DURABILITY)
            if durability not in DURABLE:
                self.drop()
                raise Unreachable(
                    f"synchronous_commit is {durability}: commits would be answered before they are durable"
                )
            self._append = append = await connection.prepare(_APPEND)
            return connection, append

    @contextmanager
    def _watch(self) -> Generator[None, None, None]:
        timer = asyncio.get_running_loop().call_later(self._timeout, self.drop)
        try:
            yield
            self._confirmation.check()
        except AWAY as error:
            if isinstance(error, ValueError):  # an argument that asyncpg cannot encode: nothing was sent
                raise
            self.drop()
            raise Unreachable(f"{type(error).__name__}: {error}") from error
        finally:
            timer.cancel()


def _found(answer: asyncpg.Record | None) -> Found | None:
    """Read the answer of log.append_batch."""
    if answer is None:
        raise Corrupt("log.append_batch did not answer")
    if answer["appended"]:
        return None
    return Found(
        head=head_of(answer),
        revisions=dict(zip(_list(answer, "found_streams"), _list(answer, "found_revisions"), strict=True)),
        known=_list(answer, "known_commands"),
        taken=frozenset(zip(_list(answer, "taken_scopes"), _list(answer, "taken_values"), strict=True)),
        keys=frozenset(_list(answer, "taken_keys")),
        overtaken=frozenset(_list(answer, "overtaken")),
    )


def _list(answer: asyncpg.Record, column: str) -> list[Any]:
    """Return an array, which SQL aggregates as null when it is empty."""
    return answer[column] or []
