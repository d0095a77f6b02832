"""Asking together: nobody gets what was asked before they came, and nobody suffers from another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from events.log.together import TASK, Together


class Oracle:
    """A pool of one connection that answers with how often it was asked, when it is let.

    It remembers what it was asked for, and how often the connection was taken and given back.
    """

    def __init__(self) -> None:
        self.taken = self.given_back = 0
        self.refuses: Exception | None = None
        self.asked: list[set[str]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.fails: Exception | None = None
        self.refused = ""

    @asynccontextmanager
    async def acquire(self) -> AsyncGenerator[None]:
        if self.refuses is not None:
            raise self.refuses
        self.taken += 1
        yield
        self.given_back += 1

    async def ask(self, _connection: Any, keys: Collection[str]) -> Mapping[str, tuple[str, int]]:
        self.asked.append(set(keys))
        number = len(self.asked)
        await self.free.wait()
        if self.fails is not None:
            raise self.fails
        if self.refused in keys:
            raise LookupError(self.refused)
        return {key: (key, number) for key in keys}


def asking(oracle: Oracle, most: int) -> Together[str, tuple[str, int]]:
    pool: Any = oracle
    return Together(pool, oracle.ask, most)


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_those_who_come_at_one_moment_share_a_question():
    oracle = Oracle()
    together = asking(oracle, 10)
    answers = await asyncio.gather(*(together.get(key) for key in ("a", "b", "a")))
    assert answers == [("a", 1), ("b", 1), ("a", 1)]
    assert oracle.asked == [{"a", "b"}]
    await settled()
    assert (oracle.taken, oracle.given_back) == (1, 1)


async def test_who_comes_while_a_question_is_under_way_gets_the_answer_to_the_next():
    oracle = Oracle()
    together = asking(oracle, 10)
    oracle.free.clear()
    early = asyncio.ensure_future(together.get("a"))
    await settled()
    late = [asyncio.ensure_future(together.get(key)) for key in ("a", "b")]
    await settled()
    assert oracle.asked == [{"a"}]
    oracle.free.set()
    assert await early == ("a", 1)
    assert await asyncio.gather(*late) == [("a", 2), ("b", 2)]


async def test_a_question_is_bounded_and_the_rest_is_asked_next():
    oracle = Oracle()
    together = asking(oracle, 2)
    answers = await asyncio.gather(*(together.get(key) for key in "abcde"))
    assert [number for _, number in answers] == [1, 1, 2, 2, 3]


async def test_what_a_question_raises_is_raised_to_each_who_asked_it_and_to_nobody_else():
    oracle = Oracle()
    together = asking(oracle, 10)
    oracle.fails = ConnectionError("lost")
    failed = await asyncio.gather(together.get("a"), together.get("b"), return_exceptions=True)
    assert [type(one) for one in failed] == [ConnectionError, ConnectionError]
    assert oracle.asked == [{"a", "b"}]
    oracle.fails = None
    assert await together.get("a") == ("a", 2)


async def test_who_asks_for_what_is_refused_is_refused_and_nobody_who_asked_with_them():
    oracle = Oracle()
    together = asking(oracle, 10)
    oracle.refused = "b"
    answers = await asyncio.gather(*(together.get(key) for key in "abcb"), return_exceptions=True)
    assert [one if isinstance(one, tuple) else type(one) for one in answers] == [
        ("a", oracle.asked.index({"a"}) + 1),
        LookupError,
        ("c", oracle.asked.index({"c"}) + 1),
        LookupError,
    ]


async def test_that_there_is_no_connection_is_raised_to_each_who_waited_for_it():
    oracle = Oracle()
    together = asking(oracle, 1)
    oracle.refuses = ConnectionError("no more")
    failed = await asyncio.gather(together.get("a"), together.get("b"), return_exceptions=True)
    assert [type(one) for one in failed] == [ConnectionError, ConnectionError]
    oracle.refuses = None
    assert await together.get("a") == ("a", 1)


async def test_a_connection_is_asked_for_anew_for_each_question_however_many_there_are_to_ask():
    """As it is seen to then whether the server is still the one that may be asked (`events.log.servers`)."""
    oracle = Oracle()
    together = asking(oracle, 1)
    oracle.free.clear()
    waiting = [asyncio.ensure_future(_wait(together, key)) for key in "ab"]
    await settled()
    oracle.refuses = ConnectionError("it is not the primary now")
    oracle.free.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [one if isinstance(one, tuple) else type(one) for one in answers] == [("a", 1), ConnectionError]


async def test_an_answer_without_what_was_asked_for_leaves_nobody_waiting():
    async def forgets(_connection: Any, _keys: Collection[str]) -> Mapping[str, tuple[str, int]]:
        return {}

    pool: Any = Oracle()
    with pytest.raises(KeyError):
        await Together[str, tuple[str, int]](pool, forgets, 10).get("a")


async def test_who_is_cancelled_harms_none_of_the_others():
    oracle = Oracle()
    together = asking(oracle, 10)
    oracle.free.clear()
    gone, stays = (asyncio.ensure_future(_wait(together, "a")) for _ in range(2))
    await settled()
    gone.cancel()
    waiting = asyncio.ensure_future(_wait(together, "b"))
    await settled()
    waiting.cancel()
    await settled()
    oracle.free.set()
    assert await stays == ("a", 1)
    for one in (gone, waiting):
        with pytest.raises(asyncio.CancelledError):
            await one
    await settled()
    assert oracle.asked == [{"a"}]


async def test_when_the_asking_is_cancelled_nobody_waits_for_ever():
    oracle = Oracle()
    together = asking(oracle, 1)
    oracle.free.clear()
    waiting = [asyncio.ensure_future(_wait(together, key)) for key in "ab"]
    await settled()
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == TASK]
    task.cancel()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(one) for one in done] == [asyncio.CancelledError, asyncio.CancelledError]


async def _wait(together: Together[str, tuple[str, int]], key: str) -> tuple[str, int]:
    return await together.get(key)
