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


def line(sort: str, body: bytes, columns: Sequence[object]) -> str:
    """Return a row's sort key, its body (a column of type bytea; UTF-8 without a zero) and its other columns.

    Raises `KeyError` for a value of a type that no column has.
    """
    values = [
        value if type(value) is str else NULL if value is None else _FORMS[type(value)](value) for value in columns
    ]
    said = "\t".join([sort, body.decode(), *values])
    # Rarely is there anything to be escaped, which is told faster of all columns at once. Each null has a backslash.
    if (
        said.count("\\") == columns.count(None)
        and said.count("\t") == len(values) + 1
        and "\n" not in said
        and "\r" not in said
    ):
        return said
    values = [text(value) if type(value) is str else escaped for value, escaped in zip(columns, values, strict=True)]
    return "\t".join([text(sort), text(body.decode().replace("\\", r"\\")), *values])


def text(value: str) -> str:
    """Return a text as a column."""
    if "\\" in value or "\n" in value or "\t" in value or "\r" in value:
        value = value.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t").replace("\r", r"\r")
    return value


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
