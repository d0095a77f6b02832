"""occasions: where people come together, with the delegations that parties sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from events.catalogue.occasion import Occasion, OccasionKind
from events.edtf import EdtfDate
from events.sql import load
from events.values import Participant, Place
from projections.model import (
    Change,
    Filter,
    Item,
    Only,
    ReadModel,
    Row,
    Statement,
    bounds,
    by_date,
    changes_of,
    row,
    stated,
)
from projections.titled import TITLED, titled
from projections.within import parties_of


class DelegationItem(Statement, frozen=True, kw_only=True):
    """Who represented a party at an occasion."""

    id: str
    party: str
    participants: tuple[Participant, ...]


OccasionStatus = Literal["announced", "cancelled"]


class OccasionItem(Item, frozen=True, kw_only=True):
    """An occasion as it is served."""

    name: str
    kind: OccasionKind
    place: Place
    dates: EdtfDate
    organiser: str | None
    status: OccasionStatus
    delegations: tuple[DelegationItem, ...]
    changes: tuple[Change, ...]


def rows(state: Occasion, _only: Only) -> Iterator[Row]:
    """One row an occasion."""
    event = state.current
    delegations = tuple(
        DelegationItem(
            id=key,
            party=entry.event.party,
            participants=entry.event.participants,
            **stated(entry),
        )
        for key, entry in state.delegations.items()
    )
    entry = state.announced
    item = OccasionItem(
        id=state.id,
        name=event.name,
        kind=event.kind,
        place=event.place,
        dates=event.dates,
        organiser=event.organiser,
        status="cancelled" if state.cancelled else "announced",
        delegations=delegations,
        changes=changes_of(state.changes),
        classification=entry.classification,
        position=entry.position,
        recorded_at=entry.recorded_at,
        citations=entry.event.citations,
        note=entry.event.note,
        corrections=entry.corrections,
    )
    took_part = {one.party for one in delegations}.union(*(parties_of(one.participants) for one in delegations))
    parties = tuple(sorted(took_part | {event.organiser} if event.organiser else took_part))
    sort = by_date(event.dates)
    columns = (event.kind, event.place.country, event.organiser, item.status, parties)
    found_by = titled(event.name, (event.place.city, event.place.venue))
    yield row(item, sort, (*columns, *bounds(event.dates), *found_by))


OCCASIONS = ReadModel(
    name="occasions",
    number=2,
    prefixes=("occ",),
    rows={"occasion": rows},
    columns=("kind", "country", "organiser", "status", "parties", "earliest", "latest", "qualified", *TITLED),
    queries=load("projections", "occasions.sql"),
    item=OccasionItem,
    filters=(
        Filter("kind", "choice", "kind of occasion", choices=get_args(OccasionKind)),
        Filter("country", "country", "country where it takes place"),
        Filter("organiser", "id", "the party that organises it", kind="party"),
        Filter("status", "choice", "whether it was cancelled", choices=get_args(OccasionStatus)),
        Filter("party", "id", "a party that organises it, sent a delegation or took part in one", kind="party"),
        Filter("dates", "dates", "when it takes place"),
    ),
)
