"""commitments: what was promised and has not happened yet: scheduled visits and rounds, open milestones.

A commitment is due by the latest day that its stated time allows, and overdue when that is certainly past: never while
its end is open, or its time itself uncertain or approximate (`2019-06?`), as then no day is its last. That depends on
the day of asking and so stands in no row: it is worked out for each answer. One that was kept, missed or cancelled is
one no more, as is one whose cooperation has ended.

They have no table of their own: a commitment stands in the row of the visit, round or milestone that it is (ADR 0040).

It rests on the entry that says when it is due: the last that rescheduled it, or else the one that promised it. What it
cites and how it was corrected is told of both, and it is classified as the stricter of them.
"""

from __future__ import annotations

from datetime import date
from typing import Any, Final, Literal, NamedTuple, get_args

from events.catalogue import Entry, Event
from events.catalogue.cooperation_state import Cooperation, MilestoneState, Round, Visit
from events.edtf import EdtfDate
from events.entry import canonical
from events.sql import load
from events.values import Classification
from projections.model import Filter, Listed, bounds, provenance
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


PROMISED: Final = ("due", "promise")
"""The columns of a visit or round that is a commitment: its sort key and its JSON object; null of one that is none."""


class _Open(NamedTuple):
    """What was promised: its id, kind, subject, whose it is, when it is due, the entry that did so, what changed."""

    id: str
    kind: CommitmentKind
    subject: str
    parties: tuple[str, ...]
    due: EdtfDate | None
    entry: Entry[Event]
    changes: tuple[Entry[Event], ...]
    roadmap: str | None = None


def of_event(
    state: Cooperation, key: str, one: Visit | Round, subject: str, parties: tuple[str, ...]
) -> tuple[str | None, str | None]:
    """Return the columns `PROMISED` of a visit or round: one that is scheduled, and its cooperation has not ended."""
    if state.closed or one.status != "scheduled":
        return None, None
    kind = "visit" if isinstance(one, Visit) else "round"
    due, body = _told(state, _Open(key, kind, subject, parties, one.window, one.scheduled, one.changes))
    return due, body.decode()


def of_milestone(state: Cooperation, key: str, one: MilestoneState, parties: tuple[str, ...]) -> tuple[str, bytes]:
    """Return the sort key and the JSON object of a milestone that is open, in a cooperation that has not ended.

    Both are empty if it is none.
    """
    if state.closed or one.status != "open":
        return "", b""
    entry = state.roadmaps[one.roadmap]
    return _told(state, _Open(key, "milestone", one.title, parties, one.due, entry, one.changes, one.roadmap))


def _told(state: Cooperation, one: _Open) -> tuple[str, bytes]:
    earliest, latest, _ = bounds(one.due)
    item = CommitmentItem(
        id=one.id,
        cooperation=state.id,
        kind=one.kind,
        subject=one.subject,
        parties=one.parties,
        roadmap=one.roadmap,
        due=one.due,
        due_from=earliest,
        due_to=latest,
        **_rests_on(one),
    )
    return latest.isoformat() if latest else "9999-12-31", canonical.encode(item)


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
