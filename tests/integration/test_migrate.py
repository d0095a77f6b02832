"""The migration runner on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from events.log.migrate import (
    LOCK,
    DatabaseNotMigrated,
    DatabaseTooNew,
    MigrationEdited,
    MigrationFailed,
    MigrationLocked,
    NotTheOwner,
    check,
    load,
    migrate,
    parse,
)
from tests.support.cluster import Cluster, Database

THING = {"0001_thing.sql": b"CREATE TABLE public.thing (id integer NOT NULL);\nINSERT INTO public.thing VALUES (1);\n"}
OTHER = {"0002_other.sql": b"INSERT INTO public.thing VALUES (2);\n"}


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    """A database in which no migration has run."""
    with cluster.unmigrated_database() as made:
        yield made


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def fetchval(dsn: str, query: str) -> Any:
    async with connected(dsn) as connection:
        return await connection.fetchval(query)


async def things(database: Database) -> list[int]:
    async with connected(database.owner_dsn) as connection:
        return [row["id"] for row in await connection.fetch("SELECT id FROM public.thing ORDER BY id")]


async def test_migrations_are_applied_in_order_once_and_remembered(empty: Database):
    first = await migrate(empty.owner_dsn, parse(THING))
    second = await migrate(empty.owner_dsn, parse(THING | OTHER))
    third = await migrate(empty.owner_dsn, parse(THING | OTHER))

    assert [each.file for each in first] == ["0001_thing.sql"]
    assert [each.file for each in second] == ["0002_other.sql"]
    assert third == ()
    assert await things(empty) == [1, 2]
    async with connected(empty.owner_dsn) as connection:
        rows = await connection.fetch("SELECT version, name, sha256 FROM migration.applied ORDER BY version")
    assert [tuple(row) for row in rows] == [(m.version, m.name, m.sha256) for m in parse(THING | OTHER)]


async def test_the_programs_own_migrations_apply_to_an_empty_database_and_then_check(empty: Database):
    with pytest.raises(DatabaseNotMigrated):
        await check(empty.service_dsn)

    assert await migrate(empty.owner_dsn) == load()
    await check(empty.service_dsn)


@pytest.mark.parametrize("role", ["owner_dsn", "service_dsn", "projector_dsn"])
async def test_every_role_can_see_whether_the_database_is_up_to_date(empty: Database, role: str):
    await migrate(empty.owner_dsn, parse(THING))

    await check(getattr(empty, role), parse(THING))
    with pytest.raises(DatabaseNotMigrated, match=r"1 of 2 migrations are missing .* first 0002_other\.sql") as refused:
        await check(getattr(empty, role), parse(THING | OTHER))
    assert refused.value.code == "database-not-migrated"


async def test_checking_a_database_leaves_it_as_it_was(empty: Database):
    with pytest.raises(DatabaseNotMigrated):
        await check(empty.owner_dsn, parse(THING))

    assert await fetchval(empty.owner_dsn, "SELECT to_regnamespace('migration') IS NULL")


async def test_an_older_program_neither_migrates_nor_accepts_a_newer_database(empty: Database):
    await migrate(empty.owner_dsn, parse(THING | OTHER))

    with pytest.raises(DatabaseTooNew):
        await migrate(empty.owner_dsn, parse(THING))
    with pytest.raises(DatabaseTooNew):
        await check(empty.service_dsn, parse(THING))


async def test_an_edited_migration_stops_the_run_before_anything_is_applied(empty: Database):
    await migrate(empty.owner_dsn, parse(THING))
    edited = parse({"0001_thing.sql": THING["0001_thing.sql"] + b"-- innocent\n"} | OTHER)

    with pytest.raises(MigrationEdited, match=r"0001_thing\.sql"):
        await migrate(empty.owner_dsn, edited)
    with pytest.raises(MigrationEdited):
        await check(empty.service_dsn, edited)
    assert await things(empty) == [1]


async def test_a_migration_that_fails_leaves_nothing_of_itself_and_all_before_it(empty: Database):
    bad = {"0002_bad.sql": b"INSERT INTO public.thing VALUES (2);\nSELECT 1;\nINSERT INTO public.nothing VALUES (1);\n"}

    with pytest.raises(MigrationFailed, match=r'^0002_bad\.sql, line 3: .*"public\.nothing"') as refused:
        await migrate(empty.owner_dsn, parse(THING | bad))

    assert refused.value.code == "migration-failed"
    assert await things(empty) == [1]
    assert [m.file for m in await migrate(empty.owner_dsn, parse(THING | OTHER))] == ["0002_other.sql"]


async def test_a_migration_out_of_transaction_runs_statement_by_statement(empty: Database):
    index = {
        "0002_index.sql": b"-- migrate: no-transaction\n"
        b"DROP INDEX CONCURRENTLY IF EXISTS public.thing_id;\n"
        b"-- migrate: next\n"
        b"CREATE INDEX CONCURRENTLY thing_id ON public.thing (id);\n"
    }

    await migrate(empty.owner_dsn, parse(THING | index))

    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'public.thing_id'::regclass"
    assert await fetchval(empty.owner_dsn, valid) is True
    await check(empty.service_dsn, parse(THING | index))


async def test_a_migration_out_of_transaction_that_failed_is_run_again(empty: Database):
    half = b"-- migrate: no-transaction\nINSERT INTO public.thing VALUES (2);\n-- migrate: next\n"
    broken = parse(THING | {"0002_half.sql": half + b"\nSELECT nothing;\n"})
    mended = parse(THING | {"0002_half.sql": half + b"SELECT 1;\n"})

    with pytest.raises(MigrationFailed, match=r"^0002_half\.sql, line 5: .* may have been applied in part"):
        await migrate(empty.owner_dsn, broken)

    assert [m.file for m in await migrate(empty.owner_dsn, mended)] == ["0002_half.sql"]
    assert await things(empty) == [1, 2, 2]


async def test_programs_that_start_together_apply_each_migration_once(empty: Database):
    applied = await asyncio.gather(*(migrate(empty.owner_dsn, parse(THING | OTHER)) for _ in range(4)))

    assert sorted(len(each) for each in applied) == [0, 0, 0, 2]
    assert await things(empty) == [1, 2]


async def test_a_migration_that_waits_in_vain_names_who_is_in_its_way(empty: Database):
    async with connected(empty.owner_dsn) as holder:
        await holder.execute("SELECT pg_advisory_lock($1)", LOCK)
        pid = holder.get_server_pid()

        with pytest.raises(MigrationLocked, match=rf"process {pid} \(user registry_migrate") as refused:
            await migrate(empty.owner_dsn, parse(THING), patience=0.1)

    assert refused.value.code == "migration-locked"
    assert await fetchval(empty.owner_dsn, "SELECT to_regnamespace('migration') IS NULL")
    assert len(await migrate(empty.owner_dsn, parse(THING))) == 1


async def test_a_migration_gives_up_on_a_table_in_use_rather_than_block_everybody_after_it(empty: Database):
    await migrate(empty.owner_dsn, parse(THING))
    async with connected(empty.owner_dsn) as reader, reader.transaction():
        await reader.fetch("SELECT id FROM public.thing")

        add = {"0002_add.sql": b"ALTER TABLE public.thing ADD x integer;"}
        with pytest.raises(MigrationFailed, match="lock timeout"):
            await migrate(empty.owner_dsn, parse(THING | add), table_patience=0.05)


async def test_a_migration_of_two_tables_fails_nobody_who_reads_both_the_other_way_round(empty: Database):
    await migrate(empty.owner_dsn, parse(THING))
    other = {"0002_other.sql": b"CREATE TABLE public.other (id integer);"}
    await migrate(empty.owner_dsn, parse(THING | other))
    both = {"0003_both.sql": b"ALTER TABLE public.thing ADD x integer; ALTER TABLE public.other ADD x integer;"}
    waits = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'public.other'::regclass"
    async with connected(empty.owner_dsn) as reader, connected(empty.owner_dsn) as watcher:
        async with reader.transaction():
            await reader.fetch("SELECT id FROM public.other")
            migrating = asyncio.create_task(migrate(empty.owner_dsn, parse(THING | other | both)))
            while not await watcher.fetch(waits):  # it has the one, and waits for the other
                assert not migrating.done()
            await reader.fetch("SELECT id FROM public.thing")
        assert [one.version for one in await migrating] == [3]
    assert (
        await fetchval(empty.owner_dsn, "SELECT count(thing.x) + count(other.x) FROM public.thing, public.other") == 0
    )


async def test_whatever_a_migration_makes_belongs_to_the_owner_of_the_database(empty: Database):
    await migrate(empty.admin_dsn, parse(THING))  # by a superuser's hand

    owners = "SELECT string_agg(DISTINCT tableowner, ',') FROM pg_tables WHERE schemaname IN ('public', 'migration')"
    assert await fetchval(empty.owner_dsn, owners) == "registry_owner"


@pytest.mark.parametrize("role", ["service_dsn", "projector_dsn"])
async def test_only_the_owner_migrates(empty: Database, role: str):
    with pytest.raises(NotTheOwner) as refused:
        await migrate(getattr(empty, role), parse(THING))
    assert refused.value.code == "migration-not-owner"


async def test_no_role_of_the_registry_but_the_owner_can_forge_what_was_applied(empty: Database):
    await migrate(empty.owner_dsn, parse(THING))

    for dsn in (empty.service_dsn, empty.projector_dsn):
        for statement in ("DELETE FROM migration.applied", "UPDATE migration.applied SET version = 2"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await fetchval(dsn, statement)
