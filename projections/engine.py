"""The engine: follows the log, folds each stream touched, writes what changed together with its position.

Effect exactly once, whatever crashes: the changes and the position are one transaction, and the position is moved on
only from where it is thought to be, so that of two projectors by mistake one fails and nothing is written twice.
The same code lives through history and rebuilds it, which is why both give the same rows. What it holds in memory is
bounded by numbers of entries and bytes of rows, not by the log.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from events.catalogue import AGGREGATES, Entry, Event
from events.catalogue.history import AMENDMENTS, fold
from events.codec import decode_entry
from events.errors import Corrupt, NotCorrectable
from events.sql import load
from projections import MODELS
from projections.gathering import Gathered, KnownRows, Step
from projections.model import ReadModel
from projections.observer import Observer, Projected

QUERIES = load("projections", "generation.sql")
ENTRIES = load("projections", "entries.sql")
BATCH = 500  # entries a transaction
REBUILD_BATCH = 4_000  # the same, of what nobody waits for
ROWS_HELD = 16 * 2**20  # bytes of rows that are written at the latest, however few entries they come from
ENTRIES_KEPT = 40_000  # entries whose folded states are kept in memory: the streams used last
PAGE = 500  # entries fetched at a time of streams that are folded from their beginning
SWITCH_LOCK = int.from_bytes(b"switches", "big") >> 1
BUILDERS = int.from_bytes(b"gene", "big") >> 1  # with a generation's number: the lock that its builder holds
TURN = 50  # entries after which whoever else waits for the event loop has a turn, and rows are counted
HEAVY = 2_000  # entries of the streams concerned, after which it is so too: what they change may be as large
# The role owns the tables, whoever projects. The lock of a machine that vanished is free after half a minute.
SESSION = MappingProxyType(
    {
        "application_name": "registry-projector",
        "role": "registry_projector",
        "tcp_keepalives_idle": "15",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "3",
    }
)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Progress: TypeAlias = Callable[[int], None]


def version_of(models: Sequence[ReadModel] = MODELS) -> str:
    """Return the digest that says whether tables were made by this code: their SQL and the read models' numbers."""
    digest = hashlib.sha256()
    for model in models:
        digest.update(f"{model.name} {model.number}\n".encode())
        digest.update(model.queries["create"].encode())
    return digest.hexdigest()


class Moved(Exception):
    """The generation is not where or what it was: somebody else moved it on, or switched to another."""


class Share(NamedTuple):
    """One of several shares of the streams, by number from 0. Each stream is in one of them."""

    number: int
    of: int


class _Folded(NamedTuple):
    """A stream's state after its entry of this revision."""

    revision: int
    state: Any


_NOTHING = _Folded(-1, None)


class Projection:
    """One generation of the read models and the states that it was folded from, up to its position."""

    def __init__(
        self,
        connection: Connection,
        generation: int,
        position: int,
        *,
        live: bool,
        models: Sequence[ReadModel] = MODELS,
        share: Share | None = None,
    ) -> None:
        """Take a generation at the position that it has in the database; the connection is the projector's own.

        Readers are told of each new position of a `live` one. With a `share` only its streams are projected, and the
        generation stays where it is: whoever shared it out moves it on (`shared`).
        """
        self._connection = connection
        self._generation = generation
        self._schema = f"read_{generation}"
        self._models = models
        self._streams: OrderedDict[str, _Folded] = OrderedDict()
        self._kept = 0  # how many entries `_streams` was folded from
        self._rows = KnownRows()
        self._live = live
        self._share = share
        self.position = position
        self.projected = 0  # entries, by this object
        self.observer: Observer | None = None

    @property
    def connection(self) -> Connection:
        """What it is projected over."""
        return self._connection

    @property
    def generation(self) -> int:
        """The generation's number."""
        return self._generation

    async def go_live(self) -> None:
        """Make this generation the one that readers see, in one transaction, and as far on as the one that they saw.

        Whoever follows the log into the live one waits meanwhile, so what it is ahead by should be little. Raises
        `asyncpg.LockNotAvailableError` where readers are in the way (others must not wait behind them), and `Corrupt`
        if readers have seen more entries than there are.
        """
        begun = self.position
        try:
            async with self._connection.transaction():
                await self._connection.execute(QUERIES["one_switch"], SWITCH_LOCK)
                shown: int | None = await self._connection.fetchval(QUERIES["hold_live"])
                if shown is not None and shown > self.position:
                    await self._reach(shown)
                await self._connection.execute(QUERIES["switch"], self._generation)
                await self._connection.execute(QUERIES["notify"], str(self.position))
        except BaseException:
            self._forget(begun)
            raise
        self._live = True
        await self._connection.execute(QUERIES["let_go"], BUILDERS, self._generation)

    async def _reach(self, shown: int) -> None:
        size: int = await self._connection.fetchval(ENTRIES["size"])
        if size < shown:
            raise Corrupt(f"the read models show {shown} entries, but the log has only {size}")
        await self.catch_up(shown)

    def _forget(self, position: int) -> None:
        """Be where a transaction that was undone had begun: states that are not at hand are folded from the log."""
        if position != self.position:
            self.position = position
            self._streams.clear()
            self._kept = 0
            self._rows.clear()

    async def catch_up(
        self, until: int | None = None, batch: int = BATCH, progress: Progress = lambda _position: None
    ) -> int:
        """Project what the log has beyond the position (below `until`, if given). Returns how many entries it was.

        `progress` is told each position that was committed. Raises `Corrupt` when the log or the tables are not what
        they must be, `Moved`, and what asyncpg raises; what was not committed has then had no effect.
        """
        begun = self.position
        while self.position < (end := await self._end(until)):
            while self.position < end:
                page = min(self.position + batch, end)
                for entries in self._portions(await self._read(page)):
                    await self._project(entries, progress)
                if self._share is not None and self.position < page:
                    self.position = page
                    progress(page)
        return self.position - begun

    async def shared(self, position: int) -> None:
        """Note that others have projected the entries up to a position, each a share. Raises `Moved`."""
        await self._advance(position)
        self.position = position

    async def _end(self, until: int | None) -> int:
        size: int = await self._connection.fetchval(ENTRIES["size"])
        if size < self.position:
            raise Corrupt(f"the read models show {self.position} entries, but the log has only {size}")
        return size if until is None else min(size, until)

    async def _read(self, end: int) -> list[Entry[Event]]:
        if self._share is not None:
            number, of = self._share
            records = await self._connection.fetch(ENTRIES["share"], self.position, end, of, number)
            return [decode_entry(record["bytes"]) for record in records]
        records = await self._connection.fetch(ENTRIES["page"], self.position, end)
        entries = [decode_entry(record["bytes"]) for record in records]
        if [entry.position for entry in entries] != list(range(self.position, end)):
            raise Corrupt(f"the log has a gap or a wrong entry at or after position {self.position}")
        return entries

    def _portions(self, entries: list[Entry[Event]]) -> Iterator[list[Entry[Event]]]:
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

    async def _project(self, entries: list[Entry[Event]], progress: Progress) -> None:
        try:
            await self._take_in(entries, progress)
        except BaseException:
            self._rows.clear()  # they may be ahead of what was written
            raise
        self.projected += len(entries)

    async def _take_in(self, entries: list[Entry[Event]], progress: Progress) -> None:
        begun = asyncio.get_running_loop().time()
        streams = await self._before(entries)
        gathered = Gathered(self._models, self._rows)
        steps: list[Step] = []
        weight = 0
        for number, entry in enumerate(entries, start=1):
            before = streams[entry.stream]
            if isinstance(entry.event, AMENDMENTS):
                after = streams[entry.stream] = await self._whole(entry.stream, entry.position + 1)
            else:
                after = streams[entry.stream] = _after(before, entry)
            steps.append(Step(entry, before.state, after.state))
            weight += entry.revision
            if number < len(entries) and len(steps) < TURN and weight < HEAVY:
                continue
            gathered.apply(steps)
            steps, weight = [], 0
            if number == len(entries) or gathered.size > ROWS_HELD:
                first = self.position
                await self._write(gathered, entry.position + 1)
                self._keep(streams)
                ended = asyncio.get_running_loop().time()
                if self.observer is not None:
                    self.observer.projected(Projected(first, self.position, begun, ended))
                begun = ended
                gathered = Gathered(self._models, self._rows)
                progress(self.position)
            else:
                await asyncio.sleep(0)

    async def _before(self, entries: list[Entry[Event]]) -> dict[str, _Folded]:
        """Return the state of each stream concerned before these entries, folded from the log where not at hand."""
        streams: dict[str, _Folded] = {}
        missing: list[str] = []
        for entry in entries:
            if entry.stream not in streams:
                streams[entry.stream] = self._streams.get(entry.stream, _NOTHING)
                if entry.stream not in self._streams and entry.revision > 0:
                    missing.append(entry.stream)
        amended: set[str] = set()
        if missing:
            async with self._connection.transaction(readonly=True):
                cursor = self._connection.cursor(ENTRIES["streams"], missing, self.position, prefetch=PAGE)
                async for record in cursor:
                    entry = decode_entry(record["bytes"])
                    if isinstance(entry.event, AMENDMENTS):
                        amended.add(entry.stream)
                    if entry.stream not in amended:
                        streams[entry.stream] = _after(streams.get(entry.stream, _NOTHING), entry)
        for stream in amended:
            streams[stream] = await self._whole(stream, self.position)
        return streams

    async def _whole(self, stream: str, end: int) -> _Folded:
        """Fold a stream that has amendments from its beginning to a position."""
        records = await self._connection.fetch(ENTRIES["streams"], [stream], end)
        entries = [decode_entry(record["bytes"]) for record in records]
        if [entry.revision for entry in entries] != list(range(len(entries))):
            raise Corrupt(f"{stream} has a gap or a wrong entry below position {end}")
        try:
            return _Folded(entries[-1].revision, fold(AGGREGATES[stream.partition("/")[0]], entries))
        except (KeyError, TypeError, NotCorrectable) as error:
            raise Corrupt(f"{stream} cannot be folded to position {end}: {error}") from error

    async def _write(self, gathered: Gathered, position: int) -> None:
        # A crash leaves nothing of what is being built. The commit that shows it is waited for, so all before it are.
        unhurried = not self._live and not self._connection.is_in_transaction()
        async with self._connection.transaction():
            if unhurried:
                await self._connection.execute(QUERIES["unhurried"])
            if self._share is None:
                await self._advance(position)
            await self._connection.execute(QUERIES["search_path"], self._schema)
            for changes in gathered.changes:
                await changes.write(self._connection, self._schema)
            if self._live:
                await self._connection.execute(QUERIES["notify"], str(position))
        self.position = position

    async def _advance(self, position: int) -> None:
        state = "live" if self._live else "building"
        moved = await self._connection.fetchval(QUERIES["advance"], self._generation, self.position, position, state)
        if moved is None:
            raise Moved(f"generation {self._generation} is not {state} at {self.position} any more")

    def _keep(self, streams: dict[str, _Folded]) -> None:
        for stream, folded in streams.items():
            self._kept += folded.revision - self._streams.pop(stream, _NOTHING).revision
            self._streams[stream] = folded
        while self._kept > ENTRIES_KEPT and len(self._streams) > 1:
            _, forgotten = self._streams.popitem(last=False)
            self._kept -= forgotten.revision + 1


def _after(before: _Folded, entry: Entry[Event]) -> _Folded:
    """Fold one more entry into a stream. Raises `Corrupt` if it is not the next, or the stream's kind has no such."""
    if entry.revision != before.revision + 1:
        raise Corrupt(
            f"position {entry.position} has revision {entry.revision} of {entry.stream}, not {before.revision + 1}"
        )
    try:
        evolve = AGGREGATES[entry.stream.partition("/")[0]].evolve
        return _Folded(entry.revision, evolve(before.state, entry))
    except (KeyError, TypeError) as error:
        raise Corrupt(f"position {entry.position} cannot be folded into {entry.stream}: {error}") from error
