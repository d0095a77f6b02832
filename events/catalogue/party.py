"""party: an organisation, such as a ministry, a department of it, a company."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.catalogue.aggregate import Aggregate, Claim, CommandType, Entry, Event, Facts, must_exist, must_say_more
from events.edtf import EdtfDate
from events.errors import AlreadyExists, CircularParties, FieldProblem
from events.errors import PartyMerged as IsMerged
from events.values import DISTINCT, Country, Identifier, Name, PartyId, Slug, Text

IDENTIFIER = "party-identifier"
"""The scope of what parties claim."""

PartyKind = Literal["ministry", "department", "company", "agency", "international-organisation"]
Identifiers = Annotated[tuple[Identifier, ...], Meta(max_length=50, extra_json_schema=DISTINCT)]
Names = Annotated[tuple[Name, ...], Meta(max_length=50, extra_json_schema=DISTINCT)]
Sectors = Annotated[tuple[Slug, ...], Meta(max_length=50, extra_json_schema=DISTINCT)]


# Events


class PartyRegistered(Event, frozen=True, kw_only=True):
    """An organisation became known to the registry."""

    event_type = "registry.party-registered.v1"

    name: Name
    kind: PartyKind
    country: Country
    part_of: PartyId | None = None
    identifiers: Identifiers = ()
    alternative_names: Names = ()
    sectors: Sectors = ()


class PartyRenamed(Event, frozen=True, kw_only=True):
    """A party goes by another name now, since a date when stated."""

    event_type = "registry.party-renamed.v1"

    name: Name
    since: EdtfDate | None = None


class PartyDetailsAmended(Event, frozen=True, kw_only=True):
    """What is known of a party besides its name changed; this is all of it, as it is now."""

    event_type = "registry.party-details-amended.v1"

    kind: PartyKind
    country: Country
    part_of: PartyId | None = None
    identifiers: Identifiers = ()
    alternative_names: Names = ()
    sectors: Sectors = ()


class PartyMerged(Event, frozen=True, kw_only=True):
    """A party turned out to be, or became, part of another record: it lives on in that one, its id stays good."""

    event_type = "registry.party-merged.v1"

    into: PartyId
    reason: Text


# State


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a party; `claimed` are the identifiers that it has ever had."""

    id: str
    registered: Entry[PartyRegistered]
    name: str
    details: PartyRegistered | PartyDetailsAmended
    changes: tuple[Entry[Event], ...] = ()
    merged: Entry[PartyMerged] | None = None
    claimed: frozenset[Identifier] = frozenset()
    forgone: frozenset[tuple[str, str]] = frozenset()
    touched: tuple[str, ...] = ()


def evolve(state: Party | None, entry: Entry[Any]) -> Party:
    """Apply one entry of the stream."""
    event = entry.event
    if isinstance(event, PartyRegistered):
        party = entry.stream.partition("/")[2]
        claimed = frozenset(event.identifiers)
        return Party(id=party, registered=entry, name=event.name, details=event, claimed=claimed, touched=(party,))
    if state is None:
        raise TypeError(f"{entry.stream} begins with {event.event_type}")
    changes = (*state.changes, entry)
    match event:
        case PartyRenamed():
            return replace(state, name=event.name, changes=changes, touched=(state.id,))
        case PartyDetailsAmended():
            claimed = state.claimed | set(event.identifiers)
            return replace(state, details=event, claimed=claimed, changes=changes, touched=(state.id,))
        case PartyMerged():
            return replace(state, merged=entry, changes=changes, touched=(state.id,))
        case _:
            raise TypeError(f"{event.event_type} is no event of a party")


# Commands


def decide(state: Party | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of a party.

    Raises `AlreadyExists`, `NotFound`, `PartyMerged`, `CircularParties`, `NothingChanges`.
    """
    if isinstance(event, PartyRegistered):
        if state is not None:
            raise AlreadyExists(f"The party {state.id} is registered already.", [FieldProblem("exists already", "/id")])
        return (event,)
    known = must_exist("party", state)
    if known.merged is not None:
        raise IsMerged(f"{known.id} was merged into {known.merged.event.into}; say it of that one.")
    _must_not_go_round(known.id, event, facts)
    must_say_more(event, known.changes, known.registered.event)
    return (event,)


def _must_not_go_round(party: str, event: Event, facts: Facts) -> None:
    """Neither part of itself nor merged into itself, however many parties (and mergers of these) it takes."""
    match event:
        case PartyMerged() if party in facts.within(event.into):
            problem = FieldProblem("this one, or within it", "/into")
            raise CircularParties("A party cannot be merged into itself, nor into one that is within it.", [problem])
        case PartyRegistered() | PartyDetailsAmended() if event.part_of and party in facts.within(event.part_of):
            problem = FieldProblem("this one, or within it", "/part_of")
            raise CircularParties("A party cannot be part of itself.", [problem])
        case _:
            return


def stands(state: Party, facts: Facts) -> None:
    """Check that a party, as it came to be, is not within itself. Raises `CircularParties`."""
    _must_not_go_round(state.id, state.merged.event if state.merged else state.details, facts)


def claims(state: Party | None, event: Event) -> Iterator[Claim]:
    """Claim each identifier that the party has not had before: a (scheme, value) pair belongs to one party only."""
    if isinstance(event, PartyRegistered | PartyDetailsAmended):
        had = state.claimed if state else frozenset[Identifier]()
        forgone = state.forgone if state else frozenset[tuple[str, str]]()
        for number, identifier in enumerate(event.identifiers):
            claim = Claim(IDENTIFIER, f"{identifier.scheme}:{identifier.value}", f"/identifiers/{number}")
            if identifier not in had and claim[:2] not in forgone:
                yield claim


PARTY = Aggregate(
    kind="party",
    prefix="party",
    events=(PartyRegistered, PartyRenamed, PartyDetailsAmended, PartyMerged),
    commands=(
        CommandType(name="register-party", event=PartyRegistered, opens=True),
        CommandType(name="rename-party", event=PartyRenamed),
        CommandType(name="amend-party", event=PartyDetailsAmended),
        CommandType(name="merge-party", event=PartyMerged),
    ),
    evolve=evolve,
    decide=decide,
    claims=claims,
    stands=stands,
)
