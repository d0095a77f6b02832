"""people: who represents parties, and in which posts. Name and contact stay sealed in the rows."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from events.catalogue.person import Person
from events.edtf import EdtfDate
from events.sql import load
from events.values import Citation
from projections.model import Filter, Item, Only, ReadModel, Row, provenance, row


class PostItem(msgspec.Struct, frozen=True, kw_only=True):
    """A post that a person holds."""

    party: str
    post: str
    from_: EdtfDate | None = msgspec.field(name="from")
    position: int
    citations: tuple[Citation, ...]
    note: str | None


class PersonItem(Item, frozen=True, kw_only=True):
    """A person as kept: `sealed` is opened on the way out, for whoever may see it."""

    sealed: str
    posts: tuple[PostItem, ...]


def rows(state: Person, _only: Only) -> Iterator[Row]:
    """One row a person."""
    posts = tuple(
        PostItem(
            party=entry.event.party,
            post=entry.event.post,
            from_=entry.event.from_,
            position=entry.position,
            citations=entry.event.citations,
            note=entry.event.note,
        )
        for entry in state.posts.values()
    )
    item = PersonItem(id=state.id, sealed=state.registered.event.sealed, posts=posts, **provenance(state.registered))
    yield row(item, "", sorted({post.party for post in posts}))


PEOPLE = ReadModel(
    name="people",
    number=1,
    prefixes=("person",),
    rows={"person": rows},
    columns=("parties",),
    queries=load("projections", "people.sql"),
    item=PersonItem,
    filters=(Filter("party", "id", "a party at which they hold a post", kind="party"),),
)
