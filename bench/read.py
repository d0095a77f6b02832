"""Reading the whole log, decoded to typed events, beside asyncpg paging with plain msgspec decoding."""

from __future__ import annotations

import time

import asyncpg
import msgspec

from bench.filling import fill
from bench.measure import Figure, Result, interleave, paired
from events import sql
from events.codec import decode_entry
from events.log.read import PAGE, Reader
from services.registry.provision import Access

TARGETS = {"msgspec_paging": 0.8}
_SQL = sql.load("bench", "reading.sql")
_plain = msgspec.json.Decoder()


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure over a history of a size."""
    size, rounds = (5_000, 3) if quick else (100_000, 7)
    await fill(access, size)
    async with asyncpg.create_pool(access.service, min_size=1, max_size=1) as pool:
        reader = Reader(pool)

        async def ours() -> float:
            begun, number = time.perf_counter(), 0
            async for recorded in reader.iterate(below=size):
                decode_entry(recorded.bytes)
                number += 1
            return number / (time.perf_counter() - begun)

        async def plain() -> float:
            begun, position = time.perf_counter(), 0
            while page := await pool.fetch(_SQL["page"], position, PAGE):
                for record in page:
                    _plain.decode(record["bytes"])
                position += len(page)
            return position / (time.perf_counter() - begun)

        found = await interleave({"read": ours, "msgspec_paging": plain}, rounds)
    figures = {name: Figure.of("entries/s", rates) for name, rates in found.items()}
    return Result(figures, {"msgspec_paging": paired(found["read"], found["msgspec_paging"])}, TARGETS)
