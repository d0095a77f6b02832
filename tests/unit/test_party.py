from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue.aggregate import Claim
from events.catalogue.cooperation_events import CooperationConcluded
from events.catalogue.party import PARTY, PartyDetailsAmended, PartyMerged, PartyRegistered, PartyRenamed
from events.edtf import EdtfDate
from events.errors import AlreadyExists, CircularParties, NotFound, NothingChanges
from events.errors import PartyMerged as IsMerged
from events.values import Citation, Identifier
from tests.support.spec import Specification, entries_of, fold, made_id

TODAY = date(2019, 6, 19)
PARTY_ID, OTHER, THIRD, FOURTH = (made_id("party", number) for number in range(1, 5))
STREAM = f"party/{PARTY_ID}"
given = Specification(PARTY, STREAM, TODAY).given

WORKS = PartyRegistered(name="Halden Works", kind="company", country="NO")
RENAMED = PartyRenamed(name="Halden Verk")
AMENDED = PartyDetailsAmended(kind="agency", country="SE", sectors=("ports",))
AS_REGISTERED = (PartyRenamed(name=WORKS.name), PartyDetailsAmended(kind=WORKS.kind, country=WORKS.country))
CITATIONS = tuple(Citation(source=made_id("src", number), start=0, end=9) for number in (1, 2))
MERGED = PartyMerged(into=OTHER, reason="two records of one yard")
ONE, TWO = Identifier(scheme="NO-BRC", value="912345678"), Identifier(scheme="own.list", value="a:b")


def by_type(event: object) -> str:
    return type(event).__name__


# Registering


def test_a_party_is_registered():
    given().when(WORKS).then(WORKS)


def test_a_party_is_registered_once():
    given(WORKS).when(replace(WORKS, name="Halden Verk")).then_refused(AlreadyExists, "/id")


def test_a_party_is_not_registered_again_once_it_was_merged():
    given(WORKS, MERGED).when(WORKS).then_refused(AlreadyExists, "/id")


def test_the_state_keeps_the_entry_that_registered_it():
    (entry,) = entries_of(STREAM, [WORKS], TODAY)
    party = fold(PARTY, [entry])
    assert (party.id, party.registered, party.touched) == (PARTY_ID, entry, (PARTY_ID,))
    assert (party.name, party.details, party.changes, party.merged) == ("Halden Works", WORKS, (), None)


@pytest.mark.parametrize("event", [RENAMED, AMENDED, MERGED], ids=by_type)
def test_nothing_happens_to_a_party_before_it_is_registered(event):
    given().when(event).then_refused(NotFound)


# Renaming and amending


def test_a_party_is_renamed():
    given(WORKS).when(RENAMED).then(RENAMED)


@pytest.mark.parametrize("since", ["2018", "2019-06-19", "2031"])
def test_a_name_may_hold_since_any_time(since):
    renamed = replace(RENAMED, since=EdtfDate.parse(since))
    given(WORKS).when(renamed).then(renamed)


def test_a_party_is_known_by_its_last_name():
    again = PartyRenamed(name="Halden Quay")
    entries = entries_of(STREAM, [WORKS, RENAMED, again], TODAY)
    party = fold(PARTY, entries)
    assert (party.name, party.registered, party.changes) == ("Halden Quay", entries[0], tuple(entries[1:]))


def test_a_party_is_amended():
    given(WORKS).when(AMENDED).then(AMENDED)


def test_an_amendment_is_all_that_is_known_of_a_party_besides_its_name():
    entries = entries_of(STREAM, [replace(WORKS, identifiers=(ONE,)), RENAMED, AMENDED], TODAY)
    party = fold(PARTY, entries)
    assert (party.name, party.details) == ("Halden Verk", AMENDED)
    assert party.claimed == {ONE}


@pytest.mark.parametrize("event", [RENAMED, AMENDED], ids=by_type)
def test_what_was_said_last_is_not_said_again(event):
    given(WORKS, event).when(event).then_refused(NothingChanges)


@pytest.mark.parametrize("event", AS_REGISTERED, ids=by_type)
def test_what_a_party_was_registered_with_is_not_said_again(event):
    registered = replace(WORKS, citations=CITATIONS, note="so says the register")
    for one in (event, replace(event, citations=CITATIONS[:1]), replace(event, note=registered.note)):
        given(registered).when(one).then_refused(NothingChanges)


@pytest.mark.parametrize(
    ("recorded", "event"),
    [((WORKS, RENAMED), RENAMED), ((WORKS, AMENDED), AMENDED), *(((WORKS,), event) for event in AS_REGISTERED)],
)
def test_what_is_so_already_is_said_again_with_more_to_say(recorded, event):
    noted = replace(event, note="so says the register")
    cited = replace(event, citations=CITATIONS)
    given(*recorded).when(noted).then(noted)
    given(*recorded).when(cited).then(cited)
    given(*recorded, noted).when(cited).then(cited)
    given(*recorded, noted).when(event).then_refused(NothingChanges)


def test_since_when_a_party_has_its_name_is_something_more_to_say():
    since = PartyRenamed(name=WORKS.name, since=EdtfDate.parse("1987"))
    given(WORKS).when(since).then(since)
    given(WORKS, since).when(replace(since, since=None)).then_refused(NothingChanges)


def test_what_is_left_out_of_an_amendment_is_taken_back():
    whole = replace(AMENDED, part_of=made_id("party", 2))
    given(WORKS, whole).when(AMENDED).then(AMENDED)
    given(replace(WORKS, sectors=("ports",))).when(AS_REGISTERED[1]).then(AS_REGISTERED[1])


def test_a_former_name_is_taken_again():
    back = PartyRenamed(name="Halden Works")
    given(WORKS, RENAMED).when(back).then(back)


# Part of


def test_a_party_becomes_part_of_another():
    within = replace(AMENDED, part_of=OTHER)
    given(WORKS).knowing(whole={OTHER: THIRD}).when(within).then(within)


@pytest.mark.parametrize(
    ("part_of", "known"),
    [
        (PARTY_ID, {}),
        (OTHER, {"whole": {OTHER: PARTY_ID}}),
        (OTHER, {"whole": {OTHER: THIRD, THIRD: FOURTH, FOURTH: PARTY_ID}}),
        (OTHER, {"merged": {OTHER: PARTY_ID}}),
        (OTHER, {"merged": {OTHER: THIRD}, "whole": {OTHER: FOURTH, THIRD: PARTY_ID}}),
        (OTHER, {"whole": {OTHER: THIRD}, "merged": {THIRD: FOURTH, FOURTH: PARTY_ID}}),
    ],
    ids=[
        "itself",
        "a part of it",
        "a part of a part of a part of it",
        "what was merged into it",
        "what lives on in a part of it",
        "a part of what lives on in it",
    ],
)
def test_a_party_is_not_part_of_itself_by_whatever_way(part_of, known):
    given(WORKS).knowing(**known).when(replace(AMENDED, part_of=part_of)).then_refused(CircularParties, "/part_of")


def test_what_a_merged_party_was_part_of_does_not_matter_any_more():
    within = replace(AMENDED, part_of=OTHER)
    given(WORKS).knowing(merged={OTHER: THIRD}, whole={OTHER: PARTY_ID}).when(within).then(within)


def test_a_circle_of_others_is_gone_round_once():
    within = replace(AMENDED, part_of=OTHER)
    given(WORKS).knowing(whole={OTHER: THIRD, THIRD: OTHER}).when(within).then(within)
    given(WORKS).knowing(merged={OTHER: THIRD, THIRD: OTHER}).when(within).then(within)


# Merging


def test_a_party_is_merged_into_another():
    given(WORKS).when(MERGED).then(MERGED)
    entries = entries_of(STREAM, [WORKS, MERGED], TODAY)
    assert fold(PARTY, entries).merged == entries[1]


def test_a_party_is_merged_into_one_that_lives_on_in_another():
    given(WORKS).knowing(merged={OTHER: THIRD}).when(MERGED).then(MERGED)


def test_a_party_is_merged_into_what_it_is_part_of():
    given(replace(WORKS, part_of=OTHER)).knowing(whole={PARTY_ID: OTHER}).when(MERGED).then(MERGED)


@pytest.mark.parametrize(
    ("into", "known"),
    [
        (PARTY_ID, {}),
        (OTHER, {"merged": {OTHER: PARTY_ID}}),
        (OTHER, {"merged": {OTHER: THIRD, THIRD: FOURTH, FOURTH: PARTY_ID}}),
        (OTHER, {"whole": {OTHER: PARTY_ID}}),
        (OTHER, {"whole": {OTHER: THIRD}, "merged": {THIRD: PARTY_ID}}),
    ],
    ids=[
        "itself",
        "what was merged into it",
        "what lives on in it after several mergers",
        "a part of it",
        "a part of what was merged into it",
    ],
)
def test_a_party_is_not_merged_into_itself_by_whatever_way(into, known):
    merged = replace(MERGED, into=into)
    given(WORKS).knowing(**known).when(merged).then_refused(CircularParties, "/into")


@pytest.mark.parametrize("event", [RENAMED, AMENDED, MERGED], ids=by_type)
def test_nothing_happens_to_a_party_after_a_merger(event):
    given(WORKS, MERGED).when(event).then_refused(IsMerged)


def test_a_party_is_merged_once():
    given(WORKS, MERGED).when(replace(MERGED, into=THIRD)).then_refused(IsMerged)


def test_who_says_something_of_a_merged_party_is_told_of_which_to_say_it():
    outcome = given(WORKS, MERGED).when(RENAMED)
    assert OTHER in str(outcome.result)


# Claims


def test_an_identifier_is_claimed_by_scheme_and_value_and_points_at_its_field():
    for event in (replace(WORKS, identifiers=(ONE, TWO)), replace(AMENDED, identifiers=(ONE, TWO))):
        assert list(PARTY.claims(None, event)) == [
            Claim("party-identifier", "NO-BRC:912345678", "/identifiers/0"),
            Claim("party-identifier", "own.list:a:b", "/identifiers/1"),
        ]


def test_an_identifier_that_the_party_has_or_had_is_not_claimed_again():
    without = fold(PARTY, entries_of(STREAM, [replace(WORKS, identifiers=(ONE,)), AMENDED], TODAY))
    assert list(PARTY.claims(without, replace(AMENDED, identifiers=(TWO, ONE)))) == [
        Claim("party-identifier", "own.list:a:b", "/identifiers/0")
    ]


@pytest.mark.parametrize("event", [WORKS, RENAMED, AMENDED, MERGED], ids=by_type)
def test_what_brings_no_identifiers_claims_nothing(event):
    assert list(PARTY.claims(None, event)) == []


# Folding


def test_an_event_of_another_aggregate_is_not_folded():
    concluded = CooperationConcluded(reason="done")
    with pytest.raises(TypeError, match=r"cooperation-concluded\.v1 is no event of a party"):
        fold(PARTY, entries_of(STREAM, [WORKS, concluded], TODAY))


def test_a_stream_that_begins_with_a_name_is_not_folded():
    with pytest.raises(TypeError, match=rf"{STREAM} begins with registry\.party-renamed\.v1"):
        fold(PARTY, entries_of(STREAM, [RENAMED], TODAY))
