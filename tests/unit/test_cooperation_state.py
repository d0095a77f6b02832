"""What follows from the events of a cooperation: its stage, its last activity, its things as they are now."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from msgspec.structs import replace

from events.catalogue import Event
from events.catalogue.cooperation import COOPERATION
from tests.support.cooperating import (
    ABANDONED,
    AGREEMENT,
    CHANGED,
    CONCLUDED,
    CONFERRED,
    MEETING,
    MET,
    NEGOTIATIONS,
    NO_MEETING,
    OPENED,
    RESUMED,
    ROADMAP,
    ROUND,
    ROUND_MOVED,
    SPECIFICATION,
    STREAM,
    SUSPENDED,
    TODAY,
    TOPIC,
    VISIT,
    VISIT_MOVED,
    VISITED,
    before,
    by_type,
    day,
)
from tests.support.spec import entries_of, fold

given = SPECIFICATION.given


def state_after(*events: Event) -> Any:
    given(*events)  # they are allowed
    return fold(COOPERATION, entries_of(STREAM, events, TODAY))


# What follows from it

STEPS: tuple[tuple[Event, str], ...] = ((NEGOTIATIONS, "negotiating"), (ROADMAP, "roadmap"), (AGREEMENT, "agreed"))
COMBINATIONS = [some for count in range(len(STEPS) + 1) for some in combinations(STEPS, count)]


@pytest.mark.parametrize("steps", COMBINATIONS, ids=lambda steps: "+".join(stage for _, stage in steps) or "nothing")
@pytest.mark.parametrize("before", [(), (TOPIC, MEETING, VISIT, ROUND)], ids=["opened", "met"])
def test_the_stage_is_the_furthest_step_in_whatever_order_it_came(before, steps):
    reached = steps[-1][1] if steps else "contact"
    for order in (steps, steps[::-1]):
        history = (OPENED, *before, *(event for event, _ in order))
        assert state_after(*history).stage == reached
        assert state_after(*history, SUSPENDED).stage == "suspended"
        assert state_after(*history, SUSPENDED, RESUMED).stage == reached
        assert state_after(*history, SUSPENDED, RESUMED, SUSPENDED).stage == "suspended"
        assert state_after(*history, CONCLUDED).stage == "concluded"
        assert state_after(*history, ABANDONED).stage == "abandoned"
        assert state_after(*history, SUSPENDED, ABANDONED).stage == "abandoned"


def test_the_stage_goes_on_from_where_it_rested():
    assert state_after(OPENED, NEGOTIATIONS, SUSPENDED, RESUMED, AGREEMENT).stage == "agreed"


def test_what_is_only_planned_or_talked_about_is_no_activity():
    planned = (TOPIC, VISIT, VISIT_MOVED, ROUND, ROUND_MOVED)
    assert state_after(OPENED, *planned, SUSPENDED, RESUMED).last_activity is None


@pytest.mark.parametrize(
    ("field", "event"),
    [
        ("held", MEETING),
        ("held", NEGOTIATIONS),
        ("agreed", ROADMAP),
        ("reached", AGREEMENT),
        ("met", MET),
        ("held", VISITED),
        ("held", CONFERRED),
        ("amended", CHANGED),
    ],
    ids=lambda value: value if isinstance(value, str) else by_type(value),
)
def test_what_was_done_is_activity(field, event):
    assert state_after(OPENED, *before(event), event).last_activity == getattr(event, field)


@pytest.mark.parametrize(
    ("first", "second", "last"),
    [
        ("2019-05", "2019-06-18", "2019-06-18"),
        ("2019-06-18", "2019-05", "2019-06-18"),
        ("2019-06-18", "2019-06", "2019-06"),  # which may be as late as the 30th
        ("2019-06", "2019-06-18", "2019-06"),
        ("2019-06-30/2019-06-30", "2019-06", "2019-06"),  # the newer record where both may reach as far
        ("2019-06/..", "2019-06-18", "2019-06/.."),
        ("2019-06-18", "2019-05/..", "2019-05/.."),
        ("2019-05/..", "2019-06/", "2019-06/"),
    ],
)
def test_the_last_activity_is_the_one_that_may_reach_furthest(first, second, last):
    met_again = replace(MEETING, meeting_id=NO_MEETING, held=day(second))
    entries = entries_of(STREAM, [OPENED, replace(MEETING, held=day(first)), met_again], TODAY)
    assert fold(COOPERATION, entries).last_activity == day(last)


def test_a_stream_that_begins_otherwise_is_not_folded():
    with pytest.raises(TypeError, match=rf"{STREAM} begins with registry\.topic-raised\.v1"):
        fold(COOPERATION, entries_of(STREAM, [TOPIC], TODAY))


def test_an_event_of_another_aggregate_is_not_folded():
    class Stray(Event, frozen=True, kw_only=True):
        event_type = "test.stray.v1"

    with pytest.raises(TypeError, match=r"test\.stray\.v1 is no event of a cooperation"):
        fold(COOPERATION, entries_of(STREAM, [OPENED, Stray()], TODAY))
