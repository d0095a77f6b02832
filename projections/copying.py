r"""Rows as PostgreSQL's COPY takes them, in its text format.

A line a row, a tab between columns, `\N` for null; a backslash stands before what would otherwise end a column, a line
or an element of an array (PostgreSQL's documentation: COPY, "Text Format"; Arrays, "Array Input and Output Syntax";
bytea, "Escape Format"). Read models are rebuilt from millions of rows, and asyncpg's own encoding, value by value in
Python, took as long as all else that is done for a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, Final

NULL: Final = r"\N"


def line(values: Sequence[object]) -> str:
    """Return values as columns. Raises `KeyError` for one of a type that no column has."""
    return "\t".join(
        [
            text(value) if type(value) is str else NULL if value is None else _FORMS[type(value)](value)
            for value in values
        ]
    )


def text(value: str) -> str:
    """Return a text as a column."""
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t").replace("\r", r"\r")
    return value


def utf8(value: str) -> str:
    """Return a text without a zero as a column of type bytea, in UTF-8."""
    return text(value.replace("\\", r"\\"))


def ids(values: Sequence[str]) -> str:
    """Return ids as a column of type text[]: there is nothing in one that has to be escaped."""
    return "{" + ",".join(values) + "}"


def array(values: Sequence[str]) -> str:
    """Return texts as a column of type text[]."""
    if not values:
        return "{}"
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * len(values) - 2:
        joined = '","'.join([value.replace("\\", r"\\").replace('"', r"\"") for value in values])
    return '{"' + text(joined) + '"}'


_FORMS: Final[dict[type, Callable[[Any], str]]] = {
    int: str,
    bool: lambda value: "t" if value else "f",
    date: date.isoformat,
    tuple: array,
    list: array,
}
