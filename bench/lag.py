"""How long a recorded entry takes to be in the read models, at half the rate at which entries can be recorded.

A projector in a process of its own follows all the while, as it does in a registry. First the greatest rate is found,
by as many clients as it takes. Once all that is projected, half of that rate is recorded evenly. An entry is late by
the time from its answer to when the live position is heard of that has it, as an API process hears of it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from datetime import UTC, datetime
from itertools import islice

import asyncpg

from bench import processes
from bench.filling import fill
from bench.history import History
from bench.measure import Figure, Result
from events.catalogue import Event
from events.log import Append, Draft, Log
from projections.engine import QUERIES, VERSION
from services.registry.ids import command_id
from services.registry.provision import Access

CLIENTS = 32
TARGETS = {"a_quarter_second": 1.0}
BOUND = 250.0  # ms
STEP = 0.01  # seconds between what is recorded together


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure behind a history of a size, with a history that is told on."""
    size, seconds, rounds = (2_000, 2.0, 2) if quick else (50_000, 20.0, 5)
    await fill(access, size)
    lates: list[list[float]] = []
    async with (
        processes.registry(access) as made,
        await Log.open(access.service, origin=processes.ORIGIN, clock=_now) as log,
    ):
        with made.start("project"):
            await made.projected((await log.head()).size)
            most = await _most(log, 3_200 if quick else 32_000)
            await made.projected((await log.head()).size)
            for number in range(rounds + 1):
                late = await Following(log, access).run(most / 2, seconds, number)
                if number:  # the first warms up
                    lates.append(sorted(late))
    figures = {"append_most": Figure.of("entries/s", [most])}
    for name, part in (("lag_p50", 0.5), ("lag_p99", 0.99)):
        figures[name] = Figure.of("ms", [one[int(part * len(one))] * 1000 for one in lates])
    return Result(figures, {"a_quarter_second": BOUND / figures["lag_p99"].median}, TARGETS)


async def _most(log: Log, entries: int) -> float:
    """Record as fast as can be, each client a history of its own; how many a second."""

    async def one(seed: int) -> None:
        revisions: dict[str, int] = {}
        for stream, event in islice(History(seed), entries // CLIENTS):
            await log.append(_command(revisions, stream, event))

    begun = time.perf_counter()
    await asyncio.gather(*(one(100 + number) for number in range(CLIENTS)))
    return entries / (time.perf_counter() - begun)


def _command(revisions: dict[str, int], stream: str, event: Event) -> Append:
    before = revisions.get(stream, -1)
    revisions[stream] = before + 1
    draft = Draft(stream=stream, expected_revision=before, event_type=event.event_type, data=event)
    return Append(command_id=command_id("bench", None, None), command_hash=bytes(32), actor="bench", drafts=(draft,))


class Following:
    """Entries recorded evenly, and when each was seen."""

    def __init__(self, log: Log, access: Access) -> None:
        self._log = log
        self._access = access
        self._waiting: deque[tuple[int, float]] = deque()
        self._late: list[float] = []
        self._seen = asyncio.Event()

    async def run(self, rate: float, seconds: float, number: int) -> list[float]:
        """Record at a rate; how late each entry was, in seconds."""
        listening = await asyncpg.connect(self._access.projector)
        told = asyncio.Event()
        await listening.add_listener("registry_projected", lambda *_: told.set())
        following = asyncio.create_task(self._follow(listening, told))
        events = iter(History(1_000 + number))  # other things than those that are on record
        revisions: dict[str, int] = {}
        begun, recorded, under_way = time.perf_counter(), 0, set[asyncio.Task[None]]()
        while (spent := time.perf_counter() - begun) < seconds:
            due = int(spent * rate) - recorded
            for stream, event in islice(events, due):
                task = asyncio.create_task(self._record(_command(revisions, stream, event)))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            recorded += due
            await asyncio.sleep(STEP)
        await asyncio.gather(*under_way)
        async with asyncio.timeout(120):
            while self._waiting:
                self._seen.clear()
                await self._seen.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await listening.close()
        return self._late

    async def _record(self, command: Append) -> None:
        appended = await self._log.append(command)
        self._waiting.append((appended.size, time.perf_counter()))

    async def _follow(self, connection: asyncpg.Connection[asyncpg.Record], told: asyncio.Event) -> None:
        while True:
            await told.wait()
            told.clear()
            position: int = await connection.fetchval(QUERIES["position"], VERSION)
            now = time.perf_counter()
            while self._waiting and self._waiting[0][0] <= position:
                self._late.append(max(now - self._waiting.popleft()[1], 0.0))
            self._seen.set()


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the bench is its own service
