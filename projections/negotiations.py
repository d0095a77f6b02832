"""negotiations: what the parties of a cooperation negotiated."""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_state import Cooperation
from events.edtf import EdtfDate
from events.sql import load
from projections.model import Filter, Only, ReadModel, Row, bounds, by_date, row, some
from projections.titled import TITLED, titled
from projections.within import OF_COOPERATION, OF_TOPICS, CooperationPart, all_parties, kinds_of


class NegotiationsItem(CooperationPart, frozen=True, kw_only=True):
    """Negotiations as they are served; their parties are the cooperation's."""

    held: EdtfDate
    subject: str
    parties: tuple[str, ...]
    meeting: str | None
    topics: tuple[str, ...]


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row each time that negotiations were held."""
    for key, entry in some(state.negotiations, only):
        event, parties = entry.event, all_parties(state)
        item = NegotiationsItem(
            id=key,
            cooperation=state.id,
            held=event.held,
            subject=event.subject,
            parties=parties,
            meeting=event.meeting,
            topics=event.topics,
            classification=entry.classification,
            position=entry.position,
            recorded_at=entry.recorded_at,
            citations=event.citations,
            note=event.note,
            corrections=entry.corrections,
        )
        columns = (state.id, parties, event.topics, kinds_of(state, event.topics), event.meeting)
        found_by = titled(event.subject, (event.note,))
        yield row(item, by_date(event.held), (*columns, *bounds(event.held), *found_by))


NEGOTIATIONS = ReadModel(
    name="negotiations",
    number=1,
    prefixes=("negotiations",),
    rows={"cooperation": rows},
    columns=("cooperation", "parties", "topics", "topic_kinds", "meeting", "earliest", "latest", "qualified", *TITLED),
    queries=load("projections", "negotiations.sql"),
    item=NegotiationsItem,
    filters=(
        *OF_COOPERATION,
        *OF_TOPICS,
        Filter("meeting", "id", "the meeting at which they were held", kind="meeting"),
        Filter("held", "dates", "when they were held"),
    ),
)
