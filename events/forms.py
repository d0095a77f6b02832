"""The forms of texts: patterns that the types carry, held against the texts of many values at once.

A type's form is not given to msgspec, which would call the pattern for each text: that takes longer than all else of
decoding. `check` gathers the texts column by column and looks at each different one once; `shape` checks what comes in,
and names every field. Whoever makes values of decoded JSON in another way has to call `check`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import Meta, inspect


def form(
    pattern: str,
    *,
    description: str,
    min_length: int | None = None,
    max_length: int | None = None,
    extra: dict[str, str] | None = None,
) -> Meta:
    """Say which form a text has: the whole of it matches the pattern, which JSON Schemas have as well."""
    schema = {"pattern": pattern}
    return Meta(
        description=description, min_length=min_length, max_length=max_length, extra=extra, extra_json_schema=schema
    )


def pattern_of(about: inspect.Metadata) -> str | None:
    """Return the pattern of a type that has a form."""
    schema = cast("dict[str, str] | None", about.extra_json_schema)  # pyright: ignore[reportUnknownMemberType]
    return (schema or {}).get("pattern")


_Matching = Callable[[str], object]


class _Column(NamedTuple):
    """A field in which, or within which, there are texts of some form; `matches` is for texts of its own."""

    name: str
    get: Callable[[Any], Any]
    many: bool
    matches: _Matching | None
    inner: tuple[_Column, ...]


def check(values: Sequence[msgspec.Struct]) -> None:
    """Hold every text of values against its form. Raises msgspec.ValidationError for one that is not of it."""
    if len(values) > 1:
        alike: dict[type, list[msgspec.Struct]] = {}
        for value in values:
            alike.setdefault(type(value), []).append(value)
        texts: defaultdict[_Matching, set[str | None]] = defaultdict(set)
        for kind, some in alike.items():
            _gather(_columns(kind), some, texts)
        if all(_are_of_form(matches, found) for matches, found in texts.items()):
            return
    for value in values:
        _check(_columns(type(value)), value, "$")


def look_at(kinds: Iterable[type[msgspec.Struct]]) -> None:
    """Learn where kinds of values have texts of some form, which `check` otherwise does when it first meets each."""
    for kind in kinds:
        _columns(kind)


def _gather(columns: Iterable[_Column], structs: Sequence[Any], texts: dict[_Matching, set[str | None]]) -> None:
    for column in columns:
        values: Iterable[Any] = map(column.get, structs)
        if column.many:
            values = chain.from_iterable(filter(None, values))
        if column.matches is not None:
            texts[column.matches].update(values)
        elif inner := [one for one in values if one is not None]:
            _gather(column.inner, inner, texts)


def _are_of_form(matches: _Matching, texts: set[str | None]) -> bool:
    texts.discard(None)
    return None not in map(matches, cast("set[str]", texts))


def _check(columns: Iterable[_Column], struct: Any, at: str) -> None:
    for name, get, many, matches, inner in columns:
        value = get(struct)
        if value is None:
            continue
        for one in value if many else (value,):
            if matches is None:
                _check(inner, one, f"{at}.{name}")
            elif matches(one) is None:
                raise msgspec.ValidationError(f"Expected `str` of another form - at `{at}.{name}`")


@cache
def _fullmatch(pattern: str) -> _Matching:
    return re.compile(pattern).fullmatch


@cache
def _columns(kind: type) -> tuple[_Column, ...]:
    info = inspect.type_info(kind)
    return tuple(_columns_of(info)) if isinstance(info, inspect.StructType) else ()


def _columns_of(info: inspect.StructType) -> Iterator[_Column]:
    for field in info.fields:
        item, pattern, many = field.type, None, False
        while True:
            match item:
                case inspect.Metadata():
                    item, pattern = item.type, pattern_of(item)
                case inspect.UnionType():
                    (item,) = (one for one in item.types if not isinstance(one, inspect.NoneType))
                case inspect.VarTupleType() | inspect.ListType():
                    item, many = item.item_type, True
                case _:
                    break
        inner = _columns(item.cls) if isinstance(item, inspect.StructType) else ()
        if pattern is not None or inner:
            matches = None if pattern is None else _fullmatch(pattern)
            yield _Column(field.encode_name, attrgetter(field.name), many, matches, inner)
