"""The rules of a cooperation, one by one: what each refuses, and what it lets pass.

Those of its visits, rounds, milestones and agreements are in `test_commitments`, what follows from it all in
`test_cooperation_state`.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
from msgspec.structs import replace

from events.catalogue import Claim, Event
from events.catalogue.cooperation import COOPERATION
from events.catalogue.cooperation_events import AgreementTerminated
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
from events.values import Milestone
from tests.support.cooperating import (
    ABANDONED,
    ACTS,
    AGREEMENT,
    CHANGED,
    CHANGES,
    CONCLUDED,
    CONFERRED,
    EAST,
    ENDED,
    MEETING,
    MEETING_ID,
    MET,
    NEGOTIATIONS,
    NO_MEETING,
    NO_OTHER_TOPIC,
    NO_TOPIC,
    NORTH,
    OPENED,
    OTHER_STRANGER,
    POSTPONED,
    RESUMED,
    ROADMAP,
    ROUND,
    ROUND_MOVED,
    SOUTH,
    SPECIFICATION,
    STRANGER,
    STREAM,
    SUSPENDED,
    TODAY,
    TOPIC,
    TOPIC_ID,
    VISIT,
    VISIT_MOVED,
    VISITED,
    before,
    by_type,
    day,
    people_of,
)
from tests.support.spec import entries_of, fold, made_id

given = SPECIFICATION.given

DATED = [
    pytest.param("held", MEETING, id="meeting"),
    pytest.param("held", NEGOTIATIONS, id="negotiations"),
    pytest.param("agreed", ROADMAP, id="roadmap"),
    pytest.param("reached", AGREEMENT, id="agreement"),
    pytest.param("met", MET, id="milestone"),
    pytest.param("held", VISITED, id="visit"),
    pytest.param("held", CONFERRED, id="round"),
    pytest.param("amended", CHANGED, id="agreement amended"),
]
STANDING = (SUSPENDED, RESUMED, CONCLUDED, ABANDONED)
MET_BY = [MEETING, ROUND, VISITED, CONFERRED]
ABOUT_TOPICS = [MEETING, NEGOTIATIONS, ROADMAP, VISIT, AGREEMENT, CHANGED]


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


@pytest.mark.parametrize("act", [*ACTS, *CHANGES, *STANDING], ids=by_type)
def test_nothing_happens_before_it_is_opened(act):
    given().when(act).then_refused(NotFound)


@pytest.mark.parametrize("act", [*ACTS, *CHANGES, SUSPENDED, CONCLUDED, ABANDONED], ids=by_type)
def test_everything_else_happens_once_it_is_opened(act):
    given(OPENED, *before(act)).when(act).then(act)


@pytest.mark.parametrize("end", [CONCLUDED, ABANDONED], ids=by_type)
@pytest.mark.parametrize("act", [*ACTS, *CHANGES, *STANDING], ids=by_type)
def test_nothing_happens_after_its_end(end, act):
    given(OPENED, *before(act), end).when(act).then_refused(CooperationClosed)
    if end is ABANDONED:
        given(OPENED, *before(act), SUSPENDED, end).when(act).then_refused(CooperationClosed)


@pytest.mark.parametrize("act", [*ACTS, *CHANGES, SUSPENDED, CONCLUDED], ids=by_type)
def test_while_suspended_nothing_else_happens(act):
    given(OPENED, *before(act), SUSPENDED).when(act).then_refused(IsSuspended)


@pytest.mark.parametrize("act", [RESUMED, ABANDONED], ids=by_type)
def test_while_suspended_it_is_resumed_or_abandoned(act):
    given(OPENED, SUSPENDED).when(act).then(act)


@pytest.mark.parametrize("act", [*ACTS, *CHANGES, SUSPENDED, CONCLUDED, ABANDONED], ids=by_type)
def test_once_resumed_everything_happens_again(act):
    given(OPENED, *before(act), SUSPENDED, RESUMED).when(act).then(act)


@pytest.mark.parametrize("history", [(OPENED,), (OPENED, SUSPENDED, RESUMED)], ids=["never", "no longer"])
def test_only_what_is_suspended_is_resumed(history):
    given(*history).when(RESUMED).then_refused(CooperationNotSuspended)


# Who takes part


@pytest.mark.parametrize("event", MET_BY, ids=by_type)
@pytest.mark.parametrize("parties", [(), (NORTH,), (NORTH, NORTH)], ids=["none", "one", "two people of one"])
def test_at_least_two_different_parties_meet(event, parties):
    few = replace(event, participants=people_of(*parties))
    given(OPENED, *before(event)).when(few).then_refused(TooFewParties, "/participants")


@pytest.mark.parametrize("event", MET_BY, ids=by_type)
@pytest.mark.parametrize(
    "parties", [(NORTH, SOUTH), (NORTH, NORTH, SOUTH), (NORTH, SOUTH, EAST)], ids=["two", "two of one", "three"]
)
def test_two_or_more_parties_meet_with_any_number_of_people(event, parties):
    met = replace(event, participants=people_of(*parties))
    given(OPENED, *before(event)).when(met).then(met)


@pytest.mark.parametrize("event", MET_BY, ids=by_type)
def test_only_parties_of_the_cooperation_meet_and_every_stranger_is_named(event):
    participants = people_of(NORTH, STRANGER, SOUTH, OTHER_STRANGER)
    given(OPENED, *before(event)).when(replace(event, participants=participants)).then_refused(
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


# Parties that have been merged


@pytest.mark.parametrize("merged", [{SOUTH: NORTH}, {NORTH: STRANGER, SOUTH: EAST, EAST: STRANGER}], ids=["one", "all"])
def test_merged_parties_count_as_one(merged):
    between_two = replace(OPENED, parties=(NORTH, SOUTH))
    given().knowing(merged=merged).when(between_two).then_refused(TooFewParties, "/parties")
    for event in MET_BY:
        met = replace(event, participants=people_of(NORTH, SOUTH))
        given(OPENED, *before(event)).knowing(merged=merged).when(met).then_refused(TooFewParties, "/participants")
    given(OPENED).knowing(merged=merged).when(VISIT).then_refused(TooFewParties, "/visitors")


def test_merged_parties_and_another_are_two():
    for event in (OPENED, *MET_BY, VISIT):
        among = () if event is OPENED else (OPENED, *before(event))
        who = {"parties": (NORTH, SOUTH, EAST)} if event is OPENED else {"participants": people_of(NORTH, SOUTH, EAST)}
        met = replace(event, **({"visitors": people_of(SOUTH, EAST)} if event is VISIT else who))
        given(*among).knowing(merged={SOUTH: NORTH}).when(met).then(met)


@pytest.mark.parametrize(
    "merged",
    [{STRANGER: SOUTH}, {SOUTH: STRANGER}, {SOUTH: OTHER_STRANGER, STRANGER: OTHER_STRANGER}],
    ids=["a stranger into a party", "a party into a stranger", "both into another"],
)
@pytest.mark.parametrize("event", MET_BY, ids=by_type)
def test_whoever_is_one_with_a_party_takes_part(event, merged):
    met = replace(event, participants=people_of(NORTH, STRANGER))
    given(OPENED, *before(event)).knowing(merged=merged).when(met).then(met)
    given(OPENED, *before(event)).when(met).then_refused(NotAParty, "/participants/1/party")


def test_whoever_is_one_with_a_party_visits_and_is_visited():
    visit = replace(VISIT, visitors=people_of(STRANGER), host=OTHER_STRANGER)
    given(OPENED).knowing(merged={STRANGER: SOUTH, NORTH: OTHER_STRANGER}).when(visit).then(visit)


# What is referred to


@pytest.mark.parametrize("event", ABOUT_TOPICS, ids=by_type)
def test_topics_that_were_never_raised_are_all_named(event):
    about = replace(event, topics=(NO_TOPIC, TOPIC_ID, NO_OTHER_TOPIC))
    given(OPENED, TOPIC, *before(event)).when(about).then_refused(UnknownReference, "/topics/0", "/topics/2")


@pytest.mark.parametrize("event", ABOUT_TOPICS, ids=by_type)
def test_topics_that_were_raised_are_talked_about(event):
    about = replace(event, topics=(TOPIC_ID,))
    given(OPENED, TOPIC, *before(event)).when(about).then(about)


@pytest.mark.parametrize("event", [NEGOTIATIONS, ROADMAP, VISIT], ids=by_type)
def test_a_meeting_that_was_never_held_is_named_beside_unknown_topics(event):
    given(OPENED, MEETING).when(replace(event, meeting=NO_MEETING)).then_refused(UnknownReference, "/meeting")
    both = replace(event, meeting=NO_MEETING, topics=(NO_TOPIC,))
    given(OPENED, MEETING).when(both).then_refused(UnknownReference, "/topics/0", "/meeting")


@pytest.mark.parametrize("event", [NEGOTIATIONS, ROADMAP, VISIT], ids=by_type)
def test_what_came_of_a_meeting_names_it(event):
    there = replace(event, meeting=MEETING_ID)
    given(OPENED, MEETING).when(there).then(there)


# Several rules at once


def test_of_several_rules_that_are_broken_the_first_is_told_and_every_field_of_all():
    broken = replace(MEETING, participants=people_of(NORTH), topics=(NO_TOPIC,), held=day("2019-06-20"))
    given(OPENED).when(broken).then_refused(TooFewParties, "/participants", "/topics/0", "/held")
    given(OPENED, MEETING).when(replace(broken, participants=people_of(NORTH, STRANGER))).then_refused(
        NotAParty, "/participants/1/party", "/topics/0", "/id", "/held"
    )


def test_of_what_is_over_no_field_is_named():
    broken = replace(MEETING, participants=people_of(NORTH), held=day("2019-06-20"))
    given(OPENED, CONCLUDED).when(broken).then_refused(CooperationClosed)


# Ids


@pytest.mark.parametrize("event", ACTS, ids=by_type)
def test_an_id_is_used_once(event):
    given(OPENED, event).when(replace(event, note="once more")).then_refused(
        AlreadyExists, *(["/milestones/0/milestone_id"] if event is ROADMAP else []), "/id"
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
    assert [
        (one.roadmap, one.milestone_id, one.title, one.due, one.status)
        for one in state_after(OPENED, ROADMAP, second).milestones.values()
    ] == [
        (ROADMAP.roadmap_id, ROADMAP.milestones[0].milestone_id, "first crane", day("2020"), "open"),
        (second.roadmap_id, two.milestone_id, "second crane", None, "open"),
    ]


@pytest.mark.parametrize("event", ACTS, ids=by_type)
def test_a_thing_s_id_is_claimed_so_that_no_other_cooperation_uses_it(event):
    (identifies,) = [command.identifies for command in COOPERATION.commands if command.event is type(event)]
    assert next(iter(COOPERATION.claims(None, event))) == Claim("id", attrgetter(".".join(identifies))(event), "/id")


def test_every_milestone_s_id_is_claimed_where_it_stands():
    _, milestone = COOPERATION.claims(None, ROADMAP)
    assert milestone == Claim("id", ROADMAP.milestones[0].milestone_id, "/milestones/0/milestone_id")


@pytest.mark.parametrize("event", ACTS, ids=by_type)
def test_what_the_cooperation_has_is_not_claimed_again(event):
    assert list(COOPERATION.claims(state_after(OPENED, event), event)) == []


def test_of_a_roadmap_s_milestones_only_the_new_are_claimed():
    two = Milestone(milestone_id=made_id("milestone", 2), title="second crane")
    more = replace(ROADMAP, milestones=(two, *ROADMAP.milestones))
    assert list(COOPERATION.claims(state_after(OPENED, ROADMAP), more)) == [
        Claim("id", two.milestone_id, "/milestones/0/milestone_id")
    ]


@pytest.mark.parametrize("event", [OPENED, *CHANGES, *STANDING], ids=by_type)
def test_what_brings_no_thing_claims_nothing(event):
    assert list(COOPERATION.claims(None, event)) == []


# Dates


@pytest.mark.parametrize(
    "text",
    [
        *("2019-06-20", "2019-07", "2020", "2019-06-20/2019-06-30", "2019-07?", "2020/.."),
        *("2019-06-20T00:00:00", "2019-06-20T00:00:00Z", "2019-06-20T04:54:07+04:54", "2019-06-19T17:54:07-12:00"),
    ],
)
@pytest.mark.parametrize(("field", "event"), DATED)
def test_what_was_done_does_not_begin_after_today(field, event, text):
    given(OPENED, *before(event)).when(replace(event, **{field: day(text)})).then_refused(DateNotReached, f"/{field}")


@pytest.mark.parametrize(
    "text",
    [
        *("2019-06-19", "2019-06-18", "2019-06", "2019", "201X", "2019-06~", "2019-06-17/2019-06-23", "../2031"),
        *("/2031", "2019-06-19T23:59:59", "2019-06-19T23:59:59Z", "2019-06-20T04:54:07+12:00"),
        *("2019-06-20T04:54:07+04:55", "2019-06-19T11:59:59-12"),
    ],
)
@pytest.mark.parametrize(("field", "event"), DATED)
def test_what_was_done_may_have_begun_by_today(field, event, text):
    done = replace(event, **{field: day(text)})
    given(OPENED, *before(event)).when(done).then(done)


@pytest.mark.parametrize("text", ["2019-06-20", "2031", "2019-07/..", "1999"])
def test_a_window_and_a_due_date_may_lie_anywhere(text):
    visit, talks = replace(VISIT, window=day(text)), replace(ROUND, window=day(text))
    roadmap = replace(ROADMAP, milestones=(replace(ROADMAP.milestones[0], due=day(text)),))
    moved = [replace(event, window=day(text)) for event in (VISIT_MOVED, ROUND_MOVED)]
    for event in (visit, talks, roadmap, *moved, replace(POSTPONED, due=day(text))):
        given(OPENED, *before(event)).when(event).then(event)


def test_an_agreement_may_end_at_a_date_that_is_agreed_beforehand():
    for text in ("2019-06-18", "2031"):
        ended = replace(ENDED, terminated=day(text))
        given(OPENED, AGREEMENT).when(ended).then(ended)


def test_every_thing_that_happened_has_its_date_checked():
    dates = {"held", "agreed", "reached", "met", "amended", "terminated"}
    tried = {(type(event), field) for field, event in (param.values for param in DATED)}
    for event in COOPERATION.events:
        found = {(event, field) for field in dates.intersection(event.__struct_fields__)}
        assert found <= tried or event is AgreementTerminated, event.event_type
