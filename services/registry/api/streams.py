"""Lists as CSV and NDJSON: streamed from the first item to the last, however many there are, in constant memory.

All of a stream is as of one log size, which is told in `Registry-Size`. A line of NDJSON is an item as in a page of the
list. A line of CSV has a column a field of the item; what is not a text, a number or a truth value is JSON there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar.response import Stream

from projections import ReadModel
from services.registry.api import render
from services.registry.api.query import MAX_LIMIT, Asking, Query
from services.registry.parts import Parts

CSV = "text/csv"
NDJSON = "application/x-ndjson"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def wanted(request: Asking) -> str | None:
    """Return the form that a client asks for instead of JSON pages, if it does."""
    accepted = [one.partition(";")[0].strip().lower() for one in request.headers.get("accept", "").split(",")]
    return next((one for one in accepted if one in (CSV, NDJSON)), None)


def stream(parts: Parts, model: ReadModel, asked: Query, size: int, form: str) -> Stream:
    """Answer with everything that matches."""
    lines = _csv(parts, model, asked, size) if form == CSV else _ndjson(parts, model, asked, size)
    headers = {"Registry-Size": str(size), "Cache-Control": "private, no-cache"}
    if form == CSV:
        headers["Content-Disposition"] = f'attachment; filename="{model.name}.csv"'
    return Stream(lines, media_type=f"{form}; charset=utf-8", headers=headers)


async def _pages(parts: Parts, model: ReadModel, asked: Query, size: int) -> AsyncIterator[list[bytes]]:
    after = (asked.cursor.sort, asked.cursor.id) if asked.cursor else None
    while True:
        found = await parts.read_models.page(model, size, asked.filters, after=after, limit=MAX_LIMIT)
        if found:
            yield await render.items(parts, found, size, asked.on)
        if len(found) < MAX_LIMIT:
            return
        after = (found[-1].sort, found[-1].id)


async def _ndjson(parts: Parts, model: ReadModel, asked: Query, size: int) -> AsyncIterator[bytes]:
    async for items in _pages(parts, model, asked, size):
        yield b"".join(item + b"\n" for item in items)


async def _csv(parts: Parts, model: ReadModel, asked: Query, size: int) -> AsyncIterator[bytes]:
    columns = _columns(model)
    yield _line(columns)
    async for items in _pages(parts, model, asked, size):
        rows = (msgspec.json.decode(item) for item in items)
        yield b"".join(_line([_cell(row.get(column)) for column in columns]) for row in rows)


def _columns(model: ReadModel) -> list[str]:
    fields = [field.encode_name for field in msgspec.structs.fields(model.item or msgspec.Struct)]
    if model.name == "people":
        fields = [name for name in fields if name != "sealed"] + ["name", "contact"]
    if model.name == "commitments":
        fields.append("overdue")
    return ["id", *(name for name in fields if name != "id")]


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            # A spreadsheet would take it for a formula (CSV injection): an apostrophe makes it a text.
            return f"'{value}" if value.startswith(_FORMULA) else value
        case _:
            return msgspec.json.encode(value).decode()


def _line(cells: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()
