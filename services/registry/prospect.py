"""The streams as one attempt at a request would leave them: as it read them, with what it has decided so far."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from events.catalogue import Entry
from events.catalogue.party import Party
from services.registry.reading import Reading
from services.registry.streams import Folded


class Prospect:
    """Each command of a request is decided on this, and what it brings is added.

    `pending` is what was added, by stream. `reading` is what the append is to be held to (ADR 0019).
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._after: dict[str, Folded] = {}
        self._pending: dict[str, list[Entry[Any]]] = {}

    @property
    def pending(self) -> Mapping[str, Sequence[Entry[Any]]]:
        """The entries that the request adds, by stream."""
        return self._pending

    async def load(self, stream: str) -> Folded:
        """Return a stream, folded."""
        return self._after.get(stream) or await self.reading.load(stream)

    async def states(self, streams: Iterable[str]) -> list[Any]:
        """Return the states of streams, None for what is not there."""
        return [(await self.load(stream)).state for stream in streams]

    async def entries(self, stream: str) -> list[Entry[Any]]:
        """Return all of a stream's entries; those that are to be recorded have negative positions."""
        return [*await self.reading.entries(stream), *self._pending.get(stream, [])]

    def add(self, entry: Entry[Any], after: Folded) -> None:
        """Add an entry, with what its stream is after it."""
        self._after[entry.stream] = after
        self._pending.setdefault(entry.stream, []).append(entry)

    async def facts(self, parties: set[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return what each party was merged into, and what each is part of, along all the ways from `parties`."""
        merged: dict[str, str] = {}
        whole: dict[str, str] = {}
        seen: set[str] = set()
        ahead = set(parties)
        while ahead:
            await self.reading.load_all(f"party/{one}" for one in ahead)
            seen |= ahead
            following: set[str] = set()
            for one in ahead:
                party = cast("Party | None", (await self.load(f"party/{one}")).state)
                if party is not None and party.merged is not None:
                    merged[one] = party.merged.event.into
                    following.add(merged[one])
                if party is not None and party.details.part_of is not None:
                    whole[one] = party.details.part_of
                    following.add(whole[one])
            ahead = following - seen
        return merged, whole
