"""commitments: what was promised and has not happened yet: scheduled visits and rounds, open milestones.

A commitment is due by the latest day that its stated time allows, and overdue when that is certainly past: never while
its end is open, or its time itself uncertain or approximate (`2019-06?`), as then no day is its last. That depends on
the day of asking and so stands in no row: it is worked out for each answer. One that was kept, missed or cancelled is
one no more.

It rests on the entry that says when it is due: the last that rescheduled it, or else the one that promised it. What it
cites and how it was corrected is told of both, and it is classified as the stricter of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, Literal, NamedTuple, get_args

from events.catalogue import Entry, Event
from events.catalogue.cooperation_state import Cooperation
from events.edtf import EdtfDate
from events.sql import load
from events.values import Classification
from projections.model import Filter, Only, ReadModel, Row, bounds, provenance, row, some
from projections.within import OF_COOPERATION, CooperationPart, all_parties, parties_of

CommitmentKind = Literal["visit", "round", "milestone"]


class CommitmentItem(CooperationPart, frozen=True, kw_only=True):
    """A commitment: what it is about, and when it is due as it was stated and as days (null: open)."""

    kind: CommitmentKind
    subject: str
    parties: tuple[str, ...]
    roadmap: str | None
    due: EdtfDate | None
    due_from: date | None
    due_to: date | None


class _Open(NamedTuple):
    """What was promised: its id, kind, subject, whose it is, when it is due, the entry that did so, what changed."""

    id: str
    kind: CommitmentKind
    subject: str
    parties: list[str]
    due: EdtfDate | None
    entry: Entry[Event]
    changes: tuple[Entry[Event], ...]
    roadmap: str | None = None


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a commitment that is open; none once the cooperation has ended."""
    if not state.closed:
        for one in _open(state, only):
            yield _row(state, one)


def _open(state: Cooperation, only: Only) -> Iterator[_Open]:
    for key, visit in some(state.visits, only):
        if visit.status == "scheduled":
            event = visit.scheduled.event
            parties = sorted({*parties_of(event.visitors), event.host})
            yield _Open(key, "visit", event.purpose, parties, visit.window, visit.scheduled, visit.changes)
    for key, one in some(state.rounds, only):
        if one.status == "scheduled":
            said = one.scheduled.event
            yield _Open(
                key, "round", said.subject, parties_of(said.participants), one.window, one.scheduled, one.changes
            )
    for key, milestone in some(state.milestones, only):
        if milestone.status == "open":
            entry = state.roadmaps[milestone.roadmap]
            parties = all_parties(state)
            changes = milestone.changes
            yield _Open(key, "milestone", milestone.title, parties, milestone.due, entry, changes, milestone.roadmap)


def _row(state: Cooperation, one: _Open) -> Row:
    earliest, latest, qualified = bounds(one.due)
    item = CommitmentItem(
        id=one.id,
        cooperation=state.id,
        kind=one.kind,
        subject=one.subject,
        parties=tuple(one.parties),
        roadmap=one.roadmap,
        due=one.due,
        due_from=earliest,
        due_to=latest,
        **_rests_on(one),
    )
    sort = latest.isoformat() if latest else "9999-12-31"
    return row(item, sort, state.id, one.parties, one.kind, earliest, latest, qualified)


def _rests_on(one: _Open) -> dict[str, Any]:
    """Return where it says when a commitment is due (all that changed one which is open still rescheduled it)."""
    if not one.changes:
        return provenance(one.entry)
    promised, moved = one.entry, one.changes[-1]
    return provenance(moved) | {
        "classification": max(promised.classification, moved.classification, key=_STRICTNESS.index),
        "citations": tuple(dict.fromkeys((*promised.event.citations, *moved.event.citations))),
        "corrections": tuple(sorted((*promised.corrections, *moved.corrections), key=lambda made: made.position)),
    }


_STRICTNESS: tuple[Classification, ...] = get_args(Classification)

COMMITMENTS = ReadModel(
    name="commitments",
    number=2,
    prefixes=("visit", "round", "milestone"),
    rows={"cooperation": rows},
    columns=("cooperation", "parties", "kind", "earliest", "latest", "qualified"),
    queries=load("projections", "commitments.sql"),
    item=CommitmentItem,
    filters=(
        *OF_COOPERATION,
        Filter("kind", "choice", "kind of commitment", choices=get_args(CommitmentKind)),
        Filter("due", "dates", "when it is due; one without a date may be due at any time"),
        Filter(
            "overdue",
            "overdue",
            "whether the last day on which it may be due is certainly past on the day `on`, which it never is if its "
            "end is open, or its time uncertain or approximate (`2019-06?`)",
        ),
    ),
)
