"""A rebuild's work shared out among processes: each folds some of the streams, and writes their rows.

What a row says rests on one stream, and from when to when on positions, so rows are the same in whatever order streams
are taken. Nothing shows before the generation is moved on, once all are done; if one fails, the generation is left as
any build that was interrupted leaves it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from typing import Final

import msgspec

from events.errors import Corrupt, EntryTooNew
from projections.engine import QUERIES, Progress, Projection, Share
from projections.model import ReadModel

WORTH: Final = 5_000  # entries; below, starting processes takes longer than they save
SHARES: Final = int.from_bytes(b"shar", "big") >> 1
"""With a generation's number: the lock that whoever writes a share of it holds."""
_COMMAND: Final = (sys.executable, "-m", "projections.share")


class Assignment(msgspec.Struct, frozen=True):
    """What a process is to do: a share of a generation, up to a position, of all read models or the one `alone`."""

    dsn: str
    generation: int
    share: Share
    until: int
    alone: str | None


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a process is; at its end how many entries it `projected`, or why it is `corrupt` or `lost`."""

    position: int = 0
    projected: int | None = None
    corrupt: str | None = None
    code: str = Corrupt.code
    lost: str | None = None


class ShareLost(OSError):
    """A process ended before its share was done: it lost the database, or was ended."""


def wanted(entries: int) -> int:
    """Return how many processes are worth it: one a processor, or only the own for few entries."""
    return len(os.sched_getaffinity(0)) if entries >= WORTH else 1


async def project(  # noqa: PLR0917 - it is what there is to know
    projection: Projection,
    dsn: str,
    processes: int,
    until: int,
    alone: ReadModel | None = None,
    progress: Progress = lambda _position: None,
) -> None:
    """Bring a generation that shows nothing yet up to a position, by so many processes, each with a connection.

    `progress` is told how far all of them are. Raises `Corrupt` as one process would, `ShareLost`, and `Moved`.
    """
    reached = [0] * processes

    async def one(number: int) -> int:
        def told(position: int) -> None:
            reached[number] = position
            progress(min(reached))

        name = None if alone is None else alone.name
        return await _done(Assignment(dsn, projection.generation, Share(number, processes), until, name), told)

    tasks = [asyncio.create_task(one(number)) for number in range(processes)]
    try:
        projected = sum(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await _gone(projection)
    if projected != until:
        raise Corrupt(f"below position {until} the log has {projected} entries")
    await projection.shared(until)


async def _gone(projection: Projection) -> None:
    """Wait until PostgreSQL is done with whatever the processes had sent: nobody else writes the tables then."""
    held = SHARES, projection.generation
    await projection.connection.execute(QUERIES["hold"], *held)
    await projection.connection.execute(QUERIES["let_go"], *held)


async def _done(assignment: Assignment, told: Callable[[int], None]) -> int:
    """Have a share projected by a process; return how many entries it had. The process is gone afterwards."""
    process = await asyncio.create_subprocess_exec(
        *_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        if process.stdin is None or process.stdout is None:
            raise ShareLost("a process that rebuilds has no pipes")
        process.stdin.write(msgspec.json.encode(assignment) + b"\n")  # and kept open: it ends when we do
        async for line in process.stdout:
            report = msgspec.json.decode(line, type=Report)
            if report.corrupt is not None:
                raise (EntryTooNew if report.code == EntryTooNew.code else Corrupt)(report.corrupt)
            if report.lost is not None:
                raise ShareLost(f"a process that rebuilds lost the database ({report.lost})")
            if report.projected is not None:
                return report.projected
            told(report.position)
        raise ShareLost(f"process {assignment.share.number} of those that rebuild ended before it was done")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
