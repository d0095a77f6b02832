"""person: somebody who represents a party. Name and contact are personal data and exist only sealed.

The command brings them in the clear (`PersonalDetails`); they are sealed under the person's own key before the
event is built, so nothing from here on ever sees them (ADR 0003).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from events.catalogue.aggregate import Aggregate, CommandType, Entry, Event, Facts, must_exist, with_item
from events.edtf import EdtfDate
from events.errors import AlreadyExists, FieldProblem
from events.values import Citation, Name, PartyId, Text, Value

Sealed = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9+/]+={0,2}$",
        max_length=20_000,
        description="sealed personal data: base64 of nonce, AES-256-GCM ciphertext and tag",
    ),
]


class PersonalDetails(Value, frozen=True, kw_only=True):
    """What the command says of a person; `name` and `contact` are sealed, the rest is not."""

    name: Name
    contact: Text | None = None
    citations: tuple[Citation, ...] = ()
    note: Text | None = None


# Events


class PersonRegistered(Event, frozen=True, kw_only=True):
    """A person became known; `sealed` holds {name, contact?}."""

    event_type = "registry.person-registered.v1"

    sealed: Sealed


class PersonAppointed(Event, frozen=True, kw_only=True):
    """A person holds a post at a party, from a date when stated."""

    event_type = "registry.person-appointed.v1"

    party: PartyId
    post: Name
    from_: EdtfDate | None = msgspec.field(name="from", default=None)


# State


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a person: their sealed details, and their posts by `<party> <post>`."""

    id: str
    registered: Entry[PersonRegistered]
    posts: Mapping[str, Entry[PersonAppointed]]
    touched: tuple[str, ...] = ()


def evolve(state: Person | None, entry: Entry[Any]) -> Person:
    """Apply one entry of the stream."""
    match entry.event:
        case PersonRegistered():
            person = entry.stream.partition("/")[2]
            return Person(id=person, registered=entry, posts={}, touched=(person,))
        case PersonAppointed() if state is not None:
            post = _post(entry.event)
            posts = with_item(state.posts, post, entry)
            return msgspec.structs.replace(state, posts=posts, touched=(state.id, post))
        case _:
            raise TypeError(f"{entry.event.event_type} is no event of a person here")


def _post(event: PersonAppointed) -> str:
    return f"{event.party} {event.post}"


# Commands


def decide(state: Person | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of a person. Raises `AlreadyExists`, `NotFound`."""
    if isinstance(event, PersonRegistered):
        if state is not None:
            raise AlreadyExists(
                f"The person {state.id} is registered already.", [FieldProblem("exists already", "/id")]
            )
        return (event,)
    known = must_exist("person", state)
    if isinstance(event, PersonAppointed) and _post(event) in known.posts:
        raise AlreadyExists(
            f"{known.id} holds that post at {event.party} already.", [FieldProblem("held already", "/post")]
        )
    return (event,)


PERSON = Aggregate(
    kind="person",
    prefix="person",
    events=(PersonRegistered, PersonAppointed),
    commands=(
        CommandType(name="register-person", event=PersonRegistered, opens=True, wire=PersonalDetails),
        CommandType(name="appoint-person", event=PersonAppointed),
    ),
    evolve=evolve,
    decide=decide,
)
