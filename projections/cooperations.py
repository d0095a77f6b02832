"""cooperations: lines of cooperation with their stage, topics and last activity."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from events.catalogue.cooperation_state import Cooperation, Stage
from events.edtf import EdtfDate
from events.sql import load
from events.values import TopicKind
from projections.model import Change, Filter, Item, Only, ReadModel, Row, changes_of, row
from projections.topics import TopicItem


class CooperationItem(Item, frozen=True, kw_only=True):
    """A cooperation as it is served; `last_activity` is the date that reaches furthest of what was done in it.

    The topics are put in when it is read.
    """

    title: str
    parties: tuple[str, ...]
    fields: tuple[str, ...]
    stage: Stage
    last_activity: EdtfDate | None
    topics: tuple[TopicItem, ...]
    changes: tuple[Change, ...]


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a cooperation."""
    if only is not None and state.id not in only:
        return
    entry, event = state.opened, state.opened.event
    item = CooperationItem(
        id=state.id,
        title=event.title,
        parties=event.parties,
        fields=event.fields,
        stage=state.stage,
        last_activity=state.last_activity,
        topics=(),
        changes=changes_of(state.standing),
        classification=entry.classification,
        position=entry.position,
        recorded_at=entry.recorded_at,
        citations=event.citations,
        note=event.note,
        corrections=entry.corrections,
    )
    yield row(item, event.title.casefold(), (event.parties, event.fields, state.stage))


COOPERATIONS = ReadModel(
    name="cooperations",
    number=2,
    prefixes=("coop",),
    rows={"cooperation": rows},
    columns=("parties", "fields", "stage"),
    queries=load("projections", "cooperations.sql"),
    item=CooperationItem,
    filters=(
        Filter("party", "id", "one of its parties", kind="party"),
        Filter("field", "text", "a field of cooperation"),
        Filter("stage", "choice", "its stage", choices=get_args(Stage)),
        Filter("topic_kind", "choice", "the kind of a topic raised in it", choices=get_args(TopicKind)),
        Filter(
            "country", "country", "country of one of its parties (of a merged one, that of the party it lives on in)"
        ),
    ),
)
