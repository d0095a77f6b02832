"""A rebuild's work shared out: each part once, the next at hand where that is asked for, an end for everybody."""

from __future__ import annotations

import asyncio

from projections import shares
from projections.bulk import Held, Streams, Work
from projections.shares import Told

PARTS = [Streams(f"a{number}", f"b{number}") for number in range(9)]


class Process:
    """Does one part after the other, in the order in which it was given them, each for as long as somebody says."""

    def __init__(self) -> None:
        self.given: list[Work] = []
        self.at_hand = 0
        self.most = 0
        self._turn = asyncio.Lock()

    async def do(self, work: Work, told: Told) -> int:
        self.given.append(work)
        self.at_hand += 1
        self.most = max(self.most, self.at_hand)
        async with self._turn:
            await asyncio.sleep(0)
        self.at_hand -= 1
        told(2)
        return 2


async def test_each_part_is_done_once_and_whoever_is_given_more_has_the_next_at_hand():
    own, other = Process(), Process()
    told: list[int] = []
    done = await shares._all([(own.do, 1), (other.do, 2)], PARTS, told.append)
    assert done == sum(told) == 2 * len(PARTS)
    assert sorted([*own.given, *other.given], key=str) == sorted(PARTS, key=str)
    assert (own.most, other.most) == (1, 2)


async def test_what_is_last_is_done_once_by_everybody_after_all_that_they_were_given():
    own, other, late = Process(), Process(), Process()
    hands = [(own.do, 1), (other.do, 2), (late.do, 2)]
    done = await shares._all(hands, PARTS[:2], lambda _entries: None, Held())
    assert done == 2 * (2 + len(hands))
    for process in (own, other, late):
        assert process.given.index(Held()) == len(process.given) - 1
