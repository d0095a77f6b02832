"""Examines chunks in other processes, and yields what they are found to be in their order, while the next are read."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import msgspec

from services.registry.verify.chunk import LENGTH, STRETCH, Chunk, Examined
from services.registry.verify.examine import examine
from services.registry.verify.files import loaded
from services.registry.verify.source import Unreadable

WORTH: Final = 32 * STRETCH  # entries; below, starting processes takes longer than they save
AHEAD: Final = 2  # chunks a process that may be read before their turn
_COMMAND: Final = (sys.executable, "-m", "services.registry.verify.worker")

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Examined).decode


def wanted(entries: int) -> int:
    """Return how many processes are worth it: none (the own one does it) for few entries, or on one processor."""
    processors = len(os.sched_getaffinity(0))
    return processors if processors > 1 and entries >= WORTH else 0


class Worker:
    """A process; it examines one chunk at a time, whoever asks first first."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def examine(self, chunk: Chunk) -> Examined:
        """Have a chunk examined. Raises `Unreadable` if the process ended."""
        sink, source = self._process.stdin, self._process.stdout
        if sink is None or source is None:
            raise Unreadable("A process that examines entries has no pipes.")
        message = _encode(chunk)
        async with self._turn:
            try:
                sink.write(LENGTH.pack(len(message)))
                sink.write(message)
                await sink.drain()
                (length,) = LENGTH.unpack(await source.readexactly(LENGTH.size))
                return _decode(await source.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionError):
                raise Unreadable(
                    "A process that examines entries ended: it says why above, unless memory was short."
                ) from None

    async def end(self) -> None:
        """Return when the process is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def pool(processes: int) -> AsyncGenerator[list[Worker]]:
    """Start processes; they are gone afterwards."""
    workers: list[Worker] = []
    try:
        for _ in range(processes):
            process = await asyncio.create_subprocess_exec(
                *_COMMAND, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**24
            )
            workers.append(Worker(process))
        yield workers
    finally:
        for worker in workers:
            await worker.end()


async def examined(chunks: AsyncGenerator[Chunk], processes: int) -> AsyncGenerator[Examined]:
    """Yield what each chunk was found to be, in their order."""
    if not processes:
        async for chunk in chunks:
            yield examine(loaded(chunk))
        return
    async with pool(processes) as workers:
        waiting: deque[asyncio.Task[Examined]] = deque()
        number = 0
        try:
            async for chunk in chunks:
                waiting.append(asyncio.create_task(workers[number % processes].examine(chunk)))
                number += 1
                while len(waiting) > processes * AHEAD or (waiting and waiting[0].done()):
                    yield await waiting.popleft()
            while waiting:
                yield await waiting.popleft()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
