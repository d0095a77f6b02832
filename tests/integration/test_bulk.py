"""Read models filled stream by stream: the same as those that were followed entry by entry, whatever is held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.catalogue.history import EntryRetracted
from events.entry import canonical
from events.errors import Corrupt
from projections import bulk, copying, engine, gathering, rebuild, shares, versions
from projections.engine import ENTRIES
from projections.gathering import Gathered
from projections.model import Row
from projections.shares import Helpers
from tests.support.check_log import check_log
from tests.support.chronicle import Happening, command
from tests.support.cluster import Database
from tests.support.projecting import Recorder, assert_as_rebuilt, projecting, tamper
from tests.support.recording import connected, open_log

TOLD, AMENDED = 280, 20
SIZE = TOLD + AMENDED


@pytest.fixture
async def recorded(database: Database) -> Database:
    recorder = Recorder(database, seed=7)
    await recorder.record(TOLD)
    amendments = list(islice(_amendments(recorder.happened), AMENDED))
    async with await open_log(database.service_dsn) as log:
        for number, amendment in enumerate(amendments):
            await log.append(command(10_000 + number, [amendment]))
    await check_log(database.admin_dsn)
    return database


def _amendments(happened: list[Happening]) -> Iterator[Happening]:
    """The last entry of each stream that has several is taken out, and every other is put back."""
    last = {one.stream: (position, one.revision) for position, one in enumerate(happened)}
    position = len(happened)
    for number, (stream, (retracted, revision)) in enumerate(last.items()):
        if not revision:
            continue
        yield Happening(stream, revision + 1, EntryRetracted(retracts=retracted, reason="It was not so."))
        position += 1
        if number % 2:
            yield Happening(stream, revision + 2, EntryRetracted(retracts=position - 1, reason="It was so."))
            position += 1


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("bounds", [(1, 1, 1), (3_000, 7, 20), (10**9, 1_000, 10**6)])
async def test_rows_are_the_same_however_much_is_held_read_and_handed_out_at_a_time(
    recorded, monkeypatch, processes, bounds
):
    held, page, handed = bounds
    monkeypatch.setattr(bulk, "ROWS_HELD", held)
    monkeypatch.setattr(bulk, "PAGE", page)
    monkeypatch.setattr(shares, "RANGE", handed)
    monkeypatch.setattr(versions, "SENT", 3)
    told: list[int] = []
    async with projecting(recorded) as connection:
        helpers = Helpers(recorded.projector_dsn, processes)
        projection = await rebuild.build(connection, told.append, helpers=helpers)
        await rebuild.switch(connection, projection)
    assert told == sorted(told)
    assert told[-1] == projection.position == SIZE
    await assert_as_rebuilt(recorded)


async def test_what_is_filled_as_of_a_position_and_then_followed_is_as_if_all_was_followed(recorded):
    async with projecting(recorded) as connection:
        projection = await rebuild.begin(connection)
        await shares.fill(projection, SIZE // 3)
        assert projection.position == SIZE // 3
        await rebuild.catch_up(connection, projection)
        await rebuild.switch(connection, projection)
    await assert_as_rebuilt(recorded)


@pytest.mark.parametrize(("written", "turn"), [(1, 1), (7, 3), (10**6, 50)])
async def test_rows_are_the_same_however_much_is_written_while_more_is_put_together(
    recorded, monkeypatch, written, turn
):
    monkeypatch.setattr(engine, "AT_ONCE", written)
    monkeypatch.setattr(gathering, "TURN", turn)
    told: list[int] = []
    async with projecting(recorded) as connection:
        projection = await rebuild.begin(connection)
        assert await projection.catch_up(progress=told.append) == SIZE
        await rebuild.switch(connection, projection)
    assert told == sorted(set(told))
    assert told[-1] == SIZE
    assert len(told) > min(SIZE // (written + turn), 20)
    await assert_as_rebuilt(recorded)


async def test_what_is_put_together_is_given_up_when_what_was_before_it_cannot_be_written(recorded, monkeypatch):
    monkeypatch.setattr(engine, "AT_ONCE", 10)
    monkeypatch.setattr(gathering, "TURN", 5)
    write, written = Gathered.write, 0

    async def fails(self: Gathered, *where: Any) -> None:
        nonlocal written
        written += 1
        if written in {3, 9}:
            await write(self, *where)
            raise OSError("the disk is full")
        await write(self, *where)

    async with projecting(recorded) as connection:
        projection = await rebuild.begin(connection)
        await projection.catch_up(SIZE // 3)  # so that states of streams are at hand
        monkeypatch.setattr(Gathered, "write", fails)
        reached = [projection.position]
        for _ in range(2):
            with pytest.raises(OSError, match="full"):
                await projection.catch_up(progress=reached.append)
            assert projection.position == reached[-1]
            assert await connection.fetchval("SELECT max(position) FROM projection.generation") == reached[-1]
        await projection.catch_up()
        await rebuild.switch(connection, projection)
    assert SIZE // 3 < reached[1] < reached[-1] < SIZE
    await assert_as_rebuilt(recorded)


async def test_a_table_that_is_filled_has_the_indexes_that_one_filled_entry_by_entry_has(recorded, monkeypatch):
    monkeypatch.setattr(bulk, "ANALYZED", SIZE)
    async with projecting(recorded) as connection:
        full = await rebuild.build(connection)
        empty = await rebuild.begin(connection)
        await shares.fill(empty, 0)
        found = [
            {
                (record["tablename"], record["indexdef"].replace(schema, "read"))
                for record in await connection.fetch("SELECT * FROM pg_indexes WHERE schemaname = $1", schema)
            }
            for schema in (f"read_{full.generation}", f"read_{empty.generation}")
        ]
        assert found[0] == found[1]
        assert {table for table, _ in found[0]} == {model.name for model in full.models}
        analyzed = await connection.fetchval(
            "SELECT count(DISTINCT tablename) FROM pg_stats WHERE schemaname = $1", f"read_{full.generation}"
        )
        assert analyzed > len(full.models) / 2


async def test_pages_are_looked_at_before_indexes_are_made(recorded, monkeypatch):
    """PostgreSQL has noted of rows that they are committed, so that their pages are not written again for that."""
    monkeypatch.setattr(bulk, "ROWS_HELD", 3_000)
    async with projecting(recorded) as connection:
        projection = await rebuild.begin(connection)
        filling = bulk.Filling(connection, projection.generation, SIZE, projection.models)
        for record in await connection.fetch(ENTRIES["ranges"], 20):
            await filling.do(bulk.Streams(record["first"], record["last"]))
        async with connected(recorded.admin_dsn) as admin:
            await admin.execute("CREATE EXTENSION pageinspect")
            notes = await admin.fetch(
                "SELECT relname, (t_infomask & x'0100'::int) > 0 AS committed"
                " FROM pg_class, generate_series(0, pg_relation_size(oid) / 8192 - 1) AS page,"
                " heap_page_items(get_raw_page(oid::regclass::text, page::integer))"
                " WHERE relnamespace = $1::regnamespace AND relkind = 'r'",
                f"read_{projection.generation}",
            )
    assert len({note["relname"] for note in notes}) > 8
    assert len(notes) > SIZE // 2
    assert sum(note["committed"] for note in notes) > 0.95 * len(notes)  # few are put where room was left before


async def test_rows_that_were_written_twice_are_found(recorded):
    async with projecting(recorded) as connection:
        projection = await rebuild.begin(connection)
        filling = bulk.Filling(connection, projection.generation, SIZE, projection.models)
        for part in (filling, bulk.Filling(connection, projection.generation, SIZE, projection.models)):
            assert await part.do(bulk.Streams("a", "z")) == SIZE
            await part.do(bulk.Held())
        with pytest.raises(Corrupt, match="meetings has a row twice"):
            await filling.do(bulk.Indexes("meetings"))


async def test_what_is_held_between_parts_is_bounded_however_many_there_are(recorded, monkeypatch):
    held = 3_000
    monkeypatch.setattr(bulk, "ROWS_HELD", held)
    monkeypatch.setattr(gathering, "TURN", 1)
    most = 0
    async with projecting(recorded) as connection:
        projection = await rebuild.begin(connection)
        filling = bulk.Filling(connection, projection.generation, SIZE, projection.models)
        ranges = await connection.fetch(ENTRIES["ranges"], 20)
        assert len(ranges) > 5
        for one in ranges:
            await filling.do(bulk.Streams(one["first"], one["last"]))
            versions = [version for changes in filling._gathered.changes for version in changes._begun]
            most = max(most, sum(len(version.row.body) for version in versions))
    assert 0 < most < held


async def test_a_stream_with_a_gap_is_corrupt(recorded):
    await tamper(
        recorded,
        "DELETE FROM log.entry WHERE position = (SELECT min(position) FROM log.entry WHERE revision = 1)",
    )
    async with projecting(recorded) as connection:
        with pytest.raises(Corrupt, match=r"has revision \d+ of .*, not"):
            await rebuild.build(connection)


LONG = "É" * 70
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "",
        "null",
        "NULL",
        r"\N",
        r"\.",
        "a\tb",
        "a\nb",
        "a\r\nb",
        'say "so"',
        "{a,b}",
        "\\",
        r"\"",
        r"\x41",
        "party_0a",
        LONG,
    ]
)


@pytest.mark.parametrize("kept", [5, copying.KEPT])
async def test_values_are_in_the_table_what_they_were_in_the_program(database, monkeypatch, kept):
    """PostgreSQL reads from the rows what was written into them, whatever texts are in them and whatever is kept."""
    monkeypatch.setattr(copying, "KEPT", kept)
    monkeypatch.setattr(copying, "SHORT", len(LONG))
    found: list[tuple[Any, ...]] = [("of what is not kept", 0, LONG, LONG, (LONG, LONG), None, False, LONG, None)]

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(
                TEXTS,
                st.integers(0, 2**63 - 1),
                TEXTS,
                st.none() | TEXTS,
                st.lists(TEXTS, max_size=20).map(tuple),
                st.none() | st.dates(date(1, 1, 1)),
                st.booleans(),
                TEXTS,
                st.none() | st.integers(0, 2**63 - 1),
            ),
            max_size=5,
        )
    )
    def take(rows):
        found.extend(rows)

    take()
    async with connected(database.admin_dsn) as connection:
        await connection.execute(
            "CREATE TEMPORARY TABLE written (number integer GENERATED ALWAYS AS IDENTITY, id text, born bigint,"
            " sort text, a text, b text[], c date, d boolean, body bytea, died bigint)"
        )

        async def rows():
            yield copying.BEGIN
            for first in range(0, len(found), 7):
                some = found[first : first + 7]
                written = [Row(one[0], canonical.encode(one[-2]), one[2], one[3:-2]) for one in some]
                yield copying.copied(written, [one[1] for one in some], [one[-1] for one in some])
            yield copying.END

        names = ["id", "born", "sort", *"abcd", "body", "died"]
        await connection.copy_to_table("written", columns=names, source=rows(), format="binary")
        read = await connection.fetch(f"SELECT {', '.join(names)} FROM written ORDER BY number")
    assert len(found) > 60
    told = [tuple(tuple(one) if isinstance(one, list) else one for one in record) for record in read]
    assert told == [(*row, canonical.encode(body), died) for *row, body, died in found]
