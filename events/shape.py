"""Bad input, field by field: from decoded JSON to typed values, with every problem named.

msgspec stops at the first problem, so the value is walked beside its type (`msgspec.inspect`): each
offending field is named by JSON Pointer (RFC 6901), and in what is well-formed the values that need to be
looked up are found (their kinds: see `events.values`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import TypeAlias, TypeVar, cast

import msgspec
from msgspec import inspect

from events.edtf import EdtfDate
from events.errors import FieldProblem, InvalidField
from events.forms import pattern_of
from events.legible import illegible

T = TypeVar("T")

CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]")
"""A control character that has no place in a text of several lines."""

MAX_DEPTH = 24  # the deepest form of ours has 7 levels
_MOST_TOO_DEEP = 100

_BLANK = (
    " \t\n\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""White space, less the control characters that `str.strip` would take with it: those are refused, not dropped."""

_BLANK_ASCII = " \t\n\r"

_HALF_PAIR = re.compile("[\ud800-\udfff]")
"""Surrogates: no decoded text has them unless they stood alone, and UTF-8 has no form for them."""


class Leaf(msgspec.Struct, frozen=True):
    """A value that refers to something outside itself: where it stands, its kind, its text."""

    pointer: str
    kind: str
    value: str


Found: TypeAlias = list[FieldProblem | Leaf]
"""What was found on a walk so far; each step adds to it."""

_Look: TypeAlias = Callable[[object, str, Found], None]
"""Looks at a value that stands at a pointer."""


def clean(raw: object, pointer: str = "", problems: list[FieldProblem] | None = None) -> object:
    """Return decoded JSON with every text in Unicode NFC and without white space at its ends.

    A value that is nested more than 24 deep becomes null and is added to the problems, of very many the first 100;
    `pointer` is where `raw` stands.
    """
    return _clean(raw, pointer, (), [] if problems is None else problems)


def _clean(raw: object, pointer: str, trail: tuple[str | int, ...], problems: list[FieldProblem]) -> object:
    if len(trail) > MAX_DEPTH:
        if len(problems) < _MOST_TOO_DEEP:
            detail = f"nested more than {MAX_DEPTH} levels deep; nothing here is"
            problems.append(FieldProblem(detail, pointer + "".join(f"/{escape(str(step))}" for step in trail)))
        return None
    if isinstance(raw, str):
        return raw.strip(_BLANK_ASCII) if raw.isascii() else unicodedata.normalize("NFC", raw).strip(_BLANK)
    if isinstance(raw, list):
        items = cast("list[object]", raw)
        return [_clean(item, pointer, (*trail, number), problems) for number, item in enumerate(items)]
    if isinstance(raw, dict):
        members = cast("dict[str, object]", raw)
        return {key: _clean(item, pointer, (*trail, key), problems) for key, item in members.items()}
    return raw


def examine(raw: object, kind: type, pointer: str = "") -> tuple[list[FieldProblem], list[Leaf]]:
    """Name every field of `raw` that keeps it from being a `kind`, and find what is to be looked up in the rest."""
    found: Found = []
    _look(kind)(raw, pointer, found)
    return (
        [one for one in found if isinstance(one, FieldProblem)],
        [one for one in found if isinstance(one, Leaf)],
    )


def convert(raw: object, kind: type[T], pointer: str = "") -> T:
    """Turn cleaned JSON into `kind`, or raise one `InvalidField` that names every offending field."""
    problems, _ = examine(raw, kind, pointer)
    if problems:
        raise InvalidField.of(problems)
    return typed(raw, kind, pointer)


def typed(raw: object, kind: type[T], pointer: str = "") -> T:
    """Turn what `examine` found no problem in into `kind`, without examining it again."""
    try:
        return msgspec.convert(raw, kind, dec_hook=from_text)
    except msgspec.ValidationError as refused:  # only if the walk knows less than msgspec
        raise InvalidField.of([FieldProblem(str(refused), pointer)]) from None


def from_text(kind: type, raw: object) -> object:
    """Decode the types that msgspec does not know (its `dec_hook`)."""
    if kind is EdtfDate:
        if not isinstance(raw, str):
            raise ValueError("expected a date as text, such as 2019-06-19 or 2019-07")
        return EdtfDate.parse(raw)
    raise TypeError(f"no decoder for {kind.__name__}")


@cache
def _look(kind: type) -> _Look:
    return _look_of(inspect.type_info(kind))


@cache
def countries() -> frozenset[str]:
    """Return the country codes of ISO 3166-1 alpha-2."""
    import pycountry  # noqa: PLC0415 (a fifth of what a process takes to begin that only reads what was recorded)

    return frozenset(country.alpha_2 for country in pycountry.countries)


def escape(key: str) -> str:
    """Write a key as a JSON Pointer token (RFC 6901, section 3); half of a surrogate pair becomes an escape."""
    token = key.replace("~", "~0").replace("/", "~1")
    return token.encode("utf-8", "backslashreplace").decode()


def _look_of(info: inspect.Type) -> _Look:
    """Return what looks at a value beside its type: what is to be known of the type is found out once."""
    about = info if isinstance(info, inspect.Metadata) else inspect.Metadata(info)
    look: _Look
    match about.type:
        case inspect.StrType() as text:
            look = _look_at_text(text, about)
        case (inspect.VarTupleType() | inspect.ListType()) as array:
            look = _look_at_array(array, distinct=bool(_schema(about).get("uniqueItems")))
        case inspect.StructType() as struct:
            look = _look_at_struct(struct)
        case inspect.UnionType() as union:
            look = _look_at_union(union)
        case inspect.DictType():
            look = _walk_dict
        case inspect.Metadata() as inner:
            look = _look_of(inner)
        case scalar:
            look = _look_at_scalar(scalar)
    return look


def _look_at_text(info: inspect.StrType, about: inspect.Metadata) -> _Look:
    extra = cast("dict[str, str] | None", about.extra) or {}  # pyright: ignore[reportUnknownMemberType]
    kind, text = extra.get("kind", ""), extra.get("text")
    pattern = pattern_of(about)
    matches = None if pattern is None else re.compile(pattern).fullmatch  # `$` alone would let a last line feed pass
    says = str(_schema(about).get("description", ""))

    def look(raw: object, at: str, found: Found) -> None:
        problem = _text_problem(raw, info, matches, says)
        if not problem and text is not None:
            problem = illegible(str(raw), lines=text == "lines")
        if problem:
            found.append(FieldProblem(problem, at))
        elif kind == "country":
            if raw not in countries():
                found.append(FieldProblem(f"{raw!r} is not a country code of ISO 3166-1 alpha-2, such as AZ or FR", at))
        elif kind:
            found.append(Leaf(at, kind, str(raw)))

    return look


def _schema(about: inspect.Metadata) -> dict[str, object]:
    return cast("dict[str, object] | None", about.extra_json_schema) or {}  # pyright: ignore[reportUnknownMemberType]


def _look_at_struct(info: inspect.StructType) -> _Look:
    known = {field.encode_name: _look_of(field.type) for field in info.fields}
    required = [field.encode_name for field in info.fields if field.required]

    def look(raw: object, at: str, found: Found) -> None:
        if not isinstance(raw, dict):
            _not("an object", raw, at, found)
            return
        given = cast("dict[str, object]", raw)
        found.extend(FieldProblem("unknown field", f"{at}/{escape(key)}") for key in given if key not in known)
        for key, inner in known.items():
            if key in given:
                inner(given[key], f"{at}/{key}", found)
            elif key in required:
                found.append(FieldProblem("required", f"{at}/{key}"))

    return look


def _look_at_union(info: inspect.UnionType) -> _Look:
    """Only `X | None` is used here."""
    inner = [_look_of(one) for one in info.types if not isinstance(one, inspect.NoneType)]
    optional = len(inner) < len(info.types)

    def look(raw: object, at: str, found: Found) -> None:
        if raw is None and optional:
            return
        for one in inner:
            one(raw, at, found)

    return look


def _look_at_array(info: inspect.VarTupleType | inspect.ListType, *, distinct: bool) -> _Look:
    inner, least, most = _look_of(info.item_type), info.min_length, info.max_length

    def look(raw: object, at: str, found: Found) -> None:
        if not isinstance(raw, list | tuple):  # a tuple is what `to_builtins` makes of one in a value
            _not("an array", raw, at, found)
            return
        items = cast("Sequence[object]", raw)
        if least is not None and len(items) < least:
            found.append(FieldProblem(f"at least {least} required, got {len(items)}", at))
        if most is not None and len(items) > most:
            found.append(FieldProblem(f"at most {most} allowed, got {len(items)}", at))
            return
        first: dict[str, int] = {}
        for number, item in enumerate(items):
            before = len(found)
            inner(item, f"{at}/{number}", found)
            if distinct and not any(isinstance(one, FieldProblem) for one in found[before:]):
                earlier = first.setdefault(json.dumps(item, sort_keys=True), number)
                if earlier != number:
                    found.append(FieldProblem(f"the same as number {earlier}", f"{at}/{number}"))

    return look


def _look_at_scalar(info: inspect.Type) -> _Look:
    def look(raw: object, at: str, found: Found) -> None:
        if problem := _scalar_problem(raw, info):
            found.append(FieldProblem(problem, at))

    return look


def _walk_dict(raw: object, at: str, found: Found) -> None:
    if not isinstance(raw, dict):
        _not("an object", raw, at, found)
        return
    _walk_free(cast("dict[str, object]", raw), at, found)


def _walk_free(raw: object, at: str, found: Found) -> None:
    """What a form of its own is yet to be found for can at least be stored: canonical JSON has a text for it."""
    match raw:
        case dict():
            for key, value in cast("dict[str, object]", raw).items():
                if _HALF_PAIR.search(key):
                    found.append(FieldProblem("unknown field", f"{at}/{escape(key)}"))
                else:
                    _walk_free(value, f"{at}/{escape(key)}", found)
        case list():
            for number, item in enumerate(cast("list[object]", raw)):
                _walk_free(item, f"{at}/{number}", found)
        case str() if _HALF_PAIR.search(raw):
            found.append(FieldProblem("holds half of a surrogate pair, which is no character", at))
        case float():
            _not("a whole number", raw, at, found)
        case int() if abs(raw) >= 2**53:
            found.append(FieldProblem("is larger than JSON's numbers are exact", at))
        case _:
            return


def _not(expected: str, raw: object, at: str, found: Found) -> None:
    found.append(FieldProblem(f"expected {expected}, got {_name(raw)}", at))


def _text_problem(raw: object, info: inspect.StrType, matches: Callable[[str], object] | None, says: str) -> str:
    if not isinstance(raw, str):
        return f"expected text, got {_name(raw)}"
    if info.min_length is not None and len(raw) < info.min_length:
        return "must not be empty" if info.min_length == 1 else f"at least {info.min_length} characters required"
    if info.max_length is not None and len(raw) > info.max_length:
        return f"at most {info.max_length} characters allowed, got {len(raw)}"
    if _HALF_PAIR.search(raw):
        return "holds half of a surrogate pair, which is no character"
    if matches is not None and not matches(raw):
        return f"expected {says}"
    return ""


def _scalar_problem(raw: object, info: inspect.Type) -> str:
    match info:
        case inspect.CustomType(cls=kind):
            try:
                from_text(kind, raw)
            except ValueError as refused:
                return str(refused)
        case inspect.LiteralType(values=values):
            if not isinstance(raw, str) or raw not in values:
                return "expected one of " + ", ".join(str(value) for value in values)
        case inspect.IntType():
            return _integer_problem(raw, info)
        case inspect.BoolType():
            if not isinstance(raw, bool):
                return f"expected true or false, got {_name(raw)}"
        case _:
            raise TypeError(f"no check for {type(info).__name__}: add one")
    return ""


def _integer_problem(raw: object, info: inspect.IntType) -> str:
    if not isinstance(raw, int) or isinstance(raw, bool):
        return f"expected a whole number, got {_name(raw)}"
    if info.ge is not None and raw < info.ge:
        return f"must be at least {info.ge}"
    if info.le is not None and raw > info.le:
        return f"must be at most {info.le}"
    return ""


_NAMES: tuple[tuple[type, str], ...] = (
    (bool, "a truth value"),
    (int, "a number"),
    (float, "a decimal number"),
    (str, "text"),
    (list, "an array"),
    (dict, "an object"),
)


def _name(raw: object) -> str:
    return next((name for kind, name in _NAMES if isinstance(raw, kind)), "null")
