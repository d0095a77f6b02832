"""A command made ready while it waits: all of its entries' bytes but the position and the time.

Only these two are known no sooner than when the writer's turn comes. Encoding in the caller's task keeps that turn
short, and an event that cannot be encoded, or is too large, is refused before anything waits behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final, TypeAlias
from uuid import UUID

import uuid_utils
from asyncpg.pgproto.pgproto import UUID as QuickUUID  # noqa: N811 - a `uuid.UUID` that is quick to make and to send

from events.entry import Envelope, canonical_bytes
from events.errors import AlreadyClaimed, EntryTooLarge, FieldProblem, RegistryError
from events.log.command import Append, Appended, Claim, Recorded

HASH_BYTES: Final = 32
NO_STREAM: Final = -1

# The longest there can be, so that no entry is found too large once its position is known.
_SEQUENCE: Final = "9" * 19
_TIME: Final = "9999-12-31T23:59:59.999999Z"
_BEFORE_SEQUENCE: Final = b'"sequence":"'
_BEFORE_TIME: Final = b'"time":"'
_SEQUENCE_MARK: Final = _BEFORE_SEQUENCE + _SEQUENCE.encode() + b'"'
_TIME_MARK: Final = _BEFORE_TIME + _TIME.encode() + b'"'


Columns: TypeAlias = tuple[str, int, UUID, str, UUID, int, str]
"""What the log's table keeps beside an entry: stream, revision, id, type, command id, ordinal, classification."""

Form: TypeAlias = tuple[bytes, bytes, bytes]
"""An entry's bytes before the position, between it and the time, and after that."""


class Waiting:
    """A command on its way into the log, and the caller who waits for it until `deadline` (on the loop's clock).

    Whoever settles it first decides: the writer, the deadline, or the caller who goes away.
    """

    __slots__ = (
        "begun",
        "command",
        "command_id",
        "deadline",
        "entries",
        "first",
        "future",
        "in_doubt",
        "plain",
        "size",
    )

    def __init__(
        self,
        command: Append,
        encoder: EntryEncoder,
        future: asyncio.Future[Appended],
        deadline: float,
        *,
        begun: float = 0.0,
    ) -> None:
        """Encode the entries. `begun` is when the caller asked, for what is measured.

        Raises `EntryTooLarge`, `AlreadyClaimed` (the command claims a value twice), and TypeError or ValueError for
        a command that no program of this registry should send.
        """
        self.plain = not (
            command.claims or command.keys or command.salts or command.tokens or command.destroy or command.conditional
        )
        _check(command, plain=self.plain)
        self.command = command
        self.future = future
        self.deadline = deadline
        self.begun = begun
        self.in_doubt = False  # whether it may be recorded without our knowing
        self.command_id = QuickUUID(command.command_id.bytes)
        self.first: dict[str, int] = {}  # the revision that each stream must have
        self.entries, self.size = encoder.entries(command, self.command_id, self.first)

    def answer(self, appended: Appended) -> None:
        """Tell the caller what was recorded, unless the command is settled already."""
        if not self.future.done():
            self.future.set_result(appended)

    def refuse(self, error: Exception) -> None:
        """Tell the caller why nothing was recorded, unless the command is settled already."""
        if not self.future.done():
            self.future.set_exception(error)

    def made(self, first: Recorded) -> bool:
        """Whether the command's first entry is the one that was made here, not in an earlier sending."""
        return first.id == self.entries[0][0][2]

    @property
    def settled(self) -> bool:
        """Whether nobody waits any more: answered, too late, or gone."""
        return self.future.done()


class EntryEncoder:
    """Makes entries of drafts, for a log of a name."""

    def __init__(self, origin: str) -> None:
        self._source = f"https://{origin}"
        self._schemas = f"https://{origin}/v1/schemas/"

    def entries(
        self, command: Append, command_id: UUID, first: dict[str, int]
    ) -> tuple[list[tuple[Columns, Form]], int]:
        """Encode a command's drafts, and count the bytes; fill in the revision that each stream must have `first`.

        Raises `EntryTooLarge`, with every draft that is.
        """
        written_id, command_hash = str(command_id), command.command_hash.hex()
        entries: list[tuple[Columns, Form]] = []
        after: dict[str, int] = {}
        too_large: list[FieldProblem] = []
        size = 0
        for ordinal, draft in enumerate(command.drafts):
            stream, event_type, classification = draft.stream, draft.event_type, draft.classification
            revision = after.get(stream)
            if revision is None:
                revision = first[stream] = draft.expected_revision
            after[stream] = revision = revision + 1
            identifier = QuickUUID(uuid_utils.uuid7().bytes)
            try:
                encoded = canonical_bytes(
                    Envelope(
                        specversion="1.0",
                        id=str(identifier),
                        source=self._source,
                        type=event_type,
                        subject=stream,
                        time=_TIME,
                        datacontenttype="application/json",
                        dataschema=self._schemas + event_type,
                        sequence=_SEQUENCE,
                        revision=revision,
                        commandid=written_id,
                        commandhash=command_hash,
                        actor=command.actor,
                        classification=classification,
                        data=draft.data,
                        onbehalfof=command.on_behalf_of,
                        correlationid=command.correlation_id,
                        causationid=command.causation_id,
                    )
                )
            except EntryTooLarge as refused:
                too_large.append(FieldProblem(refused.detail, pointer=draft.pointer))
                continue
            columns = (stream, revision, identifier, event_type, command_id, ordinal, classification)
            entries.append((columns, _form(encoded)))
            size += len(encoded)
        if too_large:
            raise EntryTooLarge(too_large[0].detail, too_large)
        return entries, size


def _form(encoded: bytes) -> Form:
    """Cut the longest position and time out of an envelope.

    Both stand behind `data`, which may hold the same names: hence from the end. Between them and the end are only
    texts, and in a text every quotation mark has a backslash ahead.
    """
    position = encoded.rindex(_SEQUENCE_MARK) + len(_BEFORE_SEQUENCE)
    time = encoded.rindex(_TIME_MARK) + len(_BEFORE_TIME)
    return encoded[:position], encoded[position + len(_SEQUENCE) : time], encoded[time + len(_TIME) :]


def entry_bytes(form: Form, position: int, time: bytes) -> bytes:
    """Put the position and the time (as `entry.time_text` writes it) into an entry's form."""
    return b"%b%d%b%b%b" % (form[0], position, form[1], time, form[2])


def _check(command: Append, *, plain: bool) -> None:
    if not command.drafts:
        raise ValueError("a command records at least one event")
    if len(command.command_hash) != HASH_BYTES:
        raise ValueError(f"the hash of a command has {HASH_BYTES} bytes")
    for draft in command.drafts:
        if draft.expected_revision < NO_STREAM:
            raise ValueError(f"a stream that does not exist has revision {NO_STREAM}, and none has a lower one")
    if not plain:
        if len({key.owner for key in command.keys}) < len(command.keys):
            raise ValueError("a command brings one key for an owner")
        if len({salt.owner for salt in command.salts}) < len(command.salts):
            raise ValueError("a command brings one salt for an owner")
        _check_claims(command.claims)


def _check_claims(claims: Iterable[Claim]) -> None:
    seen: set[tuple[str, str]] = set()
    twice: list[Claim] = []
    for claim in claims:
        if (claim.scope, claim.value) in seen:
            twice.append(claim)
        seen.add((claim.scope, claim.value))
    if twice:
        raise claims_taken(twice)


def claims_taken(claims: Iterable[Claim]) -> RegistryError:
    """Make the error that names each of a command's claims that is taken."""
    problems = [FieldProblem(f"{claim.scope} {claim.value} is taken.", pointer=claim.pointer) for claim in claims]
    return AlreadyClaimed("A value that belongs to one thing only is taken; see errors.", problems)
