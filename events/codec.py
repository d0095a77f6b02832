"""From an entry's bytes to its typed event: stored type strings are the contract, never a class path.

When a stored form changes, its new version gets a class of its own and the old one an upcaster here.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated

import msgspec
from msgspec import Meta

from events.catalogue import EVENTS, Entry, Event
from events.errors import Corrupt
from events.shape import from_text
from events.values import Classification

EVENT_TYPES: dict[str, type[Event]] = {event.event_type: event for event in EVENTS}
"""Every event class by its stored type string."""


class _Header(msgspec.Struct, frozen=True):
    """The part of an envelope that a fold needs."""

    type: str
    subject: str
    sequence: Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,18})$")]
    revision: int
    time: str
    classification: Classification
    data: msgspec.Raw


_header = msgspec.json.Decoder(_Header)


@cache
def _decoder(kind: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(kind, dec_hook=from_text)


def decode_entry(stored: bytes) -> Entry[Event]:
    """Decode an entry as it is stored.

    Raises `Corrupt` when the bytes are no entry, or one of a type that this program does not know (as when a
    newer program wrote it).
    """
    try:
        header = _header.decode(stored)
        event = _decoder(EVENT_TYPES[header.type]).decode(header.data)
    except KeyError as unknown:
        raise Corrupt(f"an entry has the unknown type {unknown}; was it written by a newer program?") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as refused:
        raise Corrupt(f"an entry cannot be decoded: {refused}") from refused
    return Entry(
        position=int(header.sequence),
        stream=header.subject,
        revision=header.revision,
        recorded_at=header.time,
        classification=header.classification,
        event=event,
    )
