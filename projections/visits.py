"""visits: who is to come to whom, within which window, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_events import VisitHeld
from events.catalogue.cooperation_state import Cooperation, Status
from events.edtf import EdtfDate
from events.sql import load
from events.values import Participant, Place
from projections.commitments import PROMISED, of_event
from projections.model import Change, Filter, Only, ReadModel, Row, bounds, by_date, changes_of, row, some
from projections.titled import TITLED, said, titled
from projections.within import (
    HELD,
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

    status: Status
    visitors: tuple[Participant, ...]
    host: str
    place: Place
    window: EdtfDate
    purpose: str
    topics: tuple[str, ...]
    meeting: str | None
    held: EdtfDate | None
    participants: tuple[Participant, ...]
    outcome: str | None
    changes: tuple[Change, ...]


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a visit."""
    for key, visit in some(state.visits, only):
        entry, event = visit.scheduled, visit.scheduled.event
        last = visit.changes[-1].event if visit.changes else None
        held = last if isinstance(last, VisitHeld) else None
        item = VisitItem(
            id=key,
            cooperation=state.id,
            status=visit.status,
            visitors=event.visitors,
            host=event.host,
            place=event.place,
            window=visit.window,
            purpose=event.purpose,
            topics=event.topics,
            meeting=event.meeting,
            held=held.held if held else None,
            participants=held.participants if held else (),
            outcome=held.outcome if held else None,
            changes=changes_of(visit.changes),
            classification=entry.classification,
            position=entry.position,
            recorded_at=entry.recorded_at,
            citations=event.citations,
            note=event.note,
            corrections=entry.corrections,
        )
        visitors = parties_of(event.visitors)
        parties = tuple(sorted({*visitors, event.host, *parties_of(item.participants)}))
        yield row(
            item,
            by_date(item.held or visit.window),
            (
                state.id,
                parties,
                event.topics,
                kinds_of(state, event.topics),
                persons_of((*event.visitors, *item.participants)),
                visitors,
                event.host,
                event.place.country,
                item.status,
                *bounds(visit.window),
                *bounds(item.held),
                *of_event(state, visit),
                *titled(event.purpose, said(visit.changes)),
            ),
        )


VISITS = ReadModel(
    name="visits",
    number=3,
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
        "held_earliest",
        "held_latest",
        "held_qualified",
        *PROMISED,
        *TITLED,
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
        STATUS,
        Filter("window", "dates", "when it is due, or was to be held"),
        HELD,
    ),
)
