"""What becomes of visits, rounds, milestones and agreements: the rules of each, refused and let pass."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from events.catalogue import Event
from events.catalogue.cooperation import COOPERATION
from events.errors import AgreementOver, MilestoneClosed, NotFound, NothingChanges, NotScheduled
from events.values import Milestone
from tests.support.cooperating import (
    AGREEMENT,
    CHANGED,
    CHANGES,
    CONFERRED,
    EAST,
    ENDED,
    MET,
    MISSED,
    NORTH,
    OPENED,
    POSTPONED,
    ROADMAP,
    ROUND,
    ROUND_MOVED,
    ROUND_OFF,
    SOUTH,
    SPECIFICATION,
    STREAM,
    TODAY,
    VISIT,
    VISIT_MOVED,
    VISIT_OFF,
    VISITED,
    before,
    by_type,
    day,
    people_of,
)
from tests.support.spec import entries_of, fold, made_id

given = SPECIFICATION.given

SCHEDULED = [(VISIT, VISIT_MOVED, VISIT_OFF, VISITED), (ROUND, ROUND_MOVED, ROUND_OFF, CONFERRED)]
MOVED = [(VISIT, VISIT_MOVED), (ROUND, ROUND_MOVED), (ROADMAP, POSTPONED), (AGREEMENT, CHANGED)]
ROUND_SET = replace(ROUND, window=day("2019-08"))
AS_REACHED = replace(CHANGED, amended=AGREEMENT.reached, kind=AGREEMENT.kind, subject=AGREEMENT.subject)
AS_FIRST = [
    (VISIT, VISIT_MOVED, replace(VISIT_MOVED, window=VISIT.window)),
    (ROUND_SET, ROUND_MOVED, replace(ROUND_MOVED, window=ROUND_SET.window)),
    (ROADMAP, POSTPONED, replace(POSTPONED, due=ROADMAP.milestones[0].due)),
    (AGREEMENT, CHANGED, AS_REACHED),
]
OVER = [(thing, end) for thing, _, *ends in SCHEDULED for end in ends]


KEYS = ("visit_id", "round_id", "milestone_id", "agreement_id")


def names(value: object) -> str:
    return by_type(value) if isinstance(value, Event) else str(value)


def state_after(*events: Event) -> Any:
    given(*events)  # they are allowed
    return fold(COOPERATION, entries_of(STREAM, events, TODAY))


# Every thing


@pytest.mark.parametrize("event", CHANGES, ids=by_type)
def test_a_thing_that_there_is_not_does_not_change(event):
    keys = [name for name in ("roadmap_id", *KEYS) if hasattr(event, name)]
    given(OPENED).when(event).then_refused(NotFound, *(f"/{name}" for name in keys))


@pytest.mark.parametrize(("done", "event"), [("met", MET), ("held", VISITED), ("held", CONFERRED)], ids=names)
def test_what_else_a_rule_forbids_is_named_beside_a_thing_that_there_is_not(done, event):
    ahead = replace(event, **{done: day("2031")})
    keys = [name for name in ("roadmap_id", *KEYS) if hasattr(event, name)]
    given(OPENED).when(ahead).then_refused(NotFound, *(f"/{name}" for name in (*keys, done)))


@pytest.mark.parametrize("event", CHANGES, ids=by_type)
def test_another_thing_does_not_change_instead(event):
    keys = [name for name in KEYS if hasattr(event, name)]
    other = replace(event, **{name: made_id(name.removesuffix("_id"), 9) for name in keys})
    given(OPENED, *before(event)).when(other).then_refused(NotFound, *(f"/{name}" for name in keys))


@pytest.mark.parametrize(("thing", "event"), MOVED, ids=names)
def test_what_was_said_last_of_a_thing_is_not_said_again(thing, event):
    given(OPENED, thing, event).when(event).then_refused(NothingChanges)


@pytest.mark.parametrize(("thing", "moved", "event"), AS_FIRST, ids=names)
def test_what_a_thing_came_with_is_not_said_again_until_it_has_changed(thing, moved, event):
    given(OPENED, thing).when(event).then_refused(NothingChanges)
    given(OPENED, replace(thing, note="by letter")).when(event).then_refused(NothingChanges)
    given(OPENED, thing, moved).when(event).then(event)
    given(OPENED, thing, moved, event).when(event).then_refused(NothingChanges)


@pytest.mark.parametrize(
    ("recorded", "event"),
    [((thing, event), event) for thing, event in MOVED] + [((thing,), event) for thing, _, event in AS_FIRST],
)
def test_more_is_said_of_what_is_so_already(recorded, event):
    noted = replace(event, note="by letter")
    given(OPENED, *recorded).when(noted).then(noted)
    given(OPENED, *recorded, noted).when(event).then_refused(NothingChanges)
    if hasattr(event, "reason"):
        reasoned = replace(event, reason="fog")
        given(OPENED, *recorded, noted).when(reasoned).then(reasoned)
        given(OPENED, *recorded, reasoned).when(event).then_refused(NothingChanges)


def test_an_agreement_is_amended_at_another_date_in_what_is_not_told_here():
    later = replace(AS_REACHED, amended=day("2019-06-19"))
    given(OPENED, AGREEMENT).when(later).then(later)


# Visits and rounds


@pytest.mark.parametrize(("thing", "moved", "off", "held"), SCHEDULED, ids=["visit", "round"])
def test_what_was_rescheduled_is_still_scheduled(thing, moved, off, held):
    for event in (replace(moved, window=day("2020")), off, held):
        given(OPENED, thing, moved).when(event).then(event)


@pytest.mark.parametrize(("thing", "moved", "off", "held"), SCHEDULED, ids=["visit", "round"])
def test_what_was_held_or_cancelled_stays_so(thing, moved, off, held):
    for end in (off, held):
        for event in (moved, off, held):
            given(OPENED, thing, end).when(event).then_refused(NotScheduled)


@pytest.mark.parametrize(("thing", "end"), OVER, ids=names)
def test_another_visit_or_round_goes_on_when_one_is_over(thing, end):
    name = "visit_id" if hasattr(thing, "visit_id") else "round_id"
    another = {name: made_id(name.removesuffix("_id"), 2)}
    event = replace(end, **another)
    given(OPENED, thing, replace(thing, **another), end).when(event).then(event)


def test_others_than_were_expected_may_come():
    visited, conferred = replace(VISITED, participants=people_of(EAST, SOUTH)), replace(CONFERRED, participants=())
    given(OPENED, VISIT).when(visited).then(visited)
    conferred = replace(conferred, participants=people_of(NORTH, SOUTH, EAST))
    given(OPENED, ROUND).when(conferred).then(conferred)


def test_a_visit_may_be_held_before_or_after_its_window():
    for held in ("2019-01", "2018-06-01"):
        visited = replace(VISITED, held=day(held))
        given(OPENED, VISIT).when(visited).then(visited)


@pytest.mark.parametrize(
    ("events", "window", "status"),
    [
        ((VISIT,), "2019-07", "scheduled"),
        ((VISIT, VISIT_MOVED), "2019-08", "scheduled"),
        ((VISIT, VISIT_MOVED, VISIT_OFF), "2019-08", "cancelled"),
        ((VISIT, VISIT_MOVED, VISITED), "2019-08", "held"),
        ((ROUND,), None, "scheduled"),
        ((ROUND, ROUND_MOVED), "2019-09", "scheduled"),
        ((ROUND, ROUND_OFF), None, "cancelled"),
        ((ROUND, ROUND_MOVED, CONFERRED), "2019-09", "held"),
    ],
    ids=lambda value: "+".join(map(by_type, value)) if isinstance(value, tuple) else str(value),
)
def test_the_state_says_when_a_visit_or_round_is_due_and_what_became_of_it(events, window, status):
    entries = entries_of(STREAM, [OPENED, *events], TODAY)
    state = fold(COOPERATION, entries)
    (thing,) = (*state.visits.values(), *state.rounds.values())
    assert (thing.scheduled, thing.changes) == (entries[1], tuple(entries[2:]))
    assert (thing.window, thing.status) == (window and day(window), status)


# Milestones


@pytest.mark.parametrize("event", [MET, MISSED, POSTPONED], ids=by_type)
@pytest.mark.parametrize("end", [MET, MISSED], ids=by_type)
def test_a_milestone_is_met_or_missed_once(end, event):
    given(OPENED, ROADMAP, end).when(event).then_refused(MilestoneClosed)


@pytest.mark.parametrize("event", [MET, MISSED, replace(POSTPONED, due=day("2022"))], ids=by_type)
def test_a_milestone_that_was_rescheduled_is_still_open(event):
    given(OPENED, ROADMAP, POSTPONED).when(event).then(event)


@pytest.mark.parametrize("event", [MET, MISSED, POSTPONED], ids=by_type)
def test_a_milestone_is_one_of_its_own_roadmap(event):
    second = replace(ROADMAP, roadmap_id=made_id("roadmap", 2), milestones=())
    elsewhere = replace(event, roadmap_id=second.roadmap_id)
    given(OPENED, ROADMAP, second).when(elsewhere).then_refused(NotFound, "/milestone_id")
    given(OPENED, ROADMAP).when(elsewhere).then_refused(NotFound, "/roadmap_id")
    given(OPENED, ROADMAP, second).when(event).then(event)


def test_a_milestone_is_met_while_another_is_missed():
    second = Milestone(milestone_id=made_id("milestone", 2), title="second crane")
    both = replace(ROADMAP, milestones=(*ROADMAP.milestones, second))
    met = replace(MET, milestone_id=second.milestone_id)
    given(OPENED, both, MISSED).when(met).then(met)


@pytest.mark.parametrize(
    ("events", "due", "status"),
    [
        ((), "2020", "open"),
        ((POSTPONED,), "2021", "open"),
        ((POSTPONED, MET), "2021", "met"),
        ((MISSED,), "2020", "missed"),
    ],
    ids=lambda value: "+".join(map(by_type, value)) if isinstance(value, tuple) else str(value),
)
def test_the_state_says_when_a_milestone_is_due_and_what_became_of_it(events, due, status):
    entries = entries_of(STREAM, [OPENED, ROADMAP, *events], TODAY)
    state = fold(COOPERATION, entries)
    (milestone,) = state.milestones.values()
    assert (milestone.due, milestone.status, milestone.changes) == (day(due), status, tuple(entries[2:]))
    assert (milestone.roadmap, milestone.title) == (ROADMAP.roadmap_id, "first crane")


# Agreements


@pytest.mark.parametrize("event", [CHANGED, ENDED], ids=by_type)
def test_an_agreement_that_was_terminated_is_over(event):
    given(OPENED, AGREEMENT, ENDED).when(event).then_refused(AgreementOver)
    given(OPENED, AGREEMENT, CHANGED, ENDED).when(event).then_refused(AgreementOver)


@pytest.mark.parametrize("event", [replace(CHANGED, subject="three cranes"), ENDED], ids=by_type)
def test_an_agreement_that_was_amended_is_in_force(event):
    given(OPENED, AGREEMENT, CHANGED).when(event).then(event)


def test_another_agreement_is_in_force_when_one_is_over():
    second = replace(AGREEMENT, agreement_id=made_id("agreement", 2))
    changed = replace(CHANGED, agreement_id=second.agreement_id)
    given(OPENED, AGREEMENT, second, ENDED).when(changed).then(changed)


def test_the_state_has_an_agreement_s_terms_as_they_are_now():
    entries = entries_of(STREAM, [OPENED, AGREEMENT, CHANGED, ENDED], TODAY)
    (agreement,) = fold(COOPERATION, entries[:2]).agreements.values()
    assert (agreement.reached, agreement.terms, agreement.terminated) == (entries[1], AGREEMENT, None)
    state = fold(COOPERATION, entries)
    (agreement,) = state.agreements.values()
    assert (agreement.reached, agreement.terms, agreement.terminated) == (entries[1], CHANGED, entries[3])
    assert agreement.changes == (entries[2], entries[3])
    assert state.stage == "agreed"
