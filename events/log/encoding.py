"""Entries' bytes but for the position and the time, which are known no sooner than when the writer's turn comes.

They are put together from pieces of an envelope that was encoded once. The pieces are cut from what `events.entry`
writes, at marks in place of what differs from entry to entry, so there is one definition of an entry's bytes. Encoding
the whole envelope for each entry took half of what making a command ready took.
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
_REVISION: Final = 2_147_483_647
_MARK: Final = "\ue000"
_encode: Final = canonical.encode


Columns: TypeAlias = tuple[str, int, UUID, str, UUID, int, str]
"""What the log's table keeps beside an entry: stream, revision, id, type, command id, ordinal, classification."""

Form: TypeAlias = tuple[bytes, bytes, bytes]
"""An entry's bytes before the position, between it and the time, and after that."""


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
            ahead, between, behind, constant = _pieces(self._origin, event_type, classification, optional)
            ahead %= (*about, _encode(draft.data), str(identifier).encode(), *on_behalf, revision)
            between %= (_encode(stream),)
            length = len(ahead) + len(between) + constant
            try:
                size += bounded(length)
            except EntryTooLarge as refused:
                too_large.append(FieldProblem(refused.detail, pointer=draft.pointer))
                continue
            columns = (stream, revision, identifier, event_type, command_id, ordinal, classification)
            entries.append((columns, (ahead, between, behind)))
        if too_large:
            raise EntryTooLarge(too_large[0].detail, too_large)
        return entries, size


def entry_bytes(form: Form, position: int, time: bytes) -> bytes:
    """Put the position and the time (as `entry.time_text` writes it) into an entry's form."""
    return b"%b%d%b%b%b" % (form[0], position, form[1], time, form[2])


@lru_cache(maxsize=4096)
def _pieces(
    origin: str, event_type: str, classification: Classification, optional: tuple[bool, bool, bool]
) -> tuple[bytes, bytes, bytes, int]:
    """Encode an envelope of marks, and make of it formats: before the position, between it and the time, and after.

    The first takes actor, causation (where `optional` says so), command's hash and id, correlation (likewise), data,
    id, on whose behalf (likewise) and revision; the second takes the stream. Then how many bytes there are besides.
    """
    if _MARK in event_type or _MARK in origin:
        raise ValueError(f"{event_type!r} or {origin!r} has a character that no type of an event or name of a log has")
    causation, correlation, behalf = optional
    encoded = _encode(
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
    ).replace(b"%", b"%%")
    for whole in ("actor", "causationid", "correlationid", "data", "onbehalfof", "subject"):
        encoded = encoded.replace(_encode(_mark(whole)), b"%b")
    for ascii_text in ("commandhash", "commandid", "id"):
        encoded = encoded.replace(_mark(ascii_text).encode(), b"%b")
    ahead, rest = encoded.split(_mark("sequence").encode())
    between, behind = rest.split(_mark("time").encode())
    ahead = ahead.replace(b'"revision":%d,' % _REVISION, b'"revision":%d,')
    behind = behind.replace(b"%%", b"%")
    return ahead, between, behind, len(_SEQUENCE) + len(_TIME) + len(behind)


def _mark(attribute: str) -> str:
    """Return what stands for an attribute: with a character of private use, which nothing that stays the same has."""
    return f"{_MARK}{attribute}{_MARK}"
