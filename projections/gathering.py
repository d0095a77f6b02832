"""What a run of entries changes in all read models, gathered in memory until it is written.

The rows of the streams used last are kept, so that what an entry changes is told without making the rows before it
again; how many is bounded by their bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from events.catalogue import Entry, Event
from events.catalogue.history import AMENDMENTS
from projections.model import ReadModel, Rows
from projections.versions import Changes, Known

ROWS_KEPT: Final = 48 * 2**20  # bytes of rows that are kept in memory to be compared with what comes of them


class _OfStream(dict[int, Known]):
    """What is known of a stream's rows, by the read model's number."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self._whole = whole

    def __missing__(self, number: int) -> Known:
        known = self[number] = Known(whole=self._whole)
        return known


class KnownRows:
    """What is known of the rows of the streams used last, so that changes are compared without making them again."""

    def __init__(self) -> None:
        self._streams: OrderedDict[str, _OfStream] = OrderedDict()
        self._size = 0

    def of(self, stream: str, *, begins: bool) -> _OfStream:
        """Return what is known of a stream's rows; all there is to know, if it only begins."""
        known = self._streams.get(stream)
        if known is None or begins:
            known = self._streams[stream] = _OfStream(whole=begins)
        else:
            self._streams.move_to_end(stream)
        return known

    def grown(self, size: int) -> None:
        """Note that so many bytes more are known; beyond a bound the streams used longest ago are forgotten."""
        self._size += size
        while self._size > ROWS_KEPT and len(self._streams) > 1:
            _, forgotten = self._streams.popitem(last=False)
            self._size -= sum(known.size for known in forgotten.values())

    def clear(self) -> None:
        """Forget all of them."""
        self._streams.clear()
        self._size = 0


_Plan: TypeAlias = list[tuple[int, Changes, Rows, tuple[int, ...]]]
"""By the prefixes of touched keys: which read models they concern, how their rows are made, and which keys it is."""


class Gathered:
    """What a run of entries changes in all read models."""

    def __init__(self, models: Sequence[ReadModel], rows: KnownRows) -> None:
        self.changes = [Changes(model) for model in models]
        self.size = 0  # bytes of rows
        self._rows = rows
        self._plans: dict[tuple[str, ...], _Plan] = {}
        self._of_kind: dict[str, list[tuple[int, Changes, Rows, frozenset[str]]]] = {}
        for number, (model, changes) in enumerate(zip(models, self.changes, strict=True)):
            for kind, make in model.rows.items():
                self._of_kind.setdefault(kind, []).append((number, changes, make, frozenset(model.prefixes)))

    def apply(self, entry: Entry[Event], before: Any, after: Any) -> None:
        """Note what the entry changes that led from one state to the next."""
        kind = entry.stream.partition("/")[0]
        known = self._rows.of(entry.stream, begins=before is None and entry.revision == 0)
        grown = 0
        if isinstance(entry.event, AMENDMENTS):  # how history is read has changed: any row of the stream may differ
            for number, changes, make, _ in self._of_kind.get(kind, ()):
                met = (row.id for state in (before, after) if state is not None for row in make(state, None))
                of_model = known[number]
                grown -= of_model.size
                self.size += changes.apply(entry, make, before, after, list(dict.fromkeys(met)), of_model)
                grown += of_model.size
        else:
            touched = after.touched if after is not None else ()
            for number, changes, make, which in self._plan(kind, touched):
                of_model = known[number]
                grown -= of_model.size
                self.size += changes.apply(entry, make, before, after, [touched[one] for one in which], of_model)
                grown += of_model.size
        self._rows.grown(grown)

    def _plan(self, kind: str, touched: Sequence[str]) -> _Plan:
        prefixes = (kind, *[key.partition("_")[0] for key in touched])
        plan = self._plans.get(prefixes)
        if plan is None:
            plan = self._plans[prefixes] = [
                (number, changes, make, which)
                for number, changes, make, of_model in self._of_kind.get(kind, ())
                if (which := tuple(at for at, prefix in enumerate(prefixes[1:]) if prefix in of_model))
            ]
        return plan
