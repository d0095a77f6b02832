from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from projections.heartbeat import heard

FOR_EVER = 3600.0


async def test_what_is_told_is_heard_at_once_and_silence_ends():
    told = asyncio.Event()
    assert await heard(told, 0.001) is False
    told.set()
    assert await heard(told, FOR_EVER) is True


@pytest.mark.parametrize("turns", range(6))
async def test_who_is_cancelled_while_being_told_is_cancelled(turns: int):
    told = asyncio.Event()

    async def listen() -> None:
        while True:
            told.clear()
            await heard(told, FOR_EVER)

    task = asyncio.create_task(listen())
    for _ in range(3):
        await asyncio.sleep(0)
    told.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done == {task}
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
