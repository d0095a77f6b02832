from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from events.catalogue import Event
from events.catalogue.history import EntryRetracted
from events.catalogue.party import PartyMerged, PartyRegistered
from events.errors import InvalidField, NotFound
from events.log import Draft
from services.registry.access import tokens
from services.registry.access.roles import Role
from services.registry.problems import Unauthenticated
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.recording import command, open_log
from tests.support.service import OPERATOR
from tests.support.spec import made_id

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
PARTY = "party_01h455vb4pex5vsknk084sn02q"
YARD = PartyRegistered(name="Yard", kind="company", country="FR")


@pytest.fixture
async def service(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.service_dsn)
    yield connection
    await connection.close()


async def tell(database: Database, party: str, *events: Event) -> None:
    """Record what happened to a party."""
    async with await open_log(database.service_dsn) as log:
        drafts = [
            Draft(stream=f"party/{party}", expected_revision=revision - 1, event_type=event.event_type, data=event)
            for revision, event in enumerate(events)
        ]
        await log.append(command(*drafts))
    await check_log(database.service_dsn)


async def test_a_new_token_is_recognised_with_its_roles_and_its_party(service: asyncpg.Connection, database: Database):
    await tell(database, PARTY, YARD)
    token, kept = await tokens.create(
        service, name="ministry", roles=["recorder", "reader"], party=PARTY, by=OPERATOR, now=NOW
    )
    principal = await tokens.identify(service, token, now=NOW)
    assert principal == tokens.Principal(kept.id, "ministry", frozenset({Role.READER, Role.RECORDER}), PARTY)
    assert kept.roles == (Role.READER, Role.RECORDER)


async def test_only_the_hash_of_a_token_reaches_the_database(service: asyncpg.Connection):
    token, kept = await tokens.create(service, name="ministry", roles=["reader"], by=OPERATOR, now=NOW)
    row = await service.fetchrow("SELECT * FROM access.token WHERE id = $1", kept.id)
    assert row is not None
    assert row["hash"] == hashlib.sha256(token.encode()).digest()
    assert token not in repr(row)


async def test_tokens_are_long_and_never_the_same(service: asyncpg.Connection):
    made = {(await tokens.create(service, name="many", roles=["reader"], by=OPERATOR, now=NOW))[0] for _ in range(20)}
    assert len(made) == 20
    assert all(token.startswith("reg_") and len(token) == 47 for token in made)


async def test_a_revoked_token_is_worthless_at_once_and_keeps_its_time(service: asyncpg.Connection):
    token, kept = await tokens.create(service, name="ministry", roles=["reader"], by=OPERATOR, now=NOW)
    assert (await tokens.revoke(service, kept.id, by=OPERATOR, now=NOW)).revoked_at == NOW
    assert (await tokens.revoke(service, kept.id, by=OPERATOR, now=LATER)).revoked_at == NOW
    with pytest.raises(Unauthenticated, match="revoked"):
        await tokens.identify(service, token, now=NOW)


async def test_a_token_holds_until_the_instant_it_expires(service: asyncpg.Connection):
    token, _ = await tokens.create(service, name="guest", roles=["reader"], expires_at=LATER, by=OPERATOR, now=NOW)
    assert (await tokens.identify(service, token, now=LATER - timedelta(microseconds=1))).name == "guest"
    with pytest.raises(Unauthenticated, match="expired"):
        await tokens.identify(service, token, now=LATER)


@pytest.mark.parametrize("presented", ["", "reg_", "reg_" + "A" * 43, "reg_" + "A" * 44, "x" * 5000, "reg_é", "\x00"])
async def test_a_token_that_was_never_made_is_unknown(service: asyncpg.Connection, presented: str):
    with pytest.raises(Unauthenticated, match="not known"):
        await tokens.identify(service, presented, now=NOW)


async def test_all_tokens_are_listed_the_oldest_first(service: asyncpg.Connection):
    _, second = await tokens.create(service, name="second", roles=["auditor"], by=OPERATOR, now=LATER)
    _, first = await tokens.create(service, name="first", roles=["operator"], expires_at=LATER, by=OPERATOR, now=NOW)
    revoked = await tokens.revoke(service, second.id, by=OPERATOR, now=LATER)
    assert await tokens.list_all(service) == [first, revoked]


async def test_a_token_that_is_not_there_cannot_be_revoked(service: asyncpg.Connection):
    with pytest.raises(NotFound):
        await tokens.revoke(service, "token_01h455vb4pex5vsknk084sn02q", by=OPERATOR, now=NOW)


async def test_what_is_wrong_with_a_new_token_is_told_at_once_and_none_is_made(service: asyncpg.Connection):
    with pytest.raises(InvalidField) as refused:
        await tokens.create(
            service, name="a\nb", roles=["reader", "king"], party="person_1", expires_at=NOW, by=OPERATOR, now=NOW
        )
    pointers = [problem.pointer for problem in refused.value.problems]
    assert pointers == ["/name", "/roles/1", "/party", "/expires_at"]
    assert await tokens.list_all(service) == []


@pytest.mark.parametrize("name", ["sea\u202edraob", "min\u200bistry", "\u2800", "min\u2028istry", "a\udcff"], ids=ascii)
async def test_a_name_that_is_not_what_people_see_is_refused_beside_all_else(service: asyncpg.Connection, name: str):
    with pytest.raises(InvalidField) as refused:
        await tokens.create(service, name=name, roles=["king"], party=PARTY, by=OPERATOR, now=NOW)
    pointers = [problem.pointer for problem in refused.value.problems]
    assert pointers == ["/name", "/roles/0", "/party"]
    assert await tokens.list_all(service) == []


async def test_a_token_is_for_a_party_that_is_there(service: asyncpg.Connection, database: Database):
    taken_back = made_id("party", 1)
    await tell(database, taken_back, YARD, EntryRetracted(retracts=0, reason="by mistake"))
    for party in (PARTY, taken_back):
        with pytest.raises(InvalidField) as refused:
            await tokens.create(service, name="ministry", roles=["recorder"], party=party, by=OPERATOR, now=NOW)
        (problem,) = refused.value.problems
        assert (problem.pointer, problem.detail) == ("/party", f"there is no party {party}")
    assert await tokens.list_all(service) == []


async def test_a_token_for_a_merged_party_is_for_the_one_it_lives_on_in(
    service: asyncpg.Connection, database: Database
):
    last, middle, first = (made_id("party", number) for number in range(3))
    await tell(database, last, YARD)
    await tell(database, middle, YARD, PartyMerged(into=last, reason="the same"))
    await tell(database, first, YARD, PartyMerged(into=middle, reason="the same"))
    _, kept = await tokens.create(service, name="ministry", roles=["recorder"], party=first, by=OPERATOR, now=NOW)
    assert kept.party == last


async def test_a_token_without_a_role_is_not_made(service: asyncpg.Connection):
    with pytest.raises(InvalidField):
        await tokens.create(service, name="nobody", roles=[], by=OPERATOR, now=NOW)


async def test_a_role_of_another_version_opens_nothing(service: asyncpg.Connection, database: Database):
    token, kept = await tokens.create(service, name="ministry", roles=["reader"], by=OPERATOR, now=NOW)
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("UPDATE access.token SET roles = '{reader,emperor}' WHERE id = $1", kept.id)
    await owner.close()
    assert (await tokens.identify(service, token, now=NOW)).roles == {Role.READER}


@pytest.mark.parametrize(
    "statement",
    ["UPDATE access.token SET roles = '{auditor}'", "UPDATE access.token SET hash = hash", "DELETE FROM access.token"],
)
async def test_the_service_cannot_change_a_token_save_to_revoke_it(service: asyncpg.Connection, statement: str):
    await tokens.create(service, name="ministry", roles=["reader"], by=OPERATOR, now=NOW)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(statement)
