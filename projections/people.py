"""people: who represents parties, and in which posts. Name and contact stay sealed in the rows."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from events.catalogue.person import Person
from events.edtf import EdtfDate
from events.sql import load
from projections.model import Change, Filter, Item, Only, ReadModel, Row, Statement, changes_of, row, stated


class PostItem(Statement, frozen=True, kw_only=True):
    """A post that a person holds, or held until they left it.

    What its party lives on in if it was merged, however often, is put in when it is read.
    """

    party: str
    survivor: str | None = None
    post: str
    from_: EdtfDate | None = msgspec.field(name="from")
    until: EdtfDate | None
    left: bool
    changes: tuple[Change, ...]


class PersonItem(Item, frozen=True, kw_only=True):
    """A person as kept: `sealed` is opened on the way out, for whoever may see it."""

    sealed: str
    posts: tuple[PostItem, ...]
    changes: tuple[Change, ...]


def rows(state: Person, _only: Only) -> Iterator[Row]:
    """One row a person."""
    posts = tuple(
        PostItem(
            party=post.appointed.event.party,
            post=post.appointed.event.post,
            from_=post.appointed.event.from_,
            until=post.left.event.until if post.left else None,
            left=post.left is not None,
            changes=changes_of([post.left] if post.left else []),
            **stated(post.appointed),
        )
        for post in state.posts.values()
    )
    erased = changes_of([state.erased] if state.erased else [])
    entry = state.registered
    item = PersonItem(
        id=state.id,
        sealed=entry.event.sealed,
        posts=posts,
        changes=erased,
        classification=entry.classification,
        position=entry.position,
        recorded_at=entry.recorded_at,
        citations=entry.event.citations,
        note=entry.event.note,
        corrections=entry.corrections,
    )
    present = sorted({post.party for post in posts if not post.left})
    yield row(item, "", (tuple(present), tuple(sorted({post.party for post in posts}))))


PEOPLE = ReadModel(
    name="people",
    number=2,
    prefixes=("person",),
    rows={"person": rows},
    columns=("parties", "ever"),
    queries=load("projections", "people.sql"),
    item=PersonItem,
    filters=(
        Filter("party", "id", "a party at which they hold a post", kind="party"),
        Filter("ever", "id", "a party at which they hold or held a post", kind="party"),
    ),
)
