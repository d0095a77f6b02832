"""The rules of a cooperation, one by one: what each refuses, and what it lets pass."""

from __future__ import annotations

from datetime import date
from itertools import combinations
from operator import attrgetter
from typing import Any

import pytest
from msgspec.structs import replace

from events.catalogue import Claim, Event
from events.catalogue.cooperation import COOPERATION, ITEMS
from events.catalogue.cooperation_events import (
    AgreementReached,
    CooperationAbandoned,
    CooperationConcluded,
    CooperationOpened,
    CooperationResumed,
    CooperationSuspended,
    MeetingHeld,
    NegotiationsHeld,
    RoadmapAgreed,
    RoundScheduled,
    TopicRaised,
    VisitScheduled,
)
from events.edtf import EdtfDate
from events.errors import (
    AlreadyExists,
    CooperationClosed,
    CooperationNotSuspended,
    DateNotReached,
    NotAParty,
    NotFound,
    TooFewParties,
    UnknownReference,
)
from events.errors import CooperationSuspended as IsSuspended
from events.values import Milestone, Participant, Place, Topic
from tests.support.spec import Specification, entries_of, fold, made_id

TODAY = date(2019, 6, 19)
COOP_ID = made_id("coop", 1)
STREAM = f"cooperation/{COOP_ID}"
given = Specification(COOPERATION, STREAM, TODAY).given

NORTH, SOUTH, EAST, STRANGER, OTHER_STRANGER = (made_id("party", number) for number in range(1, 6))
TOPIC_ID, NO_TOPIC, NO_OTHER_TOPIC = (made_id("topic", number) for number in range(1, 4))
MEETING_ID, NO_MEETING = (made_id("meeting", number) for number in range(1, 3))
HERE = Place(country="NO", city="Halden")


def day(text: str) -> EdtfDate:
    return EdtfDate.parse(text)


def people_of(*parties: str) -> tuple[Participant, ...]:
    return tuple(Participant(party=party) for party in parties)


OPENED = CooperationOpened(title="Harbour cranes", parties=(NORTH, SOUTH, EAST))
TOPIC = TopicRaised(topic=Topic(topic_id=TOPIC_ID, kind="dialogue", subject="cranes"))
MEETING = MeetingHeld(meeting_id=MEETING_ID, held=day("2019-06-18"), participants=people_of(NORTH, SOUTH))
NEGOTIATIONS = NegotiationsHeld(
    negotiations_id=made_id("negotiations", 1), held=day("2019-06-18"), subject="terms of delivery"
)
ROADMAP = RoadmapAgreed(
    roadmap_id=made_id("roadmap", 1),
    agreed=day("2019-06-18"),
    milestones=(Milestone(milestone_id=made_id("milestone", 1), title="first crane", due=day("2020")),),
)
VISIT = VisitScheduled(
    visit_id=made_id("visit", 1),
    visitors=people_of(SOUTH),
    host=NORTH,
    place=HERE,
    window=day("2019-07"),
    purpose="to go on talking",
)
ROUND = RoundScheduled(
    round_id=made_id("round", 1), place=HERE, participants=people_of(NORTH, EAST), subject="next stage"
)
AGREEMENT = AgreementReached(
    agreement_id=made_id("agreement", 1), kind="understanding", subject="cranes", reached=day("2019-06-18")
)
SUSPENDED = CooperationSuspended(reason="a strike")
RESUMED = CooperationResumed(reason="the strike is over")
CONCLUDED = CooperationConcluded(reason="delivered")
ABANDONED = CooperationAbandoned(reason="no funds")

ACTS: tuple[Event, ...] = (TOPIC, MEETING, NEGOTIATIONS, ROADMAP, VISIT, ROUND, AGREEMENT)
DATED = [
    pytest.param("held", MEETING, id="meeting"),
    pytest.param("held", NEGOTIATIONS, id="negotiations"),
    pytest.param("agreed", ROADMAP, id="roadmap"),
    pytest.param("reached", AGREEMENT, id="agreement"),
]


def by_type(event: Event) -> str:
    return event.event_type.split(".")[1]


def state_after(*events: Event) -> Any:
    given(*events)  # they are allowed
    return fold(COOPERATION, entries_of(STREAM, events, TODAY))


# Opening


def test_a_cooperation_is_opened_between_two_or_more_parties():
    given().when(OPENED).then(OPENED)
    between_two = replace(OPENED, parties=(NORTH, SOUTH))
    given().when(between_two).then(between_two)


@pytest.mark.parametrize("parties", [(), (NORTH,), (NORTH, NORTH)], ids=["none", "one", "one, twice"])
def test_a_cooperation_needs_two_different_parties(parties):
    given().when(replace(OPENED, parties=parties)).then_refused(TooFewParties, "/parties")


@pytest.mark.parametrize(
    "history", [(OPENED,), (OPENED, SUSPENDED), (OPENED, CONCLUDED)], ids=["open", "suspended", "concluded"]
)
def test_a_cooperation_is_opened_once(history):
    given(*history).when(replace(OPENED, title="Cranes again")).then_refused(AlreadyExists, "/id")


# Before it is opened, while it rests, after its end


@pytest.mark.parametrize("act", [*ACTS, SUSPENDED, RESUMED, CONCLUDED, ABANDONED], ids=by_type)
def test_nothing_happens_before_it_is_opened(act):
    given().when(act).then_refused(NotFound)


@pytest.mark.parametrize("act", [*ACTS, SUSPENDED, CONCLUDED, ABANDONED], ids=by_type)
def test_everything_else_happens_once_it_is_opened(act):
    given(OPENED).when(act).then(act)


@pytest.mark.parametrize("end", [CONCLUDED, ABANDONED], ids=by_type)
@pytest.mark.parametrize("act", [*ACTS, SUSPENDED, RESUMED, CONCLUDED, ABANDONED], ids=by_type)
def test_nothing_happens_after_its_end(end, act):
    given(OPENED, end).when(act).then_refused(CooperationClosed)
    if end is ABANDONED:
        given(OPENED, SUSPENDED, end).when(act).then_refused(CooperationClosed)


@pytest.mark.parametrize("act", [*ACTS, SUSPENDED, CONCLUDED], ids=by_type)
def test_while_suspended_nothing_else_happens(act):
    given(OPENED, SUSPENDED).when(act).then_refused(IsSuspended)


@pytest.mark.parametrize("act", [RESUMED, ABANDONED], ids=by_type)
def test_while_suspended_it_is_resumed_or_abandoned(act):
    given(OPENED, SUSPENDED).when(act).then(act)


@pytest.mark.parametrize("act", [*ACTS, SUSPENDED, CONCLUDED, ABANDONED], ids=by_type)
def test_once_resumed_everything_happens_again(act):
    given(OPENED, SUSPENDED, RESUMED).when(act).then(act)


@pytest.mark.parametrize("history", [(OPENED,), (OPENED, SUSPENDED, RESUMED)], ids=["never", "no longer"])
def test_only_what_is_suspended_is_resumed(history):
    given(*history).when(RESUMED).then_refused(CooperationNotSuspended)


# Who takes part


@pytest.mark.parametrize("event", [MEETING, ROUND], ids=by_type)
@pytest.mark.parametrize("parties", [(), (NORTH,), (NORTH, NORTH)], ids=["none", "one", "two people of one"])
def test_at_least_two_different_parties_meet(event, parties):
    given(OPENED).when(replace(event, participants=people_of(*parties))).then_refused(TooFewParties, "/participants")


@pytest.mark.parametrize("event", [MEETING, ROUND], ids=by_type)
@pytest.mark.parametrize(
    "parties", [(NORTH, SOUTH), (NORTH, NORTH, SOUTH), (NORTH, SOUTH, EAST)], ids=["two", "two of one", "three"]
)
def test_two_or_more_parties_meet_with_any_number_of_people(event, parties):
    met = replace(event, participants=people_of(*parties))
    given(OPENED).when(met).then(met)


@pytest.mark.parametrize("event", [MEETING, ROUND], ids=by_type)
def test_only_parties_of_the_cooperation_meet_and_every_stranger_is_named(event):
    participants = people_of(NORTH, STRANGER, SOUTH, OTHER_STRANGER)
    given(OPENED).when(replace(event, participants=participants)).then_refused(
        NotAParty, "/participants/1/party", "/participants/3/party"
    )


def test_nobody_visits_oneself():
    given(OPENED).when(replace(VISIT, visitors=people_of(NORTH, NORTH))).then_refused(TooFewParties, "/visitors")


def test_people_of_the_host_may_travel_with_the_visitors():
    accompanied = replace(VISIT, visitors=people_of(NORTH, SOUTH))
    given(OPENED).when(accompanied).then(accompanied)


@pytest.mark.parametrize(
    ("visitors", "host", "pointers"),
    [
        ((SOUTH, STRANGER), NORTH, ["/visitors/1/party"]),
        ((SOUTH,), STRANGER, ["/host"]),
        ((STRANGER, OTHER_STRANGER), STRANGER, ["/visitors/0/party", "/visitors/1/party", "/host"]),
    ],
    ids=["a visitor", "the host", "all"],
)
def test_visitors_and_host_are_parties_of_the_cooperation(visitors, host, pointers):
    strange = replace(VISIT, visitors=people_of(*visitors), host=host)
    given(OPENED).when(strange).then_refused(NotAParty, *pointers)


# What is referred to


@pytest.mark.parametrize("event", [MEETING, NEGOTIATIONS, ROADMAP, VISIT, AGREEMENT], ids=by_type)
def test_topics_that_were_never_raised_are_all_named(event):
    about = replace(event, topics=(NO_TOPIC, TOPIC_ID, NO_OTHER_TOPIC))
    given(OPENED, TOPIC).when(about).then_refused(UnknownReference, "/topics/0", "/topics/2")


@pytest.mark.parametrize("event", [MEETING, NEGOTIATIONS, ROADMAP, VISIT, AGREEMENT], ids=by_type)
def test_topics_that_were_raised_are_talked_about(event):
    about = replace(event, topics=(TOPIC_ID,))
    given(OPENED, TOPIC).when(about).then(about)


@pytest.mark.parametrize("event", [NEGOTIATIONS, ROADMAP, VISIT], ids=by_type)
def test_a_meeting_that_was_never_held_is_named_beside_unknown_topics(event):
    given(OPENED, MEETING).when(replace(event, meeting=NO_MEETING)).then_refused(UnknownReference, "/meeting")
    both = replace(event, meeting=NO_MEETING, topics=(NO_TOPIC,))
    given(OPENED, MEETING).when(both).then_refused(UnknownReference, "/topics/0", "/meeting")


@pytest.mark.parametrize("event", [NEGOTIATIONS, ROADMAP, VISIT], ids=by_type)
def test_what_came_of_a_meeting_names_it(event):
    there = replace(event, meeting=MEETING_ID)
    given(OPENED, MEETING).when(there).then(there)


# Ids


@pytest.mark.parametrize("event", ACTS, ids=by_type)
def test_an_id_is_used_once(event):
    given(OPENED, event).when(replace(event, note="once more")).then_refused(
        AlreadyExists, *(["/milestones/0/milestone_id"] if event is ROADMAP else ["/id"])
    )


def test_a_roadmap_id_is_used_once_whatever_its_milestones():
    given(OPENED, ROADMAP).when(replace(ROADMAP, milestones=())).then_refused(AlreadyExists, "/id")


def test_every_milestone_id_that_was_used_before_is_named_in_this_roadmap_or_another():
    one, two = (Milestone(milestone_id=made_id("milestone", number), title="crane") for number in (1, 2))
    second = replace(ROADMAP, roadmap_id=made_id("roadmap", 2), milestones=(two, one, two))
    given(OPENED, ROADMAP).when(second).then_refused(
        AlreadyExists, "/milestones/1/milestone_id", "/milestones/2/milestone_id"
    )


def test_a_second_roadmap_has_milestones_of_its_own():
    two = Milestone(milestone_id=made_id("milestone", 2), title="second crane")
    second = replace(ROADMAP, roadmap_id=made_id("roadmap", 2), milestones=(two,))
    given(OPENED, ROADMAP).when(second).then(second)
    assert list(state_after(OPENED, ROADMAP, second).milestones.values()) == [*ROADMAP.milestones, two]


@pytest.mark.parametrize("event", ACTS, ids=by_type)
def test_a_thing_s_id_is_claimed_so_that_no_other_cooperation_uses_it(event):
    (identifies,) = [command.identifies for command in COOPERATION.commands if command.event is type(event)]
    assert next(iter(COOPERATION.claims(event))) == Claim("id", attrgetter(".".join(identifies))(event), "/id")


def test_every_milestone_s_id_is_claimed_where_it_stands():
    _, milestone = COOPERATION.claims(ROADMAP)
    assert milestone == Claim("id", ROADMAP.milestones[0].milestone_id, "/milestones/0/milestone_id")


@pytest.mark.parametrize("event", [OPENED, SUSPENDED, RESUMED, CONCLUDED, ABANDONED], ids=by_type)
def test_what_brings_no_thing_claims_nothing(event):
    assert list(COOPERATION.claims(event)) == []


# Dates


@pytest.mark.parametrize("text", ["2019-06-20", "2019-07", "2020", "2019-06-20/2019-06-30", "2019-07?", "2020/.."])
@pytest.mark.parametrize(("field", "event"), DATED)
def test_what_was_done_does_not_begin_after_today(field, event, text):
    given(OPENED).when(replace(event, **{field: day(text)})).then_refused(DateNotReached, f"/{field}")


@pytest.mark.parametrize(
    "text",
    ["2019-06-19", "2019-06-18", "2019-06", "2019", "201X", "2019-06~", "2019-06-17/2019-06-23", "../2031", "/2031"],
)
@pytest.mark.parametrize(("field", "event"), DATED)
def test_what_was_done_may_have_begun_by_today(field, event, text):
    done = replace(event, **{field: day(text)})
    given(OPENED).when(done).then(done)


@pytest.mark.parametrize("text", ["2019-06-20", "2031", "2019-07/..", "1999"])
def test_a_window_and_a_due_date_may_lie_anywhere(text):
    visit, talks = replace(VISIT, window=day(text)), replace(ROUND, window=day(text))
    roadmap = replace(ROADMAP, milestones=(replace(ROADMAP.milestones[0], due=day(text)),))
    for event in (visit, talks, roadmap):
        given(OPENED).when(event).then(event)


def test_every_thing_that_happened_has_its_date_checked():
    dates = {"held", "agreed", "reached"}
    for event in COOPERATION.events:
        found = dates.intersection(event.__struct_fields__)
        item = ITEMS.get(event)
        assert found == ({item.when} if item and item.when else set()), event.event_type


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
    assert state_after(OPENED, TOPIC, VISIT, ROUND, SUSPENDED, RESUMED).last_activity is None


@pytest.mark.parametrize(("field", "event"), DATED)
def test_what_was_done_is_activity(field, event):
    assert state_after(OPENED, event).last_activity == getattr(event, field)


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
