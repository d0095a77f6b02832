"""visits: who is to come to whom, within which window, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from events.catalogue.cooperation_events import Cooperation
from events.edtf import EdtfDate
from events.sql import load
from events.values import Participant, Place
from projections.model import Filter, Only, ReadModel, Row, bounds, by_date, provenance, row, some
from projections.within import (
    OF_COOPERATION,
    OF_PERSON,
    OF_TOPICS,
    STATUS,
    CooperationPart,
    kinds_of,
    parties_of,
    persons_of,
)


class VisitItem(CooperationPart, frozen=True, kw_only=True):
    """A visit as it is served."""

    status: Literal["scheduled"]
    visitors: tuple[Participant, ...]
    host: str
    place: Place
    window: EdtfDate
    purpose: str
    topics: tuple[str, ...]
    meeting: str | None


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a visit."""
    for key, entry in some(state.visits, only):
        event = entry.event
        item = VisitItem(
            id=key,
            cooperation=state.id,
            status="scheduled",
            visitors=event.visitors,
            host=event.host,
            place=event.place,
            window=event.window,
            purpose=event.purpose,
            topics=event.topics,
            meeting=event.meeting,
            **provenance(entry),
        )
        visitors = parties_of(event.visitors)
        yield row(
            item,
            by_date(event.window),
            state.id,
            sorted({*visitors, event.host}),
            list(event.topics),
            kinds_of(state, event.topics),
            persons_of(event.visitors),
            visitors,
            event.host,
            event.place.country,
            item.status,
            *bounds(event.window),
        )


VISITS = ReadModel(
    name="visits",
    number=1,
    prefixes=("visit",),
    rows={"cooperation": rows},
    columns=(
        "cooperation",
        "parties",
        "topics",
        "topic_kinds",
        "persons",
        "visitor",
        "host",
        "country",
        "status",
        "earliest",
        "latest",
        "qualified",
    ),
    queries=load("projections", "visits.sql"),
    item=VisitItem,
    filters=(
        *OF_COOPERATION,
        *OF_TOPICS,
        OF_PERSON,
        Filter("visitor", "id", "a party that visits", kind="party"),
        Filter("host", "id", "the party that is visited", kind="party"),
        Filter("country", "country", "country where it takes place"),
        Filter("status", "choice", "what became of it", choices=STATUS),
        Filter("window", "dates", "when it is due"),
    ),
)
