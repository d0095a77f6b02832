"""Commands for a log, and ways to be in its way: for tests of the log itself, which no domain rule bounds."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from events.log import Append, Draft, Limits, Log
from services.registry.clock import now
from tests.support.cluster import Database

ORIGIN = "registry.test/log"
PATIENCE = 30.0  # seconds that something may take that has to happen


def hash_of(request: str) -> bytes:
    return hashlib.sha256(request.encode()).digest()


def draft(stream: str, expected: int = -1, text: str = "said", **more: Any) -> Draft:
    return Draft(stream=stream, expected_revision=expected, event_type="registry.noted.v1", data={"text": text}, **more)


def command(*drafts: Draft, command_id: UUID | None = None, request: str = "a request", **more: Any) -> Append:
    return Append(
        command_id=command_id or uuid4(), command_hash=hash_of(request), actor="a test", drafts=drafts, **more
    )


def note(stream: str, expected: int = -1, *, events: int = 1, **more: Any) -> Append:
    """A command that records some events in one stream."""
    return command(*(draft(stream, expected) for _ in range(events)), **more)


async def open_log(dsn: str, *, clock: Callable[[], datetime] = now, **limits: Any) -> Log:
    return await Log.open(dsn, origin=ORIGIN, clock=clock, limits=Limits(**limits))


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[asyncpg.Connection[asyncpg.Record], None]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def until(condition: Callable[[], Awaitable[Any]], patience: float = PATIENCE) -> Any:
    """Ask until the answer is true: for what nothing tells of."""
    async with asyncio.timeout(patience):
        while not (answer := await condition()):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        return answer


class Obstacle:
    """Somebody who holds the head's lock, so that no batch can be recorded."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def waited_for(self) -> None:
        """Return when a batch has been sent, and waits."""
        await until(lambda: self._connection.fetchval(WAITING))


WAITING = """SELECT count(*) > 0 FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'registry-writer' AND wait_event_type = 'Lock'"""


@asynccontextmanager
async def obstacle(database: Database) -> AsyncGenerator[Obstacle, None]:
    async with connected(database.admin_dsn) as connection, connection.transaction():
        await connection.execute("SELECT size FROM log.head FOR UPDATE")
        yield Obstacle(connection)
