from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue import COMMANDS
from events.catalogue.person import PERSON, PersonalDetails, PersonAppointed, PersonRegistered
from events.edtf import EdtfDate
from events.errors import AlreadyExists, NotFound
from tests.support.spec import Specification, entries_of, fold, made_id

TODAY = date(2019, 6, 19)
PERSON_ID = made_id("person", 1)
STREAM = f"person/{PERSON_ID}"
given = Specification(PERSON, STREAM, TODAY).given

REGISTERED = PersonRegistered(sealed="bm9uY2UgYW5kIHNlYWxlZCBuYW1l")
ADVISER = PersonAppointed(party=made_id("party", 1), post="adviser")


def test_a_person_is_registered():
    given().when(REGISTERED).then(REGISTERED)


def test_a_person_is_registered_once():
    given(REGISTERED).when(replace(REGISTERED, sealed="AAAA")).then_refused(AlreadyExists, "/id")


def test_what_a_client_says_of_a_person_is_not_what_is_stored():
    _, register = COMMANDS["register-person"]
    assert register.body is PersonalDetails
    assert {"name", "contact"}.isdisjoint(field for event in PERSON.events for field in event.__struct_fields__)


def test_nobody_is_appointed_before_being_registered():
    given().when(ADVISER).then_refused(NotFound)


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


def test_the_state_keeps_every_post_in_the_order_of_recording():
    head = replace(ADVISER, post="head of department")
    entries = entries_of(STREAM, [REGISTERED, head, ADVISER], TODAY)
    person = fold(PERSON, entries)
    assert (person.id, person.registered) == (PERSON_ID, entries[0])
    assert list(person.posts.values()) == entries[1:]


@pytest.mark.parametrize("stray", [ADVISER, replace(ADVISER, post="head of department")])
def test_a_stream_that_begins_with_an_appointment_is_not_folded(stray):
    with pytest.raises(TypeError, match="is no event of a person here"):
        fold(PERSON, entries_of(STREAM, [stray], TODAY))
