"""Rows as PostgreSQL's COPY takes them, in its binary format.

A row is the number of its columns in two bytes, and each column its length in four and then what it says, in the form
in which its type is sent (PostgreSQL's documentation: COPY, "Binary Format"). Nothing is escaped or parsed. asyncpg's
own encoding, value by value in Python, took as long as all else that is done for a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from itertools import chain, repeat
from struct import Struct
from typing import Any, Final

from projections.model import Row

BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = b"\xff\xff"
NULL: Final = b"\xff\xff\xff\xff"
BESIDE: Final = 5  # columns that a row has beside its own: id, born and sort before them, body and died after them
KEPT: Final = 4_000  # values, once written: versions of rows, and rows of one cooperation, say the same again
SHORT: Final = 300  # bytes of a written value that is kept
_SIZE: Final = Struct(">i").pack
_POSITION: Final = Struct(">iq").pack  # 8 bytes, and a whole number as a column of type bigint
_EPOCH: Final = date(2000, 1, 1).toordinal()
_NO_BOUND: Final = {date.min: -(2**31), date.max: 2**31 - 1}  # -infinity and infinity
_TEXT: Final = (25).to_bytes(4)  # the type of an array's elements, by its oid
_NOTHING: Final = bytes(4) + bytes(4) + _TEXT  # an array of no dimensions


def copied(rows: Sequence[Row], born: Sequence[int], died: Sequence[int | None]) -> bytes:
    """Return rows of one table, the positions that they are from, and those that ended them (None: none has).

    A row's own columns are texts, days, truth values and tuples of texts, or None; its body is bytea. They are gone
    through column by column, which leaves little of it to Python. Raises `KeyError` for a value of another type, unless
    that equals one of these.
    """
    ids = [row.id.encode() for row in rows]
    bodies = [row.body for row in rows]
    own = [map(_written, column) for column in zip(*[row.columns for row in rows], strict=True)]
    values = zip(
        repeat((len(own) + BESIDE).to_bytes(2)),
        map(_SIZE, map(len, ids)),
        ids,
        map(_POSITION, repeat(8), born),
        [_written(row.sort) for row in rows],
        *own,
        map(_SIZE, map(len, bodies)),
        bodies,
        [NULL if position is None else _POSITION(8, position) for position in died],
        strict=False,  # what is repeated has no end
    )
    return b"".join(chain.from_iterable(values))


def _sized(said: bytes) -> bytes:
    return _SIZE(len(said)) + said


def _text(value: str) -> bytes:
    said = value.encode()
    return _SIZE(len(said)) + said


def _array(values: tuple[str, ...]) -> bytes:
    """Return texts as a column of type text[]: one dimension, no nulls, so many elements, the first being number 1."""
    head = b"\0\0\0\1\0\0\0\0" + _TEXT + len(values).to_bytes(4) + b"\0\0\0\1" if values else _NOTHING
    return _sized(b"".join((head, *map(_written, values))))


def _day(day: date) -> bytes:
    """The first and the last day that there are stand for no bound, as where asyncpg sends what is looked for."""
    number = _NO_BOUND.get(day, day.toordinal() - _EPOCH)
    return _sized(number.to_bytes(4, signed=True))


_ALWAYS: Final[dict[object, bytes]] = {None: NULL, False: _sized(b"\0"), True: _sized(b"\1")}
_FORMS: Final[dict[type, Callable[[Any], bytes]]] = {str: _text, date: _day, tuple: _array}


class _Kept(dict[object, bytes]):
    """Values as they are written. Short ones are kept, until there are so many that it is begun anew."""

    def __missing__(self, value: object) -> bytes:
        written = _FORMS[type(value)](value)
        if len(written) <= SHORT:
            if len(self) >= KEPT:
                self.clear()
                self.update(_ALWAYS)
            self[value] = written
        return written


_written: Final = _Kept(_ALWAYS).__getitem__
