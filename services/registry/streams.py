"""Folded streams, kept by revision. One that is out of date does no harm: the append checks every revision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, NamedTuple

from events.catalogue import AGGREGATES, Entry, Event
from events.catalogue.history import AMENDMENTS, fold
from events.codec import decode_entries, decode_entry
from events.log import Log

KEPT = 10_000


class Folded(NamedTuple):
    """A stream's state after its entry number `revision`; None and -1 for a stream that does not exist."""

    revision: int
    state: Any


NOTHING = Folded(-1, None)


class Streams:
    """The streams used last, folded."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._kept: OrderedDict[str, Folded] = OrderedDict()

    async def load(self, stream: str) -> Folded:
        """Return a stream as last known, which may be out of date; what was not found is looked for again."""
        kept = self._kept.get(stream)
        return kept or await self.refresh(stream)

    def kept(self, stream: str) -> Folded:
        """Return a stream as last known, without looking."""
        return self._kept.get(stream, NOTHING)

    async def refresh(self, stream: str) -> Folded:
        """Return a stream as it is now, reading on from what is kept."""
        await self.refresh_all([stream])
        return self._kept.get(stream, NOTHING)

    async def refresh_all(self, streams: Iterable[str]) -> None:
        """Bring streams up to date, all in one statement."""
        known = {stream: self._kept.get(stream, NOTHING).revision for stream in streams}
        by_stream: dict[str, list[Entry[Event]]] = {}
        for entry in await self._log.read_on(known):
            by_stream.setdefault(entry.stream, []).append(decode_entry(entry.bytes))
        for stream, entries in by_stream.items():
            await self._take_in(stream, entries)

    async def entries(self, stream: str) -> list[Entry[Event]]:
        """Return all of a stream's entries as they are now."""
        return decode_entries(entry.bytes for entry in await self._log.read_stream(stream))

    async def recorded(self, entries: Iterable[Entry[Event]]) -> None:
        """Take in what was just recorded, where it follows on from what is kept."""
        for entry in entries:
            await self._take_in(entry.stream, [entry])

    async def _take_in(self, stream: str, entries: list[Entry[Event]]) -> None:
        """Fold entries that follow on from what is kept; after an amendment, or a whole retraction, all anew."""
        kept = self._kept.get(stream, NOTHING)
        if entries[0].revision != kept.revision + 1:
            return
        aggregate = AGGREGATES[stream.partition("/")[0]]
        again = kept.state is None and kept.revision >= 0
        if again or any(isinstance(entry.event, AMENDMENTS) for entry in entries):
            entries = await self.entries(stream)
            self._keep(stream, Folded(entries[-1].revision, fold(aggregate, entries)))
            return
        state = kept.state
        for entry in entries:
            state = aggregate.evolve(state, entry)
        self._keep(stream, Folded(entries[-1].revision, state))

    def _keep(self, stream: str, folded: Folded) -> None:
        if folded.revision > self._kept.get(stream, NOTHING).revision:
            self._kept[stream] = folded
        self._kept.move_to_end(stream)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
