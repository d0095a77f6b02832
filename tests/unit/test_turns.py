"""Of the commands that write a stream one is let in at a time, in order; who gives up keeps nothing."""

from __future__ import annotations

import asyncio

import pytest

from events.errors import LogUnavailable
from services.registry.turns import Turns


def soon() -> float:
    return asyncio.get_running_loop().time() + 30


async def test_one_is_let_in_at_a_time_in_order_of_arrival():
    turns, seen = Turns(), list[str]()

    async def write(name: str) -> None:
        async with turns.at(["s"], soon()):
            seen.append(f"{name} in")
            await asyncio.sleep(0)
            seen.append(f"{name} out")

    await asyncio.gather(*map(write, "abc"))

    assert seen == ["a in", "a out", "b in", "b out", "c in", "c out"]


@pytest.mark.parametrize("cancelled", [True, False])
async def test_who_gives_up_waiting_for_one_stream_passes_on_the_others(cancelled: bool):
    turns = Turns()

    async def write(deadline: float) -> None:
        async with turns.at(["a", "b"], deadline):
            pytest.fail("it was let in")

    async with turns.at(["b"], soon()):
        waiting = asyncio.create_task(write(soon() if cancelled else 0.0))
        await asyncio.sleep(0)
        if cancelled:
            waiting.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else LogUnavailable):
            await waiting
        async with turns.at(["a"], 0.0):
            pass

    async with turns.at(["a", "b"], 0.0):
        pass


async def test_a_failure_within_passes_the_turn_on():
    turns = Turns()
    with pytest.raises(ZeroDivisionError):
        async with turns.at(["a"], soon()):
            raise ZeroDivisionError

    async with turns.at(["a"], 0.0):
        pass
