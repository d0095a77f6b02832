"""What entries change is put together while what those before them changed is written, over two connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from projections import engine, gathering, projector, rebuild
from projections.engine import QUERIES, Connection, Moved, Projection
from projections.gathering import Gathered
from projections.projector import Projector
from tests.support.cluster import Database
from tests.support.projecting import Reached, Recorder, assert_as_rebuilt, beside, projecting, terminate
from tests.support.recording import PATIENCE, connected, until

WRITES = "registry-projector"
READS = "registry-projector-log"
connect = projector.connect


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before trying again, nor looks again by itself what there is to do."""
    monkeypatch.setattr(projector, "RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(projector, "HEARTBEAT_SECONDS", 2 * PATIENCE)


@pytest.fixture
def recorder(database: Database) -> Recorder:
    return Recorder(database)


@asynccontextmanager
async def shown(database: Database) -> AsyncGenerator[Projection]:
    """A generation that is shown, of a projector that has both its connections."""
    async with projecting(database) as connection, projecting(database) as log:
        projection = await rebuild.begin(connection)
        await projection.show()
        projection.log = log
        yield projection


class Holding:
    """Stands in for `Gathered.write` and `Gathered.take`: holds up the first portion, and counts what is taken in."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failure: Exception | None = None) -> None:
        self.writes, self.goes_on = asyncio.Event(), asyncio.Event()
        self.taken = 0
        write, take = Gathered.write, Gathered.take

        async def held(gathered: Gathered, *where: Any) -> None:
            await write(gathered, *where)
            if not self.writes.is_set():
                self.writes.set()
                await self.goes_on.wait()
                if failure is not None:
                    raise failure

        def counted(gathered: Gathered, *step: Any) -> bool:
            self.taken += 1
            return take(gathered, *step)

        monkeypatch.setattr(Gathered, "write", held)
        monkeypatch.setattr(Gathered, "take", counted)

    async def has_taken(self, entries: int) -> None:
        async def has() -> bool:
            return self.taken == entries

        await until(has)


async def test_what_comes_while_a_portion_is_written_is_put_together_and_written_at_once(
    database, recorder, monkeypatch
):
    holding, told, woken = Holding(monkeypatch), Reached(), asyncio.Event()
    size = await recorder.record(10)
    async with shown(database) as projection, beside(projection.follow(woken, PATIENCE, told)):
        await holding.writes.wait()
        for _ in range(3):
            size = await recorder.record(10)
            woken.set()
            await holding.has_taken(size)
        assert (told.positions, projection.position) == ([], 0)
        holding.goes_on.set()
        await told.at_least(size)
        assert told.positions == [10, size]
    await assert_as_rebuilt(database)


async def test_no_more_than_a_portion_is_put_together_while_one_is_written(database, recorder, monkeypatch):
    monkeypatch.setattr(engine, "AT_ONCE", 10)
    holding, told = Holding(monkeypatch), Reached()
    size = await recorder.record(45)
    async with shown(database) as projection:
        catching = asyncio.create_task(projection.catch_up(progress=told))
        await holding.has_taken(20)
        async with connected(database.admin_dsn) as administrator:  # it has time, and takes no more
            assert await administrator.fetchval("SELECT size FROM log.head") == size
        assert (holding.taken, told.positions) == (20, [])
        holding.goes_on.set()
        assert await catching == size
    assert told.positions == [10, 20, 30, 40, 45]
    await assert_as_rebuilt(database)


async def test_what_was_put_together_meanwhile_is_given_up_with_what_could_not_be_written(
    database, recorder, monkeypatch
):
    woken = asyncio.Event()
    await recorder.record(10)
    async with shown(database) as projection:
        with monkeypatch.context() as patched:
            holding = Holding(patched, OSError("the disk is full"))
            following = asyncio.create_task(projection.follow(woken, PATIENCE))
            await holding.writes.wait()
            size = await recorder.record(10)
            woken.set()
            await holding.has_taken(size)
            holding.goes_on.set()
            with pytest.raises(OSError, match="full"):
                await following
        assert projection.position == 0
        assert await projection.catch_up() == size
    await assert_as_rebuilt(database)


async def test_following_ends_in_time_with_all_written_however_much_comes(database, recorder, monkeypatch):
    """Who looks after generations in between uses the connection that is written over."""
    monkeypatch.setattr(engine, "AT_ONCE", 3)
    monkeypatch.setattr(gathering, "TURN", 2)
    woken, done = asyncio.Event(), False
    async with shown(database) as projection:

        async def record() -> None:
            nonlocal done
            for _ in range(20):
                await recorder.record(7)
                woken.set()
            done = True

        async with beside(record()):
            times = 0
            while not done:
                await projection.follow(woken, 0.05)
                times += 1
                position = await projection.connection.fetchval("SELECT position FROM projection.generation")
                assert position == projection.position
            await projection.catch_up()
    assert times > 1
    assert projection.position == recorder.size
    await assert_as_rebuilt(database)


async def test_another_that_moves_the_generation_on_is_noticed(database, recorder):
    size = await recorder.record(10)
    async with shown(database) as projection, projecting(database) as other:
        await projection.catch_up(5)
        await other.execute("UPDATE projection.generation SET position = 6")
        with pytest.raises(Moved):
            await projection.follow(asyncio.Event(), PATIENCE)
        await other.execute("UPDATE projection.generation SET position = 5")
        assert await projection.catch_up() == size - 5
    await assert_as_rebuilt(database)


@pytest.mark.parametrize("lost", [READS, WRITES])
async def test_a_projector_that_loses_either_connection_makes_both_anew(database, recorder, lost):
    reached = Reached()
    one = Projector(database.projector_dsn, reached)
    async with beside(one.run()):
        await reached.at_least(0)
        for times in range(1, 4):
            async with connected(database.admin_dsn) as administrator:
                before = await backends(administrator)
                assert sorted(before.values()) == [WRITES, READS]
                assert await terminate(database, lost) == 1

                async def anew() -> bool:
                    now = await backends(administrator)
                    return sorted(now.values()) == [WRITES, READS] and not now.keys() & before.keys()  # noqa: B023

                await until(anew)  # at once, and not when there is something to do
            size = await recorder.record(3)
            await reached.at_least(size)
            assert one.interruptions >= times
    await assert_as_rebuilt(database)


async def backends(administrator: Connection) -> dict[int, str]:
    found = await administrator.fetch(
        "SELECT pid, application_name FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'registry-projector%'"
    )
    return {one["pid"]: one["application_name"] for one in found}


async def test_what_is_read_is_of_the_server_that_is_written_to(database, recorder, monkeypatch):
    """A server that was primary once may have entries that were never recorded."""

    class Elsewhere(asyncpg.Connection):
        async def fetchval(self, query: str, *arguments: Any, **more: Any) -> Any:
            if query == QUERIES["to_read"]:
                return datetime(2020, 1, 1, tzinfo=UTC)
            raise AssertionError("it is asked for nothing")

    came = 0

    async def astray(dsn: str, **options: Any) -> Connection:
        nonlocal came
        if options["server_settings"]["application_name"] == READS and came < 2:
            came += 1
            options["connection_class"] = Elsewhere
        return await connect(dsn, **options)

    monkeypatch.setattr(projector, "connect", astray)
    size = await recorder.record(5)
    reached = Reached()
    one = Projector(database.projector_dsn, reached)
    async with beside(one.run()):
        await reached.at_least(size)
        assert (came, one.interruptions) == (2, 2)
    await assert_as_rebuilt(database)


async def test_nothing_is_written_over_the_connection_that_reads(database):
    async with projecting(database) as connection:
        one = Projector(database.projector_dsn)
        async with one._reading(connection) as reading:
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await reading.execute("DELETE FROM projection.generation")
