"""search: whatever can be looked for by its words: names, titles, subjects, products, purposes, summaries, outcomes.

A thing is found by the first `MAX_BYTES` of its distinct words: those of its title, and then of what was said of it,
in order. That is some fifty thousand words, far more than are ever said of one thing; beyond it PostgreSQL could not
index a row. People are not in it: their names are sealed, and found by blind tokens (`events.vault`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from events.catalogue.cooperation_state import Cooperation
from events.catalogue.occasion import Occasion
from events.catalogue.party import Party
from events.catalogue.source import Source
from events.entry import canonical
from events.sql import load
from events.words import words
from projections.model import Only, ReadModel, Row, some

ROWS_KEPT = 10_000  # most of what happens in a cooperation changes neither its title nor what was said before
MAX_BYTES = 400_000  # of a row's words, with a space each; a tsvector takes 2^20 - 1 and more for each word
SORTED_BY = 100  # characters of a title, which may be a whole summary


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
    for kind, key, title, texts in _within(state, only):
        yield _row(kind, key, title, texts, state.id)


def _within(state: Cooperation, only: Only) -> Iterator[tuple[str, str, str, list[str | None]]]:
    for key, raised in some(state.topics, only):
        topic = raised.event.topic
        yield "topic", key, topic.subject, [*topic.products, topic.territory_note, raised.event.note]
    for key, meeting in some(state.meetings, only):
        yield "meeting", key, meeting.event.summary or state.opened.event.title, [meeting.event.note]
    for key, held in some(state.negotiations, only):
        yield "negotiations", key, held.event.subject, [held.event.note]
    for key, milestone in some(state.milestones, only):
        yield "milestone", key, milestone.title, []
    for key, visit in some(state.visits, only):
        yield "visit", key, visit.scheduled.event.purpose, _said(visit.changes)
    for key, one in some(state.rounds, only):
        yield "round", key, one.scheduled.event.subject, _said(one.changes)
    for key, agreement in some(state.agreements, only):
        yield "agreement", key, agreement.terms.subject, _said(agreement.changes)


def _said(changes: Iterable[Any]) -> list[str | None]:
    """Return the outcomes and reasons that were told of a thing."""
    return [getattr(entry.event, field, None) for entry in changes for field in ("outcome", "reason")]


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
    rows={"party": of_party, "occasion": of_occasion, "source": of_source, "cooperation": of_cooperation},
    columns=("called", "words"),
    queries=load("projections", "search.sql"),
    item=Hit,
)
