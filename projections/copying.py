r"""Rows as PostgreSQL's COPY takes them, in its text format.

A line a row, a tab between columns, `\N` for null; a backslash stands before what would otherwise end a column, a line
or an element of an array (PostgreSQL's documentation: COPY, "Text Format"; Arrays, "Array Input and Output Syntax";
bytea, "Escape Format"). Read models are rebuilt from millions of rows, and asyncpg's own encoding, value by value in
Python, took as long as all else that is done for a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Any, Final

NULL: Final = r"\N"
DAYS: Final = 10_000  # kept once written: a history says the same few again and again
_BACKSLASH: Final = ord("\\")


def line(key: str, born: int, sort: str, columns: Sequence[object]) -> bytes:
    """Return a row's id, the position that it is from, its sort key and its other columns, each with a tab after it.

    Raises `KeyError` for a value of a type that no column has.
    """
    forms = [
        value if type(value) is str else NULL if value is None else _FORMS[type(value)](value) for value in columns
    ]
    said = "\t".join([key, str(born), sort, *forms, ""])
    # Rarely is there anything to be escaped, which is told faster of all columns at once. Each null has a backslash.
    if (
        ("\\" in said and said.count("\\") != columns.count(None))
        or said.count("\t") != len(forms) + 3
        or "\n" in said
        or "\r" in said
    ):
        forms = [NULL if value is None else _escaped(form) for value, form in zip(columns, forms, strict=True)]
        said = "\t".join([_escaped(key), str(born), _escaped(sort), *forms, ""])
    return said.encode()


def body(json: bytes) -> bytes:
    """Return JSON, in which no control character stands as it is, as a column of type bytea."""
    return json.replace(b"\\", rb"\\\\") if _BACKSLASH in json else json


def array(values: Sequence[str]) -> str:
    """Return texts as one of type text[]."""
    if not values:
        return "{}"
    said = "".join(values)
    if '"' in said or "\\" in said:
        values = [value.replace("\\", r"\\").replace('"', r"\"") for value in values]
    said = '","'.join(values)
    return f'{{"{said}"}}'


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t").replace("\r", r"\r")


_FORMS: Final[dict[type, Callable[[Any], str]]] = {
    int: str,
    bool: {False: "f", True: "t"}.__getitem__,
    date: lru_cache(DAYS)(date.isoformat),
    tuple: array,
    list: array,
}
