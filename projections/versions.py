"""The versioned tables: every version of every row, valid from one log size to another.

A version is true from the position that made it so (`born`) until the position that ended it (`died`, null while
current): as of size N it holds if born < N and (died is null or died >= N). `Changes` gathers what a run of entries
changes; nothing is written until `write`, which belongs in the transaction that moves the generation's position on.

Rows of up to half a page stay in it as they are (`toast_tuple_target`): compressing those of two kilobytes and more, as
PostgreSQL does by itself, took a tenth of the time of writing all of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterable
from typing import Any, TypeAlias

import asyncpg
import msgspec

from events.catalogue import Entry, Event
from events.errors import Corrupt
from projections.copying import BEGIN, END, copied
from projections.model import ReadModel, Row, Rows

SENT = 200  # rows sent at a time
OVERHEAD = 200  # bytes that a row takes besides what it says, about


class Step(msgspec.Struct, frozen=True, gc=False):
    """An entry, and the states of its stream that it led from and to."""

    entry: Entry[Event]
    before: Any
    after: Any


class _Version(msgspec.Struct, gc=False):
    """A version that began within this run of entries: its row, and the positions that it was born and died at."""

    row: Row
    born: int
    died: int | None = None


class Known:
    """What is known of one stream's rows, as what one stream has under an id is no news of another.

    `rows` has, by read model, the current row, or None, of each id that was met; if it is the `whole` of what there is,
    there is none under any other.
    """

    __slots__ = ("rows", "size", "whole")

    def __init__(self, *, whole: bool = False) -> None:
        self.rows: defaultdict[str, dict[str, Row | None]] = defaultdict(dict)
        self.size = 0  # bytes, about
        self.whole = whole


Touched: TypeAlias = tuple[Step, Rows, Collection[str], Known]
"""An entry, how its stream's rows are made, the ids of those that it touched, and what is known of them before it."""


class Changes:
    """What some entries, in order, change in one read model."""

    def __init__(self, model: ReadModel) -> None:
        self._model = model
        self._ended: dict[str, int] = {}
        self._begun: list[_Version] = []
        self._current: dict[str, _Version] = {}

    def apply(self, told: Iterable[Touched]) -> int:
        """Note how the rows under the ids that entries touched differ from those before them.

        What is known of the streams' rows is brought up to date. Returns how many bytes of rows are held for it.
        """
        name, in_all = self._model.name, 0
        latest, begun = self._current, self._begun
        for step, rows, touched, known in told:
            before, after, position = step.before, step.after, step.entry.position
            current, held, shown = known.rows[name], 0, 0
            if before is not None and not known.whole and (strange := [key for key in touched if key not in current]):
                current.update(dict.fromkeys(strange))
                for row in rows(before, strange):
                    current[row.id] = row
                    held += len(row.body) + OVERHEAD
            for row in rows(after, touched) if after is not None else ():
                key, shown = row.id, shown + 1
                was = current.get(key)
                if was is not None:
                    if was == row:
                        continue
                    self._end(key, position)
                    known.size -= len(was.body) + OVERHEAD
                current[key] = row
                latest[key] = version = _Version(row, position)
                begun.append(version)
                held += len(row.body) + OVERHEAD
            if shown < len(touched):
                there = {row.id for row in rows(after, touched)} if shown else ()
                for key in touched:
                    if key not in there and (was := current.get(key)) is not None:
                        self._end(key, position)
                        known.size -= len(was.body) + OVERHEAD
                        current[key] = None
            known.size += held
            in_all += held
        return in_all

    def _end(self, key: str, position: int) -> None:
        version = self._current.pop(key, None)
        if version is None:
            self._ended[key] = position
        else:
            version.died = position

    async def write(self, connection: asyncpg.Connection[asyncpg.Record], schema: str) -> None:
        """Write the changes to the generation whose tables are in `schema`, the connection's search path.

        Raises `Corrupt` if the tables are not what the rows before these changes were.
        """
        if self._ended:
            done = await connection.execute(self._model.queries["end"], list(self._ended), list(self._ended.values()))
            if done != f"UPDATE {len(self._ended)}":
                raise Corrupt(f"{schema}.{self._model.name} lacks rows that the log says it has; build it anew")
        if self._begun:
            try:
                await self._copy(connection, schema, self._begun)
            except asyncpg.UniqueViolationError as twice:
                raise Corrupt(f"{schema}.{self._model.name} has a row twice: {twice.detail}") from twice

    async def write_ended(self, connection: asyncpg.Connection[asyncpg.Record], schema: str) -> None:
        """Write the versions that have ended, and keep the others: what comes after may end them."""
        if ended := [one for one in self._begun if one.died is not None]:
            await self._copy(connection, schema, ended)
            self._begun = [one for one in self._begun if one.died is None]

    async def _copy(
        self, connection: asyncpg.Connection[asyncpg.Record], schema: str, versions: list[_Version]
    ) -> None:
        await connection.copy_to_table(
            self._model.name,
            schema_name=schema,
            columns=["id", "born", "sort", *self._model.columns, "body", "died"],
            source=_copied(versions),
            format="binary",
        )


async def _copied(versions: list[_Version]) -> AsyncGenerator[bytes]:
    yield BEGIN
    for first in range(0, len(versions), SENT):
        some = versions[first : first + SENT]
        yield copied([one.row for one in some], [one.born for one in some], [one.died for one in some])
    yield END
