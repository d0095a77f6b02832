from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue.occasion import OCCASION, DelegationSent, OccasionAmended, OccasionAnnounced, OccasionCancelled
from events.catalogue.party import PartyRenamed
from events.edtf import EdtfDate
from events.errors import AlreadyExists, NotFound, NothingChanges
from events.errors import OccasionCancelled as IsCancelled
from events.values import Participant, Place
from tests.support.spec import Specification, entries_of, fold, made_id

TODAY = date(2019, 6, 19)
OCCASION_ID = made_id("occ", 1)
STREAM = f"occasion/{OCCASION_ID}"
given = Specification(OCCASION, STREAM, TODAY).given

FAIR = OccasionAnnounced(
    name="Harbour Fair", kind="exhibition", place=Place(country="NO", city="Halden"), dates=EdtfDate.parse("2019-06")
)
DELEGATION = DelegationSent(
    delegation_id=made_id("delegation", 1),
    party=made_id("party", 1),
    participants=(Participant(party=made_id("party", 1), role="experts"),),
)
AMENDED = OccasionAmended(
    name="Harbour Days", kind="forum", place=Place(country="SE"), dates=EdtfDate.parse("2019-07"), organiser=None
)
CANCELLED = OccasionCancelled(reason="the quay is under water")


def by_type(event: object) -> str:
    return type(event).__name__


# Announcing


def test_an_occasion_is_announced():
    given().when(FAIR).then(FAIR)


@pytest.mark.parametrize("dates", ["2019-09-01/2019-09-05", "2031", "2019-09/.."])
def test_an_occasion_may_lie_ahead(dates):
    ahead = replace(FAIR, dates=EdtfDate.parse(dates))
    given().when(ahead).then(ahead)


def test_an_occasion_is_announced_once():
    given(FAIR).when(replace(FAIR, name="Harbour Days")).then_refused(AlreadyExists, "/id")


@pytest.mark.parametrize("event", [DELEGATION, AMENDED, CANCELLED], ids=by_type)
def test_nothing_happens_to_an_occasion_that_is_not_announced(event):
    given().when(event).then_refused(NotFound)


# Delegations


def test_a_delegation_is_sent():
    given(FAIR).when(DELEGATION).then(DELEGATION)


def test_a_delegation_may_be_known_without_its_people():
    unnamed = replace(DELEGATION, participants=())
    given(FAIR).when(unnamed).then(unnamed)


def test_a_delegation_id_is_used_once():
    given(FAIR, DELEGATION).when(replace(DELEGATION, party=made_id("party", 2))).then_refused(AlreadyExists, "/id")


def test_a_party_may_send_several_delegations():
    second = replace(DELEGATION, delegation_id=made_id("delegation", 2))
    given(FAIR, DELEGATION).when(second).then(second)


def test_the_state_keeps_the_delegations_by_id():
    entries = entries_of(STREAM, [FAIR, DELEGATION], TODAY)
    occasion = fold(OCCASION, entries)
    assert (occasion.id, occasion.announced) == (OCCASION_ID, entries[0])
    assert occasion.delegations == {DELEGATION.delegation_id: entries[1]}
    assert occasion.touched == (OCCASION_ID, DELEGATION.delegation_id)


# Amending and cancelling


@pytest.mark.parametrize("dates", ["2018", "2019-07", "2031"])
def test_an_occasion_is_amended_to_whatever_dates(dates):
    amended = replace(AMENDED, dates=EdtfDate.parse(dates))
    given(FAIR, DELEGATION).when(amended).then(amended)


def test_what_was_amended_last_is_not_amended_again():
    given(FAIR, AMENDED).when(AMENDED).then_refused(NothingChanges)
    as_announced = OccasionAmended(name=FAIR.name, kind=FAIR.kind, place=FAIR.place, dates=FAIR.dates)
    given(replace(FAIR, note="by poster")).when(as_announced).then_refused(NothingChanges)
    given(replace(FAIR, organiser=made_id("party", 1))).when(as_announced).then(as_announced)
    given(FAIR, AMENDED).when(as_announced).then(as_announced)
    other = replace(AMENDED, name="Harbour Nights")
    given(FAIR, AMENDED, other).when(AMENDED).then(AMENDED)


def test_an_amendment_is_all_that_is_known_of_an_occasion_besides_its_delegations():
    entries = entries_of(STREAM, [replace(FAIR, organiser=made_id("party", 1)), DELEGATION, AMENDED], TODAY)
    occasion = fold(OCCASION, entries)
    assert (occasion.announced, occasion.current, occasion.changes) == (entries[0], AMENDED, (entries[2],))
    assert list(occasion.delegations) == [DELEGATION.delegation_id]
    assert occasion.touched == (OCCASION_ID,)


@pytest.mark.parametrize("history", [(), (AMENDED,), (DELEGATION,)], ids=["as announced", "amended", "expected"])
def test_an_occasion_is_cancelled(history):
    given(FAIR, *history).when(CANCELLED).then(CANCELLED)
    entries = entries_of(STREAM, [FAIR, *history, CANCELLED], TODAY)
    assert fold(OCCASION, entries).cancelled == entries[-1]


@pytest.mark.parametrize("event", [DELEGATION, AMENDED, CANCELLED], ids=by_type)
def test_nothing_happens_to_an_occasion_after_it_was_cancelled(event):
    given(FAIR, CANCELLED).when(event).then_refused(IsCancelled)


# Folding


@pytest.mark.parametrize("stray", [DELEGATION, AMENDED, CANCELLED], ids=by_type)
def test_a_stream_that_begins_otherwise_is_not_folded(stray):
    with pytest.raises(TypeError, match=rf"{STREAM} begins with registry\."):
        fold(OCCASION, entries_of(STREAM, [stray], TODAY))


def test_an_event_of_another_aggregate_is_not_folded():
    with pytest.raises(TypeError, match=r"party-renamed\.v1 is no event of an occasion"):
        fold(OCCASION, entries_of(STREAM, [FAIR, PartyRenamed(name="x")], TODAY))
