"""A command made ready while it waits: all of its entries' bytes but the position and the time.

Only these two are known no sooner than when the writer's turn comes. Encoding in the caller's task keeps that turn
short, and an event that cannot be encoded, or is too large, is refused before anything waits behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import uuid_utils
from asyncpg.pgproto.pgproto import UUID as QuickUUID  # noqa: N811 - a `uuid.UUID` that is quick to make and to send

from events.entry import Envelope, canonical_bytes
from events.errors import AlreadyClaimed, FieldProblem, RegistryError
from events.log.command import Append, Appended, Claim, Draft, Recorded

HASH_BYTES = 32

# The longest there can be, so that no entry is found too large once its position is known.
_SEQUENCE = "9" * 19
_TIME = "9999-12-31T23:59:59.999999Z"
_BEFORE_SEQUENCE = b'"sequence":"'
_BEFORE_TIME = b'"time":"'
_SEQUENCE_MARK = _BEFORE_SEQUENCE + _SEQUENCE.encode() + b'"'
_TIME_MARK = _BEFORE_TIME + _TIME.encode() + b'"'


class Columns(NamedTuple):
    """What the log's table keeps beside an entry's bytes and does not depend on its position."""

    stream: str
    revision: int
    id: UUID
    event_type: str
    command_id: UUID
    ordinal: int
    classification: str


class Form(NamedTuple):
    """An entry's bytes before the position, between it and the time, and after that."""

    before_position: bytes
    before_time: bytes
    rest: bytes


class Waiting:
    """A command on its way into the log, and the caller who waits for it.

    Whoever settles it first decides: the writer, the deadline, or the caller who goes away.
    """

    __slots__ = ("after", "columns", "command", "first", "forms", "future", "in_doubt", "size", "timer")

    def __init__(self, command: Append, origin: str, future: asyncio.Future[Appended]) -> None:
        """Encode the entries. `origin` is the log's name.

        Raises `EntryTooLarge`, `AlreadyClaimed` (the command claims a value twice), and TypeError or ValueError for
        a command that no program of this registry should send.
        """
        _check(command)
        self.command = command
        self.future = future
        self.timer: asyncio.TimerHandle | None = None
        self.in_doubt = False  # whether it may be recorded without our knowing
        self.columns: list[Columns] = []
        self.forms: list[Form] = []
        self.first: dict[str, int] = {}  # the revision that each stream must have, and
        self.after: dict[str, int] = {}  # the one that it has afterwards
        encode = _Encoder(command, origin)
        for ordinal, draft in enumerate(command.drafts):
            revision = self.after.get(draft.stream)
            if revision is None:
                revision = self.first[draft.stream] = draft.expected_revision
            self.after[draft.stream] = revision = revision + 1
            columns, form = encode(ordinal, draft, revision)
            self.columns.append(columns)
            self.forms.append(form)
        self.size = sum(len(before) + len(middle) + len(rest) for before, middle, rest in self.forms)

    def answer(self, appended: Appended) -> None:
        """Tell the caller what was recorded, unless the command is settled already."""
        self._stop_timer()
        if not self.future.done():
            self.future.set_result(appended)

    def refuse(self, error: Exception) -> None:
        """Tell the caller why nothing was recorded, unless the command is settled already."""
        self._stop_timer()
        if not self.future.done():
            self.future.set_exception(error)

    @property
    def settled(self) -> bool:
        """Whether nobody waits any more: answered, too late, or gone."""
        return self.future.done()

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()


class _Encoder:
    """What the entries of one command have in common, put into each."""

    def __init__(self, command: Append, origin: str) -> None:
        self._command = command
        self._source = f"https://{origin}"
        self._schemas = f"https://{origin}/v1/schemas/"
        self._id = str(command.command_id)
        self._hash = command.command_hash.hex()

    def __call__(self, ordinal: int, draft: Draft, revision: int) -> tuple[Columns, Form]:
        command = self._command
        identifier = QuickUUID(uuid_utils.uuid7().bytes)
        encoded = canonical_bytes(
            Envelope(
                specversion="1.0",
                id=str(identifier),
                source=self._source,
                type=draft.event_type,
                subject=draft.stream,
                time=_TIME,
                datacontenttype="application/json",
                dataschema=self._schemas + draft.event_type,
                sequence=_SEQUENCE,
                revision=revision,
                commandid=self._id,
                commandhash=self._hash,
                actor=command.actor,
                classification=draft.classification,
                data=draft.data,
                onbehalfof=command.on_behalf_of,
                correlationid=command.correlation_id,
                causationid=command.causation_id,
            )
        )
        columns = Columns(
            draft.stream, revision, identifier, draft.event_type, command.command_id, ordinal, draft.classification
        )
        return columns, _form(encoded)


def _form(encoded: bytes) -> Form:
    """Cut the longest position and time out of an envelope.

    Both stand behind `data`, which may hold the same names: hence from the end. Between them and the end are only
    texts, and in a text every quotation mark has a backslash ahead.
    """
    position = encoded.rindex(_SEQUENCE_MARK) + len(_BEFORE_SEQUENCE)
    time = encoded.rindex(_TIME_MARK) + len(_BEFORE_TIME)
    return Form(encoded[:position], encoded[position + len(_SEQUENCE) : time], encoded[time + len(_TIME) :])


def entry_bytes(form: Form, position: int, time: bytes) -> bytes:
    """Put the position and the time (as `entry.time_text` writes it) into an entry's form."""
    return b"%b%d%b%b%b" % (form[0], position, form[1], time, form[2])


def recorded_entry(columns: Columns, position: int, recorded_at: datetime, stored: bytes) -> Recorded:
    """Say of an entry that it was recorded."""
    return Recorded(position, columns.stream, columns.revision, columns.id, columns.event_type, recorded_at, stored)


def _check(command: Append) -> None:
    if not command.drafts:
        raise ValueError("a command records at least one event")
    if len(command.command_hash) != HASH_BYTES:
        raise ValueError(f"the hash of a command has {HASH_BYTES} bytes")
    if any(draft.expected_revision < -1 for draft in command.drafts):
        raise ValueError("a stream that does not exist has revision -1, and none has a lower one")
    _once("key", (key.owner for key in command.keys))
    _once("salt", (salt.owner for salt in command.salts))
    seen: set[tuple[str, str]] = set()
    twice: list[Claim] = []
    for claim in command.claims:
        if (claim.scope, claim.value) in seen:
            twice.append(claim)
        seen.add((claim.scope, claim.value))
    if twice:
        raise claims_taken(twice)


def _once(what: str, owners: Iterable[str]) -> None:
    listed = list(owners)
    if len(set(listed)) < len(listed):
        raise ValueError(f"a command brings one {what} for an owner")


def claims_taken(claims: Iterable[Claim]) -> RegistryError:
    """Make the error that names each of a command's claims that is taken."""
    problems = [FieldProblem(f"{claim.scope} {claim.value} is taken.", pointer=claim.pointer) for claim in claims]
    return AlreadyClaimed("A value that belongs to one thing only is taken; see errors.", problems)
