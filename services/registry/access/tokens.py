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
from events.errors import FieldProblem, InvalidField, NotFound
from services.registry.access.record import Action, Database, Looked, Who, record
from services.registry.access.roles import Role
from services.registry.problems import Unauthenticated

PREFIX: Final = "reg_"
MAX_NAME: Final = 100

_SQL: Final = sql.load("services.registry.access", "queries.sql")
_TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_NAME: Final = re.compile(rf"[^\x00-\x1f\x7f-\x9f]{{1,{MAX_NAME}}}")
_PARTY: Final = re.compile(r"party_[0-7][0-9a-hjkmnp-tv-z]{25}")


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

    Raises `InvalidField` for every argument that is not allowed, `AccessNotRecorded`.
    """
    chosen = _checked(name, tuple(roles), party, expires_at, now)
    token = PREFIX + secrets.token_urlsafe(32)
    token_id = str(TypeID(prefix="token"))
    made = Looked(by, Action.CREATE_TOKEN, {"token": token_id, "roles": chosen})
    async with _transaction(database) as connection:
        await record(connection, made)
        row = await connection.fetchrow(
            _SQL["create_token"], token_id, name, _hash(token), list(chosen), party, now, expires_at
        )
    return token, _token(row)


async def list_all(database: Database) -> list[Token]:
    """Return every token that was ever made, the oldest first."""
    return [_token(row) for row in await database.fetch(_SQL["list_tokens"])]


async def revoke(database: Database, token_id: str, *, by: Who, now: datetime) -> Token:
    """Make a token worthless from now on; one that is revoked already keeps its time. It is recorded by whom.

    Raises `NotFound` when there is none with this id, `AccessNotRecorded`.
    """
    async with _transaction(database) as connection:
        row = await connection.fetchrow(_SQL["revoke_token"], token_id, now)
        if row is None:
            raise NotFound("There is no token with this id; `registry token list` shows them.")
        await record(connection, Looked(by, Action.REVOKE_TOKEN, {"token": token_id}))
    return _token(row)


async def identify(database: Database, presented: str, *, now: datetime) -> Principal:
    """Return whose token this is. Raises `Unauthenticated` for one that is unknown, revoked or expired."""
    row = None
    if _TOKEN.fullmatch(presented):
        row = await database.fetchrow(_SQL["find_token"], _hash(presented))
    if row is None:
        raise Unauthenticated("The token is not known here.", presented=True)
    token = _token(row)
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


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _token(row: Any) -> Token:
    """Read a row; a role that this version does not know opens nothing."""
    known = {role.value: role for role in Role}
    return Token(
        id=row["id"],
        name=row["name"],
        roles=tuple(known[role] for role in row["roles"] if role in known),
        party=row["party"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def _checked(
    name: str, roles: tuple[str, ...], party: str | None, expires_at: datetime | None, now: datetime
) -> list[Role]:
    """Return the roles, each once and in the order of the contract."""
    problems: list[FieldProblem] = []
    if not _NAME.fullmatch(name):
        problems.append(FieldProblem(f"1 to {MAX_NAME} characters, on one line", pointer="/name"))
    allowed = ", ".join(Role)
    if not roles:
        problems.append(FieldProblem(f"at least one of {allowed}", pointer="/roles"))
    problems += [
        FieldProblem(f"one of {allowed}", pointer=f"/roles/{index}")
        for index, role in enumerate(roles)
        if role not in set(Role)
    ]
    if party is not None and not _PARTY.fullmatch(party):
        problems.append(FieldProblem("the id of a party, party_…", pointer="/party"))
    if expires_at is not None and expires_at <= now:
        problems.append(FieldProblem("a time that is yet to come", pointer="/expires_at"))
    if problems:
        raise InvalidField.of(problems)
    return [role for role in Role if role in roles]
