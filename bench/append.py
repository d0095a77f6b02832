"""Recording one event a command: the log's `append` beside bare asyncpg INSERTs into a table with the same indexes.

The log checks revisions, orders without a gap, hashes leaves, moves the head and keeps commands idempotent; the bare
table is what one would write without any of that, and without order. All encode the same event each time, both
commit durably before they answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import count
from uuid import UUID

import asyncpg
import uuid_utils
from asyncpg.pgproto.pgproto import UUID as QuickUUID  # noqa: N811 - as in the log

from bench.database import Room
from bench.measure import Figure, Result, interleave, paired
from bench.peers.contestants import peers
from events import sql
from events.catalogue.cooperation_events import MeetingHeld, TopicRaised, VisitScheduled
from events.edtf import EdtfDate
from events.entry import canonical
from events.log import Append, Draft, Log
from events.values import Citation, Participant, Place, Topic

TASKS = 32
STREAM_LENGTH = 10
BARE = {"bare_insert_32": 2.0, "bare_insert_1": 0.7}
PEERS = {"message_db_32": 7.0, "message_db_1": 1.0, "eventsourcing_locked_32": 16.0}
_SQL = sql.load("bench", "append.sql")
_streams = count()


def story(chance: random.Random) -> list[MeetingHeld | TopicRaised | VisitScheduled]:
    """Make events such as those of the story, a stream's worth."""

    def an(kind: str) -> str:
        return f"{kind}_0" + "".join(chance.choices("0123456789abcdefghjkmnpqrstvwxyz", k=25))

    ours, theirs, topic, meeting = an("party"), an("party"), an("topic"), an("meeting")
    cited = (Citation(source=an("src"), start=812, end=1010),)
    sides = (Participant(party=ours, person=an("person"), role="adviser"), Participant(party=theirs, role="management"))
    held = MeetingHeld(
        meeting_id=meeting,
        held=EdtfDate.parse("2019-06-17/2019-06-19"),
        participants=sides,
        occasion=an("occ"),
        place=Place(country="FR", city="Paris"),
        topics=(topic,),
        summary="Military-technical cooperation was discussed.",
        citations=cited,
    )
    raised = TopicRaised(
        topic=Topic(
            topic_id=topic,
            kind="joint-production",
            subject="Joint production of defence products",
            products=("wheeled armoured vehicles", "robotic weapons for sea", "robotic weapons for air"),
        ),
        citations=cited,
    )
    visit = VisitScheduled(
        visit_id=an("visit"),
        visitors=(Participant(party=theirs, role="experts"),),
        host=ours,
        place=Place(country="AZ"),
        window=EdtfDate.parse("2019-07"),
        purpose="To continue the negotiations on joint production",
        topics=(topic,),
        meeting=meeting,
        citations=cited,
    )
    return [(held, raised, visit)[nth % 3] for nth in range(STREAM_LENGTH)]


@dataclass(frozen=True)
class Run:
    """A run of commands: the median and the 99th percentile of how long one took (ms), and how many shared a commit."""

    p50: float
    p99: float
    batch: float

    @classmethod
    def of(cls, latencies: Iterable[float], batch: float) -> Run:
        """Take the seconds of the commands together."""
        told = sorted(latencies)
        return cls(told[len(told) // 2] * 1000, told[int(0.99 * len(told))] * 1000, batch)


class Ours:
    """The log, from several tasks at once."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._events = story(random.Random(1))
        self._hash = hashlib.sha256(b"the request").digest()
        self._latencies: list[float] = []
        self.runs: list[Run] = []

    async def run(self, tasks: int, entries: int) -> float:
        """Record that many, one a command; how many a second. What else it was like is the last of `runs`."""
        self._latencies.clear()
        before = self._log.counts.entries, self._log.counts.batches
        rate = await _rate(self._task, tasks, entries)
        recorded, batches = self._log.counts.entries - before[0], self._log.counts.batches - before[1]
        self.runs.append(Run.of(self._latencies, recorded / batches))
        return rate

    async def _task(self, entries: int) -> None:
        stream = ""
        for nth in range(entries):
            revision = nth % STREAM_LENGTH
            if revision == 0:
                stream = f"cooperation/coop_{next(_streams):026}"
            event = self._events[revision]
            command = Append(
                command_id=_id(),
                command_hash=self._hash,
                actor="bench",
                drafts=(Draft(stream=stream, expected_revision=revision - 1, event_type=event.event_type, data=event),),
            )
            start = time.perf_counter()
            await self._log.append(command)
            self._latencies.append(time.perf_counter() - start)


class Bare:
    """One INSERT a command, each task with a connection and a prepared statement of its own."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool
        self._events = story(random.Random(1))

    async def run(self, tasks: int, entries: int) -> float:
        """Insert that many; how many a second."""
        return await _rate(self._task, tasks, entries)

    async def _task(self, entries: int) -> None:
        async with self._pool.acquire() as connection:
            insert = await connection.prepare(_SQL["insert"])
            stream = ""
            for nth in range(entries):
                revision = nth % STREAM_LENGTH
                if revision == 0:
                    stream = f"cooperation/coop_{next(_streams):026}"
                event = self._events[revision]
                await insert.fetch(
                    datetime.now(UTC),  # noqa: TID251 - a user has a clock
                    stream,
                    revision,
                    _id(),
                    event.event_type,
                    _id(),
                    0,
                    canonical.encode(event),
                )


def _id() -> UUID:
    return QuickUUID(uuid_utils.uuid7().bytes)


async def _rate(task: Callable[[int], Awaitable[None]], tasks: int, entries: int) -> float:
    start = time.perf_counter()
    await asyncio.gather(*(task(entries // tasks) for _ in range(tasks)))
    return entries / (time.perf_counter() - start)


async def measure(room: Room, *, quick: bool) -> Result:
    """Measure with 32 tasks and with one; peers take part unless it is to be quick, with fewer entries a round."""
    rounds, many, few = (5, 4_800, 480) if quick else (15, 16_000, 2_000)
    owner = await asyncpg.connect(room.owner)
    await owner.execute(_SQL["create_table"])
    await owner.close()
    pool = asyncpg.create_pool(room.service, min_size=TASKS, max_size=TASKS)
    async with (
        pool,
        await Log.open(room.service, origin="registry.example/log", clock=_now) as log,
        peers(room, story(random.Random(1)), wanted=not quick) as others,
    ):
        ours, bare = Ours(log), Bare(pool)
        found: dict[str, list[float]] = {}
        shared: list[Run] = []
        for tasks, entries in ((TASKS, many), (1, few)):
            found |= await interleave(
                {
                    f"append_{tasks}": partial(ours.run, tasks, entries),
                    f"bare_insert_{tasks}": partial(bare.run, tasks, entries),
                }
                | {f"{name}_{tasks}": partial(peer.append, tasks, entries // 4) for name, peer in others.items()},
                rounds,
            )
            if tasks == TASKS:
                shared = ours.runs[1:]  # the first warms up
    figures = {name: Figure.of("entries/s", rates) for name, rates in found.items()}
    figures["append_32_p50"] = Figure.of("ms", [run.p50 for run in shared])
    figures["append_32_p99"] = Figure.of("ms", [run.p99 for run in shared])
    figures["entries_a_batch_32"] = Figure.of("entries", [run.batch for run in shared])
    ratios = {
        name: paired(found[f"append_{name.rpartition('_')[2]}"], rates)
        for name, rates in found.items()
        if not name.startswith("append")
    }
    return Result(figures, ratios, BARE if quick else BARE | PEERS)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the bench is its own service
