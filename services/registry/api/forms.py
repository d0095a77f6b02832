"""The forms in which a list is served: one JSON object, NDJSON with a line an item, or CSV with a row an item.

A line is an item with the `names` of the ids in it, as an item asked for alone has them. A row has a column for each
field in the order of the read model, and `names` last (RFC 4180, UTF-8): text as it is, everything else as JSON, and
nothing for null.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from events.entry import canonical
from projections import ReadModel
from projections.reader import Found
from services.registry.api.query import Asking

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"


def wanted(request: Asking, *served: str) -> str:
    """Return which of the media types a client would rather have (RFC 9110, section 12.5.1); JSON if none of them."""
    return request.accept.best_match([JSON, *served], default=JSON) or JSON


def lines(found: Sequence[Found], items: Sequence[bytes], names: Mapping[str, Any]) -> bytes:
    """Write items as NDJSON."""
    return b"".join(
        b'%b,"names":%b}\n' % (item[:-1], canonical.encode(_of(one, names)))
        for one, item in zip(found, items, strict=True)
    )


def table(model: ReadModel, found: Sequence[Found], items: Sequence[bytes], names: Mapping[str, Any]) -> bytes:
    """Write items as CSV, after a line with the columns' names."""
    columns = list(_columns(model))
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow([*columns, "names"])
    for one, item in zip(found, items, strict=True):
        fields: dict[str, object] = msgspec.json.decode(item)
        writer.writerow([*(_cell(fields.get(name)) for name in columns), canonical.encode(_of(one, names)).decode()])
    return written.getvalue().encode()


def _of(found: Found, names: Mapping[str, Any]) -> dict[str, Any]:
    return {key: names[key] for key in found.refs if key in names}


def _columns(model: ReadModel) -> Iterator[str]:
    for field in msgspec.structs.fields(model.item) if model.item else ():
        yield from ("name", "contact") if field.encode_name == "sealed" else (field.encode_name,)


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical.encode(value).decode()
