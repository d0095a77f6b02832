"""Programs of two versions side by side: each reads what it knows, and the newer takes over when the older is gone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import pytest
from msgspec.structs import replace

from events import sql
from projections import LISTED, MODELS, projector, rebuild
from projections.cooperations import COOPERATIONS
from projections.engine import BUILDERS, FORM, VERSION, Connection, form_of, reader_of, version_of
from projections.following import ReadModelBehind
from projections.meetings import MEETINGS
from projections.parties import PARTIES
from projections.projector import LOCK, LOOKS, Projector
from projections.renewal import renew
from tests.integration.test_projector import states
from tests.support.cluster import Database
from tests.support.projecting import Reached, Recorder, assert_as_rebuilt, beside, projecting, reading, terminate
from tests.support.recording import PATIENCE, connected, until

SIZE = 60
OTHER = (*(model for model in MODELS if model is not PARTIES), replace(PARTIES, number=PARTIES.number + 1))
"""Read models of another version of the program, which says something else of parties."""
OTHERS = version_of(OTHER)
BEFORE = sql.load("tests.support.before", "statements.sql")
APPLICATION = "registry-projector"


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each look of a projector at whether it is to take over, by the version of its program."""
    seen: list[str] = []
    look = Projector._look_after

    async def noted(self: Projector, *arguments: Any) -> None:
        await look(self, *arguments)
        seen.append(self._version)

    monkeypatch.setattr(Projector, "_look_after", noted)
    monkeypatch.setattr(projector, "HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(projector, "STANDBY_SECONDS", 0.02)
    monkeypatch.setattr(projector, "RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(rebuild, "SWITCH_SECONDS", 0.02)
    return seen


@pytest.fixture
def recorder(database: Database) -> Recorder:
    return Recorder(database)


@pytest.fixture
async def recorded(database: Database, recorder: Recorder) -> Database:
    await recorder.record(SIZE)
    return database


async def looked(looks: list[str], version: str) -> None:
    """Return when a projector has looked more often than it needs to, from now on."""
    enough = looks.count(version) + LOOKS + 2

    async def often() -> bool:
        return looks.count(version) >= enough

    await until(often)


async def in_state(database: Database, *wanted: tuple[int, str]) -> None:
    async def reached() -> bool:
        async with connected(database.admin_dsn) as administrator:
            found = await administrator.fetch("SELECT id, state FROM projection.generation ORDER BY id")
        return [tuple(one) for one in found] == list(wanted)

    await until(reached)


async def schemas(database: Database) -> list[str]:
    """Return the schemas that there are for read models, and which generation `read` shows."""
    async with connected(database.admin_dsn) as administrator:
        found = await administrator.fetch(
            "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'read\\_%' OR nspname LIKE 'form\\_%'"
        )
        shown = await administrator.fetchval(
            "SELECT DISTINCT regexp_substr(definition, 'read_[0-9]+') FROM pg_views WHERE schemaname = 'read'"
        )
    return [*sorted(row["nspname"] for row in found), f"read shows {shown}"]


@asynccontextmanager
async def api_of(database: Database, version: str) -> AsyncGenerator[Connection]:
    """A connection like that of an API of a version, over which it hears of positions."""
    connection = await asyncpg.connect(database.service_dsn, server_settings={"application_name": reader_of(version)})
    try:
        yield connection
    finally:
        await connection.close()


async def test_each_version_reads_its_own_read_models_and_both_are_kept_up(recorded, recorder, looks):
    older, newer = Reached(), Reached()
    async with reading(recorded) as read_models, beside(Projector(recorded.projector_dsn, older).run()):
        await older.at_least(SIZE)
        before = {model.name: await read_models.page(model, SIZE, {}, limit=1000) for model in LISTED}
        async with beside(Projector(recorded.projector_dsn, newer, OTHER).run()):
            await newer.at_least(SIZE)
            size = await recorder.record(10)
            await read_models.wait_for(size, PATIENCE)
            await older.at_least(size)
            await newer.at_least(size)
            await looked(looks, OTHERS)
            assert await states(recorded) == [(1, "live"), (2, "beside")]
            forms = sorted([FORM, form_of(OTHERS)])
            assert await schemas(recorded) == [*forms, "read_1", "read_2", "read shows read_1"]
            async with connected(recorded.service_dsn) as service:
                newest = await service.fetchval(f"SELECT max(born) FROM {form_of(OTHERS)}.cooperations")
            assert newest >= SIZE
            for model in LISTED:
                assert await read_models.page(model, SIZE, {}, limit=1000) == before[model.name]
    await assert_as_rebuilt(recorded)


async def test_the_newer_takes_over_when_nothing_of_the_older_runs_any_more(recorded, recorder, looks):
    newer = Reached()
    async with AsyncExitStack() as stack:
        older = AsyncExitStack()
        await older.enter_async_context(beside(Projector(recorded.projector_dsn, Reached(), OTHER).run()))
        api = await older.enter_async_context(api_of(recorded, OTHERS))
        await in_state(recorded, (1, "live"))
        await stack.enter_async_context(beside(Projector(recorded.projector_dsn, newer).run()))
        await newer.at_least(SIZE)
        await api.close()
        await looked(looks, VERSION)
        assert await states(recorded) == [(1, "live"), (2, "beside")], "the older projector is there still"
        await older.aclose()
        await in_state(recorded, (2, "live"))
        assert await schemas(recorded) == [FORM, "read_2", "read shows read_2"]
        async with reading(recorded) as read_models:
            size = await recorder.record(5)
            await read_models.wait_for(size, PATIENCE)
    await assert_as_rebuilt(recorded)


async def test_what_an_api_reads_stays_though_its_projector_is_gone(recorded, looks):
    older, newer = Reached(), Reached()
    async with beside(Projector(recorded.projector_dsn, older, OTHER).run()):
        await older.at_least(SIZE)
    async with api_of(recorded, OTHERS) as api, beside(Projector(recorded.projector_dsn, newer).run()):
        await newer.at_least(SIZE)
        await looked(looks, VERSION)
        assert await states(recorded) == [(1, "live"), (2, "beside")]
        assert await api.fetchval(f"SELECT count(*) FROM {form_of(OTHERS)}.parties") > 0
        await api.close()
        await in_state(recorded, (2, "live"))


async def test_read_models_of_another_version_are_read_by_nobody_who_does_not_know_them(recorded):
    async with projecting(recorded) as connection:
        await rebuild.ensure(connection, OTHER)
    async with reading(recorded) as read_models:
        for read in (
            read_models.position(),
            read_models.page(PARTIES, SIZE, {}, limit=1),
            read_models.one(PARTIES, "party_1", SIZE),
            read_models.timeline("cooperation", "coop_1", SIZE, after=None, limit=1),
            read_models.digested(SIZE),
        ):
            with pytest.raises(ReadModelBehind):
                await read


async def test_a_rebuild_beside_the_live_ones_takes_the_place_of_what_its_own_version_reads(recorded, recorder):
    async with projecting(recorded) as connection:
        await rebuild.ensure(connection, OTHER)
        await rebuild.ensure(connection)
        assert (await renew(connection, MEETINGS)).beside
        found = await renew(connection)
        assert (found.generation, found.beside, found.differing) == (4, True, [])
        assert await states(recorded) == [(1, "live"), (4, "beside")]
        assert (await schemas(recorded))[-1] == "read shows read_1"


async def test_a_new_version_is_never_behind_what_readers_of_the_old_one_have_seen(recorded, recorder):
    async with projecting(recorded) as following, projecting(recorded) as building:
        live = await rebuild.ensure(following, OTHER)
        built = await rebuild.build(building)
        size = await recorder.record(10)
        await live.catch_up()
        await rebuild.switch(building, built)
        assert built.position == size
        await recorder.record(10)
        await live.catch_up()
        with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError, match="readers have seen"):
            await built.take_over()


async def test_a_projector_of_a_version_that_is_over_does_not_build_its_own_again(recorded, recorder, looks):
    older, newer = Reached(), Reached()
    async with beside(Projector(recorded.projector_dsn, older, OTHER).run()):
        await older.at_least(SIZE)
        async with projecting(recorded) as connection:
            await (await rebuild.ensure(connection)).take_over()
        async with beside(Projector(recorded.projector_dsn, newer).run()):
            size = await recorder.record(5)
            await newer.at_least(size)
            await looked(looks, VERSION)
            assert await states(recorded) == [(2, "live")]


async def test_where_projectors_of_two_versions_lose_the_database_again_and_again_both_come_back(recorded, recorder):
    older, newer = Reached(), Reached()
    async with (
        api_of(recorded, VERSION),
        api_of(recorded, OTHERS),
        beside(Projector(recorded.projector_dsn, older).run()),
    ):
        await older.at_least(SIZE)
        async with beside(Projector(recorded.projector_dsn, newer, OTHER).run()):
            for _ in range(5):
                size = await recorder.record(3)
                await older.at_least(size)
                await newer.at_least(size)
                await terminate(recorded, APPLICATION)
    assert await states(recorded) == [(1, "live"), (2, "beside")]
    await assert_as_rebuilt(recorded)


async def test_a_program_of_before_reads_and_keeps_up_its_own_until_it_is_gone(recorded, recorder, looks):
    body = b'{"id":"coop_1","topics":[{"id":"topic_1"}]}'
    newer = Reached()
    reader = await asyncpg.connect(recorded.service_dsn, server_settings={"application_name": "registry-position"})
    async with projecting(recorded) as older:
        assert await older.fetchval(BEFORE["lock"], LOCK)
        generation = await older.fetchval(BEFORE["add"], "before", None)
        await older.execute(BEFORE["hold"], BUILDERS, generation)
        async with older.transaction():
            await older.execute(BEFORE["open_schema"], generation)
            await older.execute(BEFORE["search_path"], f"read_{generation}")
            await older.execute(BEFORE["create"])
            await older.execute(
                "INSERT INTO cooperations VALUES ('coop_1', 0, NULL, 'a', '{}', $1, '{}', '{}', 'opened', '{trade}')",
                body,
            )
        assert await older.fetchval(BEFORE["advance"], generation, 0, SIZE, "building") == generation
        await older.execute(BEFORE["switch"], generation)
        await older.execute(BEFORE["let_go"], BUILDERS, generation)

        async with beside(Projector(recorded.projector_dsn, newer).run()), reading(recorded) as read_models:
            await newer.at_least(SIZE)
            size = await recorder.record(10)
            await newer.at_least(size)
            await looked(looks, VERSION)
            assert await states(recorded) == [(generation, "live"), (2, "beside")]
            assert [row["body"] for row in await reader.fetch(BEFORE["one"], "coop_1", SIZE)] == [body]
            assert await reader.fetchval(BEFORE["position"]) == SIZE
            assert await older.fetch(BEFORE["unfinished"]) == []
            assert [row["id"] for row in await older.fetch(BEFORE["live"])] == [generation]
            assert await older.fetchval(BEFORE["advance"], generation, SIZE, size, "live") == generation
            assert await read_models.page(COOPERATIONS, size, {}, limit=5)

            await older.close()
            await looked(looks, VERSION)
            assert await states(recorded) == [(generation, "live"), (2, "beside")], "its API reads still"
            await reader.close()
            await in_state(recorded, (2, "live"))
    await assert_as_rebuilt(recorded)
