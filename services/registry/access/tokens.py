"""Bearer tokens: made, listed, revoked and recognised. Owns the table `access.token`.

A token is 256 random bits, shown once when it is made; the database keeps its SHA-256 only, and finds it by that.
A hash of so many random bits needs no salt and no stretching, and the time a look-up takes tells nothing of a token.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy
from typeid import TypeID

from events import sql
from events.catalogue.history import fold
from events.catalogue.party import PARTY, Party
from events.codec import decode_entries
from events.errors import FieldProblem, InvalidField, NotFound
from events.legible import illegible
from events.log.read import stream_entries
from services.registry.access.record import Action, Database, Looked, Who, record
from services.registry.access.roles import Role
from services.registry.ids import is_id
from services.registry.problems import Unauthenticated

PREFIX: Final = "reg_"
MAX_NAME: Final = 100

_SQL: Final = sql.load("services.registry.access", "queries.sql")
_ROLES: Final = {role.value: role for role in Role}
_UNKNOWN: Final = "The token is not known here."
_TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_NAME: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{{1,{MAX_NAME}}}")


class Principal(msgspec.Struct, frozen=True):
    """Who makes a request: a client known by its token, and the party on whose behalf it records, if any."""

    token_id: str
    name: str
    roles: frozenset[Role]
    party: str | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a token; the token itself is known to its owner only."""

    id: str
    name: str
    roles: tuple[Role, ...]
    party: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def holds(self, now: datetime) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


async def create(
    database: Database,
    *,
    name: str,
    roles: Iterable[str],
    by: Who,
    now: datetime,
    party: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, Token]:
    """Make a token and return it, this once, with what is kept of it; with it, it is recorded by whom.

    It is for the party that `party` is by now: of one that was merged, for its survivor.
    Raises `InvalidField` for every argument that is not allowed, `AccessNotRecorded`.
    """
    survivor = await _survivor(database, party) if party is not None else None
    chosen = _checked(name, tuple(roles), expires_at, now, party=party, survivor=survivor)
    token = PREFIX + secrets.token_urlsafe(32)
    token_id = str(TypeID(prefix="token"))
    made = Looked(by, Action.CREATE_TOKEN, {"token": token_id, "roles": chosen})
    async with _transaction(database) as connection:
        await record(connection, made)
        row = await connection.fetchrow(
            _SQL["create_token"], token_id, name, hash_of(token), list(chosen), survivor, now, expires_at
        )
    return token, read(row)


async def list_all(database: Database) -> list[Token]:
    """Return every token that was ever made, the oldest first."""
    return [read(row) for row in await database.fetch(_SQL["list_tokens"])]


async def revoke(database: Database, token_id: str, *, by: Who, now: datetime) -> Token:
    """Make a token worthless from now on; one that is revoked already keeps its time. It is recorded by whom.

    Raises `NotFound` when there is none with this id, `AccessNotRecorded`.
    """
    async with _transaction(database) as connection:
        row = await connection.fetchrow(_SQL["revoke_token"], token_id, now)
        if row is None:
            raise NotFound("There is no token with this id; `registry token list` shows them.")
        await record(connection, Looked(by, Action.REVOKE_TOKEN, {"token": token_id}))
    return read(row)


async def identify(database: Database, presented: str, *, now: datetime) -> Principal:
    """Return whose token this is. Raises `Unauthenticated` for one that is unknown, revoked or expired."""
    row = await database.fetchrow(_SQL["find_token"], hash_of(presented))
    return principal(read(row) if row else None, now=now)


def hash_of(presented: str) -> bytes:
    """Return what a token is found by. Raises `Unauthenticated` for what can be none."""
    if not _TOKEN.fullmatch(presented):
        raise Unauthenticated(_UNKNOWN, presented=True)
    return hashlib.sha256(presented.encode()).digest()


def principal(token: Token | None, *, now: datetime) -> Principal:
    """Return who has a token that was looked for. Raises `Unauthenticated` as `identify` does."""
    if token is None:
        raise Unauthenticated(_UNKNOWN, presented=True)
    if not token.holds(now):
        raise Unauthenticated(f"The token {'was revoked' if token.revoked_at else 'has expired'}.", presented=True)
    return Principal(token.id, token.name, frozenset(token.roles), token.party)


@asynccontextmanager
async def _transaction(database: Database) -> AsyncGenerator[asyncpg.Connection | PoolConnectionProxy]:
    """Open a transaction on the connection, or on one of the pool's."""
    if isinstance(database, asyncpg.Pool):
        async with database.acquire() as connection, connection.transaction():
            yield connection
    else:
        async with database.transaction():
            yield database


def read(row: Any) -> Token:
    """Read a row with a token's columns; a role that this version does not know opens nothing."""
    return Token(
        id=row["id"],
        name=row["name"],
        roles=tuple(_ROLES[role] for role in row["roles"] if role in _ROLES),
        party=row["party"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


async def _survivor(database: Database, party: str) -> str | None:
    """Return the party that a party lives on in, itself unless it was merged; None where the log has no such party."""
    at, seen = party, set[str]()
    while at not in seen:  # a circle of mergers is gone round once, as commands do
        seen.add(at)
        entries = await stream_entries(database, f"party/{at}") if is_id("party", at) else []
        state: Party | None = fold(PARTY, decode_entries(entry.bytes for entry in entries))
        if state is None:
            return None
        at = state.merged.event.into if state.merged else at
    return at


def _checked(
    name: str,
    roles: tuple[str, ...],
    expires_at: datetime | None,
    now: datetime,
    *,
    party: str | None,
    survivor: str | None,
) -> list[Role]:
    """Return the roles, each once and in the order of the contract."""
    problems: list[FieldProblem] = []
    if not _NAME.fullmatch(name):
        problems.append(FieldProblem(f"1 to {MAX_NAME} characters, on one line", pointer="/name"))
    elif reason := illegible(name, lines=False):
        problems.append(FieldProblem(reason, pointer="/name"))
    allowed = ", ".join(Role)
    if not roles:
        problems.append(FieldProblem(f"at least one of {allowed}", pointer="/roles"))
    problems += [
        FieldProblem(f"one of {allowed}", pointer=f"/roles/{index}")
        for index, role in enumerate(roles)
        if role not in set(Role)
    ]
    if party is not None and not is_id("party", party):
        problems.append(FieldProblem("the id of a party, party_…", pointer="/party"))
    elif party is not None and survivor is None:
        problems.append(FieldProblem(f"there is no party {party}", pointer="/party"))
    if expires_at is not None and expires_at <= now:
        problems.append(FieldProblem("a time that is yet to come", pointer="/expires_at"))
    if problems:
        raise InvalidField.of(problems)
    return [role for role in Role if role in roles]
