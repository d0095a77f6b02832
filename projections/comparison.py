"""Comparing the live read models with ones that were built anew: by digest, and version by version of every row.

A digest is of what holds at one size. The comparison is of the whole past below that size too, and of every column:
nothing that was altered behind the projector's back stays unseen, and it is found by id and born position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import asyncpg
import msgspec

from events.sql import load
from projections.digest import digest
from projections.engine import Connection
from projections.model import ReadModel

NAMED: Final = 20  # rows named of each read model, at the most

_QUERIES: Final = load("projections", "comparison.sql")


class Difference(msgspec.Struct, frozen=True):
    """One version of a row that is not what the log says: altered (in which columns), missing, or surplus."""

    id: str
    born: int
    says: Literal["altered", "missing", "surplus"]
    columns: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True):
    """A read model as it is live and as it was built anew: its digests at a size, and rows that differ, by id.

    There is no digest of the live one where what readers see has not the columns that it was made with.
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
    connection: Connection, live: int, rebuilt: int, models: Sequence[ReadModel], size: int
) -> list[Compared]:
    """Compare read models of the generation that is shown with another's, as of a size that both have come to.

    Of the former what readers see is digested, and the tables are compared.
    """
    return [await _compare(connection, (f"read_{live}", f"read_{rebuilt}"), model, size) for model in models]


async def _compare(connection: Connection, schemas: tuple[str, str], model: ReadModel, size: int) -> Compared:
    anew = await digest(connection, model, size, schemas[1])
    try:
        shown = await digest(connection, model, size)
        rows = await connection.fetch(_QUERIES["differences"], *schemas, model.name, size, NAMED)
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        return Compared(model.name, None, anew, ())
    return Compared(model.name, shown, anew, tuple(msgspec.convert(dict(row), Difference) for row in rows))
