"""Which way of sending batches the writer keeps to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from events.log.pace import LOOK, Pace

BATCH = 32


def recorded(pace: Pace, seconds: Callable[[bool], float], batches: int, begun: float = 0.0) -> Counter[bool]:
    """Record busily, a batch taking so long in either way. Returns how many batches went which way."""
    ways: Counter[bool] = Counter()
    now = begun
    for _ in range(batches):
        ways[pace.behind] += 1
        now += seconds(pace.behind)
        pace.note(BATCH, now, busy=True)
    return ways


@pytest.mark.parametrize("faster", [True, False])
def test_the_faster_way_is_kept_to_and_the_other_looked_at_now_and_then(faster: bool):
    pace = Pace()
    ways = recorded(pace, lambda behind: 0.001 if behind is faster else 0.0013, 10_000)
    assert ways[not faster] / ways[faster] < 1.5 / LOOK
    assert ways[not faster] > 0


def test_what_has_become_the_faster_way_is_found():
    pace = Pace()
    recorded(pace, lambda behind: 0.001 if behind else 0.002, 2_000)
    ways = recorded(pace, lambda behind: 0.002 if behind else 0.001, 10_000, begun=5.0)
    assert ways[False] > 0.7 * ways.total()


def test_nothing_is_judged_by_a_writer_that_waits_for_commands():
    pace = Pace()
    now = 0.0
    for _ in range(1_000):
        now += 0.001
        pace.note(1, now, busy=False)
    assert pace.behind
    for _ in range(1_000):
        now += 0.1
        pace.note(BATCH, now, busy=True)
    assert pace.behind


def test_it_is_as_given_until_there_is_something_to_compare():
    pace = Pace(behind=False)
    recorded(pace, lambda _behind: 0.001, 10)
    assert not pace.behind
