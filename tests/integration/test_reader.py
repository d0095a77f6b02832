"""Waiting for read models: whoever names a log size reads what includes it, or is told in time that it does not yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from threading import Thread

import pytest
from msgspec.structs import replace

from events import sql
from projections import LISTED, following, rebuild
from projections.engine import FORM, VERSION, Connection, Projection, reader_of
from projections.following import ReadModelBehind
from projections.parties import PARTIES
from projections.reader import ReadModels
from tests.support.cluster import Database
from tests.support.projecting import Recorder, projecting, reading, terminate
from tests.support.recording import PATIENCE, connected, until

LISTENER = reader_of(VERSION)
SHORT = 0.05  # seconds


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long before trying again, and only what is heard or asked for is known."""
    monkeypatch.setattr(following, "RETRY_SECONDS", (0.01,))
    monkeypatch.setattr(following, "HEARTBEAT_SECONDS", PATIENCE)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with projecting(database) as made:
        yield made


@pytest.fixture
async def read_models(database: Database) -> AsyncIterator[ReadModels]:
    async with reading(database) as made:
        yield made


@pytest.fixture
def recorder(database: Database) -> Recorder:
    return Recorder(database)


@pytest.fixture
async def projection(recorder: Recorder, connection: Connection) -> Projection:
    """Live read models that show ten of twenty entries."""
    await recorder.record(20)
    made = await rebuild.begin(connection)
    await made.catch_up(10)
    await made.show()
    return made


async def waiting(read_models: ReadModels, size: int, count: int = 1) -> list[asyncio.Task[None]]:
    """Begin to wait for a size, and return when the wait has begun."""
    tasks = [asyncio.create_task(read_models.wait_for(size, PATIENCE)) for _ in range(count)]

    async def begun() -> bool:
        return len(read_models._following._moved._waiters) >= count  # type: ignore[attr-defined]

    await until(begun)
    return tasks


async def test_a_size_that_is_shown_already_is_not_waited_for(read_models, projection):
    await read_models.wait_for(10, SHORT)
    await read_models.wait_for(10, 0)
    await read_models.wait_for(0, 0)


async def test_nothing_is_waited_for_until_there_are_read_models_of_it(read_models, recorder, connection):
    """Those of an empty log are to be built, too."""
    with pytest.raises(ReadModelBehind, match="have not been built yet"):
        await read_models.wait_for(0, SHORT)
    (task,) = await waiting(read_models, 0)
    made = await rebuild.begin(connection)
    assert not task.done()
    await made.show()
    await task
    assert read_models.heard == 0


async def test_a_size_that_is_not_shown_in_time_is_refused_with_how_far_they_are(read_models, projection):
    with pytest.raises(ReadModelBehind, match="show 10 entries, not yet 11"):
        await read_models.wait_for(11, SHORT)


async def test_who_waits_goes_on_as_soon_as_the_size_is_shown_and_not_before(read_models, projection):
    (task,) = await waiting(read_models, 15)
    await projection.catch_up(14)
    with pytest.raises(ReadModelBehind, match="show 14 entries, not yet 15"):
        await read_models.wait_for(15, SHORT)
    assert not task.done()
    await projection.catch_up(16)
    await task
    assert await read_models.position() == 16


async def test_a_wait_that_is_given_up_is_in_nobodys_way(read_models, projection):
    tasks = await waiting(read_models, 20, count=20)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks[::2], return_exceptions=True)
    assert all(task.cancelled() for task in tasks[::2])
    await projection.catch_up()
    await asyncio.gather(*tasks[1::2])
    await read_models.wait_for(20, 0)


async def test_what_was_learned_of_later_is_not_undone_by_what_was_asked_for_before():
    async def none() -> None: ...

    heard = following.Following("", none)
    async with heard._moved:  # as while those who waited go on, one after the other
        later = asyncio.create_task(heard.note(13))
        await asyncio.sleep(0)
        earlier = asyncio.create_task(heard.note(12))
        await asyncio.sleep(0)
    await asyncio.gather(later, earlier)
    assert heard.position == 13


async def test_there_is_nothing_to_wait_for_before_anything_was_built(read_models, recorder, connection):
    assert await read_models.live_position() is None
    with pytest.raises(ReadModelBehind, match="not been built"):
        await read_models.position()
    await recorder.record(3)
    with pytest.raises(ReadModelBehind, match="have not been built yet"):
        await read_models.wait_for(3, SHORT)
    (task,) = await waiting(read_models, 3)
    await rebuild.ensure(connection)
    await task
    assert await read_models.position() == 3


async def test_a_listener_whose_session_is_ended_listens_again(read_models, projection, database):
    (task,) = await waiting(read_models, 20)
    assert await terminate(database, LISTENER) == 1
    await projection.catch_up(15)
    assert await terminate(database, LISTENER) <= 1
    await projection.catch_up()
    await task


async def test_a_listener_that_loses_its_session_while_it_hears_listens_again(read_models, projection, database):
    """PostgreSQL's farewell can be read together with a notification, before the end of the connection is seen."""
    (task,) = await waiting(read_models, 20)
    await until(lambda: listening(database))
    beside = Thread(target=asyncio.run, args=(notify_and_terminate(database),))
    beside.start()
    beside.join(PATIENCE)  # the loop stands still meanwhile, so all of it is there at once
    assert not beside.is_alive()
    await until(lambda: listening(database))
    await projection.catch_up()
    await task


async def listening(database: Database) -> bool:
    """Whether the listener has asked for the position, and so listens."""
    async with connected(database.admin_dsn) as administrator:
        return await administrator.fetchval(
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = $1 AND state = 'idle' AND query LIKE '%position%'",
            LISTENER,
        )


async def notify_and_terminate(database: Database) -> None:
    async with connected(database.service_dsn) as anybody:
        await anybody.execute("SELECT pg_notify('registry_projected', '')")
    await terminate(database, LISTENER)
    await until(lambda: gone(database))


async def gone(database: Database) -> bool:
    return not await terminate(database, LISTENER)


async def test_what_was_not_heard_is_asked_for(projection, database):
    async with reading(database) as read_models:
        await read_models.stop()
        await read_models.wait_for(10, SHORT)
        await projection.catch_up()
        await read_models.wait_for(20, SHORT)


async def test_a_notification_that_says_anything_moves_nothing(read_models, projection, database):
    (task,) = await waiting(read_models, 20)
    async with connected(database.service_dsn) as anybody:
        for payload in ("", "20", "-1", "nonsense"):
            await anybody.execute("SELECT pg_notify('registry_projected', $1)", payload)
    with pytest.raises(ReadModelBehind, match="show 10 entries"):
        await read_models.wait_for(20, SHORT)
    assert not task.done()
    await projection.catch_up()
    await task


async def test_tables_of_another_program_are_said_to_be_behind_rather_than_wrong(read_models, projection):
    of_tomorrow = sql.parse("tomorrow.sql", "-- name: page\nSELECT id, sort, body, mood FROM parties")
    with pytest.raises(ReadModelBehind, match="parties is being built"):
        await read_models.page(replace(PARTIES, queries=of_tomorrow, filters=()), 10, {}, limit=1)
    of_tomorrow = sql.parse("tomorrow.sql", "-- name: items\nSELECT id, sort, refs, body FROM moods WHERE id = $1")
    with pytest.raises(ReadModelBehind, match="parties is being built"):
        await read_models.one(replace(PARTIES, queries=of_tomorrow), "party_1", 10)


@pytest.mark.parametrize(
    "ask",
    [
        lambda reader: reader.around(["party_1"], 10, 10),
        lambda reader: reader.timeline("cooperation", "coop_1", 10, after=None, limit=1),
        lambda reader: reader.timeline("party", "party_1", 10, after=None, limit=1),
        lambda reader: reader.calendar("visits", 10, {}, after="", limit=1),
        lambda reader: reader.calendar("visits", 10, {"party": "party_1"}, after="", limit=1),
        lambda reader: reader.statistics("country", 10),
        lambda reader: reader.search("works", 10, after=None, limit=1),
        lambda reader: reader.merged("party_1", 10),
        lambda reader: reader.digested(10),
    ],
    ids=[
        "around",
        "cooperation",
        "party",
        "calendar",
        "calendar of a party",
        "statistics",
        "search",
        "merged",
        "digest",
    ],
)
async def test_what_reads_several_tables_says_of_all_that_they_are_being_built(
    read_models, projection, connection, ask
):
    await connection.execute(f"DROP SCHEMA {FORM} CASCADE")
    with pytest.raises(ReadModelBehind, match=r"^The read models are being built for a new version\."):
        await ask(read_models)


async def test_no_ids_have_no_labels(read_models, projection):
    assert (await read_models.around([], 10, 10)).labels == {}
    assert (await read_models.around(["party_none"], 10, 10)).labels == {}


async def test_what_is_asked_for_together_is_what_is_asked_for_alone(read_models, projection):
    asked = [(model, size) for model in LISTED for size in (2, 5, 10)]
    rows = {(model.name, size): await read_models.page(model, size, {}, limit=50) for model, size in asked}
    things = [(model, found, size) for model, size in asked for found in rows[model.name, size]]
    assert len(things) > 10
    alone = [await read_models.one(model, found.id, size) for model, found, size in things]
    assert alone == [found for _, found, _ in things]
    assert await asyncio.gather(*(read_models.one(model, found.id, size) for model, found, size in things)) == alone
    around = [await read_models.around(found.refs, size, 10, found.id) for _, found, size in things]
    together = await asyncio.gather(*(read_models.around(found.refs, size, 10, found.id) for _, found, size in things))
    assert together == around


async def test_a_read_model_of_another_program_is_in_the_way_of_itself_only(read_models, projection):
    of_tomorrow = sql.parse("tomorrow.sql", "-- name: items\nSELECT id, sort, refs, body FROM moods WHERE id = $1")
    (party, *_) = await read_models.page(PARTIES, 10, {}, limit=1)
    refused, found = await asyncio.gather(
        read_models.one(replace(PARTIES, queries=of_tomorrow), "party_1", 10),
        read_models.one(PARTIES, party.id, 10),
        return_exceptions=True,
    )
    assert isinstance(refused, ReadModelBehind)
    assert found == party
