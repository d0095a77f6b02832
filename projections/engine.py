"""The engine: follows the log, folds each stream touched, writes what changed together with its position.

Effect exactly once, whatever crashes: the changes and the position are one transaction, and the position is moved on
only from where it is thought to be, so that of two projectors by mistake one fails and nothing is written twice.
The same code lives through history and rebuilds it, which is why both give the same rows. Where much is to be done,
what some entries change is put together while what those before them changed is written: Python and PostgreSQL take
half of the time each. What it holds in memory is bounded by numbers of entries and bytes of rows, not by the log.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import asyncpg

from events.catalogue import Entry, Event
from events.catalogue.history import AMENDMENTS
from events.codec import decode_entries, decode_entry
from events.errors import Corrupt
from events.sql import load
from projections import MODELS
from projections.folding import NOTHING, Folded, after, whole
from projections.gathering import Concerns, Gathered, KnownRows
from projections.model import ReadModel
from projections.observer import Observer, Projected
from projections.versions import Step

QUERIES = load("projections", "generation.sql")
ENTRIES = load("projections", "entries.sql")
BATCH = 2_000  # entries read at a time
AT_ONCE = 500  # entries a transaction: what is done once a transaction takes as long as some hundred entries
ROWS_HELD = 16 * 2**20  # bytes of rows that are written at the latest, however few entries they come from
ENTRIES_KEPT = 40_000  # entries whose folded states are kept in memory: the streams used last
PAGE = 500  # entries fetched at a time of streams that are folded from their beginning
SWITCH_LOCK = int.from_bytes(b"switches", "big") >> 1
BUILDERS = int.from_bytes(b"gene", "big") >> 1  # with a generation's number: the lock that its builder holds
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

TABLE = ("create", "index")  # the blocks of a read model's SQL that make its table

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Progress: TypeAlias = Callable[[int], None]


def version_of(models: Sequence[ReadModel] = MODELS) -> str:
    """Return the digest that says whether tables were made by this code: their SQL and the read models' numbers."""
    digest = hashlib.sha256(b"read in a schema of their own\n")  # which those of before ADR 0036 have not got
    for model in models:
        digest.update(f"{model.name} {model.number}\n".encode())
        for block in TABLE:
            digest.update(model.queries[block].encode())
    return digest.hexdigest()


def form_of(version: str) -> str:
    """Return the schema in which programs read the read models of a version (`projection.form`)."""
    return f"form_{version[:16]}"


def reader_of(version: str) -> str:
    """Return the name of the connections by which others know that programs of a version read (ADR 0036)."""
    return f"registry-position {version[:16]}"


VERSION: Final = version_of()
FORM: Final = form_of(VERSION)
READING: Final = MappingProxyType({"search_path": FORM})
"""What connections are set to over which read models are read: names mean the tables that this program knows."""


@asynccontextmanager
async def writing(connection: Connection, schema: str, *, waited: bool) -> AsyncGenerator[None]:
    """A transaction in which unqualified names mean the tables in `schema`. Its commit is `waited` for, or not.

    It need not be for what nobody sees yet: a crash leaves nothing of a generation that is being built, and the commit
    that shows it is waited for, so that all before it are durable then.
    """
    unhurried = not waited and not connection.is_in_transaction()
    async with connection.transaction():
        if unhurried:
            await connection.execute(QUERIES["unhurried"])
        await connection.execute(QUERIES["search_path"], schema)
        yield


class Moved(Exception):
    """The generation is not where or what it was: somebody else moved it on, or switched to another."""


class Pending:
    """What is written beside, one thing at a time, of which nothing is under way any more once this has ended."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin to write, once what was begun before has been waited for."""
        self._task = asyncio.create_task(work)

    async def wait(self) -> None:
        """Return when it is written. Raises what it raises."""
        task, self._task = self._task, None
        if task is not None:
            await task

    async def end(self) -> None:
        """Give up what is not written yet."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Projection:
    """One generation of the read models and the states that it was folded from, up to its position."""

    def __init__(
        self,
        connection: Connection,
        generation: int,
        position: int,
        *,
        shown: bool,
        models: Sequence[ReadModel],
        version: str,
    ) -> None:
        """Take a generation at the position that it has in the database; the connection is the projector's own.

        Readers are told of each new position of one that is `shown` to them.
        """
        self._connection = connection
        self._generation = generation
        self._schema = f"read_{generation}"
        self._models = models
        self._version = version
        self._concerns = Concerns(models)
        self._streams: OrderedDict[str, Folded] = OrderedDict()
        self._kept = 0  # how many entries `_streams` was folded from
        self._rows = KnownRows()
        self._shown = shown
        self.position = position
        self.observer: Observer | None = None

    @property
    def connection(self) -> Connection:
        """What it is projected over."""
        return self._connection

    @property
    def generation(self) -> int:
        """The generation's number."""
        return self._generation

    @property
    def version(self) -> str:
        """Of which code it is (`version_of`)."""
        return self._version

    @property
    def models(self) -> Sequence[ReadModel]:
        """The read models that it is of."""
        return self._models

    async def show(self) -> None:
        """Make this generation the one that its version's readers see, and as far on as whatever readers saw.

        In one transaction. Whoever follows the log into the others waits meanwhile, so what they are ahead by should be
        little. Raises `asyncpg.LockNotAvailableError` where readers are in the way (others must not wait behind them),
        and `Corrupt` if readers have seen more entries than there are.
        """
        begun = self.position
        try:
            async with self._connection.transaction():
                await self._connection.execute(QUERIES["one_switch"], SWITCH_LOCK)
                shown: int | None = await self._connection.fetchval(QUERIES["hold_shown"])
                if shown is not None and shown > self.position:
                    await self._reach(shown)
                await self._connection.execute(QUERIES["show"], self._generation)
                await self._connection.execute(QUERIES["notify"], str(self.position))
        except BaseException:
            self._forget(begun)
            raise
        self._shown = True
        await self._connection.execute(QUERIES["let_go"], BUILDERS, self._generation)

    async def take_over(self) -> None:
        """Make this generation, which is shown beside the live one, the live one. All others are over then.

        Raises `asyncpg.LockNotAvailableError` where readers of the live one are in the way.
        """
        async with self._connection.transaction():
            await self._connection.execute(QUERIES["one_switch"], SWITCH_LOCK)
            await self._connection.execute(QUERIES["take_over"], self._generation)

    async def _reach(self, shown: int) -> None:
        size: int = await self._connection.fetchval(ENTRIES["size"])
        if size < shown:
            raise Corrupt(f"the read models show {shown} entries, but the log has only {size}")
        await self.catch_up(shown)

    def _forget(self, position: int) -> None:
        """Be where a transaction that was undone had begun: states that are not at hand are folded from the log."""
        if position != self.position:
            self.position = position
            self._forget_states()

    def _forget_states(self) -> None:
        """Have nothing at hand: it may be ahead of what was written, or behind it."""
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
        return self.position - begun

    async def built(self, position: int) -> None:
        """Note that the tables show the entries up to a position (`projections.bulk`). Raises `Moved`."""
        await self._advance(position)
        self.position = position

    async def _end(self, until: int | None) -> int:
        size: int = await self._connection.fetchval(ENTRIES["size"])
        if size < self.position:
            raise Corrupt(f"the read models show {self.position} entries, but the log has only {size}")
        return size if until is None else min(size, until)

    async def _read(self, end: int) -> list[Entry[Event]]:
        records = await self._connection.fetch(ENTRIES["page"], self.position, end)
        entries = decode_entries(record["bytes"] for record in records)
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
        pending = Pending()
        try:
            await self._take_in(entries, progress, pending)
            await pending.wait()
        except BaseException:
            await pending.end()
            self._forget_states()
            raise

    async def _take_in(self, entries: list[Entry[Event]], progress: Progress, pending: Pending) -> None:
        """Put together what entries change, some at a time, while what those before them change is written."""
        begun = asyncio.get_running_loop().time()
        streams = await self._before(entries)
        gathered = Gathered(self._concerns, self._rows)
        for number, entry in enumerate(entries, start=1):
            before = streams[entry.stream]
            if isinstance(entry.event, AMENDMENTS):
                await pending.wait()  # there is one connection
                now = streams[entry.stream] = await whole(self._connection, entry.stream, entry.position + 1)
            else:
                now = streams[entry.stream] = after(before, entry)
            turn = gathered.take(Step(entry, before.state, now.state))
            last = number == len(entries)
            if last:
                gathered.settle()
            elif not turn:
                continue
            if last or gathered.size > ROWS_HELD or gathered.entries >= AT_ONCE:
                await pending.wait()
                pending.begin(self._write(gathered, entry.position + 1, begun, progress))
                begun = asyncio.get_running_loop().time()
                gathered = Gathered(self._concerns, self._rows)
            await asyncio.sleep(0)
        await pending.wait()
        self._keep(streams)

    async def _before(self, entries: list[Entry[Event]]) -> dict[str, Folded]:
        """Return the state of each stream concerned before these entries, folded from the log where not at hand."""
        streams: dict[str, Folded] = {}
        missing: list[str] = []
        for entry in entries:
            if entry.stream not in streams:
                streams[entry.stream] = self._streams.get(entry.stream, NOTHING)
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
                        streams[entry.stream] = after(streams.get(entry.stream, NOTHING), entry)
        for stream in amended:
            streams[stream] = await whole(self._connection, stream, self.position)
        return streams

    async def _write(self, gathered: Gathered, position: int, begun: float, progress: Progress) -> None:
        first = self.position
        async with writing(self._connection, self._schema, waited=self._shown):
            await self._advance(position)
            await gathered.write(self._connection, self._schema)
            if self._shown:
                await self._connection.execute(QUERIES["notify"], str(position))
        self.position = position
        if self.observer is not None:
            self.observer.projected(Projected(first, position, begun, asyncio.get_running_loop().time()))
        progress(position)

    async def _advance(self, position: int) -> None:
        states = ["beside", "live"] if self._shown else ["building"]
        moved = await self._connection.fetchval(QUERIES["advance"], self._generation, self.position, position, states)
        if moved is None:
            raise Moved(f"generation {self._generation} is not {' or '.join(states)} at {self.position} any more")

    def _keep(self, streams: dict[str, Folded]) -> None:
        for stream, folded in streams.items():
            self._kept += folded.revision - self._streams.pop(stream, NOTHING).revision
            self._streams[stream] = folded
        while self._kept > ENTRIES_KEPT and len(self._streams) > 1:
            _, forgotten = self._streams.popitem(last=False)
            self._kept -= forgotten.revision + 1
