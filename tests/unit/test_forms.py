"""Texts are held against the forms of their types as msgspec would hold them, alone and among others."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta

from events import forms
from events.catalogue.cooperation_events import MeetingHeld, TopicRaised
from events.shape import from_text
from events.values import Value
from tests.support.forms import DATA, FORMS

Path = tuple[str | int, ...]


# What msgspec would say, if it were given the forms


@cache
def native(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """Return a type with the same fields, whose forms msgspec itself holds texts against."""
    hints = get_type_hints(kind, include_extras=True)
    fields = [
        (one.name, _native(hints[one.name]), msgspec.field(name=one.encode_name))
        if one.required
        else (one.name, _native(hints[one.name]), msgspec.field(name=one.encode_name, default=one.default))
        for one in msgspec.structs.fields(kind)
    ]
    return msgspec.defstruct(kind.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _native(hint: Any) -> Any:
    if get_origin(hint) is Annotated:
        inner, *about = get_args(hint)
        return Annotated[(_native(inner), *map(_with_pattern, about))]
    if get_origin(hint) is tuple:
        return tuple[_native(get_args(hint)[0]), ...]
    if get_origin(hint) is not None and type(None) in get_args(hint):
        return Union[tuple(map(_native, get_args(hint)))]  # noqa: UP007 - of a tuple
    return native(hint) if isinstance(hint, type) and issubclass(hint, Value) else hint


def _with_pattern(about: Meta) -> Meta:
    pattern = (about.extra_json_schema or {}).get("pattern")
    if pattern is None:
        return about
    whole = pattern.removesuffix("$") + r"\Z"  # a `$` would let a last line feed pass
    return Meta(min_length=about.min_length, max_length=about.max_length, pattern=whole)


# What is almost good


def texts_in(data: Any, at: Path = ()) -> list[Path]:
    if isinstance(data, str):
        return [at]
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path for key, value in items for path in texts_in(value, (*at, key))]


def with_text(data: Any, path: Path, text: str) -> Any:
    if not path:
        return text
    key, *rest = path
    if isinstance(data, list):
        return [with_text(one, tuple(rest), text) if nth == key else one for nth, one in enumerate(data)]
    return data | {key: with_text(data[key], tuple(rest), text)}


def text_at(data: Any, path: Path) -> str:
    for key in path:
        data = data[key]
    return data


@st.composite
def almost_good(draw: st.DrawFn) -> tuple[type[Value], Any]:
    """Draw a type and input for it, in which at most one text may be of another form."""
    kind = draw(st.sampled_from(list(FORMS.values())))
    path = draw(st.sampled_from(texts_in(DATA[kind])))
    good = text_at(DATA[kind], path)
    other = draw(st.sampled_from([text_at(one, at) for one in DATA.values() for at in texts_in(one)]))
    text = draw(
        st.sampled_from(["", good, other, f"{good}\n", f"\n{good}", f"{good}\x7f", good.upper(), good[1:], f"{good}é"])
        | st.text(max_size=4).map(lambda some: good[:-1] + some)
    )
    return kind, with_text(DATA[kind], path, text)


def fits(raw: Any, kind: type) -> bool:
    try:
        msgspec.convert(raw, kind, dec_hook=from_text)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return False
    return True


def in_form(*values: Value) -> bool:
    try:
        forms.check(values)
    except msgspec.ValidationError:
        return False
    return True


@given(almost_good())
def test_a_value_is_refused_where_msgspec_would_refuse_it_if_it_had_the_patterns(drawn):
    kind, raw = drawn
    ours = fits(raw, kind) and in_form(msgspec.convert(raw, kind, dec_hook=from_text))
    assert ours == fits(raw, native(kind))


@given(st.lists(almost_good().filter(lambda drawn: fits(drawn[1], drawn[0])), max_size=6))
def test_values_are_in_form_together_if_each_is_alone(drawn):
    values = [msgspec.convert(raw, kind, dec_hook=from_text) for kind, raw in drawn]
    assert in_form(*values) == all(in_form(one) for one in values)


@pytest.mark.parametrize("kind", FORMS.values(), ids=FORMS.keys())
def test_good_values_are_in_form(kind):
    value = msgspec.convert(DATA[kind], kind, dec_hook=from_text)
    assert in_form(value)
    assert in_form(value, value)


@pytest.mark.parametrize("others", [0, 3], ids=["alone", "among others"])
def test_the_field_is_named_whose_text_is_of_another_form(others):
    meeting = msgspec.convert(DATA[MeetingHeld], MeetingHeld, dec_hook=from_text)
    topic = msgspec.convert(with_text(DATA[TopicRaised], ("topic", "products", 0), "a\tb"), TopicRaised)
    with pytest.raises(msgspec.ValidationError, match=r"\$\.topic\.products"):
        forms.check([*[meeting] * others, topic])
