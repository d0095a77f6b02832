"""Words as they are searched for: what is written with signs is found as it is typed with apostrophes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.words import prefixes, readings, titles, words

SIGN = "\u02bb"  # of Uzbek; a part of the word


def finds(typed: str, text: str) -> bool:
    """Whether all words that were typed are words of a text, in one of the ways in which each may be meant."""
    return all(any(set(one) <= set(words(text)) for one in meant) for meant in readings(typed))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("industrie", [["industrie"]]),
        ("l'industrie", [["l", "industrie"], ["lindustrie"]]),
        ("l'O'zbekiston", [["l", "o", "zbekiston"], ["l", "ozbekiston"], ["lo", "zbekiston"], ["lozbekiston"]]),
        ("a'b'c'd'e'f", [["a", "b", "c", "d", "e", "f"], ["abcdef"]]),
    ],
)
def test_every_apostrophe_of_a_word_is_read_in_either_way_as_long_as_they_are_few(typed: str, meant: list[list[str]]):
    assert readings(typed) == [meant]


def test_what_is_asked_for_is_bounded_however_many_apostrophes_are_typed():
    text = " ".join(f"{one}'b'c" for one in "defghijkl")
    assert [len(meant) for meant in readings(text)] == [4, 4, 2, 2, 2, 2, 2, 2, 2]
    assert [len(meant) for meant in readings("a'b a'c a'd a'e a'f a'g b'c'd")] == [2, 2, 2, 2, 2, 2, 4]
    most = max(
        sum(len(way) for meant in readings(typed) for way in meant) for typed in ("a'b'c'd'e", text, "x'y " * 75)
    )
    assert most == 48


@given(st.lists(st.text("abo", min_size=1, max_size=3), min_size=1, max_size=5), st.data())
def test_a_word_is_found_as_it_is_typed_whichever_of_its_signs_are_apostrophes(parts: list[str], data: st.DataObject):
    signs = data.draw(st.lists(st.sampled_from((SIGN, "'")), min_size=len(parts) - 1, max_size=len(parts) - 1))
    written = "".join(part + sign for part, sign in zip(parts, [*signs, ""], strict=True))
    assert finds("'".join(parts), written)
    assert finds(written, written)


def test_what_is_asked_of_the_database_has_every_way_and_no_operator_of_the_text():
    assert titles("l'O'z & x") == (
        "(l:A & o:A & z:A | l:A & oz:A | lo:A & z:A | loz:A) & x:A",
        "(l:*A & o:*A & z:*A | l:*A & oz:*A | lo:*A & z:*A | loz:*A) & x:*A",
    )
    assert prefixes("d'a:* | b") == "(d:* & a:* | da:*) & b:*"
    assert titles("'!' & '") == ("", "")
