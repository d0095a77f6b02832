"""cooperation: what its events make of it. All things are kept by their id, in the order of recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from events.catalogue.aggregate import Entry, Event, with_item
from events.catalogue.cooperation_events import (
    AgreementAmended,
    AgreementReached,
    AgreementTerminated,
    CooperationAbandoned,
    CooperationConcluded,
    CooperationOpened,
    CooperationResumed,
    CooperationSuspended,
    MeetingHeld,
    MilestoneMet,
    MilestoneMissed,
    MilestoneRescheduled,
    NegotiationsHeld,
    RoadmapAgreed,
    RoundCancelled,
    RoundHeld,
    RoundRescheduled,
    RoundScheduled,
    TopicRaised,
    VisitCancelled,
    VisitHeld,
    VisitRescheduled,
    VisitScheduled,
)
from events.edtf import EdtfDate

Stage = Literal["contact", "negotiating", "roadmap", "agreed", "suspended", "concluded", "abandoned"]
Status = Literal["scheduled", "held", "cancelled"]
MilestoneStatus = Literal["open", "met", "missed"]


class Visit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A visit: as it was scheduled, when it is due now, and what became of it."""

    scheduled: Entry[VisitScheduled]
    window: EdtfDate
    status: Status = "scheduled"
    changes: tuple[Entry[Event], ...] = ()


class Round(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A round of discussions: as it was scheduled, when it is due now, and what became of it."""

    scheduled: Entry[RoundScheduled]
    window: EdtfDate | None
    status: Status = "scheduled"
    changes: tuple[Entry[Event], ...] = ()


class MilestoneState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A milestone: the roadmap that it is of, when it is due now, and what became of it."""

    roadmap: str
    milestone_id: str
    title: str
    due: EdtfDate | None
    status: MilestoneStatus = "open"
    changes: tuple[Entry[Event], ...] = ()


class Agreement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An agreement: as it was reached, its terms now, and whether it was terminated."""

    reached: Entry[AgreementReached]
    terms: AgreementReached | AgreementAmended
    terminated: Entry[AgreementTerminated] | None = None
    changes: tuple[Entry[Event], ...] = ()


class Cooperation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is known of a cooperation; `standing` are the entries that suspended, resumed or closed it."""

    id: str
    opened: Entry[CooperationOpened]
    topics: Mapping[str, Entry[TopicRaised]] = {}
    meetings: Mapping[str, Entry[MeetingHeld]] = {}
    negotiations: Mapping[str, Entry[NegotiationsHeld]] = {}
    roadmaps: Mapping[str, Entry[RoadmapAgreed]] = {}
    milestones: Mapping[str, MilestoneState] = {}
    visits: Mapping[str, Visit] = {}
    rounds: Mapping[str, Round] = {}
    agreements: Mapping[str, Agreement] = {}
    suspended: bool = False
    closed: Literal["concluded", "abandoned"] | None = None
    standing: tuple[Entry[Event], ...] = ()
    last_activity: EdtfDate | None = None
    forgone: frozenset[tuple[str, str]] = frozenset()
    touched: tuple[str, ...] = ()

    @property
    def stage(self) -> Stage:
        """How far the cooperation has come: always derived, never recorded."""
        if self.closed:
            return self.closed
        if self.suspended:
            return "suspended"
        if self.agreements:
            return "agreed"
        if self.roadmaps:
            return "roadmap"
        return "negotiating" if self.negotiations else "contact"


def evolve(state: Cooperation | None, entry: Entry[Any]) -> Cooperation:
    """Apply one entry of the stream.

    The cooperation itself counts as touched where its stage, its standing or its last activity may change.
    """
    event: Event = entry.event
    if isinstance(event, CooperationOpened):
        cooperation = entry.stream.partition("/")[2]
        return Cooperation(id=cooperation, opened=entry, touched=(cooperation,))
    if state is None:
        raise TypeError(f"{entry.stream} begins with {event.event_type}")
    step = _STEPS.get(type(event))
    if step is None:
        raise TypeError(f"{event.event_type} is no event of a cooperation")
    return step(state, entry)


def _topic(state: Cooperation, entry: Entry[TopicRaised]) -> Cooperation:
    key = entry.event.topic.topic_id
    return replace(state, topics=with_item(state.topics, key, entry), touched=(key,))


def _meeting(state: Cooperation, entry: Entry[MeetingHeld]) -> Cooperation:
    key = entry.event.meeting_id
    touched, last = _done(state, entry.event.held, (key,))
    return replace(state, touched=touched, last_activity=last, meetings=with_item(state.meetings, key, entry))


def _negotiations(state: Cooperation, entry: Entry[NegotiationsHeld]) -> Cooperation:
    key = entry.event.negotiations_id
    touched = (key,) if state.negotiations else (state.id, key)
    touched, last = _done(state, entry.event.held, touched)
    return replace(state, touched=touched, last_activity=last, negotiations=with_item(state.negotiations, key, entry))


def _roadmap(state: Cooperation, entry: Entry[RoadmapAgreed]) -> Cooperation:
    key = entry.event.roadmap_id
    new = {
        one.milestone_id: MilestoneState(roadmap=key, milestone_id=one.milestone_id, title=one.title, due=one.due)
        for one in entry.event.milestones
    }
    touched = (key, *new) if state.roadmaps else (state.id, key, *new)
    roadmaps = with_item(state.roadmaps, key, entry)
    touched, last = _done(state, entry.event.agreed, touched)
    return replace(
        state, touched=touched, last_activity=last, roadmaps=roadmaps, milestones={**state.milestones, **new}
    )


def _milestone(
    state: Cooperation, entry: Entry[MilestoneMet] | Entry[MilestoneMissed] | Entry[MilestoneRescheduled]
) -> Cooperation:
    event = entry.event
    milestone = state.milestones[event.milestone_id]
    changes = (*milestone.changes, entry)
    match event:
        case MilestoneMet():
            milestone = replace(milestone, status="met", changes=changes)
        case MilestoneMissed():
            milestone = replace(milestone, status="missed", changes=changes)
        case MilestoneRescheduled():
            milestone = replace(milestone, due=event.due, changes=changes)
    done = event.met if isinstance(event, MilestoneMet) else None
    touched = milestone.roadmap, event.milestone_id
    touched, last = _done(state, done, touched)
    return replace(
        state,
        touched=touched,
        last_activity=last,
        milestones=with_item(state.milestones, event.milestone_id, milestone),
    )


def _visit(state: Cooperation, entry: Entry[Any]) -> Cooperation:
    event = entry.event
    key = event.visit_id
    if isinstance(event, VisitScheduled):
        visit = Visit(scheduled=entry, window=event.window)
    else:
        visit = _changed(state.visits[key], entry)
    held = event.held if isinstance(event, VisitHeld) else None
    touched, last = _done(state, held, (key,))
    return replace(state, touched=touched, last_activity=last, visits=with_item(state.visits, key, visit))


def _round(state: Cooperation, entry: Entry[Any]) -> Cooperation:
    event = entry.event
    key = event.round_id
    if isinstance(event, RoundScheduled):
        one = Round(scheduled=entry, window=event.window)
    else:
        one = _changed(state.rounds[key], entry)
    held = event.held if isinstance(event, RoundHeld) else None
    touched, last = _done(state, held, (key,))
    return replace(state, touched=touched, last_activity=last, rounds=with_item(state.rounds, key, one))


def _changed(thing: Any, entry: Entry[Any]) -> Any:
    """Return a visit or a round after it was rescheduled, cancelled or held."""
    changes = (*thing.changes, entry)
    match entry.event:
        case VisitRescheduled() | RoundRescheduled():
            return replace(thing, window=entry.event.window, changes=changes)
        case VisitCancelled() | RoundCancelled():
            return replace(thing, status="cancelled", changes=changes)
        case _:
            return replace(thing, status="held", changes=changes)


def _agreement(state: Cooperation, entry: Entry[Any]) -> Cooperation:
    event = entry.event
    key = event.agreement_id
    if isinstance(event, AgreementReached):
        agreement = Agreement(reached=entry, terms=event)
    else:
        agreement = state.agreements[key]
        changes = (*agreement.changes, entry)
        if isinstance(event, AgreementAmended):
            agreement = replace(agreement, terms=event, changes=changes)
        else:
            agreement = replace(agreement, terminated=entry, changes=changes)
    touched = (key,) if state.agreements else (state.id, key)
    match event:
        case AgreementReached():
            done = event.reached
        case AgreementAmended():
            done = event.amended
        case _:
            done = None
    touched, last = _done(state, done, touched)
    return replace(state, touched=touched, last_activity=last, agreements=with_item(state.agreements, key, agreement))


def _standing(state: Cooperation, entry: Entry[Any]) -> Cooperation:
    standing = (*state.standing, entry)
    match entry.event:
        case CooperationSuspended():
            return replace(state, suspended=True, standing=standing, touched=(state.id,))
        case CooperationResumed():
            return replace(state, suspended=False, standing=standing, touched=(state.id,))
        case CooperationConcluded():
            return replace(state, closed="concluded", standing=standing, touched=(state.id, *_promised(state)))
        case _:
            return replace(state, closed="abandoned", standing=standing, touched=(state.id, *_promised(state)))


def _promised(state: Cooperation) -> Iterator[str]:
    """Yield what is promised and has not happened yet, which it is no more once the cooperation has ended."""
    yield from (key for key, visit in state.visits.items() if visit.status == "scheduled")
    yield from (key for key, one in state.rounds.items() if one.status == "scheduled")
    yield from (key for key, milestone in state.milestones.items() if milestone.status == "open")


def _done(
    state: Cooperation, done: EdtfDate | None, touched: tuple[str, ...]
) -> tuple[tuple[str, ...], EdtfDate | None]:
    """Return what an entry touched, and the date that may reach furthest of what was ever done.

    An open end reaches furthest, and the newer record wins a tie.
    """
    last = state.last_activity
    if done is None or (
        last is not None and done.latest is not None and (last.latest is None or last.latest > done.latest)
    ):
        return touched, last
    return (touched if state.id in touched else (state.id, *touched)), done


_STEPS: dict[type[Event], Callable[[Cooperation, Entry[Any]], Cooperation]] = {
    TopicRaised: _topic,
    MeetingHeld: _meeting,
    NegotiationsHeld: _negotiations,
    RoadmapAgreed: _roadmap,
    MilestoneMet: _milestone,
    MilestoneMissed: _milestone,
    MilestoneRescheduled: _milestone,
    VisitScheduled: _visit,
    VisitRescheduled: _visit,
    VisitCancelled: _visit,
    VisitHeld: _visit,
    RoundScheduled: _round,
    RoundRescheduled: _round,
    RoundCancelled: _round,
    RoundHeld: _round,
    AgreementReached: _agreement,
    AgreementAmended: _agreement,
    AgreementTerminated: _agreement,
    CooperationSuspended: _standing,
    CooperationResumed: _standing,
    CooperationConcluded: _standing,
    CooperationAbandoned: _standing,
}
