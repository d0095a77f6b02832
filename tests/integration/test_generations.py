"""Read models built anew beside the live ones: compared, switched to, and gone without a trace where they are not."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
from datetime import date
from pathlib import Path

import asyncpg
import pytest
import rfc8785
from msgspec.structs import replace

from events.errors import Corrupt
from events.log.failure import TRANSIENT
from events.log.servers import connect
from events.sql import Blocks
from projections import MODELS, projector, rebuild
from projections.comparison import Difference
from projections.digest import digest, digests, line
from projections.engine import FORM, QUERIES, SESSION
from projections.meetings import MEETINGS
from projections.projector import Projector
from projections.renewal import LOCK, Renewed, renew
from projections.shares import SHARES, Helpers, ShareLost
from projections.titles import TITLES
from projections.topics import TOPICS
from tests.integration.test_projector import NEWER, states
from tests.support.cluster import Database
from tests.support.console import command, environment, registry
from tests.support.projecting import (
    Reached,
    Recorder,
    assert_as_rebuilt,
    beside,
    projecting,
    reading,
    tamper,
    terminate,
)
from tests.support.recording import PATIENCE, connected, until

SIZE = 150
APPLICATION = "registry-projector"
SHARE = "registry-rebuild-share"


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(projector, "STANDBY_SECONDS", 0.02)
    monkeypatch.setattr(projector, "RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(rebuild, "SWITCH_SECONDS", 0.02)


@pytest.fixture
def recorder(database: Database) -> Recorder:
    return Recorder(database)


@pytest.fixture
async def projected(database: Database, recorder: Recorder) -> Database:
    await recorder.record(SIZE)
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    return database


async def renewed(database: Database, *arguments: object, **more: object) -> Renewed:
    async with projecting(database) as connection:
        return await renew(connection, *arguments, **more)  # type: ignore[arg-type]


# Digests


def by_recipe(model: str, rows: list[asyncpg.Record], columns: tuple[str, ...]) -> str:
    """The digest as its documentation tells it, in code that shares nothing with the program's."""
    hashed = hashlib.sha256()
    for row in sorted(rows, key=lambda one: one["id"].encode()):
        own = [value.isoformat() if isinstance(value, date) else value for value in (row[name] for name in columns)]
        hashed.update(rfc8785.dumps([row["id"], row["sort"], row["body"].decode(), own]) + b"\n")
    return hashed.hexdigest()


@pytest.mark.parametrize("size", [0, 1, SIZE // 2, SIZE])
async def test_a_digest_is_what_its_recipe_gives_of_the_rows_at_its_size(projected, size):
    async with connected(projected.service_dsn) as connection:
        found = await digests(connection, size)
        for model in MODELS:
            rows = await connection.fetch(
                f"SELECT * FROM read.{model.name} WHERE born < $1 AND (died IS NULL OR died >= $1)", size
            )
            assert found[model.name] == by_recipe(model.name, rows, model.columns), model.name
    assert list(found) == sorted(model.name for model in MODELS)
    assert (found["parties"] == hashlib.sha256().hexdigest()) == (size == 0)


async def test_a_digest_of_a_size_stays_what_it_is_whatever_is_recorded_and_rebuilt_later(projected, recorder):
    async with projecting(projected) as connection:
        before = await digests(connection, SIZE)
        earlier = await digests(connection, SIZE // 2)
        await recorder.record(50)
        live = await rebuild.shown(connection)
        assert live is not None
        await live.catch_up()
        assert await digests(connection, SIZE) == before
        assert await digests(connection, SIZE + 50) != before
        assert (await renew(connection)).generation == 2
        assert (await digests(connection, SIZE), await digests(connection, SIZE // 2)) == (before, earlier)


async def test_digests_of_rows_that_differ_in_anything_that_is_served_differ(projected):
    async with projecting(projected) as connection:
        seen = {await digest(connection, TOPICS, SIZE)}
        for statement in (
            "UPDATE read_1.topics SET title = 'x' WHERE id = (SELECT min(id) FROM read_1.topics)",
            "UPDATE read_1.topics SET words = 'x' WHERE id = (SELECT min(id) FROM read_1.topics)",
            "UPDATE read_1.topics SET body = 'x' WHERE id = (SELECT min(id) FROM read_1.topics)",
            "UPDATE read_1.topics SET sort = 'x' WHERE id = (SELECT min(id) FROM read_1.topics)",
            "DELETE FROM read_1.topics WHERE id = (SELECT min(id) FROM read_1.topics)",
        ):
            await connection.execute(statement)
            found = await digest(connection, TOPICS, SIZE)
            assert found not in seen, statement
            seen.add(found)


# Comparing


@pytest.mark.parametrize("alone", [None, MEETINGS], ids=["all", "one"])
async def test_what_is_live_and_not_altered_is_found_to_be_the_same_and_a_check_leaves_nothing(projected, alone):
    found = await renewed(projected, alone, check=True)
    assert (found.differing, found.generation, found.size) == ([], None, SIZE)
    assert len(found.compared) == (1 if alone else len(MODELS))
    assert await states(projected) == [(1, "live")]


@pytest.mark.parametrize(
    ("statement", "named_so", "at_size"),
    [
        ("UPDATE read_1.{0} SET body = body || ' ' WHERE (id, born) = ({1})", ("meetings", "altered", ("body",)), True),
        (
            "UPDATE read_1.{0} SET sort = 'x', country = 'XX' WHERE (id, born) = ({1})",
            ("parties", "altered", ("country", "sort")),
            True,
        ),
        ("UPDATE read_1.{0} SET words = 'x' WHERE (id, born) = ({1})", ("topics", "altered", ("words",)), True),
        ("UPDATE read_1.{0} SET died = born + 1 WHERE (id, born) = ({1})", ("rounds", "altered", ("died",)), True),
        ("DELETE FROM read_1.{0} WHERE (id, born) = ({1})", ("sources", "missing", ()), True),
        (
            (
                "UPDATE read_1.{0} SET body = 'x'"
                " WHERE (id, born) = (SELECT id, born FROM read_1.{0} WHERE died > 0 LIMIT 1)"
            ),
            ("cooperations", "altered", ("body",)),
            False,
        ),
    ],
    ids=["body", "sort and country", "words", "died", "gone", "past"],
)
async def test_a_row_that_an_administrator_altered_is_found_named_and_not_switched_away_unless_accepted(
    projected, statement, named_so, at_size
):
    model, said, columns = named_so
    one = f"SELECT id, born FROM read_1.{model} WHERE died IS NULL ORDER BY id LIMIT 1"
    async with connected(projected.admin_dsn) as administrator:
        row = await administrator.fetchrow(one)
        assert row is not None
        assert await administrator.execute(statement.format(model, one)) in ("UPDATE 1", "DELETE 1")
    found = await renewed(projected)
    assert found.generation is None
    (differing,) = found.differing
    (named,) = differing.rows
    assert (differing.model, named.says) == (model, said)
    assert named.columns == columns
    assert (differing.live != differing.rebuilt) == at_size  # the comparison sees more than a digest
    if said == "missing" or at_size:
        assert (named.id, named.born) == tuple(row)
    assert await states(projected) == [(1, "live")]
    assert (await renewed(projected, accept=True)).generation == 3
    assert await states(projected) == [(3, "live")]
    assert (await renewed(projected, check=True)).differing == []
    await assert_as_rebuilt(projected)


async def test_a_row_that_an_administrator_put_in_is_found(projected):
    async with connected(projected.admin_dsn) as administrator:
        await administrator.execute(
            "INSERT INTO read_1.titles (id, born, sort, body, cooperation, parties, qualified, title, words)"
            " VALUES ('milestone_x', 7, '', '', 'coop_x', '{}', false, 'x', '')"
        )
    (differing,) = (await renewed(projected, TITLES, check=True)).differing
    assert differing.rows == (Difference("milestone_x", 7, "surplus"),)


async def test_a_view_that_shows_something_else_than_its_table_is_found(projected):
    async with connected(projected.admin_dsn) as administrator:
        await administrator.execute(
            f"CREATE OR REPLACE VIEW {FORM}.topics AS SELECT * FROM read_1.topics WHERE born > 9"
        )
    (differing,) = (await renewed(projected, check=True)).differing
    assert (differing.model, differing.rows) == ("topics", ())


async def test_where_much_differs_only_some_rows_are_named(projected):
    async with connected(projected.admin_dsn) as administrator:
        await administrator.execute("UPDATE read_1.cooperations SET stage = 'x'")
    (differing,) = (await renewed(projected, check=True)).differing
    assert len(differing.rows) == 20
    assert list(differing.rows) == sorted(differing.rows, key=lambda row: (row.id, row.born))


async def test_what_was_projected_after_the_size_that_is_compared_is_no_difference(projected, recorder):
    async with projecting(projected) as building, projecting(projected) as following:
        behind = await rebuild.build(building)
        await recorder.record(60)
        live = await rebuild.shown(following)
        assert live is not None
        await live.catch_up()
        for size in (0, SIZE // 2, SIZE):
            for model in MODELS:
                differing = await building.fetch(
                    "SELECT * FROM projection.differences($1, $2, $3, $4, 9)",
                    "read_1",
                    f"read_{behind.generation}",
                    model.name,
                    size,
                )
                assert not differing, model.name


async def test_read_models_that_readers_see_in_another_form_than_their_tables_are_differing(projected):
    async with connected(projected.admin_dsn) as administrator:
        await administrator.execute(f"ALTER VIEW {FORM}.meetings RENAME COLUMN country TO land")
    found = await renewed(projected, check=True)
    assert [(one.model, one.live) for one in found.differing] == [("meetings", None)]


async def test_read_models_of_another_program_are_not_compared_and_stay_beside_the_new_ones(database, recorder):
    await recorder.record(SIZE)
    async with projecting(database) as connection:
        await rebuild.ensure(connection, NEWER)
    found = await renewed(database)
    assert (found.generation, found.beside, found.compared) == (2, True, ())
    assert await states(database) == [(1, "live"), (2, "beside")]


# Switching


async def test_one_read_model_alone_takes_its_place_among_the_others_which_stay_the_tables_they_are(projected):
    async def tables() -> dict[str, tuple[str, int]]:
        async with connected(projected.admin_dsn) as administrator:
            found = await administrator.fetch(
                "SELECT relname, relnamespace::regnamespace::text AS schema, oid::integer FROM pg_class"
                " WHERE relkind = 'r' AND relnamespace::regnamespace::text LIKE 'read\\_%'"
            )
        return {row["relname"]: (row["schema"], row["oid"]) for row in found}

    before = await tables()
    found = await renewed(projected, MEETINGS)
    after = await tables()
    assert (found.generation, len(found.compared)) == (2, 1)
    assert await states(projected) == [(2, "live")]
    assert {schema for schema, _ in after.values()} == {"read_2"}
    assert {name for name in before if before[name][1] != after[name][1]} == {"meetings"}
    await assert_as_rebuilt(projected)
    async with projecting(projected) as connection:
        assert await connection.fetchval("SELECT alone FROM projection.generation") is None


async def test_one_read_model_alone_is_not_put_among_others_that_are_elsewhere_or_of_another_program(
    projected, recorder
):
    async with projecting(projected) as connection:
        alone = await rebuild.build(connection, alone=MEETINGS)
        await recorder.record(1)
        await alone.catch_up()  # beyond where the others are
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="of another version or position"):
            await alone.show()
        other = await rebuild.begin(connection, NEWER, alone=MEETINGS)
        await other.catch_up(SIZE)
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="of another version or position"):
            await other.show()
    async with reading(projected) as read_models:
        assert await read_models.page(MEETINGS, SIZE, {}, limit=1)


@pytest.mark.parametrize("alone", [None, MEETINGS], ids=["all", "one"])
async def test_a_switch_is_never_behind_what_readers_have_seen(projected, recorder, alone):
    async with projecting(projected) as building, projecting(projected) as following:
        built = await rebuild.build(building, alone=alone)
        size = await recorder.record(30)
        live = await rebuild.shown(following)
        assert live is not None
        await live.catch_up()
        await rebuild.switch(building, built, alone)
        assert built.position == size
    async with reading(projected) as read_models:
        assert await read_models.position() == size
    await assert_as_rebuilt(projected)


async def test_the_disk_is_waited_for_by_what_shows_rows_and_by_nothing_that_is_built_before(projected, recorder):
    async with projecting(projected) as building, projecting(projected) as following:
        asked: list[str] = []
        building.add_query_logger(lambda logged: asked.append(logged.query))
        built = await rebuild.build(building)
        assert asked.count(QUERIES["unhurried"]) == 1 + len(MODELS)  # the rows, and the indexes of each table
        asked.clear()
        await recorder.record(30)
        live = await rebuild.shown(following)
        assert live is not None
        await live.catch_up()
        await rebuild.switch(building, built)
        await recorder.record(5)
        await built.catch_up()
        assert QUERIES["show"] in asked
        assert QUERIES["unhurried"] not in asked
    await assert_as_rebuilt(projected)


async def test_a_switch_that_readers_held_up_goes_on_from_where_it_was(projected, recorder):
    async with projecting(projected) as building, projecting(projected) as following:
        built = await rebuild.build(building)
        size = await recorder.record(30)
        live = await rebuild.shown(following)
        assert live is not None
        await live.catch_up()
        async with connected(projected.service_dsn) as slow, slow.transaction():
            await slow.fetch("SELECT FROM read.meetings")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await built.show()
        assert built.position == SIZE
        await built.show()
        assert built.position == size
    await assert_as_rebuilt(projected)


async def test_a_projector_goes_on_with_the_generation_that_took_the_place_of_its_own(database, recorder):
    reached = Reached()
    async with beside(Projector(database.projector_dsn, reached).run()), reading(database) as read_models:
        await reached.at_least(0)
        for number in range(6):
            size = await recorder.record(10)
            found = await renewed(database, MEETINGS if number % 2 else None)
            assert found.generation == number + 2
            size = await recorder.record(3)
            await read_models.wait_for(size, PATIENCE)
            await reached.at_least(size)
    await assert_as_rebuilt(database)


async def test_an_idle_projector_notices_that_its_generation_was_replaced(database, recorder):
    await recorder.record(20)
    async with projecting(database) as connection:
        heard: list[int] = []
        async with beside(Projector(database.projector_dsn, heard.append).run()):
            await until(lambda: _is(lambda: heard == [20]))
            await renew(connection)
            await until(lambda: _is(lambda: heard == [20, 20]))
    assert await states(database) == [(2, "live")]


async def _is(condition) -> bool:
    return condition()


# What is left


async def test_what_is_being_built_is_not_taken_for_what_was_left(projected):
    async with projecting(projected) as building, projecting(projected) as other:
        built = await rebuild.build(building)
        await rebuild.tidy(other)
        await rebuild.ensure(other)
        assert await states(projected) == [(1, "live"), (2, "building")]
        await built.show()
        await rebuild.tidy(other)
    assert await states(projected) == [(2, "live")]


async def test_what_a_killed_rebuild_left_is_removed_by_the_running_projector(projected):
    reached = Reached()
    async with beside(Projector(projected.projector_dsn, reached).run()):
        await reached.at_least(SIZE)
        async with projecting(projected) as building:
            await rebuild.build(building)
            assert len(await states(projected)) == 2
            building.terminate()  # as when the process is killed
        await until(lambda: _only_live(projected))


async def _only_live(database: Database) -> bool:
    async with connected(database.admin_dsn) as administrator:
        return await administrator.fetchval("SELECT count(*) = 1 FROM projection.generation")


@pytest.mark.parametrize("moment", ["begun", "half", "compared"])
async def test_a_renewal_that_is_cancelled_leaves_nothing(projected, moment):
    async with projecting(projected) as connection:
        ready = asyncio.Event()

        def progress(position: int) -> None:
            if moment == "begun" or position >= SIZE / (2 if moment == "half" else 1):
                ready.set()

        task = asyncio.create_task(renew(connection, progress=progress))
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await states(projected) == [(1, "live")]
        assert (await renew(connection, check=True)).differing == []


async def test_a_renewal_whose_session_ends_leaves_its_generation_to_the_next(projected):
    async with projecting(projected) as connection:
        positions: list[int] = []
        task = asyncio.create_task(renew(connection, progress=positions.append))
        await until(lambda: _is(lambda: positions))
        await terminate(projected, APPLICATION)
        with pytest.raises(TRANSIENT):
            await task
    assert (await renewed(projected)).generation == 3
    assert await states(projected) == [(3, "live")]


async def test_making_indexes_may_take_longer_than_other_statements_of_a_projector(database, recorder):
    await recorder.record(SIZE)
    limit = 0.5
    slow = replace(MEETINGS, queries=Blocks("slow", {**MEETINGS.queries, "index": "SELECT pg_sleep(1.5)"}))
    connection = await connect(database.projector_dsn, command_timeout=limit, server_settings=dict(SESSION))
    try:
        with pytest.raises(TimeoutError):
            await connection.execute("SELECT pg_sleep(60)")
        assert (await rebuild.build(connection, models=(slow,))).position == SIZE
    finally:
        await connection.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
async def test_a_rebuild_that_is_interrupted_at_the_console_leaves_nothing(projected, number):
    """Killed, it leaves nothing that the next rebuild does not remove."""
    settings = {"REGISTRY_PROJECTOR_DATABASE_URL": projected.projector_dsn}
    async with connected(projected.admin_dsn) as administrator, connected(projected.admin_dsn) as watcher:

        async def waits() -> bool:
            return await watcher.fetchval(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'registry-rebuild' AND wait_event_type = 'Lock'"
            )

        async def gone() -> bool:
            return not await watcher.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'registry-rebuild'"
            )

        async with administrator.transaction():
            await administrator.execute("LOCK TABLE read_1.agreements")  # so that it waits to compare
            rebuilding = await asyncio.create_subprocess_exec(
                *command("rebuild"), stderr=asyncio.subprocess.PIPE, env=environment(settings)
            )
            await until(waits)
            rebuilding.send_signal(number)
            _, told = await asyncio.wait_for(rebuilding.communicate(), PATIENCE)
        await until(gone)
    if number is signal.SIGKILL:
        assert await states(projected) == [(1, "live"), (2, "building")]
        assert (await renewed(projected, check=True)).differing == []
    else:
        assert (rebuilding.returncode, told) == (130, b"Interrupted.\n")
    assert await states(projected) == [(1, "live")]


@pytest.mark.parametrize("alone", [None, MEETINGS], ids=["all", "one"])
async def test_a_rebuild_that_is_shared_out_gives_what_one_process_does(projected, alone):
    found = await renewed(projected, alone, helpers=Helpers(projected.projector_dsn, 3))
    assert (found.differing, found.position) == ([], SIZE)
    assert found.compared
    await assert_as_rebuilt(projected)


async def test_processes_that_are_started_ahead_are_those_that_help(projected):
    async with Helpers(projected.projector_dsn, 3) as helpers:
        ahead = children()
        assert len(ahead) == 2
        seen: set[int] = set()
        async with projecting(projected) as connection:
            found = await renew(connection, progress=lambda _: seen.update(children()), helpers=helpers)
        assert (found.differing, found.position, seen) == ([], SIZE, {*ahead})
        assert children() == []
    await assert_as_rebuilt(projected)


async def test_processes_that_nothing_was_found_for_are_ended(projected):
    async with Helpers(projected.projector_dsn, 3):
        assert len(children()) == 2
    assert children() == []


async def test_what_is_recorded_while_a_rebuild_is_shared_out_is_in_it(projected, recorder):
    async with projecting(projected) as connection:
        recorded: list[asyncio.Task[int]] = []

        def progress(_position: int) -> None:
            if not recorded:
                recorded.append(asyncio.create_task(recorder.record(20)))

        helpers = Helpers(projected.projector_dsn, 2)
        projection = await rebuild.build(connection, progress, helpers=helpers)
        await recorded[0]
        await projection.catch_up()
        assert projection.position == SIZE + 20
        await rebuild.switch(connection, projection)
    await assert_as_rebuilt(projected)


@pytest.mark.parametrize("ended", ["cancelled", "killed", "unconnected"])
async def test_a_rebuild_that_is_shared_out_and_ends_early_leaves_nothing(projected, ended):
    async with projecting(projected) as connection, connected(projected.admin_dsn) as administrator:
        made = await administrator.fetchval("SELECT max(id) + 1 FROM projection.generation")
        await administrator.execute(QUERIES["hold"], SHARES, made)  # nobody who helps gets any further
        helpers = Helpers(projected.projector_dsn, 3)
        task = asyncio.create_task(renew(connection, helpers=helpers))
        await until(lambda: _shares(projected, 2))
        if ended == "cancelled":
            task.cancel()
        elif ended == "killed":
            (child, *_) = children()
            os.kill(child, signal.SIGKILL)
        else:
            await terminate(projected, SHARE)
        await until(_no_children)
        await administrator.execute(QUERIES["let_go"], SHARES, made)
        with pytest.raises(asyncio.CancelledError if ended == "cancelled" else ShareLost):
            await task
        assert await _only_live(projected)
    assert children() == []


async def test_a_log_with_a_gap_is_found_by_a_rebuild_that_is_shared_out(projected):
    await tamper(projected, f"DELETE FROM log.entry WHERE position = {SIZE - 1}")
    with pytest.raises(Corrupt, match=f"below position {SIZE} the log has {SIZE - 1} entries"):
        await renewed(projected, helpers=Helpers(projected.projector_dsn, 2))
    assert await _only_live(projected)


async def test_a_share_of_a_stream_with_a_gap_is_corrupt(projected):
    await tamper(projected, "UPDATE log.entry SET bytes = convert_to('nothing', 'UTF8') WHERE position = 7")
    with pytest.raises(Corrupt):
        await renewed(projected, helpers=Helpers(projected.projector_dsn, 2))
    assert await _only_live(projected)


def children() -> list[int]:
    """The processes that have a share of a rebuild of this one."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(pid) for pid in listed if b"projections.share" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def _no_children() -> bool:
    return not children()


async def _shares(database: Database, many: int) -> bool:
    async with connected(database.admin_dsn) as administrator:
        return await administrator.fetchval(
            "SELECT count(*) = $1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = $2 AND wait_event_type = 'Lock'",
            many,
            SHARE,
        )


async def test_one_rebuild_runs_at_a_time(projected):
    settings = {"REGISTRY_PROJECTOR_DATABASE_URL": projected.projector_dsn}
    async with projecting(projected) as other:
        assert await other.fetchval(QUERIES["lock"], LOCK)
        done = await asyncio.to_thread(registry, "rebuild", settings=settings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Somebody else is rebuilding" in done.stderr


async def test_a_rebuild_only_if_changed_leaves_what_this_program_built_and_replaces_what_another_did(projected):
    settings = {"REGISTRY_PROJECTOR_DATABASE_URL": projected.projector_dsn}
    done = await asyncio.to_thread(registry, "rebuild", "--if-changed", settings=settings)
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert await states(projected) == [(1, "live")]

    await tamper(projected, "UPDATE projection.generation SET version = 'another'")
    done = await asyncio.to_thread(registry, "rebuild", "--if-changed", settings=settings)
    assert done.returncode == 0, done.stderr
    assert "Generation 2 is shown to this version, beside the live one of another now, with 150 entries." in done.stdout
    assert await states(projected) == [(1, "live"), (2, "beside")]


async def test_read_models_that_show_more_than_the_log_has_are_not_replaced_by_less(projected):
    await tamper(
        projected, f"DELETE FROM log.entry WHERE position >= {SIZE - 5}", f"UPDATE log.head SET size = {SIZE - 5}"
    )
    async with projecting(projected) as connection:
        with pytest.raises(Exception, match=f"show {SIZE} entries, but the log has only {SIZE - 5}"):
            await renew(connection, accept=True)
    assert await states(projected) == [(1, "live")]


def test_json_of_the_recipe_is_what_the_program_writes():
    row = ("party_x", "é\u2028", b'{"a":"\\u0007\\n"}', [None, True, ["ä", '"'], "2019-06-18"])
    assert line(*row) == rfc8785.dumps(["party_x", "é\u2028", row[2].decode(), row[3]]) + b"\n"
    assert json.loads(line(*row))[2] == '{"a":"\\u0007\\n"}'
