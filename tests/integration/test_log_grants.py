"""What was recorded cannot be changed, whoever tries; and each role may do what it needs and no more."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import asyncpg
import pytest

from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.recording import connected, note, open_log

ENTRY_CHANGES = [
    "UPDATE log.entry SET stream = 'another'",
    "UPDATE log.entry SET bytes = bytes WHERE position = 0",
    "DELETE FROM log.entry",
    "DELETE FROM log.entry WHERE false",
    "TRUNCATE log.entry",
    "INSERT INTO log.entry SELECT * FROM log.entry ON CONFLICT (position) DO UPDATE SET stream = 'another'",
    "MERGE INTO log.entry AS e USING log.head AS h ON e.position = 0 WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM log.entry RETURNING 1) SELECT count(*) FROM gone",
]
HEAD_REMOVALS = ["DELETE FROM log.head", "TRUNCATE log.head"]

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER")
GRANTED = {
    "registry_service": {
        "log.entry": {"SELECT", "INSERT"},
        "log.head": {"SELECT", "UPDATE"},
        "log.claim": {"SELECT", "INSERT"},
        "log.document": {"SELECT", "INSERT"},
        "log.tile": {"SELECT", "INSERT"},
        "log.checkpoint": {"SELECT", "INSERT"},
        "log.signature": {"SELECT", "INSERT"},
        "log.verifier": {"SELECT", "INSERT"},
        "log.origin": {"SELECT", "INSERT"},
        "vault.key": {"SELECT", "INSERT", "DELETE"},
        "vault.command_salt": {"SELECT", "INSERT", "DELETE"},
        "vault.token": {"SELECT", "INSERT", "DELETE"},
        "vault.mark": {"SELECT"},
        "access.token": {"SELECT", "INSERT"},
        "access.record": {"SELECT"},  # and to insert into some columns
    },
    "registry_projector": {"log.entry": {"SELECT"}, "log.head": {"SELECT"}},
    "registry_reader": {},
}


@pytest.fixture
async def recorded(database: Database) -> AsyncGenerator[Database, None]:
    """A log with two entries, which the oracle finds untouched afterwards."""
    async with await open_log(database.service_dsn) as log:
        await log.append(note("a/1", events=2))
    before = await check_log(database.service_dsn)
    yield database
    assert await check_log(database.service_dsn) == before


@pytest.mark.parametrize("statement", ENTRY_CHANGES + HEAD_REMOVALS)
class TestNothingRecordedChanges:
    async def test_by_the_service(self, recorded: Database, statement: str) -> None:
        async with connected(recorded.service_dsn) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)

    async def test_by_the_owner(self, recorded: Database, statement: str) -> None:
        async with connected(recorded.owner_dsn) as connection:
            await connection.execute("SET ROLE registry_owner")
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)

    async def test_by_an_administrator_who_switches_triggers_off_for_replication(
        self, recorded: Database, statement: str
    ) -> None:
        async with connected(recorded.admin_dsn) as connection:
            await connection.execute("SET session_replication_role = replica")
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)


async def test_the_row_triggers_refuse_by_themselves(recorded: Database) -> None:
    """They are what fires where no statement does, as when logical replication applies a change."""
    async with connected(recorded.owner_dsn) as connection:
        await connection.execute("SET ROLE registry_owner")
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("ALTER TABLE log.entry DISABLE TRIGGER entry_refuses_change")
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute("UPDATE log.entry SET stream = 'another'")
        await transaction.rollback()


@pytest.mark.parametrize("role", GRANTED)
async def test_a_role_has_the_privileges_it_needs_and_no_other(database: Database, role: str) -> None:
    async with connected(database.admin_dsn) as connection:
        found = await connection.fetch(
            """SELECT n.nspname || '.' || c.relname AS name,
                array_agg(p) FILTER (WHERE has_table_privilege($1, c.oid, p)) AS privileges
            FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, unnest($2::text[]) AS p
            WHERE n.nspname IN ('log', 'vault', 'access') AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            GROUP BY 1""",
            role,
            PRIVILEGES,
        )
    tables = {name: set(privileges) for name, privileges in found if privileges}
    assert tables == GRANTED[role]


async def test_of_a_token_the_service_changes_the_revocation_only(database: Database) -> None:
    async with connected(database.service_dsn) as connection:
        columns = await connection.fetch(
            """SELECT attname FROM pg_attribute
            WHERE attrelid = 'access.token'::regclass AND attnum > 0
                AND has_column_privilege(attrelid, attnum, 'UPDATE')"""
        )
    assert [name for (name,) in columns] == ["revoked_at"]


async def test_only_the_service_may_call_the_function_that_appends(database: Database) -> None:
    async with connected(database.admin_dsn) as connection:
        callers = await connection.fetch(
            """SELECT r.rolname FROM pg_roles AS r, pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
            WHERE n.nspname = 'log' AND r.rolname LIKE 'registry%' AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
                AND r.rolname NOT IN ('registry_owner', 'registry_migrate')"""
        )
    assert {name for (name,) in callers} == {"registry_service", "registry_serve"}


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE log.mine ()",
        "CREATE SCHEMA mine",
        "ALTER TABLE log.entry DISABLE TRIGGER ALL",
        "DROP TRIGGER entry_refuses_change ON log.entry",
        "CREATE OR REPLACE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT 1'",
        "SET session_replication_role = replica",
        "SET ROLE registry_owner",
    ],
)
async def test_the_service_cannot_help_itself_to_more(database: Database, statement: str) -> None:
    async with connected(database.service_dsn) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_a_search_path_of_the_callers_is_not_followed(database: Database) -> None:
    async with connected(database.admin_dsn) as admin:
        await admin.execute(
            f"""CREATE SCHEMA trap; GRANT USAGE ON SCHEMA trap TO PUBLIC;
            CREATE FUNCTION trap.cardinality(anyarray) RETURNS integer LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the trap was stepped into'; END $$;
            CREATE FUNCTION trap.pg_notify(text, text) RETURNS void LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'the trap was stepped into'; END $$;
            ALTER ROLE registry_serve IN DATABASE "{database.name}" SET search_path = trap, pg_catalog"""
        )
    async with await open_log(database.service_dsn) as log:
        assert (await log.append(note("a/1"))).size == 1
