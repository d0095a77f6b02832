"""meetings: who met whom, when, where, and about what."""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_state import Cooperation
from events.edtf import EdtfDate
from events.sql import load
from events.values import Participant, Place
from projections.model import Filter, Only, ReadModel, Row, bounds, by_date, country_of, row, some
from projections.titled import TITLED, titled
from projections.within import (
    OF_COOPERATION,
    OF_PERSON,
    OF_TOPICS,
    CooperationPart,
    kinds_of,
    parties_of,
    persons_of,
)


class MeetingItem(CooperationPart, frozen=True, kw_only=True):
    """A meeting as it is served."""

    held: EdtfDate
    participants: tuple[Participant, ...]
    occasion: str | None
    place: Place | None
    topics: tuple[str, ...]
    summary: str | None


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a meeting."""
    for key, entry in some(state.meetings, only):
        event = entry.event
        item = MeetingItem(
            id=key,
            cooperation=state.id,
            held=event.held,
            participants=event.participants,
            occasion=event.occasion,
            place=event.place,
            topics=event.topics,
            summary=event.summary,
            classification=entry.classification,
            position=entry.position,
            recorded_at=entry.recorded_at,
            citations=event.citations,
            note=event.note,
            corrections=entry.corrections,
        )
        yield row(
            item,
            by_date(event.held),
            (
                state.id,
                parties_of(event.participants),
                event.topics,
                kinds_of(state, event.topics),
                persons_of(event.participants),
                event.occasion,
                country_of(event.place),
                *bounds(event.held),
                *titled(event.summary or state.opened.event.title, (event.note,)),
            ),
        )


MEETINGS = ReadModel(
    name="meetings",
    number=1,
    prefixes=("meeting",),
    rows={"cooperation": rows},
    columns=(
        "cooperation",
        "parties",
        "topics",
        "topic_kinds",
        "persons",
        "occasion",
        "country",
        "earliest",
        "latest",
        "qualified",
        *TITLED,
    ),
    queries=load("projections", "meetings.sql"),
    item=MeetingItem,
    filters=(
        *OF_COOPERATION,
        *OF_TOPICS,
        OF_PERSON,
        Filter("occasion", "id", "the occasion at which it was held", kind="occasion"),
        Filter("country", "country", "country where it was held"),
        Filter("held", "dates", "when it was held"),
    ),
)
