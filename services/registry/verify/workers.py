"""Examines chunks in other processes, in their order, while the next ones are read."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Final

from services.registry.verify.chunk import STRETCH, Chunk, Examined
from services.registry.verify.examine import examine

WORTH: Final = 8 * STRETCH  # entries; below, starting processes takes longer than they save
AHEAD: Final = 2  # chunks a process that may be read before their turn


def wanted(entries: int) -> int:
    """Return how many processes are worth it: none (the own one does it) for few entries, or on one processor."""
    processors = len(os.sched_getaffinity(0))
    return processors if processors > 1 and entries >= WORTH else 0


@contextmanager
def pool(processes: int) -> Generator[ProcessPoolExecutor | None]:
    """Start processes, none if there are to be none; they are gone afterwards."""
    if not processes:
        yield None
        return
    # Spawned: a fork would take over the loop's connections.
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), initializer=_leave_interrupts)
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C goes to the whole group; the process that started this one decides what it means."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


async def examined(
    chunks: AsyncGenerator[Chunk], executor: ProcessPoolExecutor | None, processes: int
) -> AsyncGenerator[Examined]:
    """Yield what each chunk was found to be, in their order."""
    if executor is None:
        async for chunk in chunks:
            yield examine(chunk)
        return
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[Examined]] = []
    try:
        async for chunk in chunks:
            waiting.append(loop.run_in_executor(executor, examine, chunk))
            if len(waiting) > processes * AHEAD:
                yield await waiting.pop(0)
        while waiting:
            yield await waiting.pop(0)
    finally:
        for future in waiting:
            future.cancel()
