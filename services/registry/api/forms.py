"""The forms in which a list is served: one JSON object, NDJSON with a line an item, or CSV with a row an item.

A line is an item with the `names` of the ids in it and the `survivors` of the merged parties among them, as an item
asked for alone has them. A row has a column for each field in the order of the read model, and these two last (RFC
4180, UTF-8): text as it is, everything else as JSON, and nothing for null.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Final

import msgspec

from events.entry import canonical
from projections import Listed
from projections.commitments import COMMITMENTS
from services.registry.api import acceptance
from services.registry.api.given import headers_named
from services.registry.api.query import Asking
from services.registry.api.render import Rendering

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def wanted(request: Asking, *served: str) -> str:
    """Return which of the media types a client would rather have (see `acceptance`); JSON if it accepts none."""
    asked = ", ".join(headers_named(request, b"accept"))
    if asked in ("", "*/*", JSON):  # as nearly everybody asks, and is answered sooner so
        return JSON
    return acceptance.best(asked, (JSON, *served)) or JSON


def head(form: str, columns: Sequence[str]) -> bytes:
    """Write what comes before the items: the columns' names of a table."""
    return _row([*columns, "names", "survivors"]) if form == CSV else b""


def lines(form: str, columns: Sequence[str], rendering: Rendering, items: Sequence[bytes]) -> bytes:
    """Write items, a line each."""
    written: list[bytes] = []
    names, survivors = rendering.names(), rendering.survivors
    for one, item in zip(rendering.found, items, strict=True):
        named = canonical.encode({key: names[key] for key in one.refs if key in names})
        live_on = canonical.encode({key: survivors[key] for key in one.refs if key in survivors})
        if form == CSV:
            fields: dict[str, object] = msgspec.json.decode(item)
            written.append(_row([*(_cell(fields.get(name)) for name in columns), named.decode(), live_on.decode()]))
        else:
            written.append(b'%b,"names":%b,"survivors":%b}\n' % (item[:-1], named, live_on))
    return b"".join(written)


def columns_of(model: Listed) -> tuple[str, ...]:
    """Return the columns of a read model's table, in its order."""
    fields = fields_of(model.item) if model.item else ()
    return (*fields, "overdue") if model is COMMITMENTS else fields


def fields_of(item: type[msgspec.Struct]) -> tuple[str, ...]:
    """Return the columns of a table of items, in their order."""
    fields = [field.encode_name for field in msgspec.structs.fields(item)]
    return tuple(name for field in fields for name in (("name", "contact") if field == "sealed" else (field,)))


def _row(cells: Sequence[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def _cell(value: object) -> str:
    """Write a text as it is, unless a spreadsheet would take it for a formula: an apostrophe in front makes it none."""
    if value is None:
        return ""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    return canonical.encode(value).decode()
