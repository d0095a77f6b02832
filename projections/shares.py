"""A rebuild's work shared out among processes: the tables are filled with all streams, then their indexes are made.

Each process is given a range of streams, or a table, whenever it is done with what it had, so that all are busy until
little is left. Nothing shows before the generation is moved on, once all is done; if one fails, the generation is left
as any build that was interrupted leaves it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, Self, TypeAlias

import msgspec

from events.errors import Corrupt, EntryTooNew
from projections.bulk import Filling, Held, Indexes, Streams, Told, Work
from projections.engine import ENTRIES, LONG_SECONDS, QUERIES, Progress, Projection

WORTH: Final = 5_000  # entries; below, starting a process takes longer than it saves
RANGE: Final = 1_000  # entries handed out at a time, or what a single stream has
RANGES: Final = 8  # handed out to each process at least, so that all end at about the same time
AHEAD: Final = 2  # ranges that a process has at hand: who hands them out is busy with its own for long times
SHARES: Final = int.from_bytes(b"shar", "big") >> 1
"""With a generation's number: the lock that a process holds as long as it may write."""
_COMMAND: Final = (sys.executable, "-m", "projections.share")

_Hand: TypeAlias = Callable[[Work, Told], Coroutine[Any, Any, int]]
"""Does a part of the work, as `Filling.do`."""


class Assignment(msgspec.Struct, frozen=True):
    """What a process is to help with: a generation as of a position, of all read models or the one `alone`."""

    generation: int
    until: int
    alone: str | None


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many `entries` more have rows; how many it was, once a part is `done`; why it is `corrupt` or `lost`."""

    entries: int = 0
    done: int | None = None
    corrupt: str | None = None
    code: str = Corrupt.code
    lost: str | None = None


class ShareLost(OSError):
    """A process ended before its share was done: it lost the database, or was ended."""


def wanted(entries: int) -> int:
    """Return how many processes are worth it: one a processor, or only the own for few entries."""
    return len(os.sched_getaffinity(0)) if entries >= WORTH else 1


class Helpers:
    """Processes that a build of this program's read models is shared out among, and where they connect.

    They are started when they are needed, or ahead of that: `async with` begins to start them, so that they are ready
    by the time that it is known what there is to do, and ends those that nothing was found for.
    """

    def __init__(self, dsn: str, processes: int | None = None) -> None:
        """Take how many there are to be with the own: None is as many as are worth it."""
        self._dsn = dsn
        self._processes = processes
        self._ahead: list[Process] = []

    def of(self, entries: int) -> int:
        """Return how many processes there are to be, with the own, for so many entries."""
        return wanted(entries) if self._processes is None else self._processes

    async def __aenter__(self) -> Self:
        try:
            while len(self._ahead) < self.of(WORTH) - 1:
                self._ahead.append(await _started(self._dsn))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._ahead:
            await _end(self._ahead.pop())

    async def one(self) -> Process:
        """Return one, which is the caller's to end."""
        return self._ahead.pop() if self._ahead else await _started(self._dsn)


async def fill(
    projection: Projection, until: int, helpers: Helpers | None = None, progress: Progress = lambda _position: None
) -> None:
    """Bring a generation that shows nothing yet up to a position, and make its indexes.

    `helpers` have connections of their own, and know this program's read models only: all, or one. `progress` is told
    of how many entries the rows are written. Raises `Corrupt`, `Moved`, `ShareLost`, and what asyncpg raises.
    """
    filled = 0

    def told(entries: int) -> None:
        nonlocal filled
        filled += entries
        progress(filled)

    models = projection.models
    own = Filling(projection.connection, projection.generation, until, models)
    async with _helped(projection, until, helpers) as others:
        hands = (own.do, *others)
        many = max(1, min(RANGE, until // (RANGES * len(hands)))) if others else RANGE
        ranges = await projection.connection.fetch(ENTRIES["ranges"], many, timeout=LONG_SECONDS)
        streams = [Streams(record["first"], record["last"]) for record in ranges]
        found = await _all([(own.do, 1), *[(hand, AHEAD) for hand in others]], streams, told, Held())
        if found != until:
            raise Corrupt(f"below position {until} the log has {found} entries")
        tables = await projection.connection.fetch(QUERIES["by_size"], f"read_{projection.generation}")
        await _all([(hand, 1) for hand in hands], [Indexes(record["relname"]) for record in tables], told)
    await projection.built(until)


async def _all(hands: Iterable[tuple[_Hand, int]], works: Iterable[Work], told: Told, last: Work | None = None) -> int:
    """Have it all done, in order, each part by whoever is free, and by everybody, once nothing is left, what is `last`.

    With each is how many parts they are given at a time. Returns of how many entries it was.
    """
    left = deque(works)

    async def one_by_one(hand: _Hand) -> int:
        done = 0
        while left:
            done += await hand(left.popleft(), told)
        return done

    async def busy(hand: _Hand, at_a_time: int) -> int:
        done = await _together(one_by_one(hand) for _ in range(at_a_time))
        return done if last is None else done + await hand(last, told)

    return await _together(busy(*hand) for hand in hands)


async def _together(works: Iterable[Coroutine[Any, Any, int]]) -> int:
    tasks = [asyncio.create_task(work) for work in works]
    try:
        return sum(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _helped(projection: Projection, until: int, helpers: Helpers | None) -> AsyncGenerator[list[_Hand]]:
    """Have processes help, and end them: PostgreSQL is done with what they had sent then, and nobody else writes."""
    many = 0 if helpers is None else helpers.of(until) - 1
    if helpers is None or not many:
        yield []
        return
    models = projection.models
    alone = models[0].name if len(models) == 1 else None
    assignment = Assignment(projection.generation, until, alone)
    try:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(_hand(await helpers.one(), assignment)) for _ in range(many)]
    finally:
        held = SHARES, projection.generation
        await projection.connection.execute(QUERIES["hold"], *held, timeout=LONG_SECONDS)
        await projection.connection.execute(QUERIES["let_go"], *held)


@asynccontextmanager
async def _hand(process: Process, assignment: Assignment) -> AsyncGenerator[_Hand]:
    orders, reports = _pipes(process)
    turn = asyncio.Lock()  # what was ordered first is reported first

    async def do(work: Work, told: Told) -> int:
        orders.write(msgspec.json.encode(work) + b"\n")
        async with turn:
            async for line in reports:
                report = msgspec.json.decode(line, type=Report)
                if report.corrupt is not None:
                    raise (EntryTooNew if report.code == EntryTooNew.code else Corrupt)(report.corrupt)
                if report.lost is not None:
                    raise ShareLost(f"a process that rebuilds lost the database ({report.lost})")
                if report.done is not None:
                    return report.done
                told(report.entries)
        raise ShareLost("one of the processes that rebuild ended before it was done")

    try:
        orders.write(msgspec.json.encode(assignment) + b"\n")
        yield do
    finally:
        await _end(process)


async def _started(dsn: str) -> Process:
    """Begin to start a process, which connects while it waits for its assignment."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*_COMMAND, stdin=pipe, stdout=pipe)
    orders, _ = _pipes(process)
    orders.write(msgspec.json.encode(dsn) + b"\n")
    return process


def _pipes(process: Process) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
    if process.stdin is None or process.stdout is None:
        raise ShareLost("a process that rebuilds has no pipes")
    return process.stdin, process.stdout


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()
