"""What a read model is: pure functions from the state of one stream to rows, a table, and its queries.

`rows(state, only)` yields the rows that a state stands for; `only` narrows it to some ids (those that the last
entry touched), or is None for all of them. Equal states give equal rows, down to the bytes of their bodies.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

import msgspec
from msgspec.structs import replace

from events.catalogue import Entry, Event
from events.catalogue.aggregate import Amendment
from events.edtf import EdtfDate
from events.entry import canonical
from events.sql import Blocks
from events.values import Citation, Classification, Place, Value

T = TypeVar("T")

CHANGES_KEPT: Final = 1_000  # entries of which it is known how they are told
DATES_KEPT: Final = 2_000  # days that are written: a history says the same few again and again

Only = Collection[str] | None


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: its id, the JSON object that is served, its place in the list, its columns."""

    id: str
    body: bytes
    sort: str
    columns: tuple[Any, ...]


Rows: TypeAlias = Callable[[Any, Only], Iterable[Row]]


class Filter(msgspec.Struct, frozen=True):
    """A query parameter of a list, and the form its value has. Its place in `Listed.filters` is its SQL parameter.

    A `dates` filter named `held` stands for `held_from` and `held_to`, a fact that *may* lie in that range being
    found, and for the common `certain=true`, which asks that it *must*; it takes three SQL parameters. An `overdue`
    filter is true or false, as of the day in the parameter `on` (today, if it is not given); it takes two.
    """

    name: str
    form: Literal["id", "text", "country", "choice", "dates", "overdue"]
    says: str
    kind: str = ""
    choices: tuple[str, ...] = ()


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """What can be listed: `queries` has the blocks `page` and `items`, `item` is the form of what they find."""

    name: str
    queries: Blocks
    item: type[msgspec.Struct] | None = None
    filters: tuple[Filter, ...] = ()


class ReadModel(Listed, frozen=True, kw_only=True):
    """A read model. `number` is raised when the code changes what rows say; the SQL is part of the version itself.

    `queries` has the blocks `create`, `index`, `analyze` and `end`, too (`projections.versions`), and no others where
    there is no `item`, which is the form of a row's body.
    `rows` has one function for each kind of stream that the rows come from, and `prefixes` those of the rows' ids: an
    entry that touches none of them changes nothing here. Of those that are `settled`, only the entry that begins a
    stream and amendments change anything.
    """

    number: int
    prefixes: tuple[str, ...]
    settled: tuple[str, ...] = ()
    rows: Mapping[str, Rows]
    columns: tuple[str, ...]


class Statement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What everything that is served has: the entry that it rests on, what that cites, and its corrections in force."""

    position: int
    recorded_at: str
    citations: tuple[Citation, ...] = ()
    note: str | None = None
    corrections: tuple[Amendment, ...] = ()


class Item(Statement, frozen=True, kw_only=True):
    """What every item of a list has.

    Read models state it field by field: where a mapping of these was handed on, that took a thirtieth of a rebuild.
    """

    id: str
    classification: Classification


class Change(Statement, frozen=True, kw_only=True):
    """What happened to a thing after it was first recorded: the event's type, and the fields of its own."""

    type: str
    details: dict[str, Any]


def stated(entry: Entry[Any]) -> dict[str, Any]:
    """Return the fields of `Statement`."""
    event: Event = entry.event
    return {
        "position": entry.position,
        "recorded_at": entry.recorded_at,
        "citations": event.citations,
        "note": event.note,
        "corrections": entry.corrections,
    }


def changes_of(entries: Iterable[Entry[Event]]) -> tuple[Change, ...]:
    """Tell what happened to a thing, in order: to be rendered only, as each of it is JSON already."""
    return tuple([_change_of(entry) for entry in entries])


def _change_of(entry: Entry[Event]) -> Change:
    """What a thing's later versions tell again is made once, for the entries met last."""
    kept = _changes.get(id(entry))
    if kept is not None and kept[0] is entry:
        return kept[1]
    event = entry.event
    own = replace(event, citations=(), note=None) if event.citations or event.note is not None else event
    change = Change(type=event.event_type, details=cast("Any", own), **stated(entry))
    told = cast("Change", msgspec.Raw(canonical.encode(change)))
    if len(_changes) >= CHANGES_KEPT:
        _changes.clear()
    _changes[id(entry)] = entry, told
    return told


_changes: dict[int, tuple[Entry[Event], Change]] = {}


def row(item: Item, sort: str, columns: tuple[object, ...]) -> Row:
    """Render an item."""
    return Row(item.id, canonical.encode(item), sort, columns)


def some(items: Mapping[str, T], only: Only) -> Iterable[tuple[str, T]]:
    """Return the items asked for; all of them in the order of the mapping."""
    if only is None:
        return items.items()
    if len(only) == 1:  # as most entries touch one thing
        (key,) = only
        return ((key, items[key]),) if key in items else ()
    return [(key, items[key]) for key in only if key in items]


def bounds(when: EdtfDate | None) -> tuple[date | None, date | None, bool]:
    """Return a date's earliest and latest day (None: no bound, as for no date), and whether it is uncertain itself."""
    return (when.earliest, when.latest, when.qualified) if when else (None, None, False)


def by_date(when: EdtfDate | None) -> str:
    """Return the sort key of a date: its earliest day, and before all others where that is open."""
    return _iso(when.earliest) if when is not None and when.earliest is not None else ""


_iso: Final = lru_cache(DATES_KEPT)(date.isoformat)


def country_of(place: Place | None) -> str | None:
    """Return a place's country as a column."""
    return place.country if place else None


__all__ = [
    "Change",
    "Filter",
    "Item",
    "Listed",
    "Only",
    "ReadModel",
    "Row",
    "Rows",
    "Statement",
    "Value",
    "bounds",
    "by_date",
    "changes_of",
    "country_of",
    "row",
    "some",
    "stated",
]
