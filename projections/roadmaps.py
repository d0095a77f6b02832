"""roadmaps: the ways ahead that were agreed, with their milestones and what became of them."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from events.catalogue.cooperation_state import Cooperation, MilestoneState, MilestoneStatus
from events.edtf import EdtfDate
from events.sql import load
from projections.model import Change, Filter, Only, ReadModel, Row, bounds, by_date, changes_of, row, some
from projections.within import OF_COOPERATION, OF_TOPICS, CooperationPart, all_parties, kinds_of


class MilestoneItem(msgspec.Struct, frozen=True, kw_only=True):
    """A milestone of a roadmap; `due` is as it was stated last."""

    id: str
    title: str
    due: EdtfDate | None
    status: MilestoneStatus
    changes: tuple[Change, ...]


class RoadmapItem(CooperationPart, frozen=True, kw_only=True):
    """A roadmap as it is served; its parties are the cooperation's."""

    agreed: EdtfDate
    parties: tuple[str, ...]
    meeting: str | None
    topics: tuple[str, ...]
    milestones: tuple[MilestoneItem, ...]


def _milestone(one: MilestoneState) -> MilestoneItem:
    return MilestoneItem(
        id=one.milestone_id, title=one.title, due=one.due, status=one.status, changes=changes_of(one.changes)
    )


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a roadmap."""
    for key, entry in some(state.roadmaps, only):
        event, parties = entry.event, all_parties(state)
        item = RoadmapItem(
            id=key,
            cooperation=state.id,
            agreed=event.agreed,
            parties=parties,
            meeting=event.meeting,
            topics=event.topics,
            milestones=tuple(_milestone(state.milestones[one.milestone_id]) for one in event.milestones),
            classification=entry.classification,
            position=entry.position,
            recorded_at=entry.recorded_at,
            citations=event.citations,
            note=event.note,
            corrections=entry.corrections,
        )
        kinds = kinds_of(state, event.topics)
        sort = by_date(event.agreed)
        yield row(item, sort, (state.id, parties, event.topics, kinds, event.meeting, *bounds(event.agreed)))


ROADMAPS = ReadModel(
    name="roadmaps",
    number=1,
    prefixes=("roadmap",),
    rows={"cooperation": rows},
    columns=("cooperation", "parties", "topics", "topic_kinds", "meeting", "earliest", "latest", "qualified"),
    queries=load("projections", "roadmaps.sql"),
    item=RoadmapItem,
    filters=(
        *OF_COOPERATION,
        *OF_TOPICS,
        Filter("meeting", "id", "the meeting at which it was agreed", kind="meeting"),
        Filter("agreed", "dates", "when it was agreed"),
    ),
)
