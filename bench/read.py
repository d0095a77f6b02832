"""Reading the whole log, decoded to typed events, beside asyncpg paging with plain msgspec decoding."""

from __future__ import annotations

import random
import sys
import time

import asyncpg
import msgspec

from bench.append import story
from bench.database import Room
from bench.filling import fill
from bench.measure import Figure, Result, Silent, interleave, paired
from bench.peers.contestants import Peer, peers
from events import sql
from events.log.read import PAGE, Reader

TARGETS = {"msgspec_paging": 0.8}
PEERS = ("message_db", "eventsourcing_locked", "eventsourcing_functions", "emmett")
_SQL = sql.load("bench", "reading.sql")
_plain = msgspec.json.Decoder()


async def measure(room: Room, *, quick: bool) -> Result:
    """Measure over a history of a size."""
    size, rounds = (5_000, 3) if quick else (100_000, 7)
    await fill(room, size)
    async with (
        asyncpg.create_pool(room.service, min_size=1, max_size=1) as pool,
        peers(room, story(random.Random(1)), wanted=not quick) as others,
    ):
        beside: dict[str, Peer] = {}
        for name in (name for name in PEERS if name in others):
            try:
                await others[name].append(32, 32_000)
            except Silent as why:
                print(f"{name} takes no part: {why}", file=sys.stderr)
            else:
                beside[name] = others[name]
        await room.settle()
        reader = Reader(pool)

        async def ours() -> float:
            begun, number = time.perf_counter(), 0
            async for entries in reader.iterate_decoded(below=size):
                number += len(entries)
            return number / (time.perf_counter() - begun)

        async def plain() -> float:
            begun, position = time.perf_counter(), 0
            while page := await pool.fetch(_SQL["page"], position, PAGE):
                for record in page:
                    _plain.decode(record["bytes"])
                position += len(page)
            return position / (time.perf_counter() - begun)

        found = await interleave(
            {"read": ours, "msgspec_paging": plain} | {name: peer.read for name, peer in beside.items()}, rounds
        )
    figures = {name: Figure.of("entries/s", rates) for name, rates in found.items()}
    ratios = {name: paired(found["read"], rates) for name, rates in found.items() if name != "read"}
    return Result(figures, ratios, TARGETS if quick else TARGETS | dict.fromkeys(PEERS, 2.0))
