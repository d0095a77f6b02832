"""occasion: an exhibition, conference, official visit or forum, where people come together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from events.catalogue.aggregate import Aggregate, CommandType, Entry, Event, Facts, must_exist, with_item
from events.edtf import EdtfDate
from events.errors import AlreadyExists, FieldProblem
from events.values import DelegationId, Name, Participant, PartyId, Place

OccasionKind = Literal["exhibition", "conference", "official-visit", "forum"]


# Events


class OccasionAnnounced(Event, frozen=True, kw_only=True):
    """An occasion became known: what, where, when (`dates` may be uncertain and may lie ahead)."""

    event_type = "registry.occasion-announced.v1"

    name: Name
    kind: OccasionKind
    place: Place
    dates: EdtfDate
    organiser: PartyId | None = None


class DelegationSent(Event, frozen=True, kw_only=True):
    """A party is or was represented at the occasion, by whom as far as stated."""

    event_type = "registry.delegation-sent.v1"

    delegation_id: DelegationId
    party: PartyId
    participants: Annotated[tuple[Participant, ...], Meta(max_length=500)] = ()


# State


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an occasion, with its delegations by id."""

    id: str
    announced: Entry[OccasionAnnounced]
    delegations: Mapping[str, Entry[DelegationSent]]
    touched: tuple[str, ...] = ()


def evolve(state: Occasion | None, entry: Entry[Any]) -> Occasion:
    """Apply one entry of the stream."""
    match entry.event:
        case OccasionAnnounced():
            occasion = entry.stream.partition("/")[2]
            return Occasion(id=occasion, announced=entry, delegations={}, touched=(occasion,))
        case DelegationSent(delegation_id=delegation) if state is not None:
            delegations = with_item(state.delegations, delegation, entry)
            return msgspec.structs.replace(state, delegations=delegations, touched=(state.id, delegation))
        case _:
            raise TypeError(f"{entry.event.event_type} is no event of an occasion here")


# Commands


def decide(state: Occasion | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of an occasion. Raises `AlreadyExists`, `NotFound`."""
    if isinstance(event, OccasionAnnounced):
        if state is not None:
            raise AlreadyExists(
                f"The occasion {state.id} is announced already.", [FieldProblem("exists already", "/id")]
            )
        return (event,)
    known = must_exist("occasion", state)
    if isinstance(event, DelegationSent) and event.delegation_id in known.delegations:
        raise AlreadyExists(f"The delegation {event.delegation_id} exists.", [FieldProblem("exists already", "/id")])
    return (event,)


OCCASION = Aggregate(
    kind="occasion",
    prefix="occ",
    events=(OccasionAnnounced, DelegationSent),
    commands=(
        CommandType(name="announce-occasion", event=OccasionAnnounced, opens=True),
        CommandType(name="send-delegation", event=DelegationSent, identifies=("delegation_id",), prefix="delegation"),
    ),
    evolve=evolve,
    decide=decide,
)
