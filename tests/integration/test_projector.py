"""The projector: effect exactly once whatever dies, one at a time, and generations that readers do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from events.catalogue.cooperation_events import MeetingHeld
from events.catalogue.party import PartyRegistered
from events.errors import Corrupt
from projections import MODELS, projector, rebuild
from projections.engine import Connection, Moved, Projection, version_of
from projections.meetings import MEETINGS
from projections.parties import PARTIES
from projections.projector import Projector
from projections.versions import Changes
from tests.support.chronicle import Chronicle, Happening, command
from tests.support.cluster import Database
from tests.support.projecting import (
    Reached,
    Recorder,
    assert_as_rebuilt,
    assert_same,
    beside,
    projecting,
    reading,
    tamper,
    terminate,
)
from tests.support.recording import PATIENCE, connected, open_log, until
from tests.support.spec import made_id

APPLICATION = "registry-projector"
NEWER = (*(model for model in MODELS if model is not PARTIES), replace(PARTIES, number=PARTIES.number + 1))
"""Read models of a program that says something else of parties."""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before trying again."""
    monkeypatch.setattr(projector, "STANDBY_SECONDS", 0.02)
    monkeypatch.setattr(projector, "RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(rebuild, "SWITCH_SECONDS", 0.02)


@pytest.fixture
def recorder(database: Database) -> Recorder:
    return Recorder(database)


class Failing:
    """Stands in for a method of a class and fails, once, where it is told to."""

    def __init__(self, original: Callable[..., Any], fail: Callable[[], Any], at: int, *, after: bool) -> None:
        self._original = original
        self._fail = fail
        self._at = at
        self._after = after
        self.calls = 0

    async def __call__(self, *arguments: Any) -> Any:
        self.calls += 1
        now = self.calls == self._at
        if now and not self._after:
            await self._fail()
        result = await self._original(*arguments)
        if now and self._after:
            await self._fail()
        return result

    def __get__(self, instance: object, _owner: type) -> Callable[..., Any]:
        async def bound(*arguments: Any) -> Any:
            return await self(instance, *arguments)

        return bound


# Exactly once


@pytest.mark.parametrize("at", [1, 7, 12])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_what_fails_between_writing_and_commit_has_no_effect(database, recorder, monkeypatch, at, after):
    await recorder.record(30)

    async def fail() -> None:
        raise RuntimeError("out of order")

    async with projecting(database) as connection:
        projection = await rebuild.begin(connection)
        await projection.show()
        await projection.catch_up(10)
        with monkeypatch.context() as patched:
            patched.setattr(Changes, "write", Failing(Changes.write, fail, at, after=after))
            with pytest.raises(RuntimeError, match="out of order"):
                await projection.catch_up(20)
        assert projection.position == 10
        await assert_as_rebuilt(database)
        await projection.catch_up()
    await assert_as_rebuilt(database)


@pytest.mark.parametrize("at", [1, 5, 9])
@pytest.mark.parametrize("method", ["write", "_copy"])
async def test_a_backend_that_dies_in_the_middle_of_a_transaction_has_no_effect_and_the_projector_goes_on(
    database, recorder, monkeypatch, at, method
):
    reached = Reached()

    async def die() -> None:
        assert await terminate(database, APPLICATION) >= 1

    async with beside(Projector(database.projector_dsn, reached).run()):
        await reached.at_least(0)
        failing = Failing(getattr(Changes, method), die, at, after=True)
        monkeypatch.setattr(Changes, method, failing)
        for _ in range(10):
            size = await recorder.record(3)
            await reached.at_least(size)
    assert failing.calls > at
    assert reached.positions == sorted(reached.positions)
    await assert_as_rebuilt(database)


async def test_a_commit_whose_answer_is_lost_is_not_repeated(database, recorder, monkeypatch):
    reached = Reached()

    async def lose() -> None:
        raise ConnectionResetError

    async with beside(Projector(database.projector_dsn, reached).run()):
        await reached.at_least(0)
        monkeypatch.setattr(Projection, "_write", Failing(Projection._write, lose, 1, after=True))
        await recorder.record(20)
        await reached.at_least(20)
    await assert_as_rebuilt(database)


async def test_of_two_that_project_one_generation_by_mistake_one_gives_way(database, recorder):
    await recorder.record(40)
    async with projecting(database) as one, projecting(database) as other:
        first = await rebuild.begin(one)
        await first.show()
        second = await rebuild.shown(other)
        assert second is not None
        outcomes = await asyncio.gather(first.catch_up(batch=10), second.catch_up(batch=10), return_exceptions=True)
        assert sorted(map(type, outcomes), key=str) == [int, Moved]
    await assert_as_rebuilt(database)


# One at a time


class Standing(Projector):
    """Tells when it has come so far that only the other one's lock is in its way."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.connected = asyncio.Event()

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        async with super()._connected() as connection:
            self.connected.set()
            yield connection


@pytest.mark.parametrize("end", ["stopped", "backend"])
async def test_a_second_projector_stands_by_and_takes_over_when_the_first_is_gone(database, recorder, end, monkeypatch):
    first, second = Reached(), Reached()
    async with beside(Projector(database.projector_dsn, first).run()) as task:
        await first.at_least(0)
        standing = Standing(database.projector_dsn, second)
        async with beside(standing.run()):
            await standing.connected.wait()
            size = await recorder.record(20)
            await first.at_least(size)
            assert second.positions == []
            if end == "stopped":
                task.cancel()
            else:  # whoever finds the lock free first goes on; it takes the first one longer to come back
                monkeypatch.setattr(projector, "RETRY_SECONDS", (PATIENCE,))
                async with connected(database.admin_dsn) as administrator:
                    await administrator.fetchval(
                        "SELECT pg_terminate_backend(pid) FROM pg_locks"
                        " WHERE locktype = 'advisory' AND granted AND database ="
                        " (SELECT oid FROM pg_database WHERE datname = current_database())"
                    )
            size = await recorder.record(20)
            await second.at_least(size)
            assert first.positions[-1] == 20
    await assert_as_rebuilt(database)


async def test_the_projector_comes_back_when_its_sessions_are_ended_again_and_again(database, recorder):
    reached = Reached()
    async with beside(Projector(database.projector_dsn, reached).run()):
        for _ in range(5):
            size = await recorder.record(3)
            await reached.at_least(size)
            await terminate(database, APPLICATION)
    await assert_as_rebuilt(database)


async def test_a_projector_that_starts_before_its_database_can_be_reached_goes_on_when_it_can(database, recorder):
    await recorder.record(5)
    reached = Reached()
    async with connected(database.admin_dsn) as administrator:
        await administrator.execute(f'ALTER DATABASE "{database.name}" CONNECTION LIMIT 0')
    async with beside(Projector(database.projector_dsn, reached).run()):
        async with connected(database.admin_dsn) as administrator:
            await administrator.execute(f'ALTER DATABASE "{database.name}" CONNECTION LIMIT -1')
        await reached.at_least(5)
    await assert_as_rebuilt(database)


# Generations


async def states(database: Database) -> list[tuple[int, str]]:
    async with connected(database.admin_dsn) as administrator:
        found = await administrator.fetch("SELECT id, state FROM projection.generation ORDER BY id")
        schemas = await administrator.fetch("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read\\_%' ORDER BY 1")
    assert sorted(one["nspname"] for one in schemas) == sorted(f"read_{one['id']}" for one in found)
    return [(one["id"], one["state"]) for one in found]


async def test_read_models_of_the_same_program_are_not_built_again(database, recorder):
    await recorder.record(10)
    for _ in range(3):
        reached = Reached()
        async with beside(Projector(database.projector_dsn, reached).run()):
            await reached.at_least(10)
    assert await states(database) == [(1, "live")]


async def test_a_reader_that_takes_long_holds_up_the_switch_but_nobody_else(database, recorder):
    size = await recorder.record(20)
    async with (
        projecting(database) as connection,
        connected(database.service_dsn) as slow,
        reading(database) as read_models,
    ):
        await rebuild.ensure(connection)
        reader = slow.transaction()
        await reader.start()
        await slow.fetch("SELECT FROM read.meetings")
        built = await rebuild.build(connection)
        switched = asyncio.create_task(rebuild.switch(connection, built))
        async with connected(database.admin_dsn) as administrator:

            async def waits() -> bool:
                return await administrator.fetchval(
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = $1 AND wait_event_type = 'Lock'",
                    APPLICATION,
                )

            for _ in range(3):
                await until(waits)
                async with asyncio.timeout(2):
                    assert await read_models.page(MEETINGS, size, {}, limit=1)
                    assert await read_models.position() == size
        assert not switched.done()
        await reader.rollback()
        await switched
    # what the slow reader had read before could not be removed while it read, but is now
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    assert await states(database) == [(2, "live")]


async def test_a_generation_that_somebody_still_reads_is_removed_later_and_holds_up_nothing(database, recorder):
    size = await recorder.record(20)
    async with projecting(database) as connection, connected(database.admin_dsn) as slow:
        await rebuild.ensure(connection)
        reader = slow.transaction()
        await reader.start()
        await slow.fetch("SELECT FROM read_1.meetings")
        projection = await rebuild.build(connection)
        await rebuild.switch(connection, projection)
        assert (projection.generation, projection.position) == (2, size)
        await rebuild.tidy(connection)
        assert await states(database) == [(1, "retired"), (2, "live")]
        await reader.rollback()
        await rebuild.tidy(connection)
    assert await states(database) == [(2, "live")]


@pytest.mark.parametrize("moment", ["begun", "half", "built"])
async def test_what_an_interrupted_build_left_is_removed_by_the_next(database, recorder, moment):
    await recorder.record(40)
    async with projecting(database) as connection:
        projection = await rebuild.begin(connection)
        if moment != "begun":
            await projection.catch_up(20 if moment == "half" else None)
    assert await states(database) == [(1, "building")]
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    assert await states(database) == [(2, "live")]
    await assert_as_rebuilt(database)


async def test_a_build_that_dies_is_begun_again_by_the_projector_while_the_old_one_is_read(
    database, recorder, monkeypatch
):
    size = await recorder.record(40)
    async with projecting(database) as connection:
        await rebuild.ensure(connection)

    async def die() -> None:
        await terminate(database, APPLICATION)

    monkeypatch.setattr(Changes, "write", Failing(Changes.write, die, 5, after=True))
    reached = Reached()
    async with reading(database) as read_models, beside(Projector(database.projector_dsn, reached, NEWER).run()):
        assert await read_models.position() == size
        await reached.at_least(size)
    assert await states(database) == [(1, "live"), (3, "beside")]
    await assert_as_rebuilt(database)


async def test_only_what_is_being_built_can_go_live_and_what_is_live_cannot_be_removed(database, recorder):
    await recorder.record(5)
    async with projecting(database) as connection:
        projection = await rebuild.ensure(connection)
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await projection.show()
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await connection.execute("SELECT projection.show(7)")
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
            await projection.take_over()  # it is live already
        with pytest.raises(asyncpg.ObjectInUseError):
            await connection.execute("SELECT projection.drop_generation($1)", projection.generation)
    async with reading(database) as read_models:
        assert await read_models.position() == 5
        assert await read_models.page(PARTIES, 5, {}, limit=9)
    assert await states(database) == [(1, "live")]


async def test_two_builds_of_one_log_are_the_same(database, recorder):
    await recorder.record(60)
    async with projecting(database) as connection:
        one, other = await rebuild.build(connection), await rebuild.build(connection)
        await assert_same(connection, one.generation, other.generation)
        assert version_of() == await connection.fetchval("SELECT DISTINCT version FROM projection.generation")


# A log that is not as it must be


async def assert_corrupt(database: Database, what: str) -> None:
    with pytest.raises(Corrupt, match=what):
        async with asyncio.timeout(PATIENCE):
            await Projector(database.projector_dsn).run()


@pytest.mark.parametrize(
    "gone",
    ["position = 12", "position = 19", "position >= 10", "position BETWEEN 10 AND 14", "position = 10"],
)
async def test_an_entry_that_is_missing_stops_the_projector(database, recorder, gone):
    await recorder.record(10)
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    await recorder.record(10)
    await tamper(database, f"DELETE FROM log.entry WHERE {gone}")
    await assert_corrupt(database, "gap")
    async with reading(database) as read_models:
        assert await read_models.position() == 10


async def test_read_models_that_show_more_than_the_log_has_stop_the_projector(database, recorder):
    await recorder.record(20)
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    await tamper(database, "DELETE FROM log.entry WHERE position >= 15", "UPDATE log.head SET size = 15")
    await assert_corrupt(database, "show 20 entries, but the log has only 15")
    with pytest.raises(Corrupt, match="show 20 entries, but the log has only 15"):
        async with projecting(database) as connection:
            await rebuild.ensure(connection, NEWER)


async def test_entries_that_stand_in_each_others_place_stop_the_projector(database, recorder):
    await recorder.record(20)
    await tamper(
        database,
        "UPDATE log.entry AS e SET bytes = o.bytes FROM log.entry AS o"
        " WHERE (e.position, o.position) IN ((7, 8), (8, 7))",
    )
    await assert_corrupt(database, "wrong entry at position [78]")


async def test_a_revision_that_does_not_follow_stops_the_projector(database):
    twice = Chronicle(1).take(1)[0]
    async with await open_log(database.service_dsn) as log:
        await log.append(command(0, [twice, twice._replace(revision=1)]))
    await tamper(
        database,
        """UPDATE log.entry SET bytes = convert_to(replace(convert_from(bytes, 'UTF8'),
        '"revision":1', '"revision":2'), 'UTF8') WHERE position = 1""",
    )
    await assert_corrupt(database, "position 1 has revision 2 of party/")


async def test_an_event_that_its_stream_cannot_have_stops_the_projector(database):
    registered = PartyRegistered(name="Works", kind="company", country="NO")
    async with await open_log(database.service_dsn) as log:
        await log.append(command(0, [Happening(f"person/{made_id('person', 1)}", 0, registered)]))
    await assert_corrupt(database, "position 0 cannot be folded into person/")


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
async def test_an_id_that_names_two_things_stops_the_projector(database, apart):
    """Claims keep it from being recorded; this log was written without them."""
    happened = Chronicle(1).take(200)
    met, event = next((one, one.event) for one in happened if isinstance(one.event, MeetingHeld))
    until_then = happened[: happened.index(met) + 1]
    opened = next(one for one in until_then if one.stream == met.stream)
    other = f"cooperation/{made_id('coop', 999)}"
    again = [one._replace(stream=other, revision=number) for number, one in enumerate([opened, met])]
    async with await open_log(database.service_dsn) as log:
        await log.append(command(0, until_then))
        if apart:
            async with projecting(database) as connection:
                await rebuild.ensure(connection)
        await log.append(command(1, again))
    await assert_corrupt(database, f"(meetings|search) has a row twice.*{event.meeting_id}")


async def test_tables_that_were_tampered_with_stop_the_projector_where_it_notices(database, recorder):
    await recorder.record(60)
    async with projecting(database) as connection:
        projection = await rebuild.ensure(connection)
        await connection.execute(f"DELETE FROM read_{projection.generation}.cooperations WHERE died IS NULL")
    await recorder.record(60)
    await assert_corrupt(database, r"cooperations lacks rows that the log says it has")
