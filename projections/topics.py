"""topics: what cooperations are about, in the order in which it was raised.

They are served within their cooperation and its timeline. Each has a row of its own, so that what happens in a long
line of cooperation costs no more than in a short one (ADR 0032).
"""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_state import Cooperation
from events.entry import canonical
from events.sql import load
from events.values import TopicKind
from projections.model import Only, ReadModel, Row, Statement, some, stated
from projections.titled import TITLED, titled


class TopicItem(Statement, frozen=True, kw_only=True):
    """A topic raised in a cooperation."""

    id: str
    kind: TopicKind
    subject: str
    products: tuple[str, ...]
    territory: tuple[str, ...]
    territory_note: str | None


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a topic."""
    for key, entry in some(state.topics, only):
        topic = entry.event.topic
        item = TopicItem(
            id=key,
            kind=topic.kind,
            subject=topic.subject,
            products=topic.products,
            territory=topic.territory,
            territory_note=topic.territory_note,
            **stated(entry),
        )
        texts = (*topic.products, topic.territory_note, entry.event.note)
        columns = (state.id, topic.kind, *titled(topic.subject, texts))
        yield Row(id=key, body=canonical.encode(item), sort=f"{entry.position:016}", columns=columns)


TOPICS = ReadModel(
    name="topics",
    number=1,
    prefixes=("topic",),
    rows={"cooperation": rows},
    columns=(
        "cooperation",
        "topic_kind",
        *TITLED,
    ),
    queries=load("projections", "topics.sql"),
    item=TopicItem,
)
