"""The versioned tables: every version of every row, valid from one log size to another.

A version is true from the position that made it so (`born`) until the position that ended it (`died`, null while
current): as of size N it holds if born < N and (died is null or died >= N). `Changes` gathers what a run of entries
changes; nothing is written until `write`, which belongs in the transaction that moves the generation's position on.
"""

from __future__ import annotations

from collections.abc import Iterable

import asyncpg

from projections.model import ReadModel, Row

COMMON = ("id", "born", "died", "sort", "refs", "body")


class _Version:
    """A version that began within this run of entries."""

    __slots__ = ("born", "died", "row")

    def __init__(self, row: Row, born: int) -> None:
        self.row = row
        self.born = born
        self.died: int | None = None


class Changes:
    """What some entries, in order, change in one read model."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._ended: dict[str, int] = {}
        self._begun: list[_Version] = []
        self._current: dict[str, _Version] = {}

    def apply(self, position: int, before: Iterable[Row], after: Iterable[Row]) -> None:
        """Note how the rows concerned differ after the entry at `position` from those before it."""
        old = {row.id: row for row in before}
        for row in after:
            was = old.pop(row.id, None)
            if was == row:
                continue
            if was is not None:
                self._end(row.id, position)
            self._begin(row, position)
        for key in old:
            self._end(key, position)

    def _begin(self, row: Row, position: int) -> None:
        version = _Version(row, position)
        self._begun.append(version)
        self._current[row.id] = version

    def _end(self, key: str, position: int) -> None:
        version = self._current.pop(key, None)
        if version is None:
            self._ended[key] = position
        else:
            version.died = position

    async def write(self, connection: asyncpg.Connection[asyncpg.Record], schema: str) -> None:
        """Write the changes to the generation whose tables are in `schema`, the connection's search path."""
        if self._ended:
            await connection.execute(self._model.queries["end"], list(self._ended), list(self._ended.values()))
        if self._begun:
            await connection.copy_records_to_table(
                self._model.name,
                schema_name=schema,
                columns=[*COMMON, *self._model.columns],
                records=[
                    (one.row.id, one.born, one.died, one.row.sort, one.row.refs, one.row.body, *one.row.columns)
                    for one in self._begun
                ],
            )
