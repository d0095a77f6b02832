"""Members that an object names twice: all of them are found, nothing else is, and good bodies are hardly slower."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import FieldProblem
from events.shape import MAX_DEPTH
from services.registry import lenience, repetitions


def twice(content: bytes) -> list[str]:
    """Return where a body says something twice."""
    problems: list[FieldProblem] = []
    lenience.decode(content, problems)
    assert {one.detail for one in problems} <= {"given more than once"}
    return [str(one.pointer) for one in problems]


@pytest.mark.parametrize(
    ("content", "pointers"),
    [
        (b'{"a":1,"a":1}', ["/a"]),
        (b'{"a" : 1, "b": 2, "a"\n: 3, "a":4, "b":5}', ["/a", "/b"]),
        (rb'{"a":1,"\u0061":2}', ["/a"]),
        (rb'{"a":1,"a":"\u003a"}', ["/a"]),
        (rb'{"a":":::","a":"\u003A\u003a"}', ["/a"]),
        (b'{"":1,"":2,"a/b~":1,"a/b~":2}', ["/", "/a~1b~0"]),
        (b'[{"x":[{},{"y":1,"y":[]}]}]', ["/0/x/1/y"]),
        (b'{"a":{"b":1,"b":2},"a":{"b":3,"b":4,"c":{"d":1,"d":1}}}', ["/a", "/a/b", "/a/c/d"]),
        (b'{"n":18446744073709551616,"n":1e999999,"n":1}', ["/n"]),
        (rb'{"\ud800":1,"\ud800":2}', [r"/\ud800"]),
        (rb'{"x":"\udfff","a":1,"a":2}', ["/a"]),
        (b'{"n":' + b"9" * 5000 + b',"a":1,"a":1}', ["/a"]),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_whatever_is_said_twice_is_named_once(content: bytes, pointers: list[str]):
    assert twice(content) == pointers


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":"b:c","b":{"a":"\\":"},"c":[{"a":1},{"a":1}]}',
        rb'{"a":"\u003a","b\u003A":":"}',
        b'{"a": "\xef\xbc\x9a", "A": 1, "e\xcc\x81": 1, "\xc3\xa9": 2}',
        b"[]",
        b'"::"',
        b"18446744073709551616",
        b'{"n":18446744073709551616,"m":1e999999}',
    ],
    ids=ascii,
)
def test_what_only_looks_like_it_is_not_named(content: bytes):
    assert twice(content) == []


texts = st.sampled_from(["a", "b", ":", '":', "\\u003a", "é"]) | st.text(max_size=3)
values = st.recursive(
    st.none() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(texts, inner), max_size=4).map(tuple),
    max_leaves=12,
)


def written(value: object, *, escaped: bool) -> str:
    """Write a value as JSON; tuples are objects, with their members as they come."""
    if isinstance(value, tuple):
        return "{" + ",".join(f"{text(name, escaped)} :{written(one, escaped=escaped)}" for name, one in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(one, escaped=escaped) for one in value) + "]"
    return text(value, escaped) if isinstance(value, str) else json.dumps(value)


def text(value: str, escaped: bool) -> str:
    return (
        '"' + "".join(f"\\u{ord(one):04x}" for one in value) + '"' if escaped and value.isascii() else json.dumps(value)
    )


def repeats(value: object) -> bool:
    if isinstance(value, tuple):
        return len({name for name, _ in value}) < len(value) or any(repeats(one) for _, one in value)
    return isinstance(value, list) and any(map(repeats, value))


@given(values, st.booleans())
def test_something_is_named_where_and_only_where_an_object_has_a_name_twice(value: object, escaped: bool):
    assert bool(twice(written(value, escaped=escaped).encode())) == repeats(value)


def test_an_ordinary_body_is_decoded_once():
    content = (
        '{"name": "Établissements: «Nord»", "note": "at 12:30", "url": "https://example.org:80/\\"x\\":"}'.encode()
    )
    assert not repetitions.possible(content, msgspec.json.decode(content))


def test_what_is_nested_too_deeply_to_be_taken_is_not_looked_through():
    deep = b"[" * (MAX_DEPTH + 4) + b'{"a":1,"a":1}' + b"]" * (MAX_DEPTH + 4)
    assert twice(b'{"b":1,"b":1,"c":' + deep + b"}") == ["/b"]


def test_a_body_that_is_made_to_be_told_of_at_length_is_told_of_in_part():
    content = b'{"%b":[%b]}' % (b"k" * 10_000, b",".join([b'{"a":1,"a":1}'] * 10_000))
    named = twice(content)
    assert len(named) > 1
    assert sum(map(len, named)) <= 16 * len(content)
