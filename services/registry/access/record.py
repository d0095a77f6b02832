"""The access record: who looked at what, or did what with tokens and keys. Owns the table `access.record` (ADR 0014).

Whoever gives out what is to be recorded calls `record` *before* anything of it leaves, and lets `AccessNotRecorded`
through: what cannot be recorded is not given. A handler of the API says who asks with `api.looking.who(request)`, a
command with `cli.operator.operator()`:

    await record(parts.pool, Looked(who(request), Action.EVIDENCE_PACK, {"positions": runs([57]), "size": 120}))

What changes the database is recorded in the transaction of the change: `record` takes its connection as well.
A detail has positions, sizes and ids, never a person's name and never content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy
from msgspec import Meta

from events import sql
from events.log.failure import FAILURES
from services.registry.access.actions import Action
from services.registry.access.addresses import Address
from services.registry.problems import AccessNotRecorded

_SQL: Final = sql.load("services.registry.access", "record.sql")
_TOKEN_ID: Final = re.compile("token_[0-9a-z]{26}")

Database: TypeAlias = "asyncpg.Pool | asyncpg.Connection | PoolConnectionProxy"


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Who looks: a token's name and id, or `user@host` without one; from where, in which request."""

    name: str
    token_id: str | None = None
    address: Address | None = None
    request_id: str | None = None


class Looked(msgspec.Struct, frozen=True):
    """What is about to be given out, or done, and to whom."""

    who: Who
    what: Action
    detail: Mapping[str, Any]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the access record."""

    id: Annotated[int, Meta(description="Rises from row to row, with gaps.")]
    at: Annotated[datetime, Meta(description="When, by the database's clock.")]
    who: Annotated[str, Meta(description="The name of the token, or user@host of a command on the command line.")]
    token_id: Annotated[str | None, Meta(description="The token; null for a command on the command line.")]
    what: Annotated[str, Meta(description="What was read or done, such as `read-entries`.")]
    detail: Annotated[
        dict[str, Any], Meta(description="Of what: `positions` are runs of entries above public, both ends included.")
    ]
    from_address: Annotated[str | None, Meta(description="The address that the request came from, where one is known.")]
    request_id: Annotated[str | None, Meta(description="The `Request-Id` that it was answered with.")]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are asked for; `who` is a name or a token's id, `until` is not included."""

    who: str | None = None
    what: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def record(database: Database, looked: Looked) -> None:
    """Put it on record, durably when this returns, or with the transaction that the connection is in.

    Raises `AccessNotRecorded`, whatever kept it from being recorded; then nothing may be given out or done.
    """
    who = looked.who
    detail = msgspec.json.encode(looked.detail).decode()
    try:
        await database.execute(
            _SQL["record"], who.name, who.token_id, looked.what.value, detail, who.address, who.request_id
        )
    except FAILURES as error:
        raise AccessNotRecorded(
            "This is given out only when it is on record who asked, and that cannot be recorded now. Try again."
        ) from error


async def list_seen(
    database: Database, wanted: Wanted, limit: int, *, after: tuple[datetime, int] | None = None
) -> list[Seen]:
    """Return up to `limit` rows, the newest first, going on after the row with a time and id if they are given."""
    by_token = wanted.who is not None and _TOKEN_ID.fullmatch(wanted.who) is not None
    name, token = (None, wanted.who) if by_token else (wanted.who, None)
    rows = await database.fetch(
        _SQL["list"], name, token, wanted.what, wanted.since, wanted.until, *(after or (None, None)), limit
    )
    return [Seen(**{**dict(row), "detail": msgspec.json.decode(row["detail"])}) for row in rows]


def runs(positions: Iterable[int]) -> list[list[int]]:
    """Write rising positions as runs, each its first and last: 1, 2, 3, 7 is [[1, 3], [7, 7]]."""
    found: list[list[int]] = []
    for position in positions:
        if found and position == found[-1][1] + 1:
            found[-1][1] = position
        else:
            found.append([position, position])
    return found
