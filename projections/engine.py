"""The engine: follows the log, folds each stream touched, writes what changed together with its position.

Effect exactly once, whatever crashes: the changes and the position are one transaction, and the position is moved on
only from where it is thought to be, so that of two projectors by mistake one fails and nothing is written twice.
The same code lives through history and rebuilds it, which is why both give the same rows.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, TypeAlias

import asyncpg

from events.catalogue import AGGREGATES, Entry, Event
from events.codec import decode_entry
from events.errors import Corrupt
from events.sql import load
from projections import MODELS
from projections.model import ReadModel
from projections.versions import Changes

QUERIES = load("projections", "generation.sql")
ENTRIES = load("projections", "entries.sql")
BATCH = 500  # entries a transaction
STREAMS_KEPT = 10_000  # folded states kept in memory, those used last

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


def version_of(models: Sequence[ReadModel] = MODELS) -> str:
    """Return the digest that says whether tables were made by this code: all SQL and numbers of the read models."""
    digest = hashlib.sha256()
    for model in models:
        digest.update(f"{model.name} {model.number}\n".encode())
        digest.update(model.queries["create"].encode())
    return digest.hexdigest()


class Moved(Exception):
    """Somebody else moved the generation on: there are two projectors, and this one gives way."""


class Projection:
    """One generation of the read models and the states that it was folded from, up to its position."""

    def __init__(self, connection: Connection, generation: int, position: int, *, live: bool) -> None:
        """Take a generation at the position that it has in the database; the connection is the projector's own.

        Readers are told of each new position of a `live` one.
        """
        self._connection = connection
        self._generation = generation
        self._schema = f"read_{generation}"
        self._states: OrderedDict[str, Any] = OrderedDict()
        self._live = live
        self.position = position

    @property
    def generation(self) -> int:
        """The generation's number."""
        return self._generation

    async def go_live(self) -> None:
        """Make this generation the one that readers see, in one transaction."""
        async with self._connection.transaction():
            await self._connection.execute(QUERIES["switch"], self._generation)
            await self._connection.execute(QUERIES["notify"], str(self.position))
        self._live = True

    async def catch_up(self, until: int | None = None, batch: int = BATCH) -> int:
        """Project what the log has beyond the position (below `until`, if given). Returns how many entries it was."""
        begun = self.position
        while entries := await self._next(until, batch):
            await self._project(entries)
        return self.position - begun

    async def _next(self, until: int | None, batch: int) -> list[Entry[Event]]:
        last = self.position + batch if until is None else min(self.position + batch, until)
        records = await self._connection.fetch(ENTRIES["page"], self.position, last)
        entries = [decode_entry(record["bytes"]) for record in records]
        if [entry.position for entry in entries] != list(range(self.position, self.position + len(entries))):
            raise Corrupt(f"the log has a gap or a wrong entry at or after position {self.position}")
        return entries

    async def _project(self, entries: list[Entry[Event]]) -> None:
        changes = {model.name: Changes(model) for model in MODELS}
        states = await self._states_before(entries)
        for entry in entries:
            before = states[entry.stream]
            kind = entry.stream.partition("/")[0]
            after = AGGREGATES[kind].evolve(before, entry)
            states[entry.stream] = after
            for model in MODELS:
                rows = model.rows.get(kind)
                if rows is not None:
                    old = () if before is None else rows(before, after.touched)
                    changes[model.name].apply(entry.position, old, rows(after, after.touched))
        await self._write(changes, self.position + len(entries))
        self._keep(states)

    async def _write(self, changes: dict[str, Changes], position: int) -> None:
        async with self._connection.transaction():
            moved = await self._connection.fetchval(QUERIES["advance"], self._generation, self.position, position)
            if moved is None:
                raise Moved(f"generation {self._generation} is not at {self.position} any more")
            await self._connection.execute(QUERIES["search_path"], self._schema)
            for model in MODELS:
                await changes[model.name].write(self._connection, self._schema)
            if self._live:
                await self._connection.execute(QUERIES["notify"], str(position))
        self.position = position

    async def _states_before(self, entries: list[Entry[Event]]) -> dict[str, Any]:
        """Return the state of each stream concerned before these entries, folded from the log where not at hand."""
        states: dict[str, Any] = {}
        missing: list[str] = []
        for entry in entries:
            if entry.stream in states:
                continue
            states[entry.stream] = self._states.get(entry.stream)
            if states[entry.stream] is None and entry.revision > 0:
                missing.append(entry.stream)
        if missing:
            for record in await self._connection.fetch(ENTRIES["streams"], missing, self.position):
                entry = decode_entry(record["bytes"])
                evolve = AGGREGATES[entry.stream.partition("/")[0]].evolve
                states[entry.stream] = evolve(states[entry.stream], entry)
        return states

    def _keep(self, states: dict[str, Any]) -> None:
        for stream, state in states.items():
            self._states[stream] = state
            self._states.move_to_end(stream)
        while len(self._states) > STREAMS_KEPT:
            self._states.popitem(last=False)
