"""What holds for any input: it becomes a value that can be stored, or the fields that keep it from that are named."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from events.entry import canonical
from events.errors import FieldProblem, InvalidField
from events.shape import clean, convert, escape, examine, from_text
from tests.support.forms import DATA, FORMS

TEXTS = st.text(st.characters(), max_size=8)  # surrogates, too
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=8
)
SELDOM = st.integers(0, 29).map(lambda number: number == 29)


@st.composite
def altered(draw: st.DrawFn, raw: Any) -> Any:
    """Draw good input that was changed at some places: a value replaced, taken away, put in twice, or another's."""
    if draw(SELDOM):
        return draw(ANYTHING)
    if isinstance(raw, dict):
        kept = {key: draw(altered(value)) for key, value in raw.items() if not draw(SELDOM)}
        return kept | ({draw(TEXTS): draw(ANYTHING)} if draw(SELDOM) else {})
    if isinstance(raw, list):
        items = [draw(altered(value)) for value in raw]
        return items + (items[-1:] if draw(SELDOM) else [])
    return raw


INPUT = st.sampled_from(list(FORMS.values())).flatmap(
    lambda kind: st.tuples(st.just(kind), ANYTHING | altered(DATA[kind]) | altered(DATA[kind]))
)


@given(INPUT)
def test_anything_becomes_a_value_that_is_stored_and_read_alike_or_is_refused_by_its_fields(drawn):
    kind, raw = drawn
    cleaned = clean(raw)
    value, problems = outcome(cleaned, kind)
    assert (value is None) == bool(problems)
    for problem in problems:
        assert problem.detail
        assert msgspec.json.encode(problem)
        assert leads_somewhere(cleaned, problem)
    if value is not None:
        stored = canonical.encode(value)
        assert stored == rfc8785.dumps(json.loads(stored))
        read = msgspec.json.decode(stored, type=kind, dec_hook=from_text)
        assert read == value
        assert canonical.encode(read) == stored


def outcome(raw: object, kind: type) -> tuple[Any, tuple[FieldProblem, ...]]:
    try:
        return convert(raw, kind), ()
    except InvalidField as refused:
        return None, refused.problems


@given(INPUT)
def test_the_check_and_the_decoder_agree(drawn):
    """What the decoder refuses is refused by the check, which so names the field; the check may know more."""
    kind, raw = drawn
    found, _ = examine(clean(raw), kind)
    try:
        msgspec.convert(clean(raw), kind, dec_hook=from_text)
    except (msgspec.ValidationError, UnicodeEncodeError):  # the latter at a key that is half of a surrogate pair
        assert found


def leads_somewhere(raw: Any, problem: FieldProblem) -> bool:
    """Tell whether the pointer names a value that is there, or a field that an object there lacks."""
    *way, last = ["", *str(problem.pointer).split("/")[1:]]
    for token in way[1:]:
        raw = step(raw, token)
    if not way or problem.detail != "required":
        return problem.pointer == "" or step(raw, last) is not LACKING
    return isinstance(raw, dict) and step(raw, last) is LACKING


LACKING = object()


def step(raw: Any, token: str) -> Any:
    if isinstance(raw, list):
        return raw[int(token)]
    return next((value for key, value in raw.items() if escape(key) == token), LACKING)
