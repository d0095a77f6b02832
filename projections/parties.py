"""parties: organisations, found by kind, country, sector, identifier or what they are part of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from events.catalogue.party import Party, PartyKind
from events.sql import load
from events.values import Country, Identifier
from projections.model import Change, Filter, Item, Only, ReadModel, Row, changes_of, row
from projections.titled import TITLED, titled


class PartyItem(Item, frozen=True, kw_only=True):
    """A party as it is served. What it lives on in if it was merged, however often, is put in when it is read."""

    name: str
    kind: PartyKind
    country: Country
    part_of: str | None
    identifiers: tuple[Identifier, ...]
    alternative_names: tuple[str, ...]
    sectors: tuple[str, ...]
    merged_into: str | None
    survivor: str | None = None
    changes: tuple[Change, ...]


def rows(state: Party, _only: Only) -> Iterator[Row]:
    """One row a party."""
    event = state.details
    merged_into = state.merged.event.into if state.merged else None
    entry = state.registered
    item = PartyItem(
        id=state.id,
        name=state.name,
        kind=event.kind,
        country=event.country,
        part_of=event.part_of,
        identifiers=event.identifiers,
        alternative_names=event.alternative_names,
        sectors=event.sectors,
        merged_into=merged_into,
        changes=changes_of(state.changes),
        classification=entry.classification,
        position=entry.position,
        recorded_at=entry.recorded_at,
        citations=entry.event.citations,
        note=entry.event.note,
        corrections=entry.corrections,
    )
    identifiers = tuple(f"{one.scheme}:{one.value}" for one in event.identifiers)
    columns = (event.kind, event.country, event.part_of, event.sectors, identifiers, merged_into)
    former = (getattr(entry.event, "name", None) for entry in (state.registered, *state.changes))
    texts = (*event.alternative_names, *former, *(one.value for one in event.identifiers), *event.sectors)
    yield row(item, state.name.casefold(), (*columns, *titled(state.name, texts)))


PARTIES = ReadModel(
    name="parties",
    number=2,
    prefixes=("party",),
    rows={"party": rows},
    columns=("kind", "country", "part_of", "sectors", "identifiers", "merged_into", *TITLED),
    queries=load("projections", "parties.sql"),
    item=PartyItem,
    filters=(
        Filter("kind", "choice", "kind of party", choices=get_args(PartyKind)),
        Filter("country", "country", "country of the party"),
        Filter("part_of", "id", "the party that it is part of", kind="party"),
        Filter("sector", "text", "a sector that it works in"),
        Filter("identifier", "text", "an identifier, as `scheme:value`"),
    ),
)
