"""Comparing the live read models with ones that were built anew: by digest, and version by version of every row.

A digest is of what holds at one size. The comparison is of the whole past below that size too, and of every column:
nothing that was altered behind the projector's back stays unseen, and it is found by id and born position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import asyncpg
import msgspec

from events.sql import load
from projections.digest import digest
from projections.engine import Connection
from projections.model import ReadModel

NAMED: Final = 20  # rows named of each read model, at the most
LIVE: Final = "read"
"""The schema that shows the live read models, whatever their version."""

_QUERIES: Final = load("projections", "comparison.sql")


class Seen(NamedTuple):
    """A generation, and the schema in which it is shown."""

    schema: str
    generation: int


class Difference(msgspec.Struct, frozen=True):
    """One version of a row that is not what the log says: altered (in which columns), missing, or surplus."""

    id: str
    born: int
    says: Literal["altered", "missing", "surplus"]
    columns: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True):
    """A read model as it is live and as it was built anew: its digests at a size, and rows that differ, by id.

    There is no digest of the live one where its table is of another form, as another version of the program made it.
    """

    model: str
    live: str | None
    rebuilt: str
    rows: tuple[Difference, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.live == self.rebuilt and not self.rows


async def compare(
    connection: Connection, seen: Seen, rebuilt: int, models: Sequence[ReadModel], size: int
) -> list[Compared]:
    """Compare read models of what is seen with another generation's, as of a size that both have come to.

    Of the former what readers see is digested, and the tables are compared.
    """
    tables = f"read_{seen.generation}", f"read_{rebuilt}"
    return [await _compare(connection, seen.schema, tables, model, size) for model in models]


async def _compare(
    connection: Connection, schema: str, schemas: tuple[str, str], model: ReadModel, size: int
) -> Compared:
    anew = await digest(connection, model, size, schemas[1])
    try:
        shown = await digest(connection, model, size, schema)
        rows = await connection.fetch(_QUERIES["differences"], *schemas, model.name, size, NAMED)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        return Compared(model.name, None, anew, ())
    return Compared(model.name, shown, anew, tuple(msgspec.convert(dict(row), Difference) for row in rows))
