"""search: whatever can be looked for by its words: names, titles, subjects, products, purposes, summaries, outcomes.

A thing is found by the first `MAX_BYTES` of its distinct words: those of its title, and then of what was said of it,
in order. That is some fifty thousand words, far more than are ever said of one thing; beyond it PostgreSQL could not
index a row. People are not in it: their names are sealed, and found by blind tokens (`events.vault`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from events.catalogue.cooperation_state import Cooperation
from events.catalogue.occasion import Occasion
from events.catalogue.party import Party
from events.catalogue.source import Source
from events.entry import canonical
from events.sql import load
from events.words import words
from projections.model import Only, ReadModel, Row

ROWS_KEPT = 10_000  # most of what happens in a cooperation changes neither its title nor what was said before
MAX_BYTES = 400_000  # of a row's words, with a space each; a tsvector takes 2^20 - 1 and more for each word
SORTED_BY = 100  # characters of a title, which may be a whole summary


_Told: TypeAlias = tuple[str, list[str | None]]


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: a thing's id, its kind, what it is called, and the cooperation that it belongs to, if any.

    What a merged party lives on in is put in when it is read.
    """

    id: str
    kind: str
    title: str
    cooperation: str | None = None
    survivor: str | None = None


def _row(kind: str, key: str, title: str, texts: Iterable[str | None], cooperation: str | None = None) -> Row:
    return _rendered(kind, key, title, tuple(texts), cooperation)


@lru_cache(maxsize=ROWS_KEPT)
def _rendered(kind: str, key: str, title: str, texts: tuple[str | None, ...], cooperation: str | None) -> Row:
    found = dict.fromkeys(words(title))
    called = " ".join(found)
    for text in texts:
        if text:
            found |= dict.fromkeys(words(text))
    body = canonical.encode(Hit(id=key, kind=kind, title=title, cooperation=cooperation))
    return Row(id=key, body=body, sort=title.casefold()[:SORTED_BY], columns=(called, _bounded(" ".join(found))))


def _bounded(found: str) -> str:
    """Return the words that there is room for."""
    return found if len(found) <= MAX_BYTES else found[:MAX_BYTES].rpartition(" ")[0]


def of_party(state: Party, _only: Only) -> Iterator[Row]:
    """Find a party by its names, identifiers and sectors."""
    details = state.details
    identifiers = (one.value for one in details.identifiers)
    former = (getattr(entry.event, "name", None) for entry in (state.registered, *state.changes))
    texts = [*details.alternative_names, *former, *identifiers, *details.sectors]
    yield _row("party", state.id, state.name, texts)


def of_occasion(state: Occasion, _only: Only) -> Iterator[Row]:
    """Find an occasion by its name and place."""
    place = state.current.place
    yield _row("occasion", state.id, state.current.name, [place.city, place.venue])


def of_source(state: Source, _only: Only) -> Iterator[Row]:
    """Find a source by its title and publisher."""
    yield _row("source", state.id, state.filed.event.title, [state.filed.event.publisher])


def of_cooperation(state: Cooperation, only: Only) -> Iterator[Row]:
    """Find a cooperation by its title and fields, and everything within it by what is said of it."""
    if only is None or state.id in only:
        yield _row("cooperation", state.id, state.opened.event.title, state.opened.event.fields)
    keys = only if only is not None else [key for things, _ in _WITHIN.values() for key in things(state)]
    for key in keys:
        kind = key.partition("_")[0]
        if kind in _WITHIN:
            things, told = _WITHIN[kind]
            if (one := things(state).get(key)) is not None:
                title, texts = told(state, one)
                yield _row(kind, key, title, texts, state.id)


def _said(changes: Iterable[Any]) -> list[str | None]:
    """Return the outcomes and reasons that were told of a thing."""
    return [getattr(entry.event, field, None) for entry in changes for field in ("outcome", "reason")]


def _of_topic(_state: Cooperation, one: Any) -> _Told:
    topic = one.event.topic
    return topic.subject, [*topic.products, topic.territory_note, one.event.note]


# Of each kind of thing in a cooperation, by the prefix of its ids: which there are, its title and what was said of it.
_WITHIN: Mapping[str, tuple[Callable[[Cooperation], Mapping[str, Any]], Callable[[Cooperation, Any], _Told]]] = {
    "topic": (attrgetter("topics"), _of_topic),
    "meeting": (
        attrgetter("meetings"),
        lambda state, one: (one.event.summary or state.opened.event.title, [one.event.note]),
    ),
    "negotiations": (attrgetter("negotiations"), lambda _, one: (one.event.subject, [one.event.note])),
    "milestone": (attrgetter("milestones"), lambda _, one: (one.title, [])),
    "visit": (attrgetter("visits"), lambda _, one: (one.scheduled.event.purpose, _said(one.changes))),
    "round": (attrgetter("rounds"), lambda _, one: (one.scheduled.event.subject, _said(one.changes))),
    "agreement": (attrgetter("agreements"), lambda _, one: (one.terms.subject, _said(one.changes))),
}

SEARCH = ReadModel(
    name="search",
    number=4,
    prefixes=(
        "party",
        "occ",
        "src",
        "coop",
        "topic",
        "meeting",
        "negotiations",
        "milestone",
        "visit",
        "round",
        "agreement",
    ),
    settled=("coop",),
    rows={"party": of_party, "occasion": of_occasion, "source": of_source, "cooperation": of_cooperation},
    columns=("called", "words"),
    queries=load("projections", "search.sql"),
    item=Hit,
)
