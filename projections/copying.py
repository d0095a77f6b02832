"""Rows as PostgreSQL's COPY takes them, in its binary format.

A row is the number of its columns in two bytes, and each column its length in four and then what it says, in the form
in which its type is sent (PostgreSQL's documentation: COPY, "Binary Format"). Nothing is escaped or parsed. asyncpg's
own encoding, value by value in Python, took as long as all else that is done for a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
BESIDE: Final = 5  # columns that a row has beside its own: id, born and sort before them, body and died after them
DAYS: Final = 10_000  # kept once written: a history says the same few again and again
_EPOCH: Final = date(2000, 1, 1).toordinal()
_NO_BOUND: Final = {date.min: -(2**31), date.max: 2**31 - 1}  # -infinity and infinity
_TEXT: Final = (25).to_bytes(4)  # the type of an array's elements, by its oid
_NOTHING: Final = bytes(4) + bytes(4) + _TEXT  # an array of no dimensions
_LENGTHS: Final = tuple(length.to_bytes(4) for length in range(4_096))  # of what is not long


def head(key: str, born: int, sort: str, columns: Sequence[object]) -> bytes:
    """Return how a row begins: its id, the position that it is from, its sort key, and its own columns.

    Those are texts, days, truth values, whole numbers (bigint) and sequences of texts, or None. Raises `KeyError` for
    a value of another type.
    """
    parts = [(len(columns) + BESIDE).to_bytes(2), _sized(key.encode()), position(born), _sized(sort.encode())]
    for value in columns:
        if type(value) is str:
            said = value.encode()
            parts += (_length(said), said)
        else:
            parts.append(NULL if value is None else _FORMS[type(value)](value))
    return b"".join(parts)


def tail(body: bytes, died: int | None) -> tuple[bytes, ...]:
    """Return how a row ends, in parts: its body (bytea), and the position that ended it (None: none has)."""
    return _length(body), body, NULL if died is None else position(died)


def position(number: int) -> bytes:
    """Return a whole number as a column of type bigint."""
    return b"\0\0\0\x08" + number.to_bytes(8, signed=True)


def array(values: Sequence[str]) -> bytes:
    """Return texts as a column of type text[]."""
    if not values:
        return _sized(_NOTHING)
    # One dimension, no nulls, so many elements, of which the first has the number 1.
    parts = [b"\0\0\0\1\0\0\0\0", _TEXT, len(values).to_bytes(4), b"\0\0\0\1"]
    for value in values:
        said = value.encode()
        parts += (_length(said), said)
    return _sized(b"".join(parts))


def _length(said: bytes) -> bytes:
    length = len(said)
    return _LENGTHS[length] if length < len(_LENGTHS) else length.to_bytes(4)


def _sized(said: bytes) -> bytes:
    return _length(said) + said


@lru_cache(DAYS)
def _day(day: date) -> bytes:
    """The first and the last day that there are stand for no bound, as where asyncpg sends what is looked for."""
    number = _NO_BOUND.get(day, day.toordinal() - _EPOCH)
    return _sized(number.to_bytes(4, signed=True))


_FORMS: Final[dict[type, Callable[[Any], bytes]]] = {
    int: position,
    bool: {False: _sized(b"\0"), True: _sized(b"\1")}.__getitem__,
    date: _day,
    tuple: array,
    list: array,
}
