from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue.occasion import OCCASION, DelegationSent, OccasionAnnounced
from events.edtf import EdtfDate
from events.errors import AlreadyExists, NotFound
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


def test_an_occasion_is_announced():
    given().when(FAIR).then(FAIR)


@pytest.mark.parametrize("dates", ["2019-09-01/2019-09-05", "2031", "2019-09/.."])
def test_an_occasion_may_lie_ahead(dates):
    ahead = replace(FAIR, dates=EdtfDate.parse(dates))
    given().when(ahead).then(ahead)


def test_an_occasion_is_announced_once():
    given(FAIR).when(replace(FAIR, name="Harbour Days")).then_refused(AlreadyExists, "/id")


def test_nobody_is_sent_to_an_occasion_that_is_not_announced():
    given().when(DELEGATION).then_refused(NotFound)


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


def test_a_stream_that_begins_with_a_delegation_is_not_folded():
    with pytest.raises(TypeError, match="is no event of an occasion here"):
        fold(OCCASION, entries_of(STREAM, [DELEGATION], TODAY))
