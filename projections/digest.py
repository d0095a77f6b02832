"""Digests: what a read model shows at a log size, as one hash, which an independent replay of the log must meet.

The recipe, for whoever computes one without this program: take the read model's rows that hold at the size N (born < N
and (died is null or died >= N)), in ascending order of the bytes of their ids. Write each as one line: the JSON array

    [id, sort key, body, [the read model's own columns, in the order of its table]]

in canonical form (RFC 8785: no white space, UTF-8, no needless escapes), the body as a text, days as `YYYY-MM-DD` (but
0001-01-01 as `-infinity` and 9999-12-31 as `infinity`, as the table has them), and a line feed. The digest is the
SHA-256 of all lines, in hexadecimal digits; of no rows, that of nothing. JSON writes a line feed within a text as an
escape, so that no two different sets of rows have the same lines.

Personal values are in the rows as they are in the log, sealed: erasing somebody changes no digest of an earlier size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from events.entry import canonical
from events.log.read import Connection
from events.sql import load
from projections import MODELS
from projections.engine import FORM
from projections.model import ReadModel

PREFETCH: Final = 1_000  # rows held at a time

_QUERIES: Final = load("projections", "digest.sql")
_columns: Final = msgspec.json.Decoder(list[str | bool | list[str] | None])


async def digest(connection: Connection, model: ReadModel, size: int, schema: str = FORM) -> str:
    """Digest what a read model shows at a size up to which it has been projected.

    The rows are read once, in one transaction, and not held. What holds at a size never changes, so that it does not
    matter if another generation takes over between one read model and the next.
    """
    hashed = hashlib.sha256()
    async with connection.transaction(isolation="read_committed", readonly=True):
        rows = connection.cursor(_QUERIES["rows"], schema, model.name, model.columns, size, prefetch=PREFETCH)
        async for key, sort, body, columns in rows:
            hashed.update(line(key, sort, body, _columns.decode(columns)))
    return hashed.hexdigest()


async def digests(
    connection: Connection, size: int, schema: str = FORM, models: Sequence[ReadModel] = MODELS
) -> dict[str, str]:
    """Digest read models as of a size up to which they have been projected; by name, in the order of names."""
    by_name = sorted(models, key=lambda model: model.name)
    return {model.name: await digest(connection, model, size, schema) for model in by_name}


def line(key: str, sort: str, body: bytes, columns: Sequence[object]) -> bytes:
    """Write a row as the digest takes it in."""
    return canonical.encode((key, sort, body.decode(), columns)) + b"\n"
