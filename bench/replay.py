"""The log as NDJSON over HTTP beside `COPY … TO STDOUT` of the same lines, which knows no HTTP and no rights."""

from __future__ import annotations

import time

import asyncpg

from bench import processes
from bench.filling import fill
from bench.load import Client
from bench.measure import Figure, Result, interleave, paired
from events import sql
from services.registry.provision import Access

TARGETS = {"copy": 0.5}
_SQL = sql.load("bench", "reading.sql")


class Counted:
    """What takes lines, and keeps how many bytes they had."""

    def __init__(self) -> None:
        self.size = 0

    async def write(self, data: bytes) -> None:
        """Take a part."""
        self.size += len(data)


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure over a history of a size, by bytes a second."""
    size, rounds = (5_000, 3) if quick else (100_000, 7)
    await fill(access, size)
    async with processes.registry(access) as ours, processes.serving(ours):
        headers = {"Authorization": f"Bearer {await ours.token()}", "Accept": "application/x-ndjson"}
        connection = await asyncpg.connect(access.service)
        async with Client(ours.port, 1) as client:

            async def replay() -> float:
                sent, seconds = await client.stream("/v1/log/entries", headers)
                return sent / seconds / 1e6

            async def copy() -> float:
                counted = Counted()
                begun = time.perf_counter()
                await connection.copy_from_query(_SQL["copy"], output=counted.write)
                return counted.size / (time.perf_counter() - begun) / 1e6

            found = await interleave({"replay": replay, "copy": copy}, rounds)
        await connection.close()
    figures = {name: Figure.of("MB/s", rates) for name, rates in found.items()}
    return Result(figures, {"copy": paired(found["replay"], found["copy"])}, TARGETS)
