"""The oracle's eye on read models: the live ones hold what folding the whole log again, stream by stream, gives.

It takes their rows from the read models themselves, and nothing from the engine: which versions there are and how
long each holds is worked out here from whole states.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, cast

import asyncpg

from events.catalogue import AGGREGATES, Entry, Event
from events.catalogue.history import AMENDMENTS, fold
from events.codec import decode_entry
from projections import MODELS, ReadModel
from projections.engine import version_of

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Version: TypeAlias = tuple[Any, ...]
"""What a row of a table holds: id, born, died, sort, refs, body and the model's own columns."""

COMMON = ("id", "born", "died", "sort", "body")  # the columns that every read model has
WHOLE = 100
"""Of a longer stream only what the entry touched is looked at, or a long one would take for ever."""


async def live_read_models_equal_a_rebuild(connection: Connection) -> None:
    """Raise AssertionError for the first read model that does not; nothing where none is live or of this program."""
    live = await connection.fetchrow("SELECT version, position FROM projection.generation WHERE state = 'live'")
    if live is None or live["version"] != version_of():
        return
    rebuilt = _Rebuilt()
    entries = "SELECT bytes FROM log.entry WHERE position < $1 ORDER BY position"
    async for row in connection.cursor(entries, live["position"]):
        rebuilt.add(row["bytes"])
    assert rebuilt.size == live["position"], f"the read models show {live['position']} entries of {rebuilt.size}"
    for model in MODELS:
        columns = ", ".join((*COMMON, *model.columns))
        _compare(model, rebuilt.versions(model), await connection.fetch(f"SELECT {columns} FROM read.{model.name}"))


class _Rebuilt:
    """Every version of every row, of the entries so far."""

    def __init__(self) -> None:
        self.size = 0
        self._states: dict[str, Any] = {}
        self._entries: dict[str, list[Entry[Event]]] = {}
        self._current: dict[tuple[str, str], dict[str, Version]] = {}
        self._past: dict[str, list[Version]] = {model.name: [] for model in MODELS}

    def add(self, stored: bytes) -> None:
        entry = decode_entry(stored)
        kind = entry.stream.partition("/")[0]
        entries = self._entries.setdefault(entry.stream, [])
        entries.append(entry)
        if any(isinstance(one.event, AMENDMENTS) for one in entries):
            state = fold(AGGREGATES[kind], entries)
        else:
            state = AGGREGATES[kind].evolve(self._states.get(entry.stream), entry)
        self._states[entry.stream] = state
        amended = isinstance(entry.event, AMENDMENTS)
        only = None if amended or state is None or entry.revision < WHOLE else state.touched
        for model in MODELS:
            if kind in model.rows:
                current = self._current.setdefault((model.name, entry.stream), {})
                rows = [] if state is None else list(model.rows[kind](state, only))
                self._differ(model, current, rows, entry.position, only)
        self.size += 1

    def _differ(
        self,
        model: ReadModel,
        current: dict[str, Version],
        rows: list[Any],
        position: int,
        only: tuple[str, ...] | None,
    ) -> None:
        now = {row.id: (row.sort, row.body, *row.columns) for row in rows}
        for key in [key for key in current if key not in now and (only is None or key in only)]:
            self._past[model.name].append(_ended(current.pop(key), position))
        for key, content in now.items():
            if key in current and current[key][3:] != content:
                self._past[model.name].append(_ended(current.pop(key), position))
            current.setdefault(key, (key, position, None, *content))

    def versions(self, model: ReadModel) -> list[Version]:
        of_streams = [rows.values() for (name, _), rows in self._current.items() if name == model.name]
        return [*self._past[model.name], *(version for rows in of_streams for version in rows)]


def _ended(version: Version, position: int) -> Version:
    key, born, _, *content = version
    return (key, born, position, *content)


def _plain(version: Iterable[object]) -> Version:
    """Return a version as tuples throughout: the database gives an array as a list."""
    return tuple(tuple(cast("list[object]", value)) if isinstance(value, list) else value for value in version)


def _compare(model: ReadModel, expected: list[Version], found: list[asyncpg.Record]) -> None:
    rebuilt, live = ({version[:2]: version for version in map(_plain, versions)} for versions in (expected, found))
    assert len(live) == len(found), f"{model.name} has two versions of one row that were born at once"
    for key in sorted(rebuilt.keys() | live.keys()):
        here, there = live.get(key), rebuilt.get(key)
        assert here == there, f"{model.name}, {key[0]} born {key[1]}: live {here}, rebuilt {there}"
