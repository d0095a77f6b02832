"""person: somebody who represents a party. Name and contact are personal data and exist only sealed.

The command brings them in the clear (`PersonalDetails`); they are sealed under the person's own key before the
event is built, so nothing from here on ever sees them (ADR 0003).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec.structs import replace

from events.catalogue.aggregate import Aggregate, CommandType, Entry, Event, Facts, must_exist, with_item
from events.edtf import EdtfDate
from events.errors import AlreadyExists, FieldProblem, NotInPost
from events.errors import PersonErased as IsErased
from events.forms import form
from events.values import Citation, Name, PartyId, Text, Value

Sealed = Annotated[
    str,
    form(
        "^[A-Za-z0-9+/]+={0,2}$",
        max_length=35_000,
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


class PersonLeftPost(Event, frozen=True, kw_only=True):
    """A person holds a post no more, since a date when stated."""

    event_type = "registry.person-left-post.v1"

    party: PartyId
    post: Name
    until: EdtfDate | None = None


class PersonErased(Event, frozen=True, kw_only=True):
    """A person's data was erased: the key that it was sealed under is gone, from the same moment on.

    `documents` is what was to become of documents that name them (ADR 0037): left out, none were found.
    """

    event_type = "registry.person-erased.v1"
    retractable = False

    authority: Name
    reason: Text
    documents: Literal["withdraw", "keep"] | None = None


# State


class Post(msgspec.Struct, frozen=True):
    """A post that a person holds, or held until they left it."""

    appointed: Entry[PersonAppointed]
    left: Entry[PersonLeftPost] | None = None


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a person: their sealed details, and their posts by the revision of the appointment."""

    id: str
    registered: Entry[PersonRegistered]
    posts: Mapping[str, Post]
    erased: Entry[PersonErased] | None = None
    touched: tuple[str, ...] = ()

    def holds(self, party: str, post: str) -> str | None:
        """Return the key of a post that the person holds now, if it is this one."""
        for key, one in self.posts.items():
            if one.left is None and (one.appointed.event.party, one.appointed.event.post) == (party, post):
                return key
        return None

    def left_by(self, party: str, post: str) -> str | None:
        """Return the key of the post that is left by naming it so: as it is stated now, or else as it ever was.

        An appointment that was corrected to the survivor of a merger is left at the party that it was at before.
        """
        return self.holds(party, post) or next(
            (
                key
                for key, one in self.posts.items()
                if one.left is None
                and one.appointed.event.post == post
                and any(said.party == party and said.post == post for said in one.appointed.ever)
            ),
            None,
        )

    def holds_at(self, party: str, post: str, facts: Facts) -> str | None:
        """Return the party at which the person holds a post: the one named, or one that is the same by now."""
        if self.holds(party, post):
            return party
        held = (one.appointed.event.party for one in self.posts.values())
        same = (one for one in held if facts.survivor(one) == facts.survivor(party) and self.holds(one, post))
        return next(same, None)


def evolve(state: Person | None, entry: Entry[Any]) -> Person | None:
    """Apply one entry of the stream. Who was erased after their registration was retracted is nobody still."""
    event = entry.event
    if isinstance(event, PersonRegistered):
        person = entry.stream.partition("/")[2]
        return Person(id=person, registered=entry, posts={}, touched=(person,))
    if state is None and isinstance(event, PersonErased) and entry.revision > 0:
        return None
    if state is None:
        raise TypeError(f"{entry.stream} begins with {event.event_type}")
    match event:
        case PersonAppointed():
            key = str(entry.revision)
            return replace(state, posts=with_item(state.posts, key, Post(entry)), touched=(state.id, key))
        case PersonLeftPost():
            key = state.left_by(event.party, event.post) or ""
            posts = with_item(state.posts, key, replace(state.posts[key], left=entry))
            return replace(state, posts=posts, touched=(state.id, key))
        case PersonErased():
            return replace(state, erased=entry, touched=(state.id,))
        case _:
            raise TypeError(f"{event.event_type} is no event of a person")


# Commands


def decide(state: Person | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of a person; a post is left at the party at which it is held, whatever that was merged into.

    Raises `AlreadyExists`, `NotFound`, `PersonErased`, `NotInPost`.
    """
    if isinstance(event, PersonRegistered):
        if state is not None:
            raise AlreadyExists(
                f"The person {state.id} is registered already.", [FieldProblem("exists already", "/id")]
            )
        return (event,)
    known = must_exist("person", state)
    if known.erased is not None:
        raise IsErased(f"The data of {known.id} was erased; nothing more is recorded of them.")
    match event:
        case PersonAppointed() if known.holds_at(event.party, event.post, facts):
            problem = FieldProblem("held already", "/post")
            raise AlreadyExists(f"{known.id} holds that post at {event.party} already.", [problem])
        case PersonLeftPost():
            key = known.left_by(event.party, event.post)
            at = known.posts[key].appointed.event.party if key is not None else None
            if at is not None and facts.survivor(at) == facts.survivor(event.party):
                return (event,)
            party = known.holds_at(event.party, event.post, facts)
            if party is None:
                problem = FieldProblem("not held", "/post")
                raise NotInPost(f"{known.id} does not hold that post at {event.party}.", [problem])
            return (replace(event, party=party),)
        case _:
            return (event,)


PERSON = Aggregate(
    kind="person",
    prefix="person",
    events=(PersonRegistered, PersonAppointed, PersonLeftPost, PersonErased),
    commands=(
        CommandType(name="register-person", event=PersonRegistered, opens=True, wire=PersonalDetails),
        CommandType(name="appoint-person", event=PersonAppointed),
        CommandType(name="leave-post", event=PersonLeftPost),
        CommandType(name="erase-person", event=PersonErased),
    ),
    evolve=evolve,
    decide=decide,
)
