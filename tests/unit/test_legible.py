"""Which text is taken: what people see, in the order in which they do."""

from __future__ import annotations

import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.party import PartyRegistered
from events.catalogue.source import SourceFiled
from events.codec import EVENT_TYPES, decode_entry
from events.legible import illegible
from events.shape import clean, examine
from tests.golden.files import entry_of
from tests.support.forms import DATA

NONCHARACTERS = [*range(0xFDD0, 0xFDF0), *(plane << 16 | last for plane in range(17) for last in (0xFFFE, 0xFFFF))]
DIRECTIONS = [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]
SEPARATORS = [0x0B, 0x0C, 0x85, 0x2028, 0x2029]
UNSEEN = [0xAD, 0x200B, 0x2060, 0x2063, 0x3164, 0xFEFF, 0xFFF9, 0xE0041]


def wrong(**fields: object) -> dict[str, str]:
    found, _ = examine(clean(DATA[PartyRegistered] | fields), PartyRegistered)
    return {problem.pointer or "": problem.detail for problem in found}


@pytest.mark.parametrize("code", [*NONCHARACTERS, *DIRECTIONS, *SEPARATORS], ids=lambda code: f"U+{code:04X}")
def test_some_characters_are_refused_in_every_text_and_named(code: int):
    found = wrong(name=f"a{chr(code)}b", note=f"a\n{chr(code)}b", alternative_names=[f"a{chr(code)}b"])
    assert found.keys() == {"/name", "/note", "/alternative_names/0"}
    if code >= 0xA0:
        assert all(f"U+{code:04X}" in detail for detail in found.values())


@pytest.mark.parametrize("code", UNSEEN, ids=lambda code: f"U+{code:04X}")
def test_what_nobody_sees_is_refused_in_names_and_harmless_within_long_texts(code: int):
    assert wrong(name=f"a{chr(code)}b").keys() == {"/name"}
    assert wrong(note=f"a{chr(code)}b") == {}
    assert wrong(name=chr(code), note=chr(code)).keys() == {"/name", "/note"}


@pytest.mark.parametrize("text", ["\u200c", "\u200d", "\u200e", "\ufe0f", "\u0301", "\u200e \u0301", "\u2800"])
def test_a_text_of_which_nothing_is_seen_is_refused(text: str):
    assert wrong(name=text, note=text).keys() == {"/name", "/note"}


@pytest.mark.parametrize(
    "name",
    [
        "می‌خواهم",  # Persian: a non-joiner within a word
        "क्‍ष",  # Hindi: a joiner after a virama
        "അവന്‍",  # Malayalam: a joiner at the end of a word
        "👩‍🚀 Space",  # emoji joined
        "葛\U000e0100城",  # an ideographic variant
        "\u200fשלום (FR)\u200e",  # marks of direction
        "№ 5 — Ünïcødé",
    ],
)
def test_scripts_have_the_joiners_and_marks_that_they_need(name: str):
    assert wrong(name=name, note=name) == {}


@pytest.mark.parametrize("name", ["\u200cab", "ab \u200db", "a\u200c\u200db"])
def test_a_joiner_that_joins_nothing_is_refused_in_a_name(name: str):
    assert wrong(name=name).keys() == {"/name"}
    assert wrong(note=name) == {}


def test_a_web_address_is_a_line_too():
    raw = clean(DATA[SourceFiled] | {"url": "https://x.example/\u202e"})
    found, _ = examine(raw, SourceFiled)
    assert [problem.pointer for problem in found] == ["/url"]


@given(st.text(min_size=1, max_size=20), st.booleans())
def test_what_is_taken_is_seen_and_what_is_not_is_named(text: str, lines: bool):
    said = illegible(text, lines=lines)
    codes = {ord(one) for one in text}
    if codes & {*NONCHARACTERS, *DIRECTIONS, *SEPARATORS} or (not lines and codes & {*UNSEEN}):
        assert said
    if said.startswith("holds U+"):
        assert int(said.partition("+")[2].partition(",")[0], 16) in codes
    if not said:
        assert any(unicodedata.category(one)[0] in "LNPSC" for one in text)


@given(st.text(st.characters(categories=["L", "N", "P"], exclude_characters="\u115f\u1160\u3164\uffa0"), min_size=1))
def test_letters_digits_and_punctuation_are_always_taken(text: str):
    assert illegible(text, lines=False) == ""


@pytest.mark.parametrize("code", [*NONCHARACTERS[:3], *DIRECTIONS, 0x2028, *UNSEEN], ids=lambda code: f"U+{code:04X}")
def test_what_was_recorded_before_there_was_a_rule_is_read_as_it_is(code: int):
    data = DATA[PartyRegistered] | {"name": f"a{chr(code)}b"}
    event = msgspec.convert(data, EVENT_TYPES["registry.party-registered.v1"])
    assert decode_entry(entry_of(event)["bytes"].encode()).event == event
