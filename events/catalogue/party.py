"""party: an organisation, such as a ministry, a department of it, a company."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from events.catalogue.aggregate import Aggregate, Claim, CommandType, Entry, Event, Facts
from events.errors import AlreadyExists, FieldProblem
from events.values import DISTINCT, Country, Identifier, Name, PartyId, Slug

PartyKind = Literal["ministry", "department", "company", "agency", "international-organisation"]


# Events


class PartyRegistered(Event, frozen=True, kw_only=True):
    """An organisation became known to the registry."""

    event_type = "registry.party-registered.v1"

    name: Name
    kind: PartyKind
    country: Country
    part_of: PartyId | None = None
    identifiers: Annotated[tuple[Identifier, ...], Meta(max_length=50, extra_json_schema=DISTINCT)] = ()
    alternative_names: Annotated[tuple[Name, ...], Meta(max_length=50, extra_json_schema=DISTINCT)] = ()
    sectors: Annotated[tuple[Slug, ...], Meta(max_length=50, extra_json_schema=DISTINCT)] = ()


# State


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a party."""

    id: str
    registered: Entry[PartyRegistered]
    touched: tuple[str, ...] = ()


def evolve(state: Party | None, entry: Entry[Any]) -> Party:
    """Apply one entry of the stream."""
    match entry.event:
        case PartyRegistered():
            party = entry.stream.partition("/")[2]
            return Party(id=party, registered=entry, touched=(party,))
        case _:
            raise TypeError(f"{entry.event.event_type} is no event of a party")


# Commands


def decide(state: Party | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of a party. Raises `AlreadyExists`."""
    if isinstance(event, PartyRegistered) and state is not None:
        raise AlreadyExists(f"The party {state.id} is registered already.", [FieldProblem("exists already", "/id")])
    return (event,)


def claims(event: Event) -> Iterator[Claim]:
    """Claim each identifier: a (scheme, value) pair belongs to one party only."""
    if isinstance(event, PartyRegistered):
        for number, identifier in enumerate(event.identifiers):
            yield Claim("party-identifier", f"{identifier.scheme}:{identifier.value}", f"/identifiers/{number}")


PARTY = Aggregate(
    kind="party",
    prefix="party",
    events=(PartyRegistered,),
    commands=(CommandType(name="register-party", event=PartyRegistered, opens=True),),
    evolve=evolve,
    decide=decide,
    claims=claims,
)
