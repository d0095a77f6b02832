"""Read models in tests: histories put into the log, generations compared row by row, and a projector to wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import asyncpg

from projections import MODELS, rebuild
from projections.engine import READING, SESSION, Connection
from projections.reader import ReadModels
from tests.support.chronicle import Chronicle, Happening, command
from tests.support.cluster import Database
from tests.support.recording import PATIENCE, connected, open_log


class Recorder:
    """Puts what a chronicle tells into a database's log, in commands of a few entries."""

    def __init__(self, database: Database, seed: int = 1) -> None:
        self._dsn = database.service_dsn
        self._chronicle = iter(Chronicle(seed))
        self._random = Random(seed)
        self._commands = 0
        self.happened: list[Happening] = []

    @property
    def size(self) -> int:
        return len(self.happened)

    async def record(self, count: int) -> int:
        """Record what happens next and return the log's size with it."""
        log = await open_log(self._dsn)
        async with log:
            left = count
            while left:
                happenings = [next(self._chronicle) for _ in range(min(left, self._random.randint(1, 5)))]
                appended = await log.append(command(self._commands, happenings))
                self.happened += happenings
                self._commands += 1
                left -= len(happenings)
                assert appended.size == self.size
        return self.size


@asynccontextmanager
async def projecting(database: Database) -> AsyncGenerator[Connection]:
    """A connection like a projector's."""
    connection = await asyncpg.connect(database.projector_dsn, server_settings=dict(SESSION))
    try:
        yield connection
    finally:
        await connection.close()


async def assert_same(connection: Connection, one: int, other: int) -> None:
    """Every table of one generation holds what the other's does, to the byte."""
    for model in MODELS:
        here, there = f"read_{one}.{model.name}", f"read_{other}.{model.name}"
        differing = await connection.fetch(
            f"(TABLE {here} EXCEPT ALL TABLE {there}) UNION ALL (TABLE {there} EXCEPT ALL TABLE {here}) LIMIT 5"
        )
        assert not differing, f"{model.name}: {differing}"


async def assert_as_rebuilt(database: Database) -> None:
    """The live generation holds what a rebuild up to its position would; the rebuild is dropped again."""
    async with projecting(database) as connection:
        live = await connection.fetchrow("SELECT id, position FROM projection.generation WHERE state = 'live'")
        assert live is not None, "nothing is live"
        again = await rebuild.begin(connection)
        await again.catch_up(live["position"])
        await assert_same(connection, live["id"], again.generation)
        await connection.execute("SELECT projection.drop_generation($1)", again.generation)


class Reached:
    """What a projector tells its progress to; tests wait here."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self._told = asyncio.Event()

    def __call__(self, position: int) -> None:
        self.positions.append(position)
        self._told.set()

    async def at_least(self, position: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while not self.positions or self.positions[-1] < position:
                self._told.clear()
                await self._told.wait()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncGenerator[asyncio.Task[None]]:
    """Do something beside until this is left; what it raised on its own is raised then."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def reading(database: Database) -> AsyncGenerator[ReadModels]:
    """The read models as the service reads them."""
    pool = await asyncpg.create_pool(database.service_dsn, min_size=1, max_size=4, server_settings=dict(READING))
    read_models = ReadModels(pool, database.service_dsn)
    await read_models.start()
    try:
        yield read_models
    finally:
        await read_models.stop()
        await pool.close()


async def terminate(database: Database, application: str) -> int:
    """Let PostgreSQL end the sessions of an application; returns how many there were."""
    async with connected(database.admin_dsn) as administrator:
        ended = await administrator.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = $1 AND pid <> pg_backend_pid()",
            application,
        )
        return len(ended)


async def tamper(database: Database, *statements: str) -> None:
    """Do to the log what nobody can: as an administrator who disables its triggers first."""
    async with connected(database.admin_dsn) as administrator, administrator.transaction():
        await administrator.execute("ALTER TABLE log.entry DISABLE TRIGGER ALL")
        for statement in statements:
            await administrator.execute(statement)
        await administrator.execute("ALTER TABLE log.entry ENABLE ALWAYS TRIGGER entry_refuses_change")
        await administrator.execute("ALTER TABLE log.entry ENABLE ALWAYS TRIGGER entry_refuses_row_change")
