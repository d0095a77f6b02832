"""Recording a thousand entries at a time beside COPY of rows that stand ready into a table with the same indexes.

One command records a batch: the log makes entries of its events, orders them, hashes their leaves, moves the head and
commits. COPY is given rows as large as those entries, one by one; each batch of it is a transaction, too.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import count
from uuid import UUID

import asyncpg
import uuid_utils

from bench.append import STREAM_LENGTH, story
from bench.database import Room
from bench.measure import Figure, Result, interleave, paired
from bench.peers.contestants import peers
from events import sql
from events.log import Append, Draft, Log
from events.log.command import Recorded
from events.log.transfer import COLUMNS

BATCH = 1_000
TARGETS = {"copy": 0.5}
PEERS = {"eventsourcing_locked": 2.0, "eventsourcing_functions": 2.0}
_SQL = sql.load("bench", "bulk.sql")
_streams = count()


async def measure(room: Room, *, quick: bool) -> Result:
    """Measure by entries a second, some batches a round, one after the other."""
    batches, rounds = (5, 3) if quick else (20, 9)
    owner = await asyncpg.connect(room.owner)
    await owner.execute(_SQL["create_table"])
    await owner.close()
    connection = await asyncpg.connect(room.service)
    async with (
        await Log.open(room.service, origin="registry.example/log", clock=_now) as log,
        peers(room, story(random.Random(1)), wanted=not quick) as others,
    ):
        stored = (await log.append(command())).entries

        async def ours() -> float:
            begun = time.perf_counter()
            for _ in range(batches):
                await log.append(command())
            return batches * BATCH / (time.perf_counter() - begun)

        positions = count()

        async def copy() -> float:
            ready = [rows(next(positions), stored) for _ in range(batches)]
            begun = time.perf_counter()
            for batch in ready:
                await connection.copy_records_to_table("copied", columns=COLUMNS, records=batch)
            return batches * BATCH / (time.perf_counter() - begun)

        beside = {name: peer for name, peer in others.items() if name in PEERS}
        found = await interleave(
            {"bulk": ours, "copy": copy}
            | {name: partial(peer.append, 1, batches * BATCH, BATCH) for name, peer in beside.items()},
            rounds,
        )
    await connection.close()
    figures = {name: Figure.of("entries/s", rates) for name, rates in found.items()}
    ratios = {name: paired(found["bulk"], rates) for name, rates in found.items() if name != "bulk"}
    return Result(figures, ratios, TARGETS if quick else TARGETS | PEERS)


def command() -> Append:
    """Make a command of a thousand events, in new streams."""
    events = story(random.Random(1))
    drafts: list[Draft] = []
    for _ in range(BATCH // STREAM_LENGTH):
        stream = f"cooperation/coop_{next(_streams):026}"
        drafts += (
            Draft(stream=stream, expected_revision=nth - 1, event_type=event.event_type, data=event)
            for nth, event in enumerate(events)
        )
    return Append(
        command_id=UUID(bytes=uuid_utils.uuid7().bytes),
        command_hash=hashlib.sha256(b"the request").digest(),
        actor="bench",
        drafts=tuple(drafts),
    )


def rows(number: int, entries: Sequence[Recorded]) -> list[tuple[object, ...]]:
    """Make a batch of rows that COPY takes: for each entry one of its type, with as many bytes."""
    now, chance = _now(), random.Random(number)
    one = UUID(bytes=uuid_utils.uuid7().bytes)
    return [
        (
            number * BATCH + nth,
            now,
            nth % STREAM_LENGTH,
            nth,
            UUID(bytes=uuid_utils.uuid7().bytes),
            one,
            f"cooperation/copy_{(number * BATCH + nth) // STREAM_LENGTH:026}",
            entry.event_type,
            "public",
            chance.randbytes(32),
            chance.randbytes(len(entry.bytes)).hex().encode()[: len(entry.bytes)],
        )
        for nth, entry in enumerate(entries)
    ]


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the bench is its own service
