"""commitments: what was promised and has not happened yet: scheduled visits and rounds, open milestones.

A commitment is due by the latest day that its stated time allows, and overdue when that is certainly past: never while
its end is open, or its time itself uncertain or approximate (`2019-06?`), as then no day is its last. That depends on
the day of asking and so stands in no row: it is worked out for each answer. One that was kept, missed or cancelled is
one no more, as is one whose cooperation has ended.

They have no table of their own: a commitment stands in the row of the visit, round or milestone that it is (ADR 0040).
Of a milestone that row has nothing else to serve. What a visit or round promises is told from what it is served as.

It rests on the entry that says when it is due: the last that rescheduled it, or else the one that promised it. What it
cites and how it was corrected is told of both, and it is classified as the stricter of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, Literal, get_args

import msgspec

from events.catalogue import Entry, Event
from events.catalogue.cooperation_state import Cooperation, MilestoneState, Round, Visit
from events.edtf import EdtfDate
from events.entry import canonical
from events.shape import from_text
from events.sql import load
from events.values import Classification
from projections.model import Filter, Item, Listed, Statement, bounds, stated
from projections.within import OF_COOPERATION, CooperationPart

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


PROMISED: Final = ("due", "promised")
"""The columns of a visit or round that is a commitment: its sort key and how it is classified, or else null."""


class _Scheduled(Item, frozen=True, kw_only=True):
    """What is told of a commitment, of all that a visit (which has a purpose) or a round (which has a subject) says."""

    cooperation: str
    purpose: str = ""
    subject: str = ""
    window: EdtfDate | None
    changes: tuple[Statement, ...]


_scheduled: Final = msgspec.json.Decoder(_Scheduled, dec_hook=from_text)
_STRICTNESS: Final[tuple[Classification, ...]] = get_args(Classification)


def of_event(state: Cooperation, one: Visit | Round) -> tuple[str | None, str | None]:
    """Return the columns `PROMISED` of a visit or round: one that is scheduled, and its cooperation has not ended."""
    if state.closed or one.status != "scheduled":
        return None, None
    return _sort(one.window), _classification(one.scheduled, one.changes)


def of_milestone(state: Cooperation, key: str, one: MilestoneState, parties: tuple[str, ...]) -> tuple[str, bytes]:
    """Return the sort key and the JSON object of a milestone that is open, in a cooperation that has not ended.

    Both are empty if it is none.
    """
    if state.closed or one.status != "open":
        return "", b""
    entry = state.roadmaps[one.roadmap]
    promised = Statement(**stated(entry))
    return _sort(one.due), _told(
        "milestone",
        promised,
        Statement(**stated(one.changes[-1])) if one.changes else promised,
        id=key,
        cooperation=state.id,
        subject=one.title,
        parties=parties,
        due=one.due,
        roadmap=one.roadmap,
        classification=_classification(entry, one.changes),
    )


def of_row(kind: CommitmentKind, body: bytes, parties: Sequence[str], promised: Classification) -> bytes:
    """Return the JSON object of a visit or round that is a commitment, from its row: its body, parties and `promised`.

    Raises what msgspec raises for a body that is none.
    """
    one = _scheduled.decode(body)
    return _told(
        kind,
        one,
        one.changes[-1] if one.changes else one,
        id=one.id,
        cooperation=one.cooperation,
        subject=one.purpose or one.subject,
        parties=tuple(parties),
        due=one.window,
        roadmap=None,
        classification=promised,
    )


def _told(kind: CommitmentKind, promised: Statement, moved: Statement, *, due: EdtfDate | None, **said: Any) -> bytes:
    """Tell a commitment, which rests on what says when it is due (all that changed one which is open moved it)."""
    citations, corrections = promised.citations, promised.corrections
    if moved is not promised:
        citations = tuple(dict.fromkeys((*citations, *moved.citations)))
        corrections = tuple(sorted((*corrections, *moved.corrections), key=lambda made: made.position))
    earliest, latest, _ = bounds(due)
    item = CommitmentItem(
        kind=kind,
        due=due,
        due_from=earliest,
        due_to=latest,
        position=moved.position,
        recorded_at=moved.recorded_at,
        citations=citations,
        note=moved.note,
        corrections=corrections,
        **said,
    )
    return canonical.encode(item)


def _sort(due: EdtfDate | None) -> str:
    return due.latest.isoformat() if due and due.latest else "9999-12-31"


def _classification(promised: Entry[Event], changes: Sequence[Entry[Event]]) -> Classification:
    """Return the stricter classification of what promised a thing and what last said when it is due."""
    if not changes:
        return promised.classification
    both: tuple[Classification, ...] = promised.classification, changes[-1].classification
    return max(both, key=_STRICTNESS.index)


COMMITMENTS = Listed(
    name="commitments",
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
