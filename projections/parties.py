"""parties: organisations, found by kind, country, sector, identifier or what they are part of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from events.catalogue.party import Party, PartyKind
from events.sql import load
from events.values import Country, Identifier
from projections.model import Filter, Item, Only, ReadModel, Row, provenance, row


class PartyItem(Item, frozen=True, kw_only=True):
    """A party as it is served."""

    name: str
    kind: PartyKind
    country: Country
    part_of: str | None
    identifiers: tuple[Identifier, ...]
    alternative_names: tuple[str, ...]
    sectors: tuple[str, ...]


def rows(state: Party, _only: Only) -> Iterator[Row]:
    """One row a party."""
    event = state.registered.event
    item = PartyItem(
        id=state.id,
        name=event.name,
        kind=event.kind,
        country=event.country,
        part_of=event.part_of,
        identifiers=event.identifiers,
        alternative_names=event.alternative_names,
        sectors=event.sectors,
        **provenance(state.registered),
    )
    identifiers = [f"{one.scheme}:{one.value}" for one in event.identifiers]
    yield row(item, event.name.casefold(), event.kind, event.country, event.part_of, list(event.sectors), identifiers)


PARTIES = ReadModel(
    name="parties",
    number=1,
    prefixes=("party",),
    rows={"party": rows},
    columns=("kind", "country", "part_of", "sectors", "identifiers"),
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
