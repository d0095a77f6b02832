"""Members of JSON objects that are there more than once: no reader knows which of them is meant.

Names should be unique (RFC 8259, section 4), and in I-JSON they must be (RFC 7493, section 2.3); decoders take the last
of several and say nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final, cast

import msgspec

from events.errors import FieldProblem
from events.shape import MAX_DEPTH, escape

_DEEPEST: Final = MAX_DEPTH + 3
"""What is nested deeper is refused for that; a batch has the data of its commands three levels down."""

_ROOM: Final = 16
"""How many times as long as the body the pointers into it may be, together: one that is made to be told of is not."""


class _Members(tuple[tuple[str, object], ...]):
    """An object with all its members, in order."""

    __slots__ = ()


def possible(content: bytes, decoded: object) -> bool:
    """Tell whether an object in what msgspec has decoded may name a member twice: mostly not, and then at little cost.

    Each member has a colon, and is left out of `decoded` with it where another of its name follows. Colons in texts
    stay, unless they were escaped: a body with such escapes is one that may.
    """
    if b"\\u003" in content:
        return True
    try:
        return msgspec.json.encode(decoded).count(b":") != content.count(b":")
    except (OverflowError, RecursionError):  # what msgspec reads and does not write
        return True


def named(content: bytes) -> Iterator[FieldProblem]:
    """Name each member that there is more than once, inside of those that decoders leave out too.

    Raises ValueError and RecursionError as `json.loads` does.
    """
    whole = json.loads(content.decode(), object_pairs_hook=_Members, parse_int=str)
    room = _ROOM * len(content)
    told = set[str]()
    for pointer in _repeated(whole, ()):
        room -= len(pointer)
        if room < 0:
            return
        if pointer not in told:
            told.add(pointer)
            yield FieldProblem("given more than once", pointer)


def _repeated(value: object, trail: tuple[str | int, ...]) -> Iterator[str]:
    if len(trail) > _DEEPEST:
        return
    inside: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, _Members):
        inside = value
        several = (name for name, times in Counter(name for name, _ in value).items() if times > 1)
        yield from ("".join(f"/{escape(str(step))}" for step in (*trail, name)) for name in several)
    elif isinstance(value, list):
        inside = enumerate(cast("list[object]", value))
    for step, one in inside:
        if isinstance(one, _Members | list):
            yield from _repeated(cast("object", one), (*trail, step))
