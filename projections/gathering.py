"""What a run of entries changes in all read models, gathered in memory until it is written.

The rows of the streams used last are kept, so that what an entry changes is told without making the rows before it
again; how many is bounded by their bytes.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final, TypeAlias

import asyncpg

from events.catalogue.history import AMENDMENTS
from projections.model import ReadModel, Rows
from projections.versions import Changes, Known, Step, Touched

TURN: Final = 50
HEAVY: Final = 2_000  # entries of the streams concerned, after which it is so too: what they change may be as large
REMEMBERED: Final = 8  # kinds of keys in a row: what agreeing on a roadmap or an end touches may be any number
ROWS_KEPT: Final = 48 * 2**20  # bytes of rows that are kept in memory to be compared with what comes of them


class KnownRows:
    """What is known of the rows of the streams used last, so that changes are compared without making them again."""

    def __init__(self, kept: int = ROWS_KEPT) -> None:
        """Keep so many bytes of them, and whatever there is of the last stream."""
        self._kept = kept
        self._streams: OrderedDict[str, Known] = OrderedDict()
        self._size = 0

    def of(self, stream: str, *, begins: bool) -> Known:
        """Return what is known of a stream's rows; all there is to know, if it only begins."""
        known = self._streams.get(stream)
        if known is None or begins:
            known = self._streams[stream] = Known(whole=begins)
        else:
            self._streams.move_to_end(stream)
        return known

    def grown(self, size: int) -> None:
        """Note that so many bytes more are known; beyond a bound the streams used longest ago are forgotten."""
        self._size += size
        while self._size > self._kept and len(self._streams) > 1:
            _, forgotten = self._streams.popitem(last=False)
            self._size -= forgotten.size

    def clear(self) -> None:
        """Forget all of them."""
        self._streams.clear()
        self._size = 0


_Plan: TypeAlias = list[tuple[int, Rows, Callable[[Sequence[str]], Sequence[str]]]]
"""By the prefixes of touched keys: which read models they concern, how their rows are made, and what takes the keys."""


class Concerns:
    """Which rows of which read models an entry may change. It remembers what follows from the kinds of few keys."""

    def __init__(self, models: Sequence[ReadModel]) -> None:
        self.models = models
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        self._of_kind: dict[str, list[tuple[int, Rows, ReadModel]]] = {}
        for number, model in enumerate(models):
            for kind, make in model.rows.items():
                self._of_kind.setdefault(kind, []).append((number, make, model))

    def share_out(self, step: Step, known: Known, todo: Sequence[list[Touched]]) -> None:
        """Give each read model concerned, by its number, the entry, how its rows are made, and those rows' ids."""
        entry, before, after = step.entry, step.before, step.after
        if isinstance(entry.event, AMENDMENTS):  # how history is read has changed: any row of the stream may differ
            states = [state for state in (before, after) if state is not None]
            for number, make, _ in self._of_kind.get(entry.stream.partition("/")[0], ()):
                ids = dict.fromkeys(row.id for state in states for row in make(state, None))
                todo[number].append((step, make, ids, known))
        elif after is not None:
            touched: Sequence[str] = after.touched
            met: tuple[Any, ...] = (after.__class__, before is None, *[key.partition("_")[0] for key in touched])
            plan = self._plans.get(met)
            if plan is None:
                plan = self._plan(entry.stream.partition("/")[0], met[2:], begins=before is None)
                if len(met) <= REMEMBERED:
                    self._plans[met] = plan
            for number, make, taken in plan:
                todo[number].append((step, make, taken(touched), known))

    def _plan(self, kind: str, prefixes: Sequence[str], *, begins: bool) -> _Plan:
        plan: _Plan = []
        for number, make, model in self._of_kind.get(kind, ()):
            concerned = {*model.prefixes} if begins else {*model.prefixes} - {*model.settled}
            if which := [at for at, prefix in enumerate(prefixes) if prefix in concerned]:
                one = slice(which[0], which[0] + 1)
                plan.append((number, make, itemgetter(one) if len(which) == 1 else itemgetter(*which)))
        return plan


class Gathered:
    """What a run of entries changes in all read models."""

    def __init__(self, concerns: Concerns, rows: KnownRows) -> None:
        self.changes = [Changes(model) for model in concerns.models]
        self.size = 0  # bytes of rows
        self.entries = 0  # that were taken
        self._concerns = concerns
        self._rows = rows
        self._steps: list[Step] = []
        self._weight = 0

    def take(self, step: Step) -> bool:
        """Take the next entry. Says whether those taken are enough for a turn: they are to be settled then."""
        self._steps.append(step)
        self._weight += step.entry.revision
        self.entries += 1
        return len(self._steps) >= TURN or self._weight >= HEAVY

    async def settle(self) -> None:
        """See what those entries change that were taken since it was last seen; `size` grows by that.

        Whoever else waits for the event loop has a turn after each read model: what is written meanwhile asks
        PostgreSQL for one thing after the other, and waits for its turn after each.
        """
        for _ in self._apply():
            await asyncio.sleep(0)

    def settle_at_once(self) -> None:
        """Do the same where nobody waits for a turn."""
        for _ in self._apply():
            pass

    async def write(self, connection: asyncpg.Connection[asyncpg.Record], schema: str) -> None:
        """Write it all to the tables in `schema`, the connection's search path. Raises `Corrupt` (`Changes.write`)."""
        for changes in self.changes:
            await changes.write(connection, schema)

    async def write_ended(self, connection: asyncpg.Connection[asyncpg.Record], schema: str) -> None:
        """Write the versions that have ended, and count from 0 what is held beyond the others."""
        for changes in self.changes:
            await changes.write_ended(connection, schema)
        self.size = 0

    def _apply(self) -> Iterator[None]:
        """Note what the entries taken change, in order, and pause after each read model.

        Taken read model by read model, which is a sixth faster than entry by entry: a processor then goes on with what
        it has at hand.
        """
        steps, self._steps, self._weight = self._steps, [], 0
        todo: list[list[Touched]] = [[] for _ in self.changes]
        met: dict[str, Known] = {}
        for step in steps:
            stream = step.entry.stream
            known = met.get(stream)
            if known is None:
                begins = step.before is None and step.entry.revision == 0
                known = met[stream] = self._rows.of(stream, begins=begins)
            self._concerns.share_out(step, known, todo)
        grown = -sum(known.size for known in met.values())
        for changes, told in zip(self.changes, todo, strict=True):
            if told:
                self.size += changes.apply(told)
                yield
        self._rows.grown(grown + sum(known.size for known in met.values()))
