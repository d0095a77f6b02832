"""The engine: follows the log, folds each stream touched, writes what changed together with its position.

Effect exactly once, whatever crashes: the changes and the position are one transaction, and the position is moved on
only from where it is thought to be, so that of two projectors by mistake one fails and nothing is written twice.
The same code lives through history and rebuilds it, which is why both give the same rows. What entries change is put
together while what those before them changed is written: Python and PostgreSQL take half of the time each. A projector
reads the log over a connection of its own, so that this goes on for as long as there are entries (ADR 0038). What is
held in memory is bounded by numbers of entries and bytes of rows, not by the log: one portion that is written, one that
is put together, and a page of entries.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import asyncpg

from events.catalogue import Entry, Event
from events.catalogue.history import AMENDMENTS
from events.codec import decode_entries
from events.errors import Corrupt
from events.sql import load
from projections import MODELS
from projections.folding import States, after, whole
from projections.gathering import Concerns, Gathered, KnownRows
from projections.heartbeat import heard
from projections.model import ReadModel
from projections.observer import Observer, Projected
from projections.versions import Step

QUERIES = load("projections", "generation.sql")
ENTRIES = load("projections", "entries.sql")
BATCH = 2_000  # entries read at a time
AT_ONCE = 500  # entries a transaction: what is done once a transaction takes as long as some hundred entries
LOOK_SECONDS = 0.01  # between looks for what came while something is written: one for what is recorded in many commits
LONG_SECONDS = 24 * 3600.0  # for a statement of a build that takes the longer the larger the log is
ROWS_HELD = 16 * 2**20  # bytes of rows that are written at the latest, however few entries they come from
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


Commit: TypeAlias = Literal["off", "local"]
"""How little of a commit is waited for: nothing, or until it is durable on this server, whatever is set for others."""


@asynccontextmanager
async def writing(connection: Connection, schema: str, commit: Commit | None = None) -> AsyncGenerator[None]:
    """A transaction in which unqualified names mean the tables in `schema`. Its `commit` is waited for as is set.

    It need not be for what nobody sees yet: a crash leaves nothing of a generation that is being built, and the commit
    that shows it is waited for, so that all before it are durable then.
    """
    unhurried = commit is not None and not connection.is_in_transaction()
    async with connection.transaction():
        if unhurried:
            await connection.execute(QUERIES["unhurried"], commit)
        await connection.execute(QUERIES["search_path"], schema)
        yield


class Moved(Exception):
    """The generation is not where or what it was: somebody else moved it on, or switched to another."""


class Run:
    """A time of projecting: whom it tells its progress, and what it writes beside, which is one portion at a time."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self._task: asyncio.Task[None] | None = None

    @property
    def writes(self) -> bool:
        """Whether something is being written."""
        return self._task is not None and not self._task.done()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin to write, once what was begun before has been waited for."""
        self._task = asyncio.create_task(work)

    async def written(self) -> None:
        """Return when what was begun is written. Raises what it raises."""
        task, self._task = self._task, None
        if task is not None:
            await task

    async def written_within(self, seconds: float) -> None:
        """Return when what was begun is written or failed, or after so many seconds."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=seconds)

    async def end(self) -> None:
        """Give up what is not written yet: nothing of it is under way any more then."""
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

        Readers are told of each new position of one that is `shown` to them. The log is read over `log`, once that is
        set: over another connection, to the same server.
        """
        self._connection = connection
        self._generation = generation
        self._schema = f"read_{generation}"
        self._models = models
        self._version = version
        self._concerns = Concerns(models)
        self._states = States()
        self._rows = KnownRows()
        self._gathered = Gathered(self._concerns, self._rows)  # what is put together, and not begun to be written
        self._begun = 0.0  # when that was begun, on the event loop's clock
        self._reached = position  # what was put together
        self._shown = shown
        self.position = position  # what is written
        self.log: Connection | None = None
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
        self._states.clear()
        self._rows.clear()
        self._gathered = Gathered(self._concerns, self._rows)
        self._reached = self.position

    async def catch_up(
        self, until: int | None = None, batch: int = BATCH, progress: Progress = lambda _position: None
    ) -> int:
        """Project what the log has beyond the position (below `until`, if given). Returns how many entries it was.

        `progress` is told each position that was committed. Raises `Corrupt` when the log or the tables are not what
        they must be, `Moved`, and what asyncpg raises; what was not committed has then had no effect.
        """
        begun = self.position
        async with self._running(progress) as run:
            while await self._go_on(run, until, batch):
                pass
        return self.position - begun

    async def follow(self, woken: asyncio.Event, seconds: float, progress: Progress = lambda _position: None) -> None:
        """Catch up again whenever it is `woken`, for so many seconds. What it tells and raises is the same.

        What comes while something is written is put together meanwhile, and is written together with what else came.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        async with self._running(progress) as run:
            while (left := until - loop.time()) > 0:
                woken.clear()
                taken = await self._go_on(run, None, BATCH)
                if run.writes and taken < BATCH:
                    await run.written_within(LOOK_SECONDS)
                elif not taken:
                    await heard(woken, left)

    @asynccontextmanager
    async def _running(self, progress: Progress) -> AsyncGenerator[Run]:
        """When this is left, all is written that was put together; or, after a failure, nothing that was not yet."""
        run = Run(progress)
        try:
            yield run
            await self._hand_over(run)
            await run.written()
        except BaseException:
            await run.end()
            self._forget_states()
            raise

    async def _go_on(self, run: Run, until: int | None, batch: int) -> int:
        """Put together what the next page of the log changes, and begin to write that, if nothing is being written.

        Returns how many entries it was. Notices, too, if what is written over was lost while nothing is.
        """
        if self._connection.is_closed():
            raise asyncpg.ConnectionDoesNotExistError("the connection that is written over was lost")
        if not run.writes:
            await self._hand_over(run)  # what is ready is not to wait for what comes
        log, begun = await self._reading(run), self._reached
        end = min(begun + batch, await self._end(log, until))
        if begun < end:
            for entries in self._states.portions(await self._read(log, end)):
                await self._take_in(run, entries)
        if not run.writes:
            await self._hand_over(run)
        return self._reached - begun

    async def _reading(self, run: Run) -> Connection:
        """Return what the log can be read over now."""
        if self.log is not None:
            return self.log
        await run.written()
        return self._connection

    async def built(self, position: int) -> None:
        """Note that the tables show the entries up to a position (`projections.bulk`). Raises `Moved`."""
        await self._advance(position)
        self.position = self._reached = position

    async def _end(self, log: Connection, until: int | None) -> int:
        size: int = await log.fetchval(ENTRIES["size"])
        if size < self.position:
            raise Corrupt(f"the read models show {self.position} entries, but the log has only {size}")
        return size if until is None else min(size, until)

    async def _read(self, log: Connection, end: int) -> list[Entry[Event]]:
        records = await log.fetch(ENTRIES["page"], self._reached, end)
        entries = decode_entries(record["bytes"] for record in records)
        if [entry.position for entry in entries] != list(range(self._reached, end)):
            raise Corrupt(f"the log has a gap or a wrong entry at or after position {self._reached}")
        return entries

    async def _take_in(self, run: Run, entries: Sequence[Entry[Event]]) -> None:
        """Put together what entries change, and begin to write that whenever it is enough."""
        streams = await self._states.before(await self._reading(run), entries)
        for entry in entries:
            if not self._gathered.entries:
                self._begun = asyncio.get_running_loop().time()
            before = streams[entry.stream]
            if isinstance(entry.event, AMENDMENTS):
                now = await whole(await self._reading(run), entry.stream, entry.position + 1)
            else:
                now = after(before, entry)
            streams[entry.stream] = now
            turn = self._gathered.take(Step(entry, before.state, now.state))
            self._reached = entry.position + 1
            if turn:
                await self._gathered.settle()
            if self._gathered.size > ROWS_HELD or self._gathered.entries >= AT_ONCE:
                await self._hand_over(run)
        self._states.keep(streams)

    async def _hand_over(self, run: Run) -> None:
        """Begin to write what was put together, once what was begun before is written."""
        await self._gathered.settle()
        await run.written()
        if self._gathered.entries:
            run.begin(self._write(self._gathered, self._reached, self._begun, run.progress))
            self._gathered = Gathered(self._concerns, self._rows)

    async def _write(self, gathered: Gathered, position: int, begun: float, progress: Progress) -> None:
        first = self.position
        async with writing(self._connection, self._schema, None if self._shown else "off"):
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
