"""The oracle: reads the whole log and holds every invariant against it, sharing no code with the writer.

A test that wrote ends with `await check_log(dsn)`, as a role that may read the log and the read models: those that are
live are held against the log as well. Anybody may run it on a database:
`python -m tests.support.check_log DSN`. More checks are given as `checks`: each gets the connection (in one
repeatable-read transaction with everything else) and the summary, and raises AssertionError.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import rfc8785

from tests.support.check_read_models import live_read_models_equal_a_rebuild
from tests.support.check_tree import what_proves_the_log_is_of_it

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
MANDATORY = {
    "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "sequence", "revision",
    "commandid", "commandhash", "actor", "classification", "data",
}  # fmt: skip
OPTIONAL = {"onbehalfof", "correlationid", "causationid"}


@dataclass
class Summary:
    """What the log holds, when every check passed."""

    size: int = 0
    root: bytes = b""
    commands: int = 0
    streams: dict[str, int] = field(default_factory=dict)  # the last revision of each
    last_recorded_at: datetime | None = None

    def __str__(self) -> str:
        return f"{self.size} entries, {self.commands} commands, {len(self.streams)} streams, root {self.root.hex()}"


Check: TypeAlias = Callable[[Connection, Summary], Awaitable[None]]


async def check_log(dsn: str, checks: Iterable[Check] = ()) -> Summary:
    """Raise AssertionError, naming the position, for the first invariant that does not hold."""
    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            walk = _Walk()
            async for row in connection.cursor("SELECT * FROM log.entry ORDER BY position"):
                walk.entry(row)
            summary = walk.end(await connection.fetch("SELECT * FROM log.head"))
            await _claims_rest_on_entries(connection)
            await what_proves_the_log_is_of_it(connection, walk.leaves)
            await live_read_models_equal_a_rebuild(connection)
            for check in checks:
                await check(connection, summary)
            return summary
    finally:
        await connection.close()


class _Walk:
    """From the first entry to the last."""

    def __init__(self) -> None:
        self.summary = Summary()
        self.leaves: list[bytes] = []
        self.ids: set[UUID] = set()
        self.commands: set[UUID] = set()
        self.command: tuple[UUID, str] | None = None  # that of the entry before, and its hash
        self.ordinal = -1
        self.source: str | None = None

    def entry(self, row: asyncpg.Record) -> None:
        position = row["position"]
        try:
            assert position == len(self.leaves), f"expected {len(self.leaves)} next"
            envelope = _envelope(row["bytes"])
            _columns_agree(row, envelope)
            self._order(row, envelope)
            assert row["leaf"] == hashlib.sha256(b"\x00" + row["bytes"]).digest(), "the leaf is not that of the bytes"
        except AssertionError as broken:
            raise AssertionError(f"position {position}: {broken}") from None
        self.leaves.append(row["leaf"])

    def _order(self, row: asyncpg.Record, envelope: dict[str, Any]) -> None:
        summary = self.summary
        assert row["id"] not in self.ids, f"the id {row['id']} stands twice"
        self.ids.add(row["id"])
        following = summary.streams.get(row["stream"], -1) + 1
        assert row["revision"] == following, f"{row['stream']} has revision {row['revision']}, not {following}"
        summary.streams[row["stream"]] = row["revision"]
        last = summary.last_recorded_at
        assert last is None or row["recorded_at"] >= last, "recorded before the entry ahead"
        summary.last_recorded_at = row["recorded_at"]
        assert self.source in (None, envelope["source"]), "another source than the entry ahead"
        self.source = envelope["source"]
        self._one_command(row, envelope["commandhash"])

    def _one_command(self, row: asyncpg.Record, command_hash: str) -> None:
        if self.command is not None and row["command_id"] == self.command[0]:
            assert command_hash == self.command[1], "another command hash than its command's first entry"
            assert row["ordinal"] == self.ordinal + 1, f"ordinal {row['ordinal']}, not {self.ordinal + 1}"
        else:
            assert row["command_id"] not in self.commands, "its command's entries do not stand together"
            assert row["ordinal"] == 0, f"its command begins with ordinal {row['ordinal']}"
            self.commands.add(row["command_id"])
        self.command = (row["command_id"], command_hash)
        self.ordinal = row["ordinal"]

    def end(self, heads: list[asyncpg.Record]) -> Summary:
        assert len(heads) == 1, f"the head has {len(heads)} rows"
        head, size = heads[0], len(self.leaves)
        assert head["size"] == size, f"the head says {head['size']} entries, there are {size}"
        assert head["last_recorded_at"] == self.summary.last_recorded_at, (
            "the head has another time than the last entry"
        )
        assert list(head["frontier"]) == _perfect_roots(self.leaves), "the head's frontier is not that of the leaves"
        self.summary.size, self.summary.commands = size, len(self.commands)
        self.summary.root = _root(self.leaves)
        return self.summary


def _envelope(stored: bytes) -> dict[str, Any]:
    assert 0 < len(stored) <= 65_535, f"{len(stored)} bytes"
    envelope = json.loads(stored)
    assert rfc8785.dumps(envelope) == stored, "the bytes are not canonical (RFC 8785)"
    missing, unknown = MANDATORY - envelope.keys(), envelope.keys() - MANDATORY - OPTIONAL
    assert not missing, f"the envelope has no {sorted(missing)}"
    assert not unknown, f"the envelope has {sorted(unknown)}"
    assert envelope["specversion"] == "1.0"
    assert envelope["datacontenttype"] == "application/json"
    assert envelope["source"].startswith("https://")
    assert envelope["dataschema"] == f"{envelope['source']}/v1/schemas/{envelope['type']}"
    assert len(bytes.fromhex(envelope["commandhash"])) == 32, "the command hash has not 32 bytes"
    assert UUID(envelope["id"]).version == 7, "the id is no UUIDv7"
    return envelope


def _columns_agree(row: asyncpg.Record, envelope: dict[str, Any]) -> None:
    copies = {
        "sequence": str(row["position"]),
        "subject": row["stream"],
        "revision": row["revision"],
        "id": str(row["id"]),
        "type": row["type"],
        "commandid": str(row["command_id"]),
        "classification": row["classification"],
        "time": row["recorded_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    for attribute, column in copies.items():
        assert envelope[attribute] == column, f"{attribute} is {envelope[attribute]!r}, its column {column!r}"


async def _claims_rest_on_entries(connection: Connection) -> None:
    stray = await connection.fetch(
        "SELECT scope, value, position FROM log.claim AS c WHERE NOT EXISTS ("
        "SELECT FROM log.entry AS e WHERE e.position = c.position AND e.ordinal = 0)"
    )
    assert not stray, f"claims that rest on no command: {stray}"


def _root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


def _perfect_roots(leaves: list[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees, largest first."""
    roots: list[bytes] = []
    start = 0
    for bit in reversed(range(len(leaves).bit_length())):
        if len(leaves) & (1 << bit):
            roots.append(_root(leaves[start : start + (1 << bit)]))
            start += 1 << bit
    return roots


if __name__ == "__main__":
    print(asyncio.run(check_log(sys.argv[1])))  # noqa: T201 - what was asked for
