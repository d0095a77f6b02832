"""Filling a generation that shows nothing yet: stream by stream, each from its beginning to one position.

What a row says rests on one stream, and from when to when on positions, so rows are the same in whatever order streams
are taken. Taken whole, a stream is folded once and forgotten, and a version of a row is written once, with the position
that ended it: nothing is ever looked up, and indexes can be made when all is there. What it costs is in proportion to
the log, however large that is. What it holds in memory is bounded by a number of bytes beyond one stream's own state.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, TypeAlias

import asyncpg
import msgspec

from events.catalogue import Entry, Event
from events.catalogue.history import AMENDMENTS
from events.codec import decode_entries
from events.errors import Corrupt
from projections.engine import ENTRIES, LONG_SECONDS, QUERIES, ROWS_HELD, Commit, Connection, writing
from projections.folding import NOTHING, after, whole
from projections.gathering import Concerns, Gathered, KnownRows
from projections.model import ReadModel
from projections.versions import Step

PAGE: Final = 1_000  # entries fetched at a time
ANALYZED: Final = 20_000  # entries from which on statistics are taken at once: smaller tables are read well without


class Streams(msgspec.Struct, frozen=True, tag="streams"):
    """The streams from one to another by name, both included: their rows are to be written."""

    first: str
    last: str


class Held(msgspec.Struct, frozen=True, tag="held"):
    """The rows that a process still holds, which are to be written: of everything that it was given before."""


class Indexes(msgspec.Struct, frozen=True, tag="indexes"):
    """A read model whose table is filled, and lacks its indexes."""

    model: str


Work: TypeAlias = Streams | Held | Indexes
Told: TypeAlias = Callable[[int], None]


class Filling:
    """Does a part of the work of filling one generation, as of one position. Several may at the same time."""

    def __init__(self, connection: Connection, generation: int, until: int, models: Sequence[ReadModel]) -> None:
        """Take a connection of its own, and the read models that the generation has."""
        self._connection = connection
        self._schema = f"read_{generation}"
        self._until = until
        self._models = models
        self._concerns = Concerns(models)
        self._gathered = self._begin()
        self._looked: dict[str, int] = {}  # pages of each table whose rows were looked at
        self._held = 0  # entries whose rows are held, and that nobody was told of yet

    async def do(self, work: Work, told: Told = lambda _entries: None) -> int:
        """Do a part. Returns of how many entries rows were made.

        Rows of several parts are written at once, at the latest when those that are `Held` are asked for. Each time
        `told` is told of how many entries more they were. Raises `Corrupt` when the log is not what it must be, and
        what asyncpg raises; what was written then stays, and the generation is of no use.
        """
        match work:
            case Streams():
                return await self._fill(work, told)
            case Held():
                await self._write(told, "off")
            case Indexes():
                await self._index(next(model for model in self._models if model.name == work.model))
        return 0

    async def _fill(self, streams: Streams, told: Told) -> int:
        entries, parted = 0, False
        stream, now = "", NOTHING
        async for page in self._read(streams):
            entries += len(page)
            for entry in page:
                if entry.stream != stream:
                    stream, now = entry.stream, NOTHING
                before = now
                if isinstance(entry.event, AMENDMENTS):
                    now = await whole(self._connection, stream, entry.position + 1)
                else:
                    now = after(before, entry)
                self._held += 1
                if not self._gathered.take(Step(entry, before.state, now.state)):
                    continue
                self._gathered.settle_at_once()
                if self._gathered.size > ROWS_HELD:
                    async with writing(self._connection, self._schema, "local"):
                        await self._gathered.write_ended(self._connection, self._schema)
                    await self._look()
                    parted = True
                    self._tell(told)
        # Its streams are done: so are the versions that were kept in case they went on.
        if parted or self._gathered.size > ROWS_HELD // 2:
            await self._write(told, "local")
            await self._look()
        return entries

    async def _write(self, told: Told, commit: Commit) -> None:
        self._gathered.settle_at_once()
        async with writing(self._connection, self._schema, commit):
            await self._gathered.write(self._connection, self._schema)
        self._gathered = self._begin()
        self._tell(told)

    async def _look(self) -> None:
        """Look at the rows written since last time, while their pages are at hand and no checkpoint came between.

        PostgreSQL notes with a row that its transaction has committed when the row is first looked at, once that commit
        is on disk. Had the making of indexes been the first to look, each page would have gone whole into the WAL, and
        once more to its table.
        """
        async with writing(self._connection, self._schema, "off"):
            there = await self._connection.fetch(QUERIES["pages"], self._schema)
            for model in self._models:
                pages = next(record["pages"] for record in there if record["name"] == model.name)
                looked = self._looked.get(model.name, 0)
                if pages > looked:
                    await self._connection.fetchval(model.queries["seen"], (looked, 0))
                    self._looked[model.name] = pages - 1  # on which the next ones may stand as well

    def _begin(self) -> Gathered:
        return Gathered(self._concerns, KnownRows(0))  # a stream that is done is not met again

    def _tell(self, told: Told) -> None:
        told(self._held)
        self._held = 0

    async def _index(self, model: ReadModel) -> None:
        async with writing(self._connection, self._schema, "off"):
            await self._connection.execute(QUERIES["indexing"])
            try:
                await self._connection.execute(model.queries["index"], timeout=LONG_SECONDS)
                if self._until >= ANALYZED:
                    await self._connection.execute(model.queries["analyze"], timeout=LONG_SECONDS)
            except asyncpg.UniqueViolationError as twice:
                raise Corrupt(f"{self._schema}.{model.name} has a row twice: {twice.detail}") from twice

    async def _read(self, streams: Streams) -> AsyncGenerator[list[Entry[Event]]]:
        stream, revision, full = streams.first, 0, True
        while full:
            records = await self._connection.fetch(ENTRIES["range"], stream, revision, streams.last, self._until, PAGE)
            entries = decode_entries([record["bytes"] for record in records])
            told = [(entry.position, entry.stream) for entry in entries]
            kept = [(record["position"], record["stream"]) for record in records]
            if told != kept:
                wrong = next(at for (at, stream), said in zip(kept, told, strict=True) if said != (at, stream))
                raise Corrupt(f"the log has a wrong entry at position {wrong}")
            yield entries
            if full := len(entries) == PAGE:
                stream, revision = entries[-1].stream, entries[-1].revision + 1
