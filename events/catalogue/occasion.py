"""occasion: an exhibition, conference, official visit or forum, where people come together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.catalogue.aggregate import (
    Aggregate,
    CommandType,
    Entry,
    Event,
    Facts,
    must_exist,
    must_say_more,
    with_item,
)
from events.edtf import EdtfDate
from events.errors import AlreadyExists, FieldProblem
from events.errors import OccasionCancelled as IsCancelled
from events.values import DelegationId, Name, Participant, PartyId, Place, Text

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


class OccasionAmended(Event, frozen=True, kw_only=True):
    """What is known of an occasion changed; this is all of it, as it is now."""

    event_type = "registry.occasion-amended.v1"

    name: Name
    kind: OccasionKind
    place: Place
    dates: EdtfDate
    organiser: PartyId | None = None


class OccasionCancelled(Event, frozen=True, kw_only=True):
    """The occasion will not take place."""

    event_type = "registry.occasion-cancelled.v1"

    reason: Text


# State


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an occasion, with its delegations by id."""

    id: str
    announced: Entry[OccasionAnnounced]
    current: OccasionAnnounced | OccasionAmended
    delegations: Mapping[str, Entry[DelegationSent]]
    changes: tuple[Entry[Event], ...] = ()
    cancelled: Entry[OccasionCancelled] | None = None
    touched: tuple[str, ...] = ()


def evolve(state: Occasion | None, entry: Entry[Any]) -> Occasion:
    """Apply one entry of the stream."""
    event = entry.event
    if isinstance(event, OccasionAnnounced):
        occasion = entry.stream.partition("/")[2]
        return Occasion(id=occasion, announced=entry, current=event, delegations={}, touched=(occasion,))
    if state is None:
        raise TypeError(f"{entry.stream} begins with {event.event_type}")
    match event:
        case DelegationSent(delegation_id=delegation):
            delegations = with_item(state.delegations, delegation, entry)
            return replace(state, delegations=delegations, touched=(state.id, delegation))
        case OccasionAmended():
            return replace(state, current=event, changes=(*state.changes, entry), touched=(state.id,))
        case OccasionCancelled():
            return replace(state, cancelled=entry, changes=(*state.changes, entry), touched=(state.id,))
        case _:
            raise TypeError(f"{event.event_type} is no event of an occasion")


# Commands


def decide(state: Occasion | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of an occasion.

    Raises `AlreadyExists`, `NotFound`, `OccasionCancelled`, `NothingChanges`.
    """
    if isinstance(event, OccasionAnnounced):
        if state is not None:
            raise AlreadyExists(
                f"The occasion {state.id} is announced already.", [FieldProblem("exists already", "/id")]
            )
        return (event,)
    known = must_exist("occasion", state)
    if known.cancelled is not None:
        raise IsCancelled(f"{known.id} was cancelled.")
    if isinstance(event, DelegationSent) and event.delegation_id in known.delegations:
        raise AlreadyExists(f"The delegation {event.delegation_id} exists.", [FieldProblem("exists already", "/id")])
    must_say_more(event, known.changes, known.announced.event)
    return (event,)


OCCASION = Aggregate(
    kind="occasion",
    prefix="occ",
    events=(OccasionAnnounced, DelegationSent, OccasionAmended, OccasionCancelled),
    commands=(
        CommandType(name="announce-occasion", event=OccasionAnnounced, opens=True),
        CommandType(name="send-delegation", event=DelegationSent, identifies=("delegation_id",), prefix="delegation"),
        CommandType(name="amend-occasion", event=OccasionAmended),
        CommandType(name="cancel-occasion", event=OccasionCancelled),
    ),
    evolve=evolve,
    decide=decide,
)
