"""The state of a stream, entry by entry."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import msgspec

from events.catalogue import AGGREGATES, Entry, Event
from events.catalogue.history import fold
from events.codec import decode_entries
from events.errors import Corrupt, NotCorrectable
from events.sql import load

_ENTRIES = load("projections", "entries.sql")


class Folded(msgspec.Struct, frozen=True, gc=False):
    """A stream's state after its entry of this revision."""

    revision: int
    state: Any


NOTHING: Final = Folded(-1, None)
"""What a stream is before its first entry."""


def after(before: Folded, entry: Entry[Event]) -> Folded:
    """Fold one more entry into a stream. Raises `Corrupt` if it is not the next, or the stream's kind has no such."""
    if entry.revision != before.revision + 1:
        raise Corrupt(
            f"position {entry.position} has revision {entry.revision} of {entry.stream}, not {before.revision + 1}"
        )
    try:
        evolve = AGGREGATES[entry.stream.partition("/")[0]].evolve
        return Folded(entry.revision, evolve(before.state, entry))
    except (KeyError, TypeError) as error:
        raise Corrupt(f"position {entry.position} cannot be folded into {entry.stream}: {error}") from error


async def whole(connection: asyncpg.Connection[asyncpg.Record], stream: str, end: int) -> Folded:
    """Fold a stream that has amendments from its beginning to a position. Raises `Corrupt` if it cannot be folded."""
    records = await connection.fetch(_ENTRIES["streams"], [stream], end)
    entries = decode_entries(record["bytes"] for record in records)
    if [entry.revision for entry in entries] != list(range(len(entries))):
        raise Corrupt(f"{stream} has a gap or a wrong entry below position {end}")
    try:
        return Folded(entries[-1].revision, fold(AGGREGATES[stream.partition("/")[0]], entries))
    except (KeyError, TypeError, NotCorrectable) as error:
        raise Corrupt(f"{stream} cannot be folded to position {end}: {error}") from error
