"""Retractions of entries and of amendments, what is final, and what amendments do to parties and claims."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from events.catalogue import Claim
from events.catalogue.cooperation import COOPERATION
from events.catalogue.history import ever_said, original_of
from events.catalogue.occasion import OccasionAnnounced, OccasionCancelled
from events.catalogue.party import PARTY
from events.catalogue.person import PersonErased
from events.catalogue.source import SourceWithdrawn
from events.errors import (
    AlreadyExists,
    CircularParties,
    CooperationSuspended,
    NotAParty,
    NotCorrectable,
    NotInPost,
    NotScheduled,
    RestedUpon,
    TooFewParties,
)
from events.values import Identifier, Place
from tests.support.amending import (
    ADVISER,
    AMENDED,
    LATER,
    LONGER,
    MERGED,
    OF_OCCASION,
    OF_PARTY,
    OF_PERSON,
    OF_SOURCE,
    ONESELF,
    OTHER,
    PERSON_FOLLOWED,
    RENAMED,
    REPORT,
    TALKS,
    THIRD,
    WORKS,
    Told,
    refused,
    told,
)
from tests.support.cooperating import (
    EAST,
    MEETING,
    MEETING_ID,
    MET,
    NEGOTIATIONS,
    NORTH,
    OPENED,
    OTHER_STRANGER,
    RESUMED,
    ROADMAP,
    SOUTH,
    STRANGER,
    SUSPENDED,
    TOPIC,
    TOPIC_ID,
    VISIT,
    VISIT_MOVED,
    VISIT_OFF,
    VISITED,
    day,
    people_of,
)
from tests.support.spec import made_id

# Retracting


def test_what_is_retracted_never_was():
    retracted = told(*TALKS).retract(2)
    assert retracted.state == replace(told(OPENED, TOPIC).state, forgone=retracted.state.forgone)


def test_what_is_retracted_takes_its_corrections_with_it():
    assert MEETING_ID not in told(*TALKS).correct(2, LONGER).retract(2).state.meetings


def test_nothing_stands_of_a_stream_whose_only_entry_is_retracted():
    assert told(OPENED).retract(0).state is None
    assert Told.of(OF_PARTY, WORKS).retract(0).state is None


def test_a_stream_of_which_nothing_stands_begins_anew():
    again = replace(OPENED, title="Cranes after all")
    assert told(OPENED).retract(0).then(again, TOPIC).state.opened.event == again


@pytest.mark.parametrize(
    ("events", "number", "error"),
    [
        ((OPENED, TOPIC), 0, RestedUpon),
        ((OPENED, TOPIC, replace(MEETING, topics=(TOPIC_ID,))), 1, RestedUpon),
        ((OPENED, MEETING, replace(NEGOTIATIONS, meeting=MEETING_ID)), 1, RestedUpon),
        ((OPENED, VISIT, VISIT_MOVED), 1, RestedUpon),
        ((OPENED, ROADMAP, MET), 1, RestedUpon),
        ((OPENED, SUSPENDED, RESUMED, TOPIC), 2, CooperationSuspended),
    ],
    ids=[
        "the opening of what went on",
        "a topic that was talked about",
        "a meeting that was followed up",
        "a visit that was rescheduled",
        "a roadmap of which a milestone was met",
        "a resumption after which something happened",
    ],
)
def test_what_later_entries_rest_on_is_not_retracted(events, number, error):
    with refused(error, entry=told(*events).position(number + 1)):
        told(*events).retract(number)


def test_what_nothing_rests_on_any_more_is_retracted():
    followed = told(OPENED, MEETING, replace(NEGOTIATIONS, meeting=MEETING_ID))
    assert followed.retract(2).retract(1).state.stage == "contact"
    assert followed.correct(2, NEGOTIATIONS).retract(1).state.stage == "negotiating"


def test_a_cancellation_that_never_was_leaves_a_visit_scheduled():
    called_off = told(OPENED, VISIT, VISIT_OFF)
    with refused(NotScheduled):
        called_off.then(VISITED)
    assert called_off.retract(2).then(VISITED).state.visits[VISIT.visit_id].status == "held"


def test_what_was_retracted_is_neither_retracted_again_nor_corrected():
    retracted = told(*TALKS).correct(2, LONGER).retract(2)
    for number in (2,):
        with refused(NotCorrectable, says="Entry 46 is retracted already"):
            retracted.retract(number)
        with refused(NotCorrectable, says="Entry 46 is retracted already"):
            retracted.correct(number, LATER)
    with refused(NotCorrectable, says="Entry 46 is retracted already"):
        retracted.correct(3, LATER)


# Retracting amendments


def test_what_a_correction_replaced_holds_again_when_it_is_retracted():
    restored = told(*TALKS).correct(2, LONGER).retract(3)
    assert restored.state.meetings[MEETING_ID] == replace(restored.entries[2], ever=(MEETING, LONGER))


def test_of_several_corrections_the_last_that_stands_holds():
    thrice = told(*TALKS).correct(2, LONGER).correct(2, LATER).correct(2, replace(LATER, note="third"))
    assert thrice.retract(4).state.meetings[MEETING_ID].event.note == "third"
    assert thrice.retract(5).state.meetings[MEETING_ID].event == LATER
    assert thrice.retract(5).retract(4).state.meetings[MEETING_ID].event == LONGER
    assert thrice.retract(5).retract(4).retract(3).state.meetings[MEETING_ID].event == MEETING


def test_a_correction_that_was_retracted_is_neither_named_nor_retracted_again():
    restored = told(*TALKS).correct(2, LONGER).retract(3)
    with refused(NotCorrectable, says="Entry 49 is retracted already"):
        restored.retract(3)
    with refused(NotCorrectable, says="Entry 49 is retracted already"):
        restored.correct(3, LATER)
    assert restored.correct(2, LATER).state.meetings[MEETING_ID].event == LATER


def test_what_was_retracted_holds_again_when_the_retraction_is_retracted():
    restored = told(*TALKS).retract(2).retract(3)
    assert restored.state.meetings[MEETING_ID] == restored.entries[2]
    corrected = told(*TALKS).correct(2, LONGER).retract(2).retract(4)
    assert corrected.state.meetings[MEETING_ID].event == LONGER


def test_a_correction_holds_again_when_its_retraction_is_retracted():
    restored = told(*TALKS).correct(2, LONGER).retract(3).retract(4)
    assert restored.state.meetings[MEETING_ID].event == LONGER
    overtaken = told(*TALKS).correct(2, LONGER).retract(3).correct(2, LATER).retract(4)
    assert overtaken.state.meetings[MEETING_ID].event == LATER


def test_retractions_are_retracted_to_any_depth():
    step = told(*TALKS).retract(2)
    for number in range(3, 40):
        assert (MEETING_ID in step.state.meetings) == (number % 2 == 0)
        step = step.retract(number)


def test_what_is_retracted_twice_over_holds_again_when_neither_retraction_does():
    once = told(*TALKS).retract(2)
    twice = once.retract(3).retract(2).retract(4)  # the first retraction is in force again, and the second one still
    assert MEETING_ID not in twice.state.meetings
    assert MEETING_ID not in twice.retract(5).state.meetings
    assert MEETING_ID not in twice.retract(3).state.meetings
    assert MEETING_ID in twice.retract(3).retract(5).state.meetings
    assert MEETING_ID in twice.retract(5).retract(3).state.meetings


def test_a_retraction_that_was_retracted_is_not_retracted_again():
    restored = told(*TALKS).retract(2).retract(3)
    with refused(NotCorrectable, says="Entry 49 is retracted already"):
        restored.retract(3)
    assert MEETING_ID not in restored.retract(2).state.meetings


@pytest.mark.parametrize("number", [2, 3], ids=["of an entry", "of a correction"])
def test_a_retraction_is_not_corrected(number):
    retracted = told(*TALKS).correct(2, LONGER).retract(number)
    with refused(NotCorrectable, says="Entry 52 is a retraction: it can be retracted, not corrected."):
        retracted.correct(4, LATER)


def test_what_holds_again_obeys_the_rules_where_it_stood():
    moved_on = told(OPENED, VISIT, VISIT_OFF).retract(2).then(VISITED)
    with refused(NotScheduled, entry=52):
        moved_on.retract(3)
    smaller = told(OPENED, TOPIC).correct(0, replace(OPENED, parties=(NORTH, SOUTH, STRANGER)))
    met = smaller.then(replace(MEETING, participants=people_of(NORTH, STRANGER)))
    with refused(NotAParty, entry=49):
        met.retract(2)


def test_what_began_anew_does_not_stand_beside_what_it_began_from():
    again = told(OPENED).retract(0).then(OPENED)
    with refused(AlreadyExists, entry=46):
        again.retract(1)


# What is final


def test_an_erasure_is_not_undone():
    erased = Told.of(OF_PERSON, *PERSON_FOLLOWED)
    with refused(NotCorrectable, says="Entry 49 cannot be undone: the key that it destroyed is gone."):
        erased.retract(3)
    corrected = erased.correct(3, PersonErased(authority="another office", reason="asked"))
    assert corrected.state.erased.event.authority == "another office"
    with refused(NotCorrectable, says="Entry 49 cannot be undone"):
        corrected.retract(3)
    assert corrected.retract(4).state.erased.event.authority == "office"


def test_a_withdrawal_is_not_undone():
    withdrawn = Told.of(OF_SOURCE, REPORT, SourceWithdrawn(authority="court", reason="not theirs"))
    with refused(NotCorrectable, says="cannot be undone"):
        withdrawn.retract(1)
    with refused(RestedUpon, entry=43):
        withdrawn.retract(0)


def test_the_posts_of_an_erased_person_are_corrected():
    erased = Told.of(OF_PERSON, *PERSON_FOLLOWED)
    assert erased.retract(2).state.posts["1"].left is None
    with refused(NotInPost, "/replacement/post", entry=46):
        erased.correct(1, replace(ADVISER, post="head"))


def test_a_cancelled_occasion_is_announced_again_by_a_retraction():
    fair = OccasionAnnounced(name="Fair", kind="exhibition", place=Place(country="NO"), dates=day("2019"))
    cancelled = Told.of(OF_OCCASION, fair, OccasionCancelled(reason="flood"))
    assert cancelled.retract(1).state.cancelled is None


# Parties


def test_a_merger_that_never_was_leaves_a_party_as_it_was():
    merged = Told.of(OF_PARTY, WORKS, MERGED)
    assert merged.retract(1).then(RENAMED).state.name == "Halden Verk"


def test_a_party_is_not_merged_into_itself_by_a_correction():
    merged = Told.of(OF_PARTY, WORKS, MERGED)
    assert merged.correct(1, replace(MERGED, into=THIRD)).state.merged.event.into == THIRD
    with refused(CircularParties, "/replacement/into", entry=43):
        merged.correct(1, replace(MERGED, into=ONESELF))
    lived_on = {ONESELF: OTHER, THIRD: ONESELF}
    with refused(CircularParties, "/replacement/into", entry=43):
        merged.knowing(merged=lived_on).correct(1, replace(MERGED, into=THIRD))


def test_a_party_is_not_part_of_itself_by_a_correction_of_its_registration():
    with refused(CircularParties, "/replacement/part_of", says="the history as a whole"):
        Told.of(OF_PARTY, WORKS).correct(0, replace(WORKS, part_of=ONESELF))
    with refused(CircularParties, "/replacement/part_of"):
        Told.of(OF_PARTY, WORKS).knowing(whole={OTHER: ONESELF}).correct(0, replace(WORKS, part_of=OTHER))
    within = Told.of(OF_PARTY, WORKS).correct(0, replace(WORKS, part_of=OTHER))
    assert within.state.details.part_of == OTHER


def test_a_party_is_not_part_of_itself_by_a_retraction():
    parted = Told.of(OF_PARTY, replace(WORKS, part_of=OTHER), AMENDED)
    with refused(CircularParties, says="the history as a whole"):
        parted.knowing(whole={OTHER: ONESELF}).retract(1)
    assert parted.retract(1).state.details.part_of == OTHER


def test_a_circle_that_is_there_already_is_not_held_against_a_correction():
    stuck = Told.of(OF_PARTY, WORKS, MERGED).knowing(merged={ONESELF: OTHER, OTHER: ONESELF})
    assert stuck.correct(0, replace(WORKS, name="Works")).state.name == "Works"
    assert stuck.retract(1).state.merged is None


def test_what_became_of_others_since_is_not_held_against_a_correction():
    since = told(*TALKS).knowing(merged={NORTH: SOUTH})
    with refused(TooFewParties, "/participants"):
        since.then(replace(MEETING, meeting_id=made_id("meeting", 2)))
    assert since.correct(0, replace(OPENED, title="Cranes")).state.opened.event.title == "Cranes"
    assert since.correct(2, LONGER).state.meetings[MEETING_ID].event == LONGER
    assert since.retract(1).state.topics == {}
    pair = told(replace(OPENED, parties=(NORTH, SOUTH)), TOPIC).knowing(merged={NORTH: SOUTH})
    assert pair.correct(0, replace(OPENED, parties=(NORTH, SOUTH), title="Two")).state.opened.event.title == "Two"


def test_what_is_said_anew_is_said_of_others_as_they_are_now():
    since = told(*TALKS).knowing(merged={EAST: NORTH})
    with refused(TooFewParties, "/replacement/participants", entry=46):
        since.correct(2, replace(MEETING, participants=people_of(NORTH, EAST)))


def test_what_became_of_others_since_excuses_nothing_more():
    as_one = told(OPENED, TOPIC).knowing(merged={STRANGER: SOUTH})
    apart = as_one.then(replace(MEETING, participants=people_of(NORTH, STRANGER))).knowing()
    as_it_was = replace(LONGER, participants=people_of(NORTH, STRANGER))
    assert apart.correct(2, as_it_was).state.meetings[MEETING_ID].event == as_it_was
    with refused(NotAParty, "/replacement/participants/1/party", "/replacement/participants/2/party", entry=46):
        apart.correct(2, replace(MEETING, participants=people_of(NORTH, STRANGER, OTHER_STRANGER)))


def test_what_a_party_was_part_of_does_not_matter_once_it_was_merged():
    merged = Told.of(OF_PARTY, WORKS, MERGED).knowing(whole={THIRD: ONESELF})
    within = replace(WORKS, part_of=THIRD)
    assert merged.correct(0, within).state.details == within
    with refused(CircularParties, says="the history as a whole"):
        merged.correct(0, within).retract(1)


def test_a_former_whole_is_not_held_against_a_correction():
    moved = Told.of(OF_PARTY, WORKS, replace(AMENDED, part_of=OTHER), AMENDED).knowing(whole={OTHER: ONESELF})
    assert moved.correct(0, replace(WORKS, name="Works")).state.name == "Works"
    with refused(CircularParties, "/replacement/part_of", entry=46):
        moved.correct(2, replace(AMENDED, part_of=OTHER))


# Claims


def test_what_was_claimed_by_what_stands_no_more_is_still_the_stream_s_own():
    one, two = (Identifier(scheme="XI-LEI", value=value) for value in ("1", "2"))
    corrected = Told.of(OF_PARTY, replace(WORKS, identifiers=(one,))).correct(0, replace(WORKS, identifiers=(two,)))
    again = replace(AMENDED, identifiers=(one, two, Identifier(scheme="XI-LEI", value="3")))
    assert list(PARTY.claims(corrected.state, again)) == [Claim("party-identifier", "XI-LEI:3", "/identifiers/2")]
    retracted = told(OPENED, TOPIC, ROADMAP).retract(2).retract(1)
    assert list(COOPERATION.claims(retracted.state, TOPIC)) == []
    assert list(COOPERATION.claims(retracted.state, ROADMAP)) == []
    assert retracted.then(TOPIC, MEETING).state.forgone == retracted.state.forgone


def test_what_stands_again_is_forgone_no_more():
    restored = told(OPENED, TOPIC).retract(1).retract(2)
    assert restored.state == told(OPENED, TOPIC).state


# Asked of a whole history


def test_the_original_is_found_by_any_position_that_concerns_it():
    history = told(*TALKS).correct(2, LONGER).entries
    assert original_of(history, history[2].position) == original_of(history, history[3].position) == history[2]
    with refused(NotCorrectable, says="There is no entry 7"):
        original_of(history, 7)


def test_everything_that_was_ever_said_is_found():
    history = told(*TALKS).correct(2, LONGER).retract(3).correct(2, LATER).retract(2).entries
    assert ever_said(history) == [OPENED, TOPIC, MEETING, LONGER, LATER]
