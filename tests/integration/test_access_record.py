"""The access record in the database: only ever added to, and with the change that it is about."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from ipaddress import ip_address
from itertools import pairwise

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import sql
from events.errors import InvalidField, NotFound
from services.registry.access import tokens
from services.registry.access.actions import Action
from services.registry.access.record import Looked, Wanted, Who, list_seen, record, runs
from services.registry.clock import now
from services.registry.problems import AccessNotRecorded
from tests.support.cluster import Database
from tests.support.recording import connected
from tests.support.service import OPERATOR

EVERYTHING = Wanted()
LOOKED = Looked(
    Who(
        name="ministry",
        token_id="token_1",
        address=ip_address("2001:db8::1"),
        request_id="0197a1c0-0000-7000-8000-000000000004",
    ),
    Action.READ_ENTRY,
    {"positions": [[7, 7]]},
)
CHANGES = [
    "UPDATE access.record SET who = 'another'",
    "UPDATE access.record SET who = who WHERE false",
    "DELETE FROM access.record",
    "TRUNCATE access.record",
    "INSERT INTO access.record (who, what, detail) VALUES ('x', 'x', '{}') ON CONFLICT (id) DO UPDATE SET who = 'y'",
    "MERGE INTO access.record AS r USING log.head AS h ON true WHEN MATCHED THEN DELETE",
]
Service = asyncpg.Connection


@pytest.fixture
async def service(database: Database) -> AsyncGenerator[Service]:
    async with connected(database.service_dsn) as connection:
        yield connection


@pytest.fixture
async def recorded(database: Database, service: Service) -> AsyncGenerator[Database]:
    """A record with a row, which stays as it was."""
    await record(service, LOOKED)
    before = await list_seen(service, EVERYTHING, 10)
    yield database
    assert await list_seen(service, EVERYTHING, 10) == before


@pytest.mark.parametrize("statement", CHANGES)
class TestNothingOnRecordChanges:
    async def test_by_the_service(self, recorded: Database, statement: str) -> None:
        async with connected(recorded.service_dsn) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)

    async def test_by_the_owner(self, recorded: Database, statement: str) -> None:
        async with connected(recorded.owner_dsn) as connection:
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)

    async def test_by_an_administrator_who_switches_triggers_off_for_replication(
        self, recorded: Database, statement: str
    ) -> None:
        async with connected(recorded.admin_dsn) as connection:
            await connection.execute("SET session_replication_role = replica")
            with pytest.raises(asyncpg.RestrictViolationError):
                await connection.execute(statement)


@pytest.mark.parametrize("statement", ["UPDATE access.record SET who = 'another'", "DELETE FROM access.record"])
async def test_the_row_triggers_refuse_by_themselves(recorded: Database, statement: str) -> None:
    async with connected(recorded.owner_dsn) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("ALTER TABLE access.record DISABLE TRIGGER record_refuses_change")
        with pytest.raises(asyncpg.RestrictViolationError):
            await connection.execute(statement)
        await transaction.rollback()


@pytest.mark.parametrize(
    "columns",
    ["(at, who, what, detail) VALUES ('2001-01-01',", "(id, who, what, detail) OVERRIDING SYSTEM VALUE VALUES (1,"],
)
async def test_the_service_decides_neither_the_time_nor_the_number(service: Service, columns: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(f"INSERT INTO access.record {columns} 'x', 'read-entry', '{{}}')")
    assert await list_seen(service, EVERYTHING, 10) == []


@pytest.mark.parametrize("values", ["'Read Entry', '{}'", "'read-entry', '[]'", "'', '{}'"])
async def test_what_is_no_action_and_no_object_is_not_taken(service: Service, values: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await service.execute(f"INSERT INTO access.record (who, what, detail) VALUES ('x', {values})")


async def test_what_is_recorded_is_listed_as_it_was_given(service: Service) -> None:
    before = now()
    await record(service, LOOKED)
    (seen,) = await list_seen(service, EVERYTHING, 10)
    assert (seen.who, seen.token_id, seen.what, seen.detail) == ("ministry", "token_1", "read-entry", LOOKED.detail)
    assert (seen.from_address, seen.request_id) == ("2001:db8::1", LOOKED.who.request_id)
    assert before - timedelta(seconds=1) < seen.at < now() + timedelta(seconds=1)


async def test_every_action_can_be_recorded(service: Service) -> None:
    for action in Action:
        await record(service, Looked(OPERATOR, action, {}))
    assert {seen.what for seen in await list_seen(service, EVERYTHING, 100)} == set(Action)


async def test_what_keeps_it_from_being_recorded_is_one_kind_of_failure(database: Database, service: Service) -> None:
    async with connected(database.owner_dsn) as owner:
        await owner.execute("REVOKE INSERT (who) ON access.record FROM registry_service")
    with pytest.raises(AccessNotRecorded):
        await record(service, LOOKED)
    await service.close()
    with pytest.raises(AccessNotRecorded):
        await record(service, LOOKED)


async def test_a_token_is_made_and_revoked_only_together_with_its_record(database: Database, service: Service) -> None:
    _, kept = await tokens.create(service, name="ministry", roles=["reader"], by=OPERATOR, now=now())
    async with connected(database.owner_dsn) as owner:
        await owner.execute("REVOKE INSERT (who) ON access.record FROM registry_service")
    pool = await asyncpg.create_pool(database.service_dsn, min_size=1, max_size=1)
    async with pool:
        for connection in (service, pool):
            with pytest.raises(AccessNotRecorded):
                await tokens.create(connection, name="another", roles=["reader"], by=OPERATOR, now=now())
            with pytest.raises(AccessNotRecorded):
                await tokens.revoke(connection, kept.id, by=OPERATOR, now=now())
    assert await tokens.list_all(service) == [kept]


async def test_what_was_refused_with_tokens_is_not_on_record(service: Service) -> None:
    with pytest.raises(InvalidField):
        await tokens.create(service, name="", roles=["reader"], by=OPERATOR, now=now())
    with pytest.raises(NotFound):
        await tokens.revoke(service, "token_01h455vb4pex5vsknk084sn02q", by=OPERATOR, now=now())
    assert await list_seen(service, EVERYTHING, 10) == []


@given(st.sets(st.integers(0, 60)).map(sorted))
def test_runs_hold_the_positions_and_no_others_in_as_few_as_can_be(positions):
    found = runs(positions)
    assert [position for first, last in found for position in range(first, last + 1)] == positions
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(found))


async def test_a_page_is_a_range_of_an_index_whatever_is_asked_for(database: Database, service: Service) -> None:
    """Whoever looks at a long record does not wait for all of it to be read and sorted."""
    columns = "who, token_id, what, detail"
    row = "'f' || n % 20, 'token_' || n % 20, 'read-entries', '{}' FROM generate_series(1, 20000) AS n"
    async with connected(database.owner_dsn) as owner:
        await owner.execute(f"INSERT INTO access.record ({columns}) SELECT {row}")
        await owner.execute("ANALYZE access.record")
    statement = sql.load("services.registry.access", "record.sql")["list"]
    past, later = now() - timedelta(days=1), now() + timedelta(days=1)
    for name, token, what, since, after in (
        (None, None, None, None, None),
        (None, None, None, later, None),
        (None, None, None, None, past),
        ("f3", None, None, past, later),
        ("nobody", None, None, None, None),
        (None, "token_3", None, None, later),
        (None, None, "rotate-key", None, None),
    ):
        plan = await service.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}",
            name,
            token,
            what,
            since,
            None,
            after,
            1 if after else None,
            51,
        )
        (told,) = json.loads(plan)
        (scan,) = told["Plan"]["Plans"]
        assert scan["Node Type"] == "Index Scan", plan
        assert scan["Actual Rows"] <= 51
        assert scan.get("Rows Removed by Filter", 0) == 0, plan
