"""Entries of one log put into another, byte for byte: a copy that stands on its own, with the same positions and root.

Nothing is taken on trust but the bytes: columns, leaves, the head and the claims are worked out from them, and what
cannot follow on what is there is refused. Keys are no part of the log: what was sealed stays sealed in the copy.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from events import sql
from events.catalogue import AGGREGATES, Claim, Entry, Event
from events.catalogue.history import EntryCorrected, convert_replacement
from events.codec import EVENT_TYPES, decode_entry
from events.entry import Envelope, canonical, leaf_hash, time_text
from events.errors import Corrupt, EntryTooNew, RegistryError
from events.log.command import Head
from events.log.read import Connection, head_of
from events.merkle.tree import Frontier, extend

BATCH: Final = 2_000  # entries a transaction, at most
BATCH_BYTES: Final = 16 * 2**20

COLUMNS: Final = (
    "position",
    "recorded_at",
    "revision",
    "ordinal",
    "id",
    "command_id",
    "stream",
    "type",
    "classification",
    "leaf",
    "bytes",
)

_QUERIES: Final = sql.load("events.log", "transfer.sql")
_envelope: Final = msgspec.json.Decoder(Envelope)


class _Command(NamedTuple):
    """Which command an entry belongs to, the hash of its request, and the entry's number within it."""

    id: UUID
    hash: str
    ordinal: int


async def receive(
    connection: Connection, entries: AsyncIterable[bytes], progress: Callable[[int], None] = lambda _size: None
) -> Head:
    """Put entries behind those that a log has, the first at the log's size; return the head that they lead to.

    Each batch is one transaction, so that what was interrupted goes on at the log's size; memory does not grow with
    the log. `progress` is told the size after each batch. Others may read meanwhile, and wait to append. Raises
    `Corrupt`, naming the position, for what is no entry of this place: then its batch has had no effect.
    """
    batch: list[bytes] = []
    held = 0
    async for stored in entries:
        batch.append(stored)
        held += len(stored)
        if len(batch) >= BATCH or held >= BATCH_BYTES:
            progress((await _put(connection, batch)).size)
            batch, held = [], 0
    head = await _put(connection, batch)
    progress(head.size)
    return head


async def _put(connection: Connection, batch: Sequence[bytes]) -> Head:
    async with connection.transaction():
        head = head_of(await connection.fetchrow(_QUERIES["lock_head"]))
        if not batch:
            return head
        arriving = _Arriving(head, await _command_before(connection, head.size))
        rows = [arriving.row(stored) for stored in batch]
        await _must_follow(connection, arriving.first)
        try:
            await connection.copy_records_to_table("entry", schema_name="log", columns=COLUMNS, records=rows)
        except asyncpg.IntegrityConstraintViolationError as refused:
            raise Corrupt(f"entries from position {head.size} on: {refused}") from refused
        claims = arriving.claims
        if claims:
            await connection.execute(_QUERIES["claim"], *(list(column) for column in zip(*claims, strict=True)))
        head = arriving.head()
        await connection.execute(_QUERIES["move_head"], head.size, list(head.frontier.roots), head.last_recorded_at)
        await connection.execute(_QUERIES["notify"])
        return head


async def _command_before(connection: Connection, size: int) -> _Command | None:
    last = await connection.fetchrow(_QUERIES["last"], size - 1)
    if last is None:
        return None
    return _Command(last["command_id"], _envelope.decode(last["bytes"]).commandhash, last["ordinal"])


async def _must_follow(connection: Connection, first: dict[str, tuple[int, int]]) -> None:
    """Check that each stream goes on where it is: `first` has position and revision of its first entry here."""
    for stream, last in await connection.fetch(_QUERIES["revisions"], list(first)):
        position, revision = first[stream]
        if revision != last + 1:
            raise Corrupt(f"position {position} has revision {revision} of {stream}, not {last + 1}")


class _Arriving:
    """Entries that arrive, one after the other, and what they lead to."""

    def __init__(self, head: Head, command: _Command | None) -> None:
        self._size = head.size
        self._roots = list(head.frontier.roots)
        self._last = head.last_recorded_at
        self._command = command
        self._revisions: dict[str, int] = {}
        self.first: dict[str, tuple[int, int]] = {}
        self.claims: list[tuple[str, str, int]] = []

    def head(self) -> Head:
        return Head(self._size, Frontier(self._size, tuple(self._roots)), self._last)

    def row(self, stored: bytes) -> tuple[object, ...]:
        """Take in the next entry and return its row. Raises `Corrupt`."""
        try:
            return self._row(stored)
        except EntryTooNew:
            raise
        except (RegistryError, msgspec.DecodeError, RecursionError, ValueError) as refused:
            raise Corrupt(f"position {self._size}: {refused}") from refused

    def _row(self, stored: bytes) -> tuple[object, ...]:
        envelope = _envelope.decode(stored)
        if canonical.encode(envelope) != stored:
            raise ValueError("the bytes are not those of an entry in canonical form")
        position, stream, revision = self._size, envelope.subject, envelope.revision
        if envelope.sequence != str(position):
            raise ValueError(f"this is entry {envelope.sequence}")
        if revision != self._revisions.get(stream, revision - 1) + 1:
            raise ValueError(f"revision {revision} of {stream} does not follow {self._revisions[stream]}")
        self.first.setdefault(stream, (position, revision))
        self._revisions[stream] = revision
        identifier, recorded_at = UUID(envelope.id), self._time(envelope.time)
        command = self._next_command(envelope)
        claims = _claims(decode_entry(stored))
        self.claims += [(claim.scope, claim.value, position - command.ordinal) for claim in claims]
        leaf = leaf_hash(stored)
        extend(self._size, self._roots, leaf)
        self._size, self._last, self._command = position + 1, recorded_at, command
        return (
            position,
            recorded_at,
            revision,
            command.ordinal,
            identifier,
            command.id,
            stream,
            envelope.type,
            envelope.classification,
            leaf,
            stored,
        )

    def _time(self, text: str) -> datetime:
        moment = datetime.fromisoformat(text)
        if time_text(moment) != text:
            raise ValueError(f"{text} is no time in the form of entries")
        if self._last is not None and moment < self._last:
            raise ValueError(f"recorded at {text}, before the entry ahead")
        return moment

    def _next_command(self, envelope: Envelope) -> _Command:
        command_id, before = UUID(envelope.commandid), self._command
        if before is None or command_id != before.id:
            return _Command(command_id, envelope.commandhash, 0)
        if envelope.commandhash != before.hash:
            raise ValueError("another command hash than that of its command's entry before")
        return _Command(command_id, before.hash, before.ordinal + 1)


def _claims(entry: Entry[Event]) -> Iterator[Claim]:
    """Yield everything that an entry claims, be it for the first time or not: what a thing claimed stays its own."""
    aggregate = AGGREGATES.get(entry.stream.partition("/")[0])
    if aggregate is None:
        raise ValueError(f"{entry.stream} is no stream of a known kind")
    event = entry.event
    if isinstance(event, EntryCorrected):
        event = convert_replacement(event.replacement, EVENT_TYPES[event.replacement_type])
    claims: Iterable[Claim] = aggregate.claims(None, event)
    yield from claims
