"""Read models over a real database: the same whichever way they came about, and at every size what they were then."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import date, timedelta
from random import Random
from typing import Any

import asyncpg
import pytest

from events.catalogue import AGGREGATES
from events.codec import decode_entry
from events.edtf import EdtfDate
from events.entry import canonical
from projections import LISTED, MODELS, Filter, Listed, Row, engine, folding, gathering, rebuild, shares
from projections.commitments import COMMITMENTS, CommitmentKind, of_row
from projections.cooperations import COOPERATIONS
from projections.model import ReadModel
from projections.names import NAMED
from projections.people import PEOPLE
from projections.reader import Lies, ReadModels
from projections.rounds import ROUNDS
from projections.titles import TITLES
from projections.topics import TOPICS
from projections.visits import VISITS
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.projecting import Recorder, assert_as_rebuilt, assert_same, projecting, reading
from tests.support.recording import connected

SIZE = 200


@pytest.fixture
async def recorder(database: Database) -> AsyncIterator[Recorder]:
    yield Recorder(database)
    await check_log(database.admin_dsn)


# The same whichever way


@pytest.mark.parametrize("seed", range(4))
async def test_what_was_lived_through_in_any_portions_is_what_a_rebuild_gives(database, seed):
    random = Random(seed)
    recorder = Recorder(database, seed)
    async with projecting(database) as connection:
        projection = await rebuild.ensure(connection)
        while projection.position < SIZE:
            size = await recorder.record(random.randint(1, 40))
            await projection.catch_up(random.randint(projection.position, size), batch=random.randint(1, 30))
            await projection.catch_up(batch=random.randint(1, 300))
            assert projection.position == size
    await assert_as_rebuilt(database)
    await check_log(database.admin_dsn)


async def test_what_was_forgotten_is_folded_from_the_log_again_and_rows_are_written_in_time(
    database, recorder, monkeypatch
):
    monkeypatch.setattr(folding, "ENTRIES_KEPT", 12)
    monkeypatch.setattr(engine, "ROWS_HELD", 2000)
    monkeypatch.setattr(folding, "PAGE", 3)
    monkeypatch.setattr(gathering, "TURN", 5)
    await recorder.record(SIZE)
    positions: list[int] = []
    async with projecting(database) as connection:
        await (await rebuild.ensure(connection)).catch_up()
        projection = await rebuild.begin(connection)
        await projection.catch_up(batch=20, progress=positions.append)
        assert projection._states.size <= 12
        assert len(positions) > SIZE / 20
        await assert_same(connection, projection.generation, 1)
    monkeypatch.undo()
    await assert_as_rebuilt(database)


async def test_a_projection_taken_over_after_every_batch_goes_on_as_if_it_were_one(database, recorder):
    size = await recorder.record(60)
    async with projecting(database) as connection:
        for until in range(size + 1):
            if until == 0:
                projection = await rebuild.begin(connection)
                await projection.show()
            taken_over = await rebuild.shown(connection)
            assert taken_over is not None
            assert taken_over.position == max(until - 1, 0)
            await taken_over.catch_up(until)
    await assert_as_rebuilt(database)


async def test_there_is_nothing_to_read_of_an_empty_log(database):
    async with projecting(database) as connection:
        projection = await rebuild.ensure(connection)
        assert (projection.position, await projection.catch_up()) == (0, 0)
    async with reading(database) as read_models:
        assert await read_models.position() == 0
        for model in LISTED:
            assert await read_models.page(model, 0, {}, limit=9) == []
    await assert_as_rebuilt(database)


# As of any size


class Oracle:
    """What all read models show at each size, by folding the log as a whole and looking at whole states."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}
        self.rows: dict[str, dict[str, Row]] = {model.name: {} for model in MODELS}
        self.rows[COMMITMENTS.name] = {}

    def add(self, stored: bytes) -> None:
        entry = decode_entry(stored)
        kind = entry.stream.partition("/")[0]
        before = self.states.get(entry.stream)
        after = self.states[entry.stream] = AGGREGATES[kind].evolve(before, entry)
        for model in MODELS:
            if kind in model.rows:
                for row in () if before is None else model.rows[kind](before, None):
                    del self.rows[model.name][row.id]
                self.rows[model.name].update({row.id: row for row in model.rows[kind](after, None)})
        self.rows[COMMITMENTS.name] = {row.id: row for row in self.commitments()}

    def commitments(self) -> Iterator[Row]:
        """What stands in the rows of visits, rounds and milestones."""
        kinds: dict[CommitmentKind, ReadModel] = {"visit": VISITS, "round": ROUNDS, "milestone": TITLES}
        for kind, model in kinds.items():
            for row in self.rows[model.name].values():
                said = dict(zip(model.columns, row.columns, strict=True))
                if sort := said.get("due", row.sort):
                    columns = (said["cooperation"], said["parties"], kind)
                    body = of_row(kind, row.body, said["parties"], said["promised"]) if "due" in said else row.body
                    yield Row(id=row.id, body=body, sort=sort, columns=columns)

    def page(self, model: Listed) -> list[tuple[str, str, bytes]]:
        """The whole list, in its order."""
        rows = [(row.sort.encode(), row.id, row) for row in self.rows[model.name].values()]
        newest_first = "ORDER BY sort DESC" in model.queries["page"]
        in_order = [row for *_, row in sorted(rows, key=lambda r: r[:2], reverse=newest_first)]
        return [(row.id, row.sort, self.told(row) if model is COOPERATIONS else row.body) for row in in_order]

    def topics(self, cooperation: str) -> list[Row]:
        """The topics of a cooperation, in the order in which they were raised."""
        rows = [row for row in self.rows[TOPICS.name].values() if row.columns[0] == cooperation]
        return sorted(rows, key=lambda row: row.sort)

    def told(self, cooperation: Row) -> bytes:
        """A cooperation as it is served: with its topics."""
        topics = [json.loads(row.body) for row in self.topics(cooperation.id)]
        return canonical.encode({**json.loads(cooperation.body), "topics": topics})

    def labels(self) -> dict[str, tuple[Any, ...]]:
        titles = {
            row.id: (row.columns[model.columns.index("title")], None)
            for model in NAMED
            for row in self.rows[model.name].values()
        }
        return titles | {row.id: (None, json.loads(row.body)["sealed"]) for row in self.rows[PEOPLE.name].values()}


async def everything(read_models: ReadModels, size: int, limit: int = 1000) -> dict[str, Any]:
    """All lists and all labels at a size, the lists page by page."""
    shown: dict[str, Any] = {}
    for model in LISTED:
        items: list[tuple[str, str, bytes]] = []
        while True:
            after = (items[-1][1], items[-1][0]) if items else None
            page = await read_models.page(model, size, {}, after=after, limit=limit)
            items += [(one.id, one.sort, one.body) for one in page]
            if len(page) < limit:
                break
        shown[model.name] = items
    return shown


async def test_every_size_shows_for_ever_what_it_showed_when_it_was_the_size(database, recorder):
    size = await recorder.record(120)
    oracle = Oracle()
    then: list[dict[str, Any]] = []
    labels: list[dict[str, tuple[Any, ...]]] = []
    async with connected(database.admin_dsn) as administrator:
        stored = [row["bytes"] for row in await administrator.fetch("SELECT bytes FROM log.entry ORDER BY position")]
    async with projecting(database) as connection, reading(database) as read_models:
        projection = await rebuild.ensure(connection)
        assert projection.position == size
        # Readers never see less than they saw: as if nothing had been live.
        await connection.execute("UPDATE projection.generation SET state = 'retired'")
        projection = await rebuild.begin(connection)
        await projection.show()
        for now in range(size + 1):
            if now:
                oracle.add(stored[now - 1])
            await projection.catch_up(now)
            assert await read_models.position() == now
            then.append(await everything(read_models, now))
            assert then[-1] == {model.name: oracle.page(model) for model in LISTED}
            labels.append(oracle.labels())
        for now in range(size + 1):
            assert await everything(read_models, now) == then[now]
            found = (await read_models.around(oracle.labels().keys(), now, now)).labels
            assert {key: (label.text, label.sealed) for key, label in found.items()} == labels[now]
        assert await everything(read_models, size, limit=3) == then[size]
        for model in LISTED:
            for key, sort, body in then[size][model.name]:
                one = await read_models.one(model, key, size)
                assert one is not None
                assert (one.id, one.sort, one.body) == (key, sort, body)
                assert await read_models.one(model, key, json.loads(body)["position"]) is None


# Filters


async def found(read_models: ReadModels, model: Listed, size: int, **filters: Any) -> set[str]:
    return {one.id for one in await read_models.page(model, size, filters, limit=1000)}


@pytest.fixture
async def projected(database: Database, recorder: Recorder) -> AsyncIterator[tuple[ReadModels, Oracle, int]]:
    size = await recorder.record(300)
    oracle = Oracle()
    async with connected(database.admin_dsn) as administrator:
        for row in await administrator.fetch("SELECT bytes FROM log.entry ORDER BY position"):
            oracle.add(row["bytes"])
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    async with reading(database) as read_models:
        yield read_models, oracle, size


@pytest.mark.parametrize("model", LISTED, ids=lambda model: model.name)
async def test_a_filter_finds_the_rows_that_have_what_is_asked_for_and_no_others(projected, model):
    read_models, oracle, size = projected
    rows = oracle.rows[model.name]
    assert rows
    for one in model.filters:
        if one.form in ("dates", "overdue"):
            continue
        values = {value for row in rows.values() for value in values_of(model, one, row, oracle)}
        assert values, f"nothing to ask {one.name} for"
        for asked in [*sorted(values), "XX"]:
            expected = {row.id for row in rows.values() if asked in values_of(model, one, row, oracle)}
            assert await found(read_models, model, size, **{one.name: asked}) == expected


COLUMNS = {model.name: model.columns for model in MODELS} | {COMMITMENTS.name: ("cooperation", "parties", "kind")}


def values_of(model: Listed, one: Filter, row: Row, oracle: Oracle) -> list[str]:
    """What a row is to be found by with a filter, as its columns say."""
    columns = dict(zip(COLUMNS[model.name], row.columns, strict=True))
    if model is COOPERATIONS and one.name == "country":
        return [oracle.rows["parties"][party].columns[1] for party in columns["parties"]]
    if model is COOPERATIONS and one.name == "topic_kind":
        return [topic.columns[1] for topic in oracle.topics(row.id)]
    plural = {"party": "parties", "person": "persons"}.get(one.name, f"{one.name}s")
    value = columns[one.name] if one.name in columns else columns[plural]
    return [*value] if isinstance(value, tuple) else [value] if value is not None else []


@pytest.mark.parametrize(
    "model", [model for model in LISTED if model.filters[-1].form == "dates"], ids=lambda model: model.name
)
async def test_a_fact_is_found_by_dates_when_it_may_lie_there_and_for_certain_when_it_must(projected, model):
    read_models, oracle, size = projected
    named, *_ = [one.name for one in model.filters if one.form == "dates"]
    stated = {row.id: json.loads(row.body)[named] for row in oracle.rows[model.name].values()}
    days = [None, date(2018, 1, 1), date(2019, 6, 1), date(2019, 6, 19), date(2019, 7, 12), date(2020, 2, 29)]
    for first in days:
        for last in days:
            for certain in (False, True):
                expected = {key for key, text in stated.items() if lies(text, first, last, certain=certain)}
                asked = {named: Lies(first, last, certain)}
                assert await found(read_models, model, size, **asked) == expected, (first, last, certain)


def lies(text: str | None, first: date | None, last: date | None, *, certain: bool) -> bool:
    """What EDTF says; of what has no date at all, everything may be and nothing must."""
    when = EdtfDate.parse(text or "../..") if text else None
    if when is None:
        return (first is None and last is None) if certain else (first is None or last is None or first <= last)
    return when.must_lie_in(first, last) if certain else when.may_lie_in(first, last)


async def test_two_filters_at_once_find_what_both_find(projected):
    read_models, oracle, size = projected
    visit = next(iter(oracle.rows["visits"].values()))
    columns = dict(zip(VISITS.columns, visit.columns, strict=True))
    asked = {"host": columns["host"], "country": columns["country"], "window": Lies(columns["earliest"], None)}
    apart = [await found(read_models, VISITS, size, **{name: value}) for name, value in asked.items()]
    assert visit.id in set.intersection(*apart)
    assert await found(read_models, VISITS, size, **asked) == set.intersection(*apart)


async def test_the_database_places_dates_as_the_program_does(database):
    texts = ["2019-06-19", "2019-06", "2019", "201X", "2019?", "2019-06~", "2019-06/..", "../2019-06", "/2019-06-19"]
    texts += ["2019-06-17/2019-06-23", "0001-01-01", "9999-12-31", "0001", "9999", "2019-06-10%/2019-07", "2019-XX"]
    days: list[date | None] = [None, date.min, date.max]
    days += [date(2019, 6, 19) + timedelta(days=offset) for offset in (-200, -19, -2, 0, 4, 12, 195)]
    async with connected(database.service_dsn) as connection:
        statement = await connection.prepare(
            "SELECT projection.lies($1::date, $2::date, $3::boolean, $4::date, $5::date, $6::boolean)"
        )
        for when in map(EdtfDate.parse, texts):
            for first in days:
                for last in days:
                    bounds = (when.earliest, when.latest, when.qualified, first, last)
                    said = [await statement.fetchval(*bounds, certain) for certain in (False, True)]
                    assert said == [when.may_lie_in(first, last), when.must_lie_in(first, last)], (when, first, last)


# What each role may do


async def let_through(dsn: str, *statements: str, role: str | None = None) -> list[str]:
    """Return the statements that were let through."""
    passed: list[str] = []
    async with connected(dsn) as connection:
        if role:
            await connection.execute(f"SET ROLE {role}")
        for statement in statements:
            attempt = connection.transaction()
            await attempt.start()
            with suppress(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
                passed.append(statement)
            await attempt.rollback()
    return passed


def reads(schema: str) -> list[str]:
    return [f"SELECT FROM {schema}.{model.name}" for model in MODELS]


WRITES = ["INSERT INTO {0} DEFAULT VALUES", "UPDATE {0} SET id = id", "DELETE FROM {0}"]


async def test_the_projector_reads_the_log_and_nothing_else(database, recorder):
    await recorder.record(10)
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    passed = await let_through(
        database.projector_dsn,
        "SELECT FROM log.entry",
        "SELECT FROM log.head",
        "SELECT FROM log.claim",
        "SELECT FROM log.document",
        "SELECT FROM vault.key",
        "SELECT FROM vault.command_salt",
        "SELECT FROM access.token",
        "UPDATE log.head SET size = size",
        "DELETE FROM log.entry",
        "CREATE TABLE log.mine (id text)",
        "CREATE TABLE projection.mine (id text)",
        "CREATE TEMPORARY TABLE mine (id text)",
        "DROP SCHEMA read",
    )
    assert passed == ["SELECT FROM log.entry", "SELECT FROM log.head"]


@pytest.mark.parametrize("role", ["registry_service", "registry_reader"])
async def test_who_reads_read_models_sees_the_live_ones_and_can_change_nothing(database, recorder, role):
    await recorder.record(10)
    async with projecting(database) as connection:
        projection = await rebuild.ensure(connection)
    own = f"read_{projection.generation}"
    writes = [one.format(table) for one in WRITES for table in (f"{own}.parties", "read.parties")]
    switches = ["projection.switch(1)", "projection.drop_generation(1)", "projection.open_schema(9)"]
    attempts = [*reads("read"), *reads(own), *writes, *(f"SELECT {one}" for one in switches)]
    attempts += ["UPDATE projection.generation SET position = 0", "SELECT FROM projection.generation"]
    passed = await let_through(database.admin_dsn, *attempts, role=role)
    assert passed == [*reads("read"), "SELECT FROM projection.generation"]


async def test_a_report_reads_no_more_than_the_read_models(database):
    attempts = ["SELECT FROM log.entry", "SELECT FROM log.head", "SELECT FROM vault.key", "SELECT FROM access.token"]
    assert await let_through(database.admin_dsn, *attempts, role="registry_reader") == []


# What it costs


async def whole_reads(connection: asyncpg.Connection[asyncpg.Record], generation: int) -> int:
    """How often a table of a generation was read from its beginning to its end."""
    await connection.execute("SELECT pg_stat_force_next_flush()")
    return int(
        await connection.fetchval(
            "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE schemaname = $1", f"read_{generation}"
        )
    )


async def test_versions_that_end_are_found_through_an_index_from_the_first(database, recorder):
    await recorder.record(200)
    async with projecting(database) as connection:
        projection = await rebuild.begin(connection)
        await shares.fill(projection, 0)
        before = await whole_reads(connection, projection.generation)
        await projection.catch_up(batch=10)
        assert await whole_reads(connection, projection.generation) == before
        await projection.show()
    await assert_as_rebuilt(database)


async def test_versions_that_end_are_found_through_an_index_however_small_the_table_was(database, recorder):
    """A plan is kept while the table that it was made for grows."""
    await recorder.record(200)
    async with projecting(database) as connection:
        projection = await rebuild.begin(connection)
        await shares.fill(projection, 40)
        for model in MODELS:
            await connection.execute(f"ANALYZE read_{projection.generation}.{model.name}")
        before = await whole_reads(connection, projection.generation)
        await projection.catch_up(batch=10)
        assert await whole_reads(connection, projection.generation) == before
        await projection.show()
    await assert_as_rebuilt(database)
