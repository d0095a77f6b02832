"""rounds: next stages of discussions, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from events.catalogue.cooperation_events import Cooperation
from events.edtf import EdtfDate
from events.sql import load
from events.values import Participant, Place
from projections.model import Filter, Only, ReadModel, Row, bounds, by_date, provenance, row, some
from projections.within import OF_COOPERATION, OF_PERSON, STATUS, CooperationPart, parties_of, persons_of


class RoundItem(CooperationPart, frozen=True, kw_only=True):
    """A round of discussions as it is served; `window` is null while none was stated."""

    status: Literal["scheduled"]
    place: Place
    participants: tuple[Participant, ...]
    subject: str
    window: EdtfDate | None


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a round."""
    for key, entry in some(state.rounds, only):
        event = entry.event
        item = RoundItem(
            id=key,
            cooperation=state.id,
            status="scheduled",
            place=event.place,
            participants=event.participants,
            subject=event.subject,
            window=event.window,
            **provenance(entry),
        )
        yield row(
            item,
            by_date(event.window),
            state.id,
            parties_of(event.participants),
            persons_of(event.participants),
            event.place.country,
            item.status,
            *bounds(event.window),
        )


ROUNDS = ReadModel(
    name="rounds",
    number=1,
    prefixes=("round",),
    rows={"cooperation": rows},
    columns=("cooperation", "parties", "persons", "country", "status", "earliest", "latest", "qualified"),
    queries=load("projections", "rounds.sql"),
    item=RoundItem,
    filters=(
        *OF_COOPERATION,
        OF_PERSON,
        Filter("country", "country", "country where it takes place"),
        Filter("status", "choice", "what became of it", choices=STATUS),
        Filter("window", "dates", "when it is due; a round without a window may be due at any time"),
    ),
)
