"""Recording a thousand entries at a time beside COPY of rows that stand ready into a table with the same indexes.

One command records a batch: the log makes entries of its events, orders them, hashes their leaves, moves the head and
commits. COPY is given rows of the same size; each batch of it is a transaction, too.
"""

from __future__ import annotations

import hashlib
import random
import time
from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import asyncpg
import uuid_utils

from bench.append import STREAM_LENGTH, story
from bench.measure import Figure, Result, interleave, paired
from events import sql
from events.log import Append, Draft, Log
from events.log.transfer import COLUMNS
from services.registry.provision import Access

BATCH = 1_000
TARGETS = {"copy": 0.5}
_SQL = sql.load("bench", "bulk.sql")
_streams = count()


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure by entries a second, some batches a round, one after the other."""
    batches, rounds = (5, 3) if quick else (20, 9)
    owner = await asyncpg.connect(access.owner)
    await owner.execute(_SQL["create_table"])
    await owner.close()
    connection = await asyncpg.connect(access.service)
    async with await Log.open(access.service, origin="registry.example/log", clock=_now) as log:
        stored = len((await log.append(command())).entries[0].bytes)

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

        found = await interleave({"bulk": ours, "copy": copy}, rounds)
    await connection.close()
    figures = {name: Figure.of("entries/s", rates) for name, rates in found.items()}
    return Result(figures, {"copy": paired(found["bulk"], found["copy"])}, TARGETS)


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


def rows(number: int, size: int) -> list[tuple[object, ...]]:
    """Make a batch of rows that COPY takes."""
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
            "registry.meeting-held.v1",
            "internal",
            chance.randbytes(32),
            chance.randbytes(size // 2).hex().encode(),
        )
        for nth in range(BATCH)
    ]


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the bench is its own service
