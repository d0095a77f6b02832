"""cooperation: a line of cooperation between two or more parties, the heart of the registry.

Its events and state are in `cooperation_events`; this is how events change the state and which rules commands obey.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from events.catalogue.aggregate import (
    Aggregate,
    Claim,
    CommandType,
    Entry,
    Event,
    Facts,
    happened,
    must_exist,
    with_item,
)
from events.catalogue.cooperation_events import (
    AgreementReached,
    Cooperation,
    CooperationAbandoned,
    CooperationConcluded,
    CooperationOpened,
    CooperationResumed,
    CooperationSuspended,
    MeetingHeld,
    NegotiationsHeld,
    RoadmapAgreed,
    RoundScheduled,
    TopicRaised,
    VisitScheduled,
    new_cooperation,
)
from events.edtf import EdtfDate
from events.errors import (
    AlreadyExists,
    CooperationClosed,
    CooperationNotSuspended,
    FieldProblem,
    NotAParty,
    TooFewParties,
    UnknownReference,
)
from events.errors import CooperationSuspended as IsSuspended

# State


class _Item(NamedTuple):
    """Where a kind of thing is kept in the state, its id's field, and the field that says when it happened."""

    kept_in: str
    id_field: str
    when: str | None = None


ITEMS: dict[type[Event], _Item] = {
    MeetingHeld: _Item("meetings", "meeting_id", "held"),
    NegotiationsHeld: _Item("negotiations", "negotiations_id", "held"),
    RoadmapAgreed: _Item("roadmaps", "roadmap_id", "agreed"),
    VisitScheduled: _Item("visits", "visit_id"),
    RoundScheduled: _Item("rounds", "round_id"),
    AgreementReached: _Item("agreements", "agreement_id", "reached"),
}


def evolve(state: Cooperation | None, entry: Entry[Any]) -> Cooperation:
    """Apply one entry of the stream."""
    event = entry.event
    if isinstance(event, CooperationOpened):
        return new_cooperation(entry)
    if state is None:
        raise TypeError(f"{entry.stream} begins with {event.event_type}")
    if type(event) in ITEMS:
        return _with_thing(state, entry)
    if isinstance(event, TopicRaised):
        topics = with_item(state.topics, event.topic.topic_id, entry)
        return replace(state, topics=topics, touched=(state.id, event.topic.topic_id))
    return replace(state, **_standing(event), touched=(state.id,))


def _standing(event: Event) -> dict[str, Any]:
    match event:
        case CooperationSuspended():
            return {"suspended": True}
        case CooperationResumed():
            return {"suspended": False}
        case CooperationConcluded():
            return {"closed": "concluded"}
        case CooperationAbandoned():
            return {"closed": "abandoned"}
        case _:
            raise TypeError(f"{event.event_type} is no event of a cooperation")


def _with_thing(state: Cooperation, entry: Entry[Any]) -> Cooperation:
    event = entry.event
    item = ITEMS[type(event)]
    key = getattr(event, item.id_field)
    changes: dict[str, Any] = {item.kept_in: with_item(getattr(state, item.kept_in), key, entry)}
    touched = (state.id, key)
    if isinstance(event, RoadmapAgreed) and event.milestones:
        changes["milestones"] = {**state.milestones, **{one.milestone_id: one for one in event.milestones}}
        touched += tuple(one.milestone_id for one in event.milestones)
    if item.when:
        changes["last_activity"] = _later(state.last_activity, getattr(event, item.when))
    return replace(state, **changes, touched=touched)


def _later(one: EdtfDate | None, other: EdtfDate) -> EdtfDate:
    """Return the date that may reach further; an open end reaches furthest, and the newer record wins a tie."""
    if one is None or other.latest is None:
        return other
    return one if one.latest is None or one.latest > other.latest else other


# Commands


def decide(state: Cooperation | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of a cooperation against its rules (3-domain.md) and return what is to be recorded.

    Raises `NotFound`, `UnknownReference` or the subclass of `RuleBroken` that names the rule.
    """
    if isinstance(event, CooperationOpened):
        if state is not None:
            raise AlreadyExists(f"The cooperation {state.id} is open already.", [FieldProblem("exists already", "/id")])
        _at_least_two(event.parties, "/parties")
        return (event,)
    known = must_exist("cooperation", state)
    _must_be_open(known, event)
    parties = _taking_part(event)
    if parties is not None:
        _are_parties(known, parties)
    if isinstance(event, TopicRaised):
        _must_be_new(event.topic.topic_id, known.topics, "/id")
    if isinstance(event, RoadmapAgreed):
        _are_new_milestones(known, event)
    _refers_to_known(known, event)
    if item := ITEMS.get(type(event)):
        _must_be_new(getattr(event, item.id_field), getattr(known, item.kept_in), "/id")
        if item.when:
            happened(facts, **{item.when: getattr(event, item.when)})
    return (event,)


def _taking_part(event: Event) -> dict[str, str] | None:
    """Return the parties that take part, by the field that names each; None for an event in which nobody does."""
    match event:
        case MeetingHeld() | RoundScheduled():
            return {f"/participants/{n}/party": one.party for n, one in enumerate(event.participants)}
        case VisitScheduled():
            return {**{f"/visitors/{n}/party": one.party for n, one in enumerate(event.visitors)}, "/host": event.host}
        case _:
            return None


def _must_be_open(state: Cooperation, event: Event) -> None:
    """Nothing happens after the end; while suspended only resuming and abandoning do."""
    if state.closed:
        raise CooperationClosed(f"{state.id} was {state.closed}; only corrections can be recorded.")
    if state.suspended and not isinstance(event, CooperationResumed | CooperationAbandoned):
        raise IsSuspended(f"{state.id} is suspended; resume it first.")
    if not state.suspended and isinstance(event, CooperationResumed):
        raise CooperationNotSuspended(f"{state.id} is not suspended.")


def _at_least_two(parties: Iterable[str], pointer: str) -> None:
    if len(set(parties)) < 2:  # noqa: PLR2004 - the rule is "at least two"
        raise TooFewParties(
            "At least two different parties have to take part.", [FieldProblem("names fewer than two parties", pointer)]
        )


def _are_parties(state: Cooperation, parties: dict[str, str]) -> None:
    """Whoever takes part is a party of the cooperation, and at least two of them do."""
    strangers = [
        FieldProblem(f"{party} is not a party of {state.id}", pointer)
        for pointer, party in parties.items()
        if party not in state.opened.event.parties
    ]
    if strangers:
        raise NotAParty(f"Only parties of {state.id} can take part.", strangers)
    _at_least_two(parties.values(), "/visitors" if "/host" in parties else "/participants")


def _must_be_new(key: str, known: Iterable[str], pointer: str) -> None:
    if key in known:
        raise AlreadyExists(f"{key} exists already.", [FieldProblem("exists already", pointer)])


def _are_new_milestones(state: Cooperation, event: RoadmapAgreed) -> None:
    """No milestone's id was used before, in this roadmap or another; all that were are named at once."""
    seen = set(state.milestones)
    used: list[FieldProblem] = []
    for number, milestone in enumerate(event.milestones):
        if milestone.milestone_id in seen:
            used.append(FieldProblem("exists already", f"/milestones/{number}/milestone_id"))
        seen.add(milestone.milestone_id)
    if used:
        raise AlreadyExists("An id names one milestone only.", used)


def _refers_to_known(state: Cooperation, event: Event) -> None:
    """Topics and meetings that an event names exist in this cooperation; all that do not are named at once."""
    unknown = [
        FieldProblem(f"there is no topic {topic} in {state.id}", f"/topics/{number}")
        for number, topic in enumerate(getattr(event, "topics", ()))
        if topic not in state.topics
    ]
    meeting = getattr(event, "meeting", None)
    if meeting is not None and meeting not in state.meetings:
        unknown.append(FieldProblem(f"there is no meeting {meeting} in {state.id}", "/meeting"))
    if unknown:
        raise UnknownReference("What is referred to has not been recorded.", unknown)


def claims(event: Event) -> Iterator[Claim]:
    """Claim the ids of the things that an event brings: each names one thing in the whole registry.

    Read models are keyed by them, and a client may choose its own, so another cooperation must not use them again.
    """
    if isinstance(event, TopicRaised):
        yield Claim("id", event.topic.topic_id, "/id")
    if item := ITEMS.get(type(event)):
        yield Claim("id", getattr(event, item.id_field), "/id")
    if isinstance(event, RoadmapAgreed):
        for number, milestone in enumerate(event.milestones):
            yield Claim("id", milestone.milestone_id, f"/milestones/{number}/milestone_id")


COOPERATION = Aggregate(
    kind="cooperation",
    prefix="coop",
    events=(
        CooperationOpened,
        TopicRaised,
        MeetingHeld,
        NegotiationsHeld,
        RoadmapAgreed,
        VisitScheduled,
        RoundScheduled,
        AgreementReached,
        CooperationSuspended,
        CooperationResumed,
        CooperationConcluded,
        CooperationAbandoned,
    ),
    commands=(
        CommandType(name="open-cooperation", event=CooperationOpened, opens=True),
        CommandType(name="raise-topic", event=TopicRaised, identifies=("topic", "topic_id"), prefix="topic"),
        CommandType(name="record-meeting", event=MeetingHeld, identifies=("meeting_id",), prefix="meeting"),
        CommandType(
            name="record-negotiations", event=NegotiationsHeld, identifies=("negotiations_id",), prefix="negotiations"
        ),
        CommandType(
            name="agree-roadmap",
            event=RoadmapAgreed,
            identifies=("roadmap_id",),
            prefix="roadmap",
            numbered=("milestones", "milestone_id", "milestone"),
        ),
        CommandType(name="schedule-visit", event=VisitScheduled, identifies=("visit_id",), prefix="visit"),
        CommandType(name="schedule-round", event=RoundScheduled, identifies=("round_id",), prefix="round"),
        CommandType(name="reach-agreement", event=AgreementReached, identifies=("agreement_id",), prefix="agreement"),
        CommandType(name="suspend-cooperation", event=CooperationSuspended),
        CommandType(name="resume-cooperation", event=CooperationResumed),
        CommandType(name="conclude-cooperation", event=CooperationConcluded),
        CommandType(name="abandon-cooperation", event=CooperationAbandoned),
    ),
    evolve=evolve,
    decide=decide,
    claims=claims,
)
