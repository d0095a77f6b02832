"""Bad input, field by field: everything that is wrong is named, and nothing that is right."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from events.catalogue.cooperation_events import CooperationOpened, MeetingHeld, RoadmapAgreed, TopicRaised
from events.catalogue.history import EntryCorrected
from events.catalogue.occasion import OccasionAnnounced
from events.catalogue.party import PartyRegistered
from events.catalogue.person import PersonalDetails
from events.catalogue.source import SourceFiled
from events.codec import EVENT_TYPES
from events.entry import canonical, to_builtins
from events.errors import FieldProblem, InvalidField
from events.forms import form
from events.shape import Leaf, clean, convert, escape, examine, from_text
from events.values import Value
from tests.golden import files
from tests.support.forms import DATA, FORMS
from tests.support.spec import made_id

LONE = "\ud800"
"""Half of a surrogate pair, as Python's own decoder makes of the JSON text "\\ud800"."""


def problems(raw: object, kind: type) -> dict[str, str]:
    """Return what is wrong by pointer, as `convert` tells it of cleaned input."""
    with pytest.raises(InvalidField) as refused:
        convert(clean(raw), kind)
    found = {problem.pointer: problem.detail for problem in refused.value.problems}
    assert len(found) == len(refused.value.problems), "a field is named twice"
    assert all(problem.parameter is problem.header is None for problem in refused.value.problems)
    return {str(pointer): detail for pointer, detail in found.items()}


def with_(kind: type, /, **changes: object) -> dict[str, Any]:
    return DATA[kind] | changes


def without(kind: type, /, *fields: str) -> dict[str, Any]:
    return {key: value for key, value in DATA[kind].items() if key not in fields}


# What is good


@pytest.mark.parametrize("kind", FORMS.values(), ids=FORMS.keys())
def test_good_input_becomes_what_it_says(kind):
    value = convert(clean(DATA[kind]), kind)
    assert type(value) is kind
    stored = json.loads(canonical.encode(value))
    assert {key: said for key, said in DATA[kind].items() if said != []} == stored  # what is empty is not stored


def test_an_optional_field_may_be_null():
    assert convert(with_(MeetingHeld, place=None, summary=None), MeetingHeld).place is None


# One field


@pytest.mark.parametrize(
    ("kind", "field", "value", "detail"),
    [
        pytest.param(PartyRegistered, "name", 7, "expected text, got a number", id="a number as text"),
        pytest.param(PartyRegistered, "name", True, "expected text, got a truth value", id="a truth value as text"),
        pytest.param(PartyRegistered, "name", [], "expected text, got an array", id="an array as text"),
        pytest.param(PartyRegistered, "name", {}, "expected text, got an object", id="an object as text"),
        pytest.param(PartyRegistered, "name", None, "expected text, got null", id="null where text is required"),
        pytest.param(PartyRegistered, "name", "", "must not be empty", id="empty"),
        pytest.param(PartyRegistered, "name", " \t\n ", "must not be empty", id="nothing but white space"),
        pytest.param(
            PartyRegistered, "name", "x" * 301, "at most 300 characters allowed, got 301", id="an over-long name"
        ),
        pytest.param(
            PartyRegistered, "note", "x" * 4001, "at most 4000 characters allowed, got 4001", id="an over-long note"
        ),
        pytest.param(PartyRegistered, "kind", "club", "expected one of agency, company,", id="an unknown word"),
        pytest.param(PartyRegistered, "kind", ["company"], "expected one of agency,", id="an array as a word"),
        pytest.param(PartyRegistered, "kind", None, "expected one of agency,", id="null as a word"),
        pytest.param(PartyRegistered, "country", "XX", "'XX' is not a country code of ISO 3166-1", id="no country"),
        pytest.param(PartyRegistered, "country", "UK", "'UK' is not a country code", id="a country's other code"),
        pytest.param(PartyRegistered, "country", "no", "expected a country code", id="a country in lower case"),
        pytest.param(PartyRegistered, "country", "NOR", "expected a country code", id="a country in three letters"),
        pytest.param(
            PartyRegistered, "part_of", made_id("person", 1), "expected the id of a party", id="an id of another kind"
        ),
        pytest.param(PartyRegistered, "part_of", "party_1", "expected the id of a party", id="a short id"),
        pytest.param(
            PartyRegistered,
            "part_of",
            made_id("PARTY", 1),
            "expected the id of a party",
            id="an id in capitals",
        ),
        pytest.param(
            PartyRegistered, "part_of", "party_" + "8" * 26, "expected the id of a party", id="an id beyond 128 bits"
        ),
        pytest.param(PartyRegistered, "identifiers", {}, "expected an array, got an object", id="an object as array"),
        pytest.param(PartyRegistered, "identifiers", "x", "expected an array, got text", id="text as array"),
        pytest.param(PartyRegistered, "identifiers", None, "expected an array, got null", id="null as array"),
        pytest.param(
            PartyRegistered, "alternative_names", ["x"] * 51, "at most 50 allowed, got 51", id="an over-long array"
        ),
        pytest.param(CooperationOpened, "parties", [], "at least 2 required, got 0", id="an empty array"),
        pytest.param(OccasionAnnounced, "place", "Halden", "expected an object, got text", id="text as an object"),
        pytest.param(OccasionAnnounced, "place", [], "expected an object, got an array", id="an array as an object"),
        pytest.param(OccasionAnnounced, "place", None, "expected an object, got null", id="null as an object"),
        pytest.param(OccasionAnnounced, "dates", "2019-13", "there is no month 13", id="a 13th month"),
        pytest.param(OccasionAnnounced, "dates", "2019-02-30", "February 2019 has 28 days", id="a 30th of February"),
        pytest.param(OccasionAnnounced, "dates", "July", "expected a date such as", id="no EDTF"),
        pytest.param(OccasionAnnounced, "dates", 2019, "expected a date as text", id="a number as date"),
        pytest.param(OccasionAnnounced, "dates", None, "expected a date as text", id="null as date"),
        pytest.param(OccasionAnnounced, "dates", LONE, "expected a date such as", id="a lone surrogate as date"),
        pytest.param(SourceFiled, "size", "12", "expected a whole number, got text", id="text as a number"),
        pytest.param(SourceFiled, "size", True, "expected a whole number, got a truth value", id="true as a number"),
        pytest.param(SourceFiled, "size", 1.0, "expected a whole number, got a decimal number", id="1.0"),
        pytest.param(SourceFiled, "size", json.loads("1e3"), "expected a whole number, got a decimal", id="1e3"),
        pytest.param(SourceFiled, "size", 1.5, "expected a whole number, got a decimal number", id="1.5"),
        pytest.param(SourceFiled, "size", None, "expected a whole number, got null", id="null as a number"),
        pytest.param(SourceFiled, "size", 0, "must be at least 1", id="too small"),
        pytest.param(SourceFiled, "size", -1, "must be at least 1", id="negative"),
        pytest.param(SourceFiled, "size", 52_428_801, "must be at most 52428800", id="too large"),
        pytest.param(SourceFiled, "size", 10**400, "must be at most 52428800", id="huge"),
        pytest.param(SourceFiled, "sha256", "AB" * 32, "expected a SHA-256 hash", id="a hash in capitals"),
        pytest.param(SourceFiled, "url", "ftp://x.example/", "expected a web address", id="another scheme"),
        pytest.param(SourceFiled, "url", "https://x.example/a b", "expected a web address", id="a space in an address"),
        pytest.param(SourceFiled, "media_type", "text/plain; charset=utf-8", "expected a media type", id="parameters"),
        pytest.param(SourceFiled, "language", "en_GB", "expected a language tag", id="no language tag"),
        pytest.param(PersonalDetails, "name", "a\u0000b", "expected one line of text", id="NUL in a person's name"),
    ],
)
def test_a_bad_field_is_named(kind, field, value, detail):
    found = problems(with_(kind, **{field: value}), kind)
    assert list(found) == [f"/{field}"]
    assert found[f"/{field}"].startswith(detail)


CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda control: f"U+{ord(control):04X}")
def test_control_characters_are_refused_save_tab_and_line_feed_in_long_texts(control):
    assert problems(with_(PartyRegistered, name=f"a{control}b"), PartyRegistered).keys() == {"/name"}
    noted = with_(PartyRegistered, note=f"a{control}b")
    if control in "\t\n":
        assert convert(clean(noted), PartyRegistered).note == f"a{control}b"
    else:
        assert problems(noted, PartyRegistered).keys() == {"/note"}


@pytest.mark.parametrize("control", sorted({*CONTROLS} - {*"\t\n\r"}), ids=lambda control: f"U+{ord(control):04X}")
def test_control_characters_at_the_ends_are_refused_not_trimmed(control):
    for text in (f"{control}a", f"a{control}", f" {control}a", f"a{control} "):
        assert problems(with_(PartyRegistered, name=text), PartyRegistered).keys() == {"/name"}


@pytest.mark.parametrize("text", [LONE, f"a{LONE}b", "\udfff", "\udc00\ud800"], ids=ascii)
def test_lone_surrogates_are_refused_wherever_they_stand(text):
    assert json.loads(json.dumps(text)) == text, "this is what comes out of JSON"
    raw = with_(PartyRegistered, name=text, kind=text, country=text, part_of=text, sectors=[text])
    raw |= {"alternative_names": [text], "identifiers": [{"scheme": text, "value": text}]}
    found = problems(raw, PartyRegistered)
    assert found.keys() == {
        *("/name", "/kind", "/country", "/part_of", "/sectors/0", "/alternative_names/0"),
        *("/identifiers/0/scheme", "/identifiers/0/value"),
    }
    assert found["/name"] == "holds half of a surrogate pair, which is no character"
    assert msgspec.json.encode(found)


def test_a_surrogate_pair_that_was_decoded_is_a_character_like_any_other():
    raw = with_(PartyRegistered, name=json.loads('"\\ud83c\\udfd7"'))
    assert convert(clean(raw), PartyRegistered).name == "🏗"


@pytest.mark.parametrize("field", ["name", "country", "part_of"])
def test_a_line_feed_at_the_end_is_refused_where_nothing_trimmed_it(field):
    raw = with_(PartyRegistered, **{field: DATA[PartyRegistered][field] + "\n"})
    found, _ = examine(raw, PartyRegistered)
    assert [problem.pointer for problem in found] == [f"/{field}"]


# Sets


def test_what_is_named_twice_in_a_set_is_refused_at_its_second_place():
    one, other = {"scheme": "XI-LEI", "value": "1"}, {"value": "1", "scheme": "XI-LEI"}
    raw = with_(PartyRegistered, identifiers=[one, {"scheme": "XI-LEI", "value": "2"}, other], sectors=["a", "a", "a"])
    assert problems(raw, PartyRegistered) == {
        "/identifiers/2": "the same as number 0",
        "/sectors/1": "the same as number 0",
        "/sectors/2": "the same as number 0",
    }


def test_what_is_wrong_twice_in_a_set_is_wrong_at_both_places_and_not_also_the_same():
    found = problems(with_(PartyRegistered, sectors=["A", "A", "b", "b"]), PartyRegistered)
    assert found.keys() == {"/sectors/0", "/sectors/1", "/sectors/3"}
    assert found["/sectors/1"] == found["/sectors/0"] != found["/sectors/3"] == "the same as number 2"


def test_texts_that_are_the_same_once_cleaned_are_the_same():
    raw = with_(PartyRegistered, alternative_names=["é", " e\u0301 "])
    assert problems(raw, PartyRegistered) == {"/alternative_names/1": "the same as number 0"}


def test_two_people_of_one_party_may_be_alike():
    expert = {"party": made_id("party", 1), "role": "experts"}
    assert len(convert(with_(MeetingHeld, participants=[expert, expert]), MeetingHeld).participants) == 2


def test_every_set_says_so_in_its_schema():
    distinct = {
        f"{event_type.split('.')[1]}.{field}"
        for event_type, kind in EVENT_TYPES.items()
        for field, said in files.shape_of(kind).items()
        if "uniqueItems=true" in said
    }
    assert distinct >= {"party-registered.identifiers", "cooperation-opened.parties", "meeting-held.topics"}
    assert "meeting-held.participants" not in distinct


# Objects of any form


@pytest.mark.parametrize(
    ("value", "pointer", "detail"),
    [
        (1.5, "/replacement/held", "expected a whole number, got a decimal number"),
        (2**53, "/replacement/held", "is larger than JSON's numbers are exact"),
        (-(2**53), "/replacement/held", "is larger than JSON's numbers are exact"),
        ([{"a": [LONE]}], "/replacement/held/0/a/0", "holds half of a surrogate pair, which is no character"),
        ({LONE: 1}, r"/replacement/held/\ud800", "unknown field"),
    ],
    ids=["decimal", "too large", "too small", "surrogate", "surrogate as a key"],
)
def test_what_has_no_canonical_form_is_refused_in_an_object_of_any_form(value, pointer, detail):
    raw = with_(EntryCorrected, replacement={"held": value, "place": None})
    assert problems(raw, EntryCorrected) == {pointer: detail}


def test_an_object_of_any_form_is_kept_as_it_is():
    free = {"a": [True, None, 2**53 - 1, {"b": "délai"}], "c/d": {}}
    assert convert(with_(EntryCorrected, replacement=free), EntryCorrected).replacement == free


# Many fields at once


def test_every_bad_field_is_named_at_once_in_depth_too():
    raw = {
        "meeting_id": made_id("visit", 1),
        "held": "2019-13",
        "participants": [{"party": made_id("party", 1)}, {"person": 7, "rôle": "x"}, "somebody"],
        "place": {"country": "XX", "city": "", "street": "x"},
        "citations": [{"source": made_id("src", 1), "start": -1, "end": "12"}],
        "topics": None,
        "weather": "fair",
    }
    assert problems(raw, MeetingHeld).keys() == {
        *("/meeting_id", "/held", "/topics", "/weather"),
        *("/participants/1/party", "/participants/1/person", "/participants/1/rôle", "/participants/2"),
        *("/place/country", "/place/city", "/place/street"),
        *("/citations/0/start", "/citations/0/end"),
    }


@pytest.mark.parametrize("kind", FORMS.values(), ids=FORMS.keys())
def test_every_leaf_that_is_wrong_is_named(kind):
    """Each scalar is replaced by what no field takes, in every form there is."""
    wrong: list[str] = []

    def spoil(raw: Any, at: str) -> Any:
        if at == "/replacement":  # any object is one, until it is read as the type of what it replaces
            wrong.append(at)
            return []
        if isinstance(raw, dict):
            return {key: spoil(value, f"{at}/{key}") for key, value in raw.items()}
        if isinstance(raw, list):
            return [spoil(value, f"{at}/{number}") for number, value in enumerate(raw)]
        wrong.append(at)
        return {}

    raw = spoil(DATA[kind], "")
    assert sorted(problems(raw, kind)) == sorted(wrong)


@pytest.mark.parametrize("kind", FORMS.values(), ids=FORMS.keys())
def test_every_required_field_that_is_missing_is_named_and_no_other(kind):
    required = {f"/{field.encode_name}" for field in msgspec.structs.fields(kind) if field.required}
    assert problems({}, kind) == dict.fromkeys(required, "required")


@pytest.mark.parametrize("kind", FORMS.values(), ids=FORMS.keys())
def test_unknown_fields_are_named_in_every_form(kind):
    assert problems(with_(kind, unheard_of=None, event_type="x"), kind) == {
        "/unheard_of": "unknown field",
        "/event_type": "unknown field",
    }


@pytest.mark.parametrize("raw", [None, True, 7, 1.5, "text", [], [{}]], ids=repr)
def test_what_is_no_object_at_all_is_named_at_the_root(raw):
    assert list(problems(raw, PartyRegistered)) == [""]


def test_the_count_is_told_and_that_nothing_was_recorded():
    with pytest.raises(InvalidField, match=r"^One field is not valid; see errors\. Nothing was recorded\.$"):
        convert(without(PartyRegistered, "name"), PartyRegistered)
    with pytest.raises(InvalidField, match=r"^2 fields are not valid; see errors\. Nothing was recorded\.$"):
        convert(without(PartyRegistered, "name", "kind"), PartyRegistered)


# Pointers


@pytest.mark.parametrize(
    ("key", "pointer"),
    [
        ("a/b", "/a~1b"),
        ("a~b", "/a~0b"),
        ("~1", "/~01"),
        ("/", "/~1"),
        ("", "/"),
        ("a b", "/a b"),
        ("délai", "/délai"),
        ('"', '/"'),
        (LONE, r"/\ud800"),
    ],
)
def test_an_unknown_field_is_pointed_at_whatever_its_name(key, pointer):
    assert problems({**DATA[PartyRegistered], key: 1}, PartyRegistered) == {pointer: "unknown field"}


def test_pointers_begin_where_the_caller_says():
    with pytest.raises(InvalidField) as refused:
        convert({}, PersonalDetails, "/commands/3/data")
    assert refused.value.problems == (FieldProblem("required", "/commands/3/data/name"),)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_pointer_token_can_be_read_back(key):
    token = escape(key)
    assert "/" not in token
    assert token.replace("~1", "/").replace("~0", "~") == key


# What is to be looked up


def test_references_are_found_where_they_stand_even_beside_problems():
    raw = with_(MeetingHeld, held="2019-13", occasion="occ_1")
    found, leaves = examine(raw, MeetingHeld)
    assert [problem.pointer for problem in found] == ["/held", "/occasion"]
    assert set(leaves) == {
        Leaf("/participants/0/party", "party", made_id("party", 1)),
        Leaf("/participants/0/person", "person", made_id("person", 1)),
        Leaf("/participants/1/party", "party", made_id("party", 2)),
        Leaf("/participants/1/person", "person", made_id("person", 2)),
        Leaf("/citations/0/source", "source", made_id("src", 1)),
        Leaf("/citations/1/source", "source", made_id("src", 1)),
    }


def test_things_within_the_stream_and_countries_are_not_looked_up():
    _, leaves = examine(without(TopicRaised, "citations"), TopicRaised)
    assert leaves == []
    _, leaves = examine(without(RoadmapAgreed, "citations"), RoadmapAgreed)
    assert leaves == []


# Forms of our own that the check must know


@pytest.mark.parametrize("kind", FORMS.values(), ids=FORMS.keys())
def test_every_whole_number_is_one_that_json_keeps(kind):
    """Canonical JSON has no exact integers beyond 2**53 (RFC 8785, section 3.2.2.3)."""

    def numbers(info: Any):
        if isinstance(info, inspect.IntType):
            yield info
        for inner in (getattr(info, "type", None), getattr(info, "item_type", None)):
            if inner is not None:
                yield from numbers(inner)
        for inner in getattr(info, "types", ()):
            yield from numbers(inner)
        for field in getattr(info, "fields", ()):
            yield from numbers(field.type)

    for info in numbers(inspect.type_info(kind)):
        assert info.ge is not None
        assert info.le is not None
        assert -(2**53) < info.ge <= info.le < 2**53


class Unforeseen(Value, frozen=True, kw_only=True):
    weight: float | None = None
    flag: bool = False
    label: Annotated[str, form("^[a-z]+$", min_length=3, description="small letters")] = "abc"
    plain: str = ""
    count: Annotated[int, Meta(ge=0, description="how many")] = 0
    listed: Annotated[list[str], Meta(max_length=3)] | None = None


def test_a_form_that_the_check_does_not_know_is_a_mistake_of_ours_not_of_the_client():
    with pytest.raises(TypeError, match="no check for FloatType: add one"):
        examine({"weight": 1.5}, Unforeseen)
    with pytest.raises(TypeError, match="no decoder for int"):
        from_text(int, "7")


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("flag", 1, "expected true or false, got a number"),
        ("label", "ab", "at least 3 characters required"),
        ("label", "ABC", "expected small letters"),
        ("plain", LONE, "holds half of a surrogate pair, which is no character"),
        ("count", -1, "must be at least 0"),
        ("listed", [1], "expected text, got a number"),
    ],
    ids=["truth value", "too short", "no match", "surrogate", "described", "listed"],
)
def test_a_form_without_words_of_its_own_is_checked_all_the_same(field, value, detail):
    (told,) = problems({field: value}, Unforeseen).values()
    assert told == detail


def test_a_form_without_words_of_its_own_takes_what_is_good():
    good = {"flag": True, "label": "abcd", "plain": "", "count": 7, "listed": ["a"]}
    assert convert(good, Unforeseen) == Unforeseen(flag=True, label="abcd", count=7, listed=["a"])


@pytest.mark.parametrize("kind", DATA, ids=lambda kind: kind.__name__)
def test_what_a_value_refers_to_is_found_as_in_what_it_was_made_of(kind):
    assert examine(to_builtins(convert(DATA[kind], kind)), kind) == examine(DATA[kind], kind)
