"""names: the label of everything that has one, in its one place; a person's stays sealed.

Rows of other read models name things by id only, so that renaming and erasing have one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from events.catalogue.cooperation_state import Cooperation
from events.catalogue.occasion import Occasion
from events.catalogue.party import Party
from events.catalogue.person import Person
from events.catalogue.source import Source
from events.sql import load
from projections.model import Only, ReadModel, Row, some

ROWS_KEPT = 10_000  # most of what happens in a cooperation changes none of its labels


@lru_cache(maxsize=ROWS_KEPT)
def _label(key: str, text: str | None, sealed: str | None = None) -> Row:
    return Row(id=key, body=b"", sort="", columns=(text, sealed))


def of_party(state: Party, _only: Only) -> Iterator[Row]:
    """Label a party by its name."""
    yield _label(state.id, state.name)


def of_person(state: Person, _only: Only) -> Iterator[Row]:
    """Label a person by their sealed details."""
    yield _label(state.id, None, state.registered.event.sealed)


def of_occasion(state: Occasion, _only: Only) -> Iterator[Row]:
    """Label an occasion by its name."""
    yield _label(state.id, state.current.name)


def of_source(state: Source, _only: Only) -> Iterator[Row]:
    """Label a source by its title."""
    yield _label(state.id, state.filed.event.title)


def of_cooperation(state: Cooperation, only: Only) -> Iterator[Row]:
    """Label a cooperation by its title, its topics by their subjects, its milestones by their titles."""
    if only is None or state.id in only:
        yield _label(state.id, state.opened.event.title)
    for key, topic in some(state.topics, only):
        yield _label(key, topic.event.topic.subject)
    for key, milestone in some(state.milestones, only):
        yield _label(key, milestone.title)


NAMES = ReadModel(
    name="names",
    number=1,
    prefixes=("party", "person", "occ", "src", "coop", "topic", "milestone"),
    settled=("coop",),
    rows={
        "party": of_party,
        "person": of_person,
        "occasion": of_occasion,
        "source": of_source,
        "cooperation": of_cooperation,
    },
    columns=("label", "sealed"),
    queries=load("projections", "names.sql"),
)
