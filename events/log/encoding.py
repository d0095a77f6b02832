"""Entries' bytes but for the position and the time, which are known no sooner than when the writer's turn comes.

They are put together from pieces of an envelope that was encoded once. The pieces are cut from what `events.entry`
writes, at marks in place of what differs from entry to entry, so there is one definition of an entry's bytes. Encoding
the whole envelope for each entry took half of what making a command ready took. What a command's entries have in
common is put in once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, TypeAlias
from uuid import UUID

import uuid_utils
from asyncpg.pgproto.pgproto import UUID as QuickUUID  # noqa: N811 - a `uuid.UUID` that is quick to make and to send

from events.entry import Envelope, bounded, canonical
from events.errors import EntryTooLarge, FieldProblem
from events.log.command import Append
from events.values import Classification

# The longest there can be, so that no entry is found too large once its position is known.
_SEQUENCE: Final = "9" * 19
_TIME: Final = "9999-12-31T23:59:59.999999Z"
_IDENTIFIER: Final = "00000000-0000-0000-0000-000000000000"
_REVISION: Final = 2_147_483_647
_MARK: Final = "\ue000"
_encode: Final = canonical.encode


Columns: TypeAlias = tuple[str, int, UUID, str, UUID, int, str]
"""What the log's table keeps beside an entry: stream, revision, id, type, command id, ordinal, classification."""

Pieces: TypeAlias = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, int]
"""An envelope cut where data, id, revision, position, subject and time belong, and how many bytes it has at most
without data, revision and subject."""

Form: TypeAlias = tuple[Pieces, bytes, bytes, bytes, bytes]
"""An entry's bytes but for the position and the time: pieces, and the data, id, revision and subject between them."""


class EntryEncoder:
    """Makes entries of drafts, for a log of a name."""

    def __init__(self, origin: str) -> None:
        self._origin = origin

    def entries(
        self, command: Append, command_id: UUID, first: dict[str, int]
    ) -> tuple[list[tuple[Columns, Form]], int]:
        """Encode a command's drafts, and count the bytes; fill in the revision that each stream must have `first`.

        Raises `EntryTooLarge`, with every draft that is.
        """
        actor, behalf, correlation, causation = (
            command.actor,
            command.on_behalf_of,
            command.correlation_id,
            command.causation_id,
        )
        optional = (causation is not None, correlation is not None, behalf is not None)
        about = (
            _encode(actor),
            *((_encode(causation),) if optional[0] else ()),
            command.command_hash.hex().encode(),
            str(command_id).encode(),
            *((_encode(correlation),) if optional[1] else ()),
        )
        on_behalf = (_encode(behalf),) if optional[2] else ()
        kinds: dict[tuple[str, Classification], Pieces] = {}
        subjects: dict[str, bytes] = {}
        entries: list[tuple[Columns, Form]] = []
        after: dict[str, int] = {}
        too_large: list[FieldProblem] = []
        size = 0
        for ordinal, draft in enumerate(command.drafts):
            stream = draft.stream
            kind: tuple[str, Classification] = (draft.event_type, draft.classification)
            revision = after.get(stream)
            if revision is None:
                revision = first[stream] = draft.expected_revision
                subjects[stream] = _encode(stream)
            after[stream] = revision = revision + 1
            pieces = kinds.get(kind)
            if pieces is None:
                pieces = kinds[kind] = _filled(_pieces(self._origin, *kind, optional), about, on_behalf)
            identifier = QuickUUID(uuid_utils.uuid7().bytes)
            data, number, subject = _encode(draft.data), b"%d" % revision, subjects[stream]
            try:
                size += bounded(pieces[-1] + len(data) + len(number) + len(subject))
            except EntryTooLarge as refused:
                too_large.append(FieldProblem(refused.detail, pointer=draft.pointer))
                continue
            columns = (stream, revision, identifier, kind[0], command_id, ordinal, kind[1])
            entries.append((columns, (pieces, data, str(identifier).encode(), number, subject)))
        if too_large:
            raise EntryTooLarge(too_large[0].detail, too_large)
        return entries, size


def entry_bytes(form: Form, position: int, time: bytes) -> bytes:
    """Put the position and the time (as `entry.time_text` writes it) into an entry's form."""
    (begin, to_id, to_revision, to_position, to_subject, to_time, end, _), data, identifier, revision, subject = form
    number = b"%d" % position
    return b"".join(
        (
            begin,
            data,
            to_id,
            identifier,
            to_revision,
            revision,
            to_position,
            number,
            to_subject,
            subject,
            to_time,
            time,
            end,
        )
    )


def _filled(pieces: Pieces, about: tuple[bytes, ...], on_behalf: tuple[bytes, ...]) -> Pieces:
    """Put what a command says, the same for all its entries, into the pieces that are formats."""
    begin, to_id, to_revision, to_position, to_subject, to_time, end, length = pieces
    begin, to_revision = begin % about, to_revision % on_behalf
    return begin, to_id, to_revision, to_position, to_subject, to_time, end, length + len(begin) + len(to_revision)


@lru_cache(maxsize=4096)
def _pieces(origin: str, event_type: str, classification: Classification, optional: tuple[bool, bool, bool]) -> Pieces:
    """Encode an envelope of marks, and cut it where data, id, revision, position, subject and time belong.

    The first piece is a format that takes actor, causation (where `optional` says so), command's hash and id, and
    correlation (likewise); the third one that takes on whose behalf (likewise). Their bytes are not counted.
    """
    if _MARK in event_type or _MARK in origin:
        raise ValueError(f"{event_type!r} or {origin!r} has a character that no type of an event or name of a log has")
    causation, correlation, behalf = optional
    rest = _encode(
        Envelope(
            specversion="1.0",
            id=_mark("id"),
            source=f"https://{origin}",
            type=event_type,
            subject=_mark("subject"),
            time=_mark("time"),
            datacontenttype="application/json",
            dataschema=f"https://{origin}/v1/schemas/{event_type}",
            sequence=_mark("sequence"),
            revision=_REVISION,
            commandid=_mark("commandid"),
            commandhash=_mark("commandhash"),
            actor=_mark("actor"),
            classification=classification,
            data=_mark("data"),
            onbehalfof=_mark("onbehalfof") if behalf else None,
            correlationid=_mark("correlationid") if correlation else None,
            causationid=_mark("causationid") if causation else None,
        )
    )
    for whole in ("actor", "causationid", "correlationid", "onbehalfof"):
        rest = rest.replace(_encode(_mark(whole)), b"%b")
    for ascii_text in ("commandhash", "commandid"):
        rest = rest.replace(_mark(ascii_text).encode(), b"%b")
    begin, _, rest = rest.partition(_encode(_mark("data")))
    to_id, _, rest = rest.partition(_mark("id").encode())
    to_revision, _, rest = rest.partition(b"%d" % _REVISION)
    to_position, _, rest = rest.partition(_mark("sequence").encode())
    to_subject, _, rest = rest.partition(_encode(_mark("subject")))
    to_time, _, end = rest.partition(_mark("time").encode())
    length = sum(map(len, (to_id, _IDENTIFIER, to_position, _SEQUENCE, to_subject, to_time, _TIME, end)))
    return begin, to_id, to_revision, to_position, to_subject, to_time, end, length


def _mark(attribute: str) -> str:
    """Return what stands for an attribute: with a character of private use, which nothing that stays the same has."""
    return f"{_MARK}{attribute}{_MARK}"
