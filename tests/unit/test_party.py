from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue.aggregate import Claim
from events.catalogue.cooperation_events import CooperationConcluded
from events.catalogue.party import PARTY, PartyRegistered
from events.errors import AlreadyExists
from events.values import Identifier
from tests.support.spec import Specification, entries_of, fold, made_id

TODAY = date(2019, 6, 19)
PARTY_ID = made_id("party", 1)
STREAM = f"party/{PARTY_ID}"
given = Specification(PARTY, STREAM, TODAY).given

WORKS = PartyRegistered(name="Halden Works", kind="company", country="NO")


def test_a_party_is_registered():
    given().when(WORKS).then(WORKS)


def test_a_party_is_registered_once():
    given(WORKS).when(replace(WORKS, name="Halden Verk")).then_refused(AlreadyExists, "/id")


def test_the_state_keeps_the_entry_that_registered_it():
    (entry,) = entries_of(STREAM, [WORKS], TODAY)
    party = fold(PARTY, [entry])
    assert (party.id, party.registered, party.touched) == (PARTY_ID, entry, (PARTY_ID,))


def test_an_identifier_is_claimed_by_scheme_and_value_and_points_at_its_field():
    identifiers = (Identifier(scheme="NO-BRC", value="912345678"), Identifier(scheme="own.list", value="a:b"))
    assert list(PARTY.claims(replace(WORKS, identifiers=identifiers))) == [
        Claim("party-identifier", "NO-BRC:912345678", "/identifiers/0"),
        Claim("party-identifier", "own.list:a:b", "/identifiers/1"),
    ]


def test_a_party_without_identifiers_claims_nothing():
    assert list(PARTY.claims(WORKS)) == []


def test_an_event_of_another_aggregate_is_not_folded():
    concluded = CooperationConcluded(reason="done")
    with pytest.raises(TypeError, match=r"cooperation-concluded\.v1 is no event of a party"):
        fold(PARTY, entries_of(STREAM, [WORKS, concluded], TODAY))
