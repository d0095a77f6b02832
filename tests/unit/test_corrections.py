"""Corrections: what each does to how history reads, and what forbids it."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from msgspec.structs import replace

from events.catalogue.aggregate import Amendment
from events.catalogue.cooperation import COOPERATION
from events.catalogue.history import EntryCorrected, EntryRetracted, fold
from events.errors import (
    DateNotReached,
    MilestoneClosed,
    NotAParty,
    NotCorrectable,
    NotInPost,
    NotScheduled,
    RestedUpon,
    TooFewParties,
    UnknownReference,
)
from tests.support.amending import (
    ADVISER,
    LATER,
    LONGER,
    OF_PERSON,
    PERSON_FOLLOWED,
    TALKS,
    THIRD,
    Told,
    refused,
    told,
)
from tests.support.cooperating import (
    CONCLUDED,
    EAST,
    MEETING,
    MEETING_ID,
    MET,
    MISSED,
    NEGOTIATIONS,
    NORTH,
    OPENED,
    ROADMAP,
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
    VISIT_OFF,
    VISITED,
    day,
    people_of,
)
from tests.support.spec import entries_of, made_id

# Correcting


def test_the_replacement_stands_in_the_original_s_place():
    corrected = told(*TALKS, NEGOTIATIONS).correct(2, LONGER)
    meeting = corrected.state.meetings[MEETING_ID]
    original = corrected.entries[2]
    assert meeting == replace(original, event=LONGER, corrections=meeting.corrections, ever=(MEETING, LONGER))
    assert original.event is MEETING


def test_what_was_corrected_says_by_which_entry_when_and_why():
    corrected = told(*TALKS).correct(2, LONGER, reason="the minutes turned up").correct(2, LATER, reason="a misprint")
    assert corrected.state.meetings[MEETING_ID].corrections == (
        Amendment(
            position=corrected.position(3),
            recorded_at=corrected.entries[3].recorded_at,
            reason="the minutes turned up",
        ),
        Amendment(position=corrected.position(4), recorded_at=corrected.entries[4].recorded_at, reason="a misprint"),
    )


@pytest.mark.parametrize("name", [2, 3], ids=["by naming the original", "by naming the correction"])
def test_a_correction_is_corrected(name):
    corrected = told(*TALKS).correct(2, LONGER).correct(name, LATER)
    meeting = corrected.state.meetings[MEETING_ID]
    assert meeting.event == LATER
    assert [one.position for one in meeting.corrections] == [corrected.position(3), corrected.position(4)]


def test_a_correction_that_was_corrected_is_still_corrected_by_its_position():
    corrected = told(*TALKS).correct(2, LONGER).correct(2, LATER).correct(3, replace(LONGER, note="so be it"))
    assert corrected.state.meetings[MEETING_ID].event == replace(LONGER, note="so be it")


def test_what_follows_is_decided_on_the_replacement():
    opened = replace(OPENED, parties=(NORTH, SOUTH))
    corrected = told(OPENED, TOPIC).correct(0, opened)
    with refused(NotAParty, "/participants/1/party"):
        corrected.then(replace(MEETING, participants=people_of(NORTH, EAST)))
    assert corrected.then(MEETING).state.opened.event == opened


def test_what_was_broken_in_several_ways_may_be_mended_in_one_and_broken_in_no_more():
    meeting = replace(MEETING, participants=people_of(NORTH, STRANGER, SOUTH), topics=(TOPIC_ID,))
    broken = Told(SPECIFICATION, tuple(entries_of(STREAM, (OPENED, meeting), TODAY)), TODAY)
    broken.correct(0, replace(OPENED, parties=(NORTH, SOUTH, STRANGER)))
    with refused(NotAParty, "/replacement/parties", entry=broken.position(1)):
        broken.correct(0, replace(OPENED, parties=(NORTH, EAST)))


@pytest.mark.parametrize("ended", [CONCLUDED, SUSPENDED], ids=["concluded", "suspended"])
def test_what_is_over_or_rests_is_corrected_all_the_same(ended):
    corrected = told(*TALKS, ended).correct(2, LONGER)
    assert corrected.state.meetings[MEETING_ID].event == LONGER
    assert (corrected.state.closed, corrected.state.suspended) == (
        "concluded" if ended is CONCLUDED else None,
        ended is SUSPENDED,
    )


def test_the_stage_follows_from_what_stands():
    negotiating = told(*TALKS, NEGOTIATIONS, ROADMAP)
    assert negotiating.state.stage == "roadmap"
    assert negotiating.retract(4).state.stage == "negotiating"
    assert negotiating.retract(4).retract(3).state.stage == "contact"
    assert negotiating.then(CONCLUDED).retract(5).state.stage == "roadmap"


# What cannot be corrected


@pytest.mark.parametrize(
    "amend", [Told.retract, lambda of, number: of.correct(number, LONGER)], ids=["retract", "correct"]
)
def test_what_the_stream_does_not_have_is_not_amended(amend):
    with refused(NotCorrectable, says="There is no entry 67 in this stream."):
        amend(told(*TALKS), 9)


@pytest.mark.parametrize("position", [0, 39, 41, 2**53 - 1], ids=["first", "before", "between", "beyond"])
def test_an_entry_of_another_stream_is_not_amended(position):
    entry = replace(told(*TALKS).entries[2], position=1000, revision=3)
    amendments = (
        EntryCorrected(
            corrects=position, replacement={}, replacement_type="registry.meeting-held.v1", reason="misread"
        ),
        EntryRetracted(retracts=position, reason="never was"),
    )
    for event in amendments:
        with refused(NotCorrectable, says=f"There is no entry {position} in this stream."):
            fold(COOPERATION, (*told(*TALKS).entries, replace(entry, event=event)))


def test_a_replacement_is_of_the_original_s_type():
    with refused(NotCorrectable, says="is a registry.topic-raised.v1, but entry 46 is a registry.meeting-held.v1"):
        told(*TALKS).correct(2, TOPIC)


def test_a_replacement_of_another_type_is_found_out_by_its_fields_too():
    with refused(NotCorrectable, says="The replacement is no registry.meeting-held.v1"):
        told(*TALKS).correct(2, TOPIC, type_="registry.meeting-held.v1")


@pytest.mark.parametrize(
    ("number", "event", "pointer"),
    [
        (1, replace(TOPIC, topic=replace(TOPIC.topic, topic_id=made_id("topic", 7))), "/replacement/topic/topic_id"),
        (2, replace(MEETING, meeting_id=made_id("meeting", 7)), "/replacement/meeting_id"),
    ],
    ids=["topic", "meeting"],
)
def test_what_an_entry_brought_keeps_its_id(number, event, pointer):
    with refused(NotCorrectable, pointer, says="keeps its id"):
        told(*TALKS).correct(number, event)


def test_what_happened_may_have_happened_to_another_thing():
    second = replace(VISIT, visit_id=made_id("visit", 2))
    corrected = told(OPENED, VISIT, second, VISITED).correct(3, replace(VISITED, visit_id=second.visit_id))
    assert {key: visit.status for key, visit in corrected.state.visits.items()} == {
        VISIT.visit_id: "scheduled",
        second.visit_id: "held",
    }


def test_a_roadmap_s_milestones_keep_their_ids_as_long_as_something_became_of_them():
    second = replace(ROADMAP.milestones[0], milestone_id=made_id("milestone", 2))
    with refused(RestedUpon, "/replacement/milestones", entry=46):
        told(OPENED, ROADMAP, MET).correct(1, replace(ROADMAP, milestones=(second,)))
    corrected = told(OPENED, ROADMAP).correct(1, replace(ROADMAP, milestones=(second,)))
    assert list(corrected.state.milestones) == [second.milestone_id]


# Corrections that break a rule


def test_a_replacement_obeys_the_rules_itself():
    for broken, error, pointer in (
        (replace(MEETING, participants=people_of(NORTH)), TooFewParties, "/replacement/participants"),
        (replace(MEETING, participants=people_of(NORTH, STRANGER)), NotAParty, "/replacement/participants/1/party"),
        (replace(MEETING, topics=(made_id("topic", 9),)), UnknownReference, "/replacement/topics/0"),
        (replace(MEETING, held=day("2019-06-20")), DateNotReached, "/replacement/held"),
    ):
        with refused(error, pointer, entry=46):
            told(*TALKS).correct(2, broken)


def test_what_a_replacement_refers_to_came_before_it():
    raised_after = told(OPENED, MEETING, TOPIC)
    with refused(UnknownReference, "/replacement/topics/0", entry=43):
        raised_after.correct(1, replace(MEETING, topics=(TOPIC_ID,)))


def test_what_was_recorded_later_obeys_the_rules_still():
    with refused(NotAParty, "/replacement/parties", entry=46):
        told(OPENED, TOPIC, MEETING).correct(0, replace(OPENED, parties=(NORTH, EAST)))
    with refused(NotScheduled, "/replacement/visit_id", entry=52):
        second = replace(VISIT, visit_id=made_id("visit", 2))
        moved = told(OPENED, VISIT, second, replace(VISIT_OFF, visit_id=second.visit_id), VISIT_MOVED)
        moved.correct(3, VISIT_OFF)


def test_a_milestone_is_met_or_missed_once_by_a_correction_too():
    second = replace(ROADMAP.milestones[0], milestone_id=made_id("milestone", 2))
    both = replace(ROADMAP, milestones=(*ROADMAP.milestones, second))
    with refused(MilestoneClosed, "/replacement/milestone_id", entry=49):
        told(OPENED, both, MET, replace(MISSED, milestone_id=second.milestone_id)).correct(3, MISSED)


def test_of_a_rule_that_another_entry_breaks_the_fields_of_the_correction_that_are_at_fault_are_named():
    wrong = replace(OPENED, title="Cranes, and more of them", parties=(NORTH, EAST), note="of the minutes")
    with refused(NotAParty, "/replacement/parties", entry=46, says="/participants/1/party"):
        told(OPENED, TOPIC, MEETING).correct(0, wrong)
    appointed = Told.of(OF_PERSON, *PERSON_FOLLOWED[:3])
    with refused(NotInPost, "/replacement/party", "/replacement/post", entry=46):
        appointed.correct(1, replace(ADVISER, party=THIRD, post="head", from_=day("2019")))


def test_a_replacement_about_what_there_is_not_says_by_which_field():
    other = replace(VISITED, visit_id=made_id("visit", 2))
    with refused(UnknownReference, "/replacement/visit_id", entry=46, says="There is no visit"):
        told(OPENED, VISIT, VISITED).correct(2, other)


def test_a_rule_that_a_retraction_breaks_is_of_no_field():
    with refused(NotAParty, "/replacement/parties", entry=43):
        told(OPENED, MEETING).correct(0, replace(OPENED, parties=(NORTH, EAST)))
    with refused(NotAParty, entry=46):
        opened = told(replace(OPENED, parties=(NORTH, EAST))).correct(0, OPENED)
        opened.then(MEETING).retract(1)


def test_a_date_is_held_against_the_day_on_which_the_original_was_recorded():
    next_week = told(*TALKS).on(TODAY + timedelta(days=7))
    with refused(DateNotReached, "/replacement/held", entry=46):
        next_week.correct(2, replace(MEETING, held=day("2019-06-20")))
    assert next_week.correct(2, LATER).state.meetings[MEETING_ID].event == LATER


def test_an_old_history_in_which_something_was_held_ahead_by_its_instant_is_amended_as_any_other():
    ahead = replace(MEETING, held=day("2019-06-19T17:54:07-12:00"))  # as was allowed once
    old = told(OPENED)._replace(entries=tuple(entries_of(STREAM, [OPENED, ahead, TOPIC], TODAY)))
    assert old.correct(2, replace(TOPIC, note="at last")).state.meetings[MEETING_ID].event == ahead
    assert old.correct(1, replace(ahead, summary="long")).state.meetings[MEETING_ID].event.summary == "long"
    with refused(DateNotReached, "/replacement/held", entry=43):
        old.correct(1, replace(ahead, held=day("2019-06-19T17:54:08-12:00")))


def test_to_say_again_what_is_so_breaks_nothing():
    back = replace(VISIT_MOVED, window=day("2019-07"))
    moved = told(OPENED, VISIT, VISIT_MOVED, back, VISIT_MOVED)
    assert moved.retract(3).state.visits[VISIT.visit_id].window == day("2019-08")
    assert moved.correct(3, VISIT_MOVED).state.visits[VISIT.visit_id].window == day("2019-08")


def test_an_old_history_that_says_again_what_a_visit_came_with_is_amended_as_any_other():
    again = replace(VISIT_MOVED, window=VISIT.window)
    old = told(OPENED)._replace(entries=tuple(entries_of(STREAM, [OPENED, VISIT, again, VISIT_MOVED, TOPIC], TODAY)))
    visits = [
        one.state.visits[VISIT.visit_id]
        for one in (
            old.correct(1, replace(VISIT, purpose="to sign")),
            old.correct(2, again),
            old.correct(4, replace(TOPIC, note="at last")),
            old.retract(3),
        )
    ]
    assert [visit.window for visit in visits] == [VISIT_MOVED.window] * 3 + [VISIT.window]
    assert all(visit.changes[0].event == again for visit in visits)


def test_a_refused_amendment_leaves_everything_as_it_was():
    before = told(*TALKS)
    state = repr(before.state)
    with refused(RestedUpon, entry=43):
        before.retract(0)
    assert repr(before.state) == state


def test_the_day_of_an_entry_is_its_own():
    earlier = Told.of(SPECIFICATION._replace(today=date(2019, 6, 18)), OPENED, MEETING)
    with refused(DateNotReached, "/replacement/held", entry=43):
        earlier.on(TODAY).correct(1, LATER)
    assert earlier.on(TODAY).then(replace(LATER, meeting_id=made_id("meeting", 2)))
