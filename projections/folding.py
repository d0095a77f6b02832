"""The state of a stream, entry by entry, and the states that are kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import asyncpg
import msgspec

from events.catalogue import AGGREGATES, Entry, Event
from events.catalogue.history import AMENDMENTS, fold
from events.codec import decode_entries, decode_entry
from events.errors import Corrupt, NotCorrectable
from events.sql import load

_ENTRIES = load("projections", "entries.sql")
ENTRIES_KEPT = 40_000  # entries whose folded states are kept in memory: the streams used last
PAGE = 500  # entries fetched at a time of streams that are folded from their beginning


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


class States:
    """The states of the streams used last, as of one position in the log."""

    def __init__(self) -> None:
        self._streams: OrderedDict[str, Folded] = OrderedDict()
        self.size = 0  # how many entries they were folded from

    def portions(self, entries: Sequence[Entry[Event]]) -> Iterator[list[Entry[Event]]]:
        """Part entries where the streams that have to be folded from their beginning would be too much at once."""
        portion: list[Entry[Event]] = []
        met: set[str] = set()
        weight = 0
        for entry in entries:
            if entry.stream not in met and entry.stream not in self._streams:
                weight += entry.revision
                if portion and weight > ENTRIES_KEPT:
                    yield portion
                    portion, met, weight = [], set[str](), entry.revision
            met.add(entry.stream)
            portion.append(entry)
        if portion:
            yield portion

    async def before(
        self, connection: asyncpg.Connection[asyncpg.Record], entries: Sequence[Entry[Event]]
    ) -> dict[str, Folded]:
        """Return the state of each stream concerned before these entries, folded from the log where not at hand."""
        streams: dict[str, Folded] = {}
        missing: list[str] = []
        for entry in entries:
            if entry.stream not in streams:
                streams[entry.stream] = self._streams.get(entry.stream, NOTHING)
                if entry.stream not in self._streams and entry.revision > 0:
                    missing.append(entry.stream)
        if not missing:
            return streams
        end = entries[0].position
        amended: set[str] = set()
        async with connection.transaction(readonly=True):
            async for record in connection.cursor(_ENTRIES["streams"], missing, end, prefetch=PAGE):
                entry = decode_entry(record["bytes"])
                if isinstance(entry.event, AMENDMENTS):
                    amended.add(entry.stream)
                if entry.stream not in amended:
                    streams[entry.stream] = after(streams.get(entry.stream, NOTHING), entry)
        for stream in amended:
            streams[stream] = await whole(connection, stream, end)
        return streams

    def keep(self, streams: Mapping[str, Folded]) -> None:
        """Take the states that entries led to; beyond a bound the streams used longest ago are forgotten."""
        for stream, folded in streams.items():
            self.size += folded.revision - self._streams.pop(stream, NOTHING).revision
            self._streams[stream] = folded
        while self.size > ENTRIES_KEPT and len(self._streams) > 1:
            _, forgotten = self._streams.popitem(last=False)
            self.size -= forgotten.revision + 1

    def clear(self) -> None:
        """Have none at hand."""
        self._streams.clear()
        self.size = 0
