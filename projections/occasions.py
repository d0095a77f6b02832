"""occasions: where people come together, with the delegations that parties sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import msgspec

from events.catalogue.occasion import Occasion, OccasionKind
from events.edtf import EdtfDate
from events.sql import load
from events.values import Citation, Participant, Place
from projections.model import Filter, Item, Only, ReadModel, Row, bounds, by_date, provenance, row


class DelegationItem(msgspec.Struct, frozen=True, kw_only=True):
    """Who represented a party at an occasion."""

    id: str
    party: str
    participants: tuple[Participant, ...]
    position: int
    citations: tuple[Citation, ...]
    note: str | None


class OccasionItem(Item, frozen=True, kw_only=True):
    """An occasion as it is served."""

    name: str
    kind: OccasionKind
    place: Place
    dates: EdtfDate
    organiser: str | None
    delegations: tuple[DelegationItem, ...]


def rows(state: Occasion, _only: Only) -> Iterator[Row]:
    """One row an occasion."""
    event = state.announced.event
    delegations = tuple(
        DelegationItem(
            id=key,
            party=entry.event.party,
            participants=entry.event.participants,
            position=entry.position,
            citations=entry.event.citations,
            note=entry.event.note,
        )
        for key, entry in state.delegations.items()
    )
    item = OccasionItem(
        id=state.id,
        name=event.name,
        kind=event.kind,
        place=event.place,
        dates=event.dates,
        organiser=event.organiser,
        delegations=delegations,
        **provenance(state.announced),
    )
    parties = sorted({one.party for one in delegations})
    sort = by_date(event.dates)
    yield row(item, sort, event.kind, event.place.country, event.organiser, parties, *bounds(event.dates))


OCCASIONS = ReadModel(
    name="occasions",
    number=1,
    prefixes=("occ",),
    rows={"occasion": rows},
    columns=("kind", "country", "organiser", "parties", "earliest", "latest", "qualified"),
    queries=load("projections", "occasions.sql"),
    item=OccasionItem,
    filters=(
        Filter("kind", "choice", "kind of occasion", choices=get_args(OccasionKind)),
        Filter("country", "country", "country where it takes place"),
        Filter("organiser", "id", "the party that organises it", kind="party"),
        Filter("party", "id", "a party that sent a delegation", kind="party"),
        Filter("dates", "dates", "when it takes place"),
    ),
)
