"""Folded streams, kept by revision. A state that is out of date does no harm: the append checks the revision."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from events.catalogue import AGGREGATES
from events.codec import decode_entry
from events.log import Log, Recorded

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

    async def refresh(self, stream: str) -> Folded:
        """Return a stream as it is now, reading on from what is kept."""
        kept = self._kept.get(stream, NOTHING)
        return self._fold(stream, kept, await self._log.read_stream(stream, kept.revision + 1))

    def recorded(self, entries: tuple[Recorded, ...]) -> None:
        """Take in what was just recorded, where it follows on from what is kept."""
        for entry in entries:
            kept = self._kept.get(entry.stream, NOTHING)
            if entry.revision == kept.revision + 1:
                self._fold(entry.stream, kept, [entry])

    def _fold(self, stream: str, folded: Folded, entries: list[Recorded]) -> Folded:
        evolve = AGGREGATES[stream.partition("/")[0]].evolve
        state = folded.state
        for entry in entries:
            state = evolve(state, decode_entry(entry.bytes))
        after = Folded(folded.revision + len(entries), state)
        if after.revision >= 0:
            self._kept[stream] = after
            self._kept.move_to_end(stream)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return after
