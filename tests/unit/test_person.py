from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue import COMMANDS
from events.catalogue.party import PartyRenamed
from events.catalogue.person import (
    PERSON,
    PersonalDetails,
    PersonAppointed,
    PersonErased,
    PersonLeftPost,
    PersonRegistered,
    Post,
)
from events.edtf import EdtfDate
from events.errors import AlreadyExists, NotFound, NotInPost
from events.errors import PersonErased as IsErased
from tests.support.amending import OF_PERSON, Told, refused
from tests.support.spec import Specification, entries_of, fold, made_id

TODAY = date(2019, 6, 19)
PERSON_ID = made_id("person", 1)
STREAM = f"person/{PERSON_ID}"
given = Specification(PERSON, STREAM, TODAY).given

REGISTERED = PersonRegistered(sealed="bm9uY2UgYW5kIHNlYWxlZCBuYW1l")
ADVISER = PersonAppointed(party=made_id("party", 1), post="adviser")
HEAD = replace(ADVISER, post="head of department")
LEFT = PersonLeftPost(party=ADVISER.party, post="adviser")
ERASED = PersonErased(authority="Data protection office", reason="They asked for it.")


def by_type(event: object) -> str:
    return type(event).__name__


# Registering


def test_a_person_is_registered():
    given().when(REGISTERED).then(REGISTERED)


def test_a_person_is_registered_once():
    given(REGISTERED).when(replace(REGISTERED, sealed="AAAA")).then_refused(AlreadyExists, "/id")


SURVIVOR = made_id("party", 2)
MERGED = {ADVISER.party: SURVIVOR, SURVIVOR: made_id("party", 3)}


def test_a_post_at_a_party_that_was_merged_is_left_by_the_name_of_the_survivor():
    for named in (SURVIVOR, made_id("party", 3)):
        given(REGISTERED, ADVISER).knowing(merged=MERGED).when(replace(LEFT, party=named)).then(LEFT)
    at_survivor = replace(ADVISER, party=SURVIVOR)
    left = replace(LEFT, party=SURVIVOR)
    given(REGISTERED, at_survivor).knowing(merged=MERGED).when(LEFT).then(left)
    given(REGISTERED, ADVISER, at_survivor).knowing(merged=MERGED).when(left).then(left)


def test_a_post_is_not_taken_again_at_the_survivor_of_a_merger():
    again = replace(ADVISER, party=SURVIVOR)
    given(REGISTERED, ADVISER).knowing(merged=MERGED).when(again).then_refused(AlreadyExists, "/post")
    given(REGISTERED, again).knowing(merged=MERGED).when(ADVISER).then_refused(AlreadyExists, "/post")
    given(REGISTERED, ADVISER).when(again).then(again)
    given(REGISTERED, ADVISER, LEFT).knowing(merged=MERGED).when(again).then(again)
    given(REGISTERED, ADVISER, LEFT).knowing(merged=MERGED).when(replace(LEFT, party=SURVIVOR)).then_refused(
        NotInPost, "/post"
    )


def test_what_a_client_says_of_a_person_is_not_what_is_stored():
    _, register = COMMANDS["register-person"]
    assert register.body is PersonalDetails
    assert {"name", "contact"}.isdisjoint(field for event in PERSON.events for field in event.__struct_fields__)


@pytest.mark.parametrize("event", [ADVISER, LEFT, ERASED], ids=by_type)
def test_nothing_happens_to_a_person_before_they_are_registered(event):
    given().when(event).then_refused(NotFound)


# Posts


def test_a_person_is_appointed():
    given(REGISTERED).when(ADVISER).then(ADVISER)


def test_an_appointment_may_begin_later_than_today():
    later = replace(ADVISER, from_=EdtfDate.parse("2019-09"))
    given(REGISTERED).when(later).then(later)


def test_a_person_holds_a_post_at_a_party_once():
    again = replace(ADVISER, from_=EdtfDate.parse("2019"))
    given(REGISTERED, ADVISER).when(again).then_refused(AlreadyExists, "/post")


@pytest.mark.parametrize(
    "other", [replace(ADVISER, post="head of department"), replace(ADVISER, party=made_id("party", 2))]
)
def test_a_person_may_hold_several_posts(other):
    given(REGISTERED, ADVISER).when(other).then(other)


@pytest.mark.parametrize("until", [None, "2019-05", "2031"])
def test_a_person_leaves_a_post_that_they_hold(until):
    left = replace(LEFT, until=until and EdtfDate.parse(until))
    given(REGISTERED, HEAD, ADVISER).when(left).then(left)


@pytest.mark.parametrize(
    "history",
    [(), (HEAD,), (replace(ADVISER, party=made_id("party", 2)),), (ADVISER, LEFT)],
    ids=["none", "another post", "the same at another party", "left already"],
)
def test_nobody_leaves_a_post_that_they_do_not_hold(history):
    given(REGISTERED, *history).when(LEFT).then_refused(NotInPost, "/post")


def test_a_person_is_appointed_again_to_a_post_that_they_left():
    given(REGISTERED, ADVISER, LEFT).when(ADVISER).then(ADVISER)
    given(REGISTERED, ADVISER, LEFT, ADVISER).when(ADVISER).then_refused(AlreadyExists, "/post")
    given(REGISTERED, ADVISER, LEFT, ADVISER).when(LEFT).then(LEFT)


def test_the_state_keeps_every_post_in_the_order_of_recording():
    entries = entries_of(STREAM, [REGISTERED, HEAD, ADVISER], TODAY)
    person = fold(PERSON, entries)
    assert (person.id, person.registered) == (PERSON_ID, entries[0])
    assert list(person.posts.values()) == [Post(entries[1]), Post(entries[2])]
    assert person.touched == (PERSON_ID, "2")


def test_the_state_keeps_a_post_that_was_left_beside_the_one_that_was_taken_again():
    entries = entries_of(STREAM, [REGISTERED, ADVISER, HEAD, LEFT, ADVISER], TODAY)
    person = fold(PERSON, entries)
    assert person.posts == {"1": Post(entries[1], entries[3]), "2": Post(entries[2]), "4": Post(entries[4])}
    assert fold(PERSON, entries[:4]).touched == (PERSON_ID, "1")


# Erasure


@pytest.mark.parametrize("history", [(), (ADVISER,), (ADVISER, LEFT)], ids=["no post", "a post", "a former post"])
def test_a_person_is_erased(history):
    given(REGISTERED, *history).when(ERASED).then(ERASED)


@pytest.mark.parametrize("event", [HEAD, LEFT, ERASED], ids=by_type)
def test_nothing_happens_to_a_person_after_their_erasure(event):
    given(REGISTERED, ADVISER, ERASED).when(event).then_refused(IsErased)


def test_a_person_is_erased_once_whatever_the_reason():
    given(REGISTERED, ERASED).when(replace(ERASED, reason="again")).then_refused(IsErased)


def test_an_erased_person_is_not_registered_anew():
    given(REGISTERED, ERASED).when(REGISTERED).then_refused(AlreadyExists, "/id")


def test_the_state_says_by_whom_a_person_was_erased_and_keeps_their_posts():
    entries = entries_of(STREAM, [REGISTERED, ADVISER, ERASED], TODAY)
    person = fold(PERSON, entries)
    assert (person.erased, person.posts, person.touched) == (entries[2], {"1": Post(entries[1])}, (PERSON_ID,))


# Folding


@pytest.mark.parametrize("stray", [ADVISER, LEFT, ERASED], ids=by_type)
def test_a_stream_that_begins_otherwise_is_not_folded(stray):
    with pytest.raises(TypeError, match=rf"{STREAM} begins with registry\.person-"):
        fold(PERSON, entries_of(STREAM, [stray], TODAY))


def test_an_event_of_another_aggregate_is_not_folded():
    with pytest.raises(TypeError, match=r"party-renamed\.v1 is no event of a person"):
        fold(PERSON, entries_of(STREAM, [REGISTERED, PartyRenamed(name="x")], TODAY))


def test_an_appointment_is_corrected_to_the_survivor_of_a_merger_and_left_by_the_name_it_had():
    at_survivor = replace(ADVISER, party=SURVIVOR)
    history = Told.of(OF_PERSON, REGISTERED, ADVISER, LEFT).knowing(merged=MERGED)
    (post,) = history.correct(1, at_survivor).state.posts.values()
    assert (post.appointed.event, post.left and post.left.event) == (at_survivor, LEFT)
    (post,) = history.correct(1, at_survivor).retract(3).state.posts.values()
    assert (post.appointed.event, post.left and post.left.event) == (ADVISER, LEFT)
    with refused(NotInPost, "/replacement/party", entry=history.position(2)):
        history.knowing().correct(1, at_survivor)
    with refused(NotInPost, "/replacement/post", entry=history.position(2)):
        history.correct(1, replace(at_survivor, post="head"))


def test_what_was_left_while_an_appointment_was_corrected_is_left_when_it_is_not():
    at_survivor = replace(ADVISER, party=SURVIVOR)
    corrected = Told.of(OF_PERSON, REGISTERED, ADVISER).knowing(merged=MERGED).correct(1, at_survivor)
    for named in (ADVISER.party, SURVIVOR):
        (post,) = corrected.then(replace(LEFT, party=named)).retract(2).state.posts.values()
        assert (post.appointed.event, post.left is not None) == (ADVISER, True)


def test_a_leaving_is_corrected_by_the_name_of_the_survivor_and_stays_at_the_party_where_the_post_was_held():
    history = Told.of(OF_PERSON, REGISTERED, ADVISER, LEFT).knowing(merged=MERGED)
    until = EdtfDate.parse("2019-05")
    for named in (SURVIVOR, made_id("party", 3)):
        corrected = history.correct(2, replace(LEFT, party=named, until=until))
        (post,) = corrected.state.posts.values()
        assert (post.appointed.event, post.left and post.left.event) == (ADVISER, replace(LEFT, until=until))
        assert corrected.entries[-1].event.replacement["party"] == LEFT.party
        again = corrected.correct(3, replace(LEFT, party=named))
        assert [one.left and one.left.event for one in again.state.posts.values()] == [LEFT]
        (post,) = again.retract(4).state.posts.values()
        assert post.left is not None
        assert post.left.event == replace(LEFT, until=until)


def test_a_leaving_is_not_corrected_to_a_post_that_was_not_held():
    history = Told.of(OF_PERSON, REGISTERED, ADVISER, LEFT)
    with refused(NotInPost, "/replacement/post", entry=history.position(2)):
        history.correct(2, replace(LEFT, party=SURVIVOR))
    for wrong in (replace(LEFT, party=made_id("party", 4)), replace(LEFT, party=SURVIVOR, post="head")):
        with refused(NotInPost, "/replacement/post", entry=history.position(2)):
            history.knowing(merged=MERGED).correct(2, wrong)


def test_a_leaving_is_corrected_to_the_post_of_the_survivor_s_own_where_both_were_held():
    at_survivor = replace(ADVISER, party=SURVIVOR)
    both = Told.of(OF_PERSON, REGISTERED, ADVISER, at_survivor, LEFT).knowing(merged=MERGED)
    one, other = both.correct(3, replace(LEFT, party=SURVIVOR)).state.posts.values()
    assert (one.left, other.left and other.left.event) == (None, replace(LEFT, party=SURVIVOR))
