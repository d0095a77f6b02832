"""Texts as they are kept: composed, trimmed, and not nested without end."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.party import PartyRegistered
from events.errors import FieldProblem
from events.shape import MAX_DEPTH, clean, convert
from tests.support.forms import DATA


def test_texts_are_composed_and_trimmed_at_any_depth_and_keys_are_left_alone():
    raw = {" e\u0301": [" e\u0301 ", {"x": "\u00a0a\u3000 b\u2003"}], "n": 1, "f": 1.5, "t": True, "z": None}
    assert clean(raw) == {" e\u0301": ["é", {"x": "a\u3000 b"}], "n": 1, "f": 1.5, "t": True, "z": None}


def test_what_is_stored_is_the_cleaned_text():
    assert convert(clean(DATA[PartyRegistered] | {"name": "  E\u0301cole\n"}), PartyRegistered).name == "École"


def test_length_is_counted_in_characters_after_cleaning():
    raw = DATA[PartyRegistered] | {"name": "  " + "e\u0301" * 300 + "  "}
    assert len(convert(clean(raw), PartyRegistered).name) == 300


def test_all_white_space_is_trimmed_save_control_characters():
    blank = [chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()]
    kept = [one for one in blank if clean(one) == one]
    assert kept == ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", "\x85"]
    assert {unicodedata.category(one) for one in kept} == {"Cc"}


@given(st.text())
def test_cleaning_twice_is_cleaning_once(text):
    once = clean(text)
    assert isinstance(once, str)
    assert clean(once) == once
    assert unicodedata.is_normalized("NFC", once)


def nested(depth: int, key: str | None = None, raw: object = "deep") -> object:
    for _ in range(depth):
        raw = [raw] if key is None else {key: raw}
    return raw


def test_deep_nesting_is_cut_off_and_pointed_at_wherever_it_is():
    problems: list[FieldProblem] = []
    assert clean(nested(MAX_DEPTH), "", problems) == nested(MAX_DEPTH)
    assert problems == []
    cleaned = clean({"a": " 1 ", "b": nested(MAX_DEPTH, "x/y"), "c": [nested(MAX_DEPTH)] * 2}, "", problems)
    pointers = ["/b" + "/x~1y" * MAX_DEPTH, "/c/0" + "/0" * (MAX_DEPTH - 1), "/c/1" + "/0" * (MAX_DEPTH - 1)]
    assert [problem.pointer for problem in problems] == pointers
    assert {problem.detail for problem in problems} == {"nested more than 24 levels deep; nothing here is"}
    assert cleaned == {"a": "1", "b": nested(MAX_DEPTH, "x/y", None), "c": [nested(MAX_DEPTH - 1, None, None)] * 2}
    problems.clear()
    clean(nested(MAX_DEPTH + 1), "/commands/3/data", problems)
    assert [problem.pointer for problem in problems] == ["/commands/3/data" + "/0" * (MAX_DEPTH + 1)]


@pytest.mark.parametrize("key", [None, "x"], ids=["arrays", "objects"])
def test_nesting_beyond_any_stack_is_cut_off_like_any_other(key):
    problems: list[FieldProblem] = []
    assert clean(nested(100_000, key), "", problems) == nested(MAX_DEPTH + 1, key, None)
    assert len(problems) == 1


def test_of_very_many_values_that_are_too_deep_some_are_named():
    problems: list[FieldProblem] = []
    clean([nested(MAX_DEPTH)] * 1_000, "", problems)
    assert len(problems) == 100
