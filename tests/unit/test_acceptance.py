"""What is accepted is what RFC 9110 says of ranges and weights, and no field is more than can be answered."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.api.acceptance import best

JSON, LINES, TABLE = "application/json", "application/x-ndjson", "text/csv"
SERVED = (JSON, LINES, TABLE)

WEIGHTS = st.one_of(
    st.sampled_from(["0", "0.", "0.000", "0.001", "0.999", "1", "1.", "1.000"]),
    st.integers(0, 999).map(lambda thousandths: f"0.{thousandths:03}"),
)
RANGES = st.sampled_from([*SERVED, "*/*", "application/*", "text/*", "image/png", "TEXT/CSV"])
NO_WEIGHTS = st.one_of(
    st.sampled_from(["1e400", "inf", "-inf", "nan", "1e-400", "-1", "1.001", "2", "0.0001", ".5", "", "\u0660", '"1"']),
    st.text(st.characters(exclude_characters=',;"', exclude_categories=["Cs"])),
).filter(lambda text: not re.fullmatch(r"(0(\.[0-9]{0,3})?|1(\.0{0,3})?)[ \t]*", text))


@pytest.mark.parametrize(
    ("field", "answered"),
    [
        ("text/csv", TABLE),
        ("text/csv;q=0", None),
        ("text/csv;q=0.000, */*", JSON),
        ("text/csv, */*", TABLE),
        ("*/*;q=0", None),
        ("*/*;q=0, text/csv;q=0.001", TABLE),
        ("application/json;q=0, application/*", LINES),
        ("application/json;q=0.1, text/csv", TABLE),
        ("text/csv, application/json;q=0.1", TABLE),
        ("text/csv;q=0.5, application/x-ndjson;q=0.51", LINES),
        ("text/csv;q=0.501, application/x-ndjson;q=0.502", LINES),
        ("application/x-ndjson, text/csv", LINES),
        ("text/*, application/json", JSON),
        ("Text/CSV ; Q=1.0", TABLE),
        ('text/csv;header=present;note="a, b;q=0"', TABLE),
        ('text/csv;note="a\\", b;q=1', TABLE),
        ("text/csv;q=1;q=0", None),
        ("*/csv", None),
        ("text, text/, /csv, te xt/csv", None),
        ("", None),
    ],
)
def test_the_closest_range_says_what_a_media_type_weighs(field: str, answered: str | None):
    assert best(field, SERVED) == answered


@given(RANGES, NO_WEIGHTS)
def test_a_member_whose_weight_is_none_is_passed_over(described: str, weight: str):
    assert best(f"{described};q={weight}", SERVED) is None
    assert best(f"{described};q={weight}, text/csv;q=0.001", SERVED) == TABLE


@given(st.lists(st.tuples(RANGES, WEIGHTS), max_size=6))
def test_nothing_is_answered_with_that_weighs_nothing_or_less_than_another(members: list[tuple[str, str]]):
    found = best(", ".join(f"{described};q={weight}" for described, weight in members), SERVED)
    weighs = {one: weight_of(one, members) for one in SERVED}
    assert (found is None) == (max(weighs.values()) == 0)
    assert found is None or weighs[found] == max(weighs.values())


def weight_of(media_type: str, members: list[tuple[str, str]]) -> Fraction:
    """What the first of the closest ranges says of a media type."""
    for close in (media_type, media_type.partition("/")[0] + "/*", "*/*"):
        for described, weight in members:
            if described.lower() == close:
                return Fraction(weight.rstrip(".") or "0")
    return Fraction(0)


@given(st.lists(st.one_of(RANGES, WEIGHTS, NO_WEIGHTS, st.text(), st.sampled_from(list(',;="\\ */qQ\t')))))
def test_whatever_a_field_is_there_is_an_answer(pieces: list[str]):
    assert best("".join(pieces), SERVED) in (None, *SERVED)


def test_a_long_field_is_read_once():
    for piece in ('"', '\\"', "text/csv;q=0,", '"\\', ";q=0", '""'):
        assert best(piece * 20_000, SERVED) is None
