"""cooperation: a line of cooperation between two or more parties, the heart of the registry.

Its events are in `cooperation_events`, its state in `cooperation_state`; this is which rules commands obey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from events.catalogue import cooperation_events as said
from events.catalogue.aggregate import (
    Aggregate,
    Claim,
    CommandType,
    Event,
    Facts,
    Unreadable,
    happened,
    must_all_hold,
    must_exist,
    must_say_more,
)
from events.catalogue.cooperation_state import Cooperation, evolve
from events.errors import (
    AgreementOver,
    AlreadyExists,
    CooperationClosed,
    CooperationNotSuspended,
    CooperationSuspended,
    FieldProblem,
    MilestoneClosed,
    NotAParty,
    NotFound,
    NotScheduled,
    TooFewParties,
    UnknownReference,
)


class _New(NamedTuple):
    """Where the things that an event brings are kept, and the field that holds the new one's id."""

    kept_in: str
    id_field: str


_NEW: dict[type[Event], _New] = {
    said.MeetingHeld: _New("meetings", "meeting_id"),
    said.NegotiationsHeld: _New("negotiations", "negotiations_id"),
    said.RoadmapAgreed: _New("roadmaps", "roadmap_id"),
    said.VisitScheduled: _New("visits", "visit_id"),
    said.RoundScheduled: _New("rounds", "round_id"),
    said.AgreementReached: _New("agreements", "agreement_id"),
}

_DONE: dict[type[Event], str] = {
    said.MeetingHeld: "held",
    said.NegotiationsHeld: "held",
    said.RoadmapAgreed: "agreed",
    said.MilestoneMet: "met",
    said.VisitHeld: "held",
    said.RoundHeld: "held",
    said.AgreementReached: "reached",
    said.AgreementAmended: "amended",
}
"""The date of each event that tells of something done: it may not begin after today."""


def decide(state: Cooperation | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of a cooperation against its rules (3-domain.md) and return what is to be recorded.

    Raises `NotFound`, `UnknownReference` or the subclass of `RuleBroken` that names the rule.
    """
    if isinstance(event, said.CooperationOpened):
        if state is not None:
            raise AlreadyExists(f"The cooperation {state.id} is open already.", [FieldProblem("exists already", "/id")])
        _at_least_two((facts.survivor(one) for one in event.parties), "/parties")
        return (event,)
    known = must_exist("cooperation", state)
    _must_be_open(known, event)
    _goes_on(known, event)
    # Whatever is said of what is over is refused; of the rest, every field that a rule forbids is named.
    must_all_hold(
        lambda: _is_there(known, event),
        lambda: _are_parties(known, _taking_part(event), facts),
        lambda: _brings_new_items(known, event),
        lambda: _refers_to_known(known, event),
        lambda: _is_new(known, event),
        lambda: _has_happened(event, facts),
    )
    return (event,)


def _taking_part(event: Event) -> dict[str, str] | None:
    """Return the parties that take part, by the field that names each; None for an event in which nobody does."""
    match event:
        case said.MeetingHeld() | said.RoundScheduled() | said.VisitHeld() | said.RoundHeld():
            return {f"/participants/{n}/party": one.party for n, one in enumerate(event.participants)}
        case said.VisitScheduled():
            return {**{f"/visitors/{n}/party": one.party for n, one in enumerate(event.visitors)}, "/host": event.host}
        case _:
            return None


def _must_be_open(state: Cooperation, event: Event) -> None:
    """Nothing happens after the end; while suspended only resuming and abandoning do."""
    if state.closed:
        raise CooperationClosed(f"{state.id} was {state.closed}; only corrections can be recorded.")
    if state.suspended and not isinstance(event, said.CooperationResumed | said.CooperationAbandoned):
        raise CooperationSuspended(f"{state.id} is suspended; resume it first.")
    if not state.suspended and isinstance(event, said.CooperationResumed):
        raise CooperationNotSuspended(f"{state.id} is not suspended.")


def _at_least_two(parties: Iterable[str], pointer: str) -> None:
    if len(set(parties)) < 2:  # noqa: PLR2004 - the rule is "at least two"
        raise TooFewParties(
            "At least two different parties have to take part.", [FieldProblem("names fewer than two parties", pointer)]
        )


def _are_parties(state: Cooperation, parties: dict[str, str] | None, facts: Facts) -> None:
    """Whoever takes part is a party of the cooperation, and at least two of them do. Merged parties are one."""
    if parties is None:
        return
    members = {facts.survivor(party) for party in state.opened.event.parties}
    strangers = [
        FieldProblem(f"{party} is not a party of {state.id}", pointer)
        for pointer, party in parties.items()
        if facts.survivor(party) not in members
    ]
    if strangers:
        raise NotAParty(f"Only parties of {state.id} can take part.", strangers)
    pointer = "/visitors" if "/host" in parties else "/participants"
    _at_least_two((facts.survivor(party) for party in parties.values()), pointer)


def _must_be_new(key: str, known: Iterable[str]) -> None:
    if key in known:
        raise AlreadyExists(f"{key} exists already.", [FieldProblem("exists already", "/id")])


def _brings_new_items(state: Cooperation, event: Event) -> None:
    if isinstance(event, said.TopicRaised):
        _must_be_new(event.topic.topic_id, state.topics)
    if isinstance(event, said.RoadmapAgreed):
        _are_new_milestones(state, event)


def _is_new(state: Cooperation, event: Event) -> None:
    if new := _NEW.get(type(event)):
        _must_be_new(getattr(event, new.id_field), getattr(state, new.kept_in))


def _has_happened(event: Event, facts: Facts) -> None:
    if done := _DONE.get(type(event)):
        happened(facts, **{done: getattr(event, done)})


def _are_new_milestones(state: Cooperation, event: said.RoadmapAgreed) -> None:
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


def _absent(state: Cooperation, thing: _Thing, event: Any) -> dict[str, str]:
    """Return which of the fields that say what an event is about name nothing, each with what there is not."""
    field, kept_in, _ = thing
    key, things = getattr(event, field), getattr(state, kept_in)
    absent: dict[str, str] = {}
    if kept_in == "milestones":
        if event.roadmap_id not in state.roadmaps:
            absent["roadmap_id"] = f"roadmap {event.roadmap_id} in {state.id}"
        elif key in things and things[key].roadmap != event.roadmap_id:
            absent[field] = f"milestone {key} in {event.roadmap_id}"
    if key not in things:
        absent[field] = f"{field.removesuffix('_id')} {key} in {state.id}"
    return absent


def _is_there(state: Cooperation, event: Event) -> None:
    """What an event is about is in the cooperation, and a milestone in its roadmap; every field is named."""
    if (thing := _OF_THINGS.get(type(event))) and (absent := _absent(state, thing, event)):
        says = " and ".join(f"no {one}" for one in absent.values())
        raise NotFound(f"There is {says}.", [FieldProblem("names nothing here", f"/{field}") for field in absent])


def _goes_on(state: Cooperation, event: Event) -> None:
    """What an event is about, if it is there, is in a state that allows it; where that can be read."""
    try:
        if (thing := _OF_THINGS.get(type(event))) and not _absent(state, thing, event):
            thing.check(state, event)
    except Unreadable:
        pass


def _is_scheduled(state: Cooperation, event: Any) -> None:
    """A visit or round can be held, rescheduled or cancelled only while scheduled; held is final."""
    if hasattr(event, "visit_id"):
        what, key, thing = "visit", event.visit_id, state.visits[event.visit_id]
    else:
        what, key, thing = "round", event.round_id, state.rounds[event.round_id]
    if thing.status != "scheduled":
        raise NotScheduled(f"The {what} {key} is {thing.status}, not scheduled.")
    must_say_more(event, thing.changes, thing.scheduled.event)


def _is_open(state: Cooperation, event: Any) -> None:
    """A milestone is met or missed once, and can be rescheduled until then."""
    milestone = state.milestones[event.milestone_id]
    if milestone.status != "open":
        raise MilestoneClosed(f"The milestone {event.milestone_id} was {milestone.status} already.")
    first = state.roadmaps[milestone.roadmap].event
    must_say_more(event, milestone.changes, first, milestone_id=event.milestone_id, due=milestone.due)


def _is_in_force(state: Cooperation, event: Any) -> None:
    """A terminated agreement is neither amended nor terminated again."""
    agreement = state.agreements[event.agreement_id]
    if agreement.terminated is not None:
        raise AgreementOver(f"The agreement {event.agreement_id} was terminated.")
    first = agreement.reached.event
    must_say_more(event, agreement.changes, first, amended=first.reached)


class _Thing(NamedTuple):
    """Which field of an event says what it is about, where that is kept, and what has to hold of it."""

    id_field: str
    kept_in: str
    check: Callable[[Cooperation, Any], None]


_A_VISIT = _Thing("visit_id", "visits", _is_scheduled)
_A_ROUND = _Thing("round_id", "rounds", _is_scheduled)
_A_MILESTONE = _Thing("milestone_id", "milestones", _is_open)
_AN_AGREEMENT = _Thing("agreement_id", "agreements", _is_in_force)

_OF_THINGS: dict[type[Event], _Thing] = {
    said.VisitRescheduled: _A_VISIT,
    said.VisitCancelled: _A_VISIT,
    said.VisitHeld: _A_VISIT,
    said.RoundRescheduled: _A_ROUND,
    said.RoundCancelled: _A_ROUND,
    said.RoundHeld: _A_ROUND,
    said.MilestoneMet: _A_MILESTONE,
    said.MilestoneMissed: _A_MILESTONE,
    said.MilestoneRescheduled: _A_MILESTONE,
    said.AgreementAmended: _AN_AGREEMENT,
    said.AgreementTerminated: _AN_AGREEMENT,
}
"""The thing within the cooperation that an event is about."""


def claims(state: Cooperation | None, event: Event) -> Iterator[Claim]:
    """Claim the ids of the things that an event brings: each names one thing in the whole registry.

    Read models are keyed by them, and a client may choose its own, so another cooperation must not use them again.
    """
    had = _ids(state)
    brought: dict[str, str] = {}
    if isinstance(event, said.TopicRaised):
        brought[event.topic.topic_id] = "/id"
    if new := _NEW.get(type(event)):
        brought[getattr(event, new.id_field)] = "/id"
    if isinstance(event, said.RoadmapAgreed):
        brought |= {one.milestone_id: f"/milestones/{n}/milestone_id" for n, one in enumerate(event.milestones)}
    yield from (Claim("id", key, pointer) for key, pointer in brought.items() if key not in had)


def _ids(state: Cooperation | None) -> set[str]:
    """Return the ids that this cooperation's own things have or had, and claimed when they came to be."""
    if state is None:
        return set()
    kept = [state.topics, state.milestones, *(getattr(state, new.kept_in) for new in _NEW.values())]
    return {key for things in kept for key in things} | {key for _, key in state.forgone}


def _command(name: str, event: type[Event], **how: Any) -> CommandType:
    return CommandType(name=name, event=event, **how)


_MILESTONE = ("roadmap_id", "milestone_id")

COMMANDS = (
    _command("open-cooperation", said.CooperationOpened, opens=True),
    _command("raise-topic", said.TopicRaised, identifies=("topic", "topic_id"), prefix="topic"),
    _command("record-meeting", said.MeetingHeld, identifies=("meeting_id",), prefix="meeting"),
    _command("record-negotiations", said.NegotiationsHeld, identifies=("negotiations_id",), prefix="negotiations"),
    _command(
        "agree-roadmap",
        said.RoadmapAgreed,
        identifies=("roadmap_id",),
        prefix="roadmap",
        numbered=("milestones", "milestone_id", "milestone"),
    ),
    _command("meet-milestone", said.MilestoneMet, targets=_MILESTONE),
    _command("miss-milestone", said.MilestoneMissed, targets=_MILESTONE),
    _command("reschedule-milestone", said.MilestoneRescheduled, targets=_MILESTONE),
    _command("schedule-visit", said.VisitScheduled, identifies=("visit_id",), prefix="visit"),
    _command("reschedule-visit", said.VisitRescheduled, targets=("visit_id",)),
    _command("cancel-visit", said.VisitCancelled, targets=("visit_id",)),
    _command("record-visit", said.VisitHeld, targets=("visit_id",)),
    _command("schedule-round", said.RoundScheduled, identifies=("round_id",), prefix="round"),
    _command("reschedule-round", said.RoundRescheduled, targets=("round_id",)),
    _command("cancel-round", said.RoundCancelled, targets=("round_id",)),
    _command("record-round", said.RoundHeld, targets=("round_id",)),
    _command("reach-agreement", said.AgreementReached, identifies=("agreement_id",), prefix="agreement"),
    _command("amend-agreement", said.AgreementAmended, targets=("agreement_id",)),
    _command("terminate-agreement", said.AgreementTerminated, targets=("agreement_id",)),
    _command("suspend-cooperation", said.CooperationSuspended),
    _command("resume-cooperation", said.CooperationResumed),
    _command("conclude-cooperation", said.CooperationConcluded),
    _command("abandon-cooperation", said.CooperationAbandoned),
)

COOPERATION = Aggregate(
    kind="cooperation",
    prefix="coop",
    events=tuple(dict.fromkeys(command.event for command in COMMANDS)),
    commands=COMMANDS,
    evolve=evolve,
    decide=decide,
    claims=claims,
)
