"""Hypothesis strategies for what clients may ask of a stream, in any order, sensible or not.

Ids come from small pools, so that much of it is allowed and much is not: things are named that are known, unknown or
named twice, parties take part that have no part in it, dates lie ahead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hypothesis import strategies as st

from events.catalogue import AGGREGATES, Aggregate, Event
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
from events.catalogue.occasion import DelegationSent, OccasionAmended, OccasionAnnounced, OccasionCancelled
from events.catalogue.party import PartyDetailsAmended, PartyMerged, PartyRegistered, PartyRenamed
from events.catalogue.person import PersonAppointed, PersonErased, PersonLeftPost, PersonRegistered
from events.catalogue.source import SourceFiled, SourceWithdrawn
from events.edtf import EdtfDate
from events.values import Citation, Identifier, Milestone, Participant, Place, Topic
from tests.support.cooperating import ACTS, OPENED
from tests.support.spec import made_id

T = TypeVar("T")


def _id(prefix: str, most: int = 3) -> st.SearchStrategy[str]:
    return st.integers(1, most).map(lambda number: made_id(prefix, number))


def _some(items: st.SearchStrategy[T], *, least: int = 0, most: int = 3) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(items, min_size=least, max_size=most).map(tuple)


def _maybe(item: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | item


TEXT = st.sampled_from(["cranes", "délais", "砂", "two words"])
DATES = st.sampled_from(
    ["2019-06-18", "2019-06-19", "2019-06-20", "2019-06", "2019-06/..", "../2019-07", "2019?", "2019-XX"]
).map(EdtfDate.parse)
PARTIES = [made_id("party", number) for number in (1, 2, 3)]
PARTY = st.sampled_from([*PARTIES, *PARTIES, made_id("party", 4)])
PLACE = st.builds(Place, country=st.sampled_from(["AZ", "NO"]), city=_maybe(TEXT))
PARTICIPANT = st.builds(Participant, party=PARTY, person=_maybe(_id("person")), role=_maybe(TEXT))
CITATION = st.builds(Citation, source=_id("src"), start=st.integers(0, 9), end=st.integers(10, 20))
TOPIC = st.builds(
    Topic,
    topic_id=_id("topic"),
    kind=st.sampled_from(["dialogue", "training"]),
    subject=TEXT,
    products=_some(TEXT),
    territory=_some(st.just("AZ"), most=1),
)
MILESTONE = st.builds(Milestone, milestone_id=_id("milestone", 2), title=TEXT, due=_maybe(DATES))
TOPICS = st.just(()) | _some(_id("topic", 2), most=2)
MEETING = st.none() | _id("meeting", 3)
TWO = tuple(Participant(party=party) for party in PARTIES[:2])
PARTICIPANTS = st.just(TWO) | _some(PARTICIPANT, least=1, most=4)


def _event(kind: Callable[..., T], /, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[T]:
    return st.builds(kind, citations=_some(CITATION, most=1), note=_maybe(TEXT), **fields)


IDENTIFIERS = _some(st.builds(Identifier, scheme=st.just("XI-LEI"), value=TEXT))
DETAILS = {
    "kind": st.sampled_from(["agency", "company"]),
    "country": st.just("NO"),
    "part_of": _maybe(PARTY),
    "identifiers": IDENTIFIERS,
}
OCCASION = {"name": TEXT, "kind": st.just("forum"), "place": PLACE, "dates": DATES}
TERMS = {"agreement_id": _id("agreement", 2), "kind": st.sampled_from(["understanding", "contract"]), "subject": TEXT}
STEP = {"roadmap_id": _id("roadmap", 2), "milestone_id": _id("milestone", 2)}
VISIT, ROUND = {"visit_id": _id("visit", 2)}, {"round_id": _id("round", 2)}
REASON = {"reason": TEXT}
WHY = {"reason": _maybe(TEXT)}
ERASURE = {"authority": TEXT, "reason": TEXT}
HELD = {"held": DATES, "participants": PARTICIPANTS, "outcome": _maybe(TEXT)}

EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    PartyRegistered: _event(PartyRegistered, name=TEXT, **DETAILS),
    PartyRenamed: _event(PartyRenamed, name=TEXT, since=_maybe(DATES)),
    PartyDetailsAmended: _event(PartyDetailsAmended, **DETAILS),
    PartyMerged: _event(PartyMerged, into=PARTY, **REASON),
    PersonRegistered: _event(PersonRegistered, sealed=st.sampled_from(["AAAA", "BBBB"])),
    PersonAppointed: _event(PersonAppointed, party=PARTY, post=TEXT, from_=_maybe(DATES)),
    PersonLeftPost: _event(PersonLeftPost, party=PARTY, post=TEXT, until=_maybe(DATES)),
    PersonErased: _event(PersonErased, **ERASURE),
    OccasionAnnounced: _event(OccasionAnnounced, **OCCASION),
    OccasionAmended: _event(OccasionAmended, **OCCASION),
    OccasionCancelled: _event(OccasionCancelled, **REASON),
    DelegationSent: _event(
        DelegationSent, delegation_id=_id("delegation", 5), party=PARTY, participants=_some(PARTICIPANT)
    ),
    SourceFiled: _event(
        SourceFiled,
        title=TEXT,
        publisher=TEXT,
        published=DATES,
        language=st.just("en"),
        media_type=st.just("text/plain"),
        sha256=st.just("ab" * 32),
        size=st.integers(1, 9),
    ),
    SourceWithdrawn: _event(SourceWithdrawn, **ERASURE),
    CooperationOpened: _event(CooperationOpened, title=TEXT, parties=st.just(tuple(PARTIES)) | _some(PARTY, least=1)),
    TopicRaised: _event(TopicRaised, topic=TOPIC),
    MeetingHeld: _event(
        MeetingHeld, meeting_id=_id("meeting", 3), held=DATES, participants=PARTICIPANTS, topics=TOPICS
    ),
    NegotiationsHeld: _event(
        NegotiationsHeld,
        negotiations_id=_id("negotiations", 5),
        held=DATES,
        subject=TEXT,
        meeting=MEETING,
        topics=TOPICS,
    ),
    RoadmapAgreed: _event(
        RoadmapAgreed,
        roadmap_id=_id("roadmap", 2),
        agreed=DATES,
        meeting=MEETING,
        topics=TOPICS,
        milestones=_some(MILESTONE),
    ),
    MilestoneMet: _event(MilestoneMet, met=DATES, **STEP),
    MilestoneMissed: _event(MilestoneMissed, **STEP, **REASON),
    MilestoneRescheduled: _event(MilestoneRescheduled, due=DATES, **STEP, **WHY),
    VisitScheduled: _event(
        VisitScheduled,
        **VISIT,
        visitors=_some(PARTICIPANT, least=1),
        host=PARTY,
        place=PLACE,
        window=DATES,
        purpose=TEXT,
        topics=TOPICS,
        meeting=MEETING,
    ),
    VisitRescheduled: _event(VisitRescheduled, window=DATES, **VISIT, **WHY),
    VisitCancelled: _event(VisitCancelled, **VISIT, **REASON),
    VisitHeld: _event(VisitHeld, **VISIT, **HELD),
    RoundScheduled: _event(
        RoundScheduled,
        **ROUND,
        place=PLACE,
        participants=PARTICIPANTS,
        subject=TEXT,
        window=_maybe(DATES),
    ),
    RoundRescheduled: _event(RoundRescheduled, window=DATES, **ROUND, **WHY),
    RoundCancelled: _event(RoundCancelled, **ROUND, **REASON),
    RoundHeld: _event(RoundHeld, **ROUND, **HELD),
    AgreementReached: _event(AgreementReached, reached=DATES, topics=TOPICS, **TERMS),
    AgreementAmended: _event(AgreementAmended, amended=DATES, topics=TOPICS, **TERMS),
    AgreementTerminated: _event(AgreementTerminated, agreement_id=_id("agreement", 2), terminated=DATES, **REASON),
    CooperationSuspended: _event(CooperationSuspended, **REASON),
    CooperationResumed: _event(CooperationResumed, **REASON),
    CooperationConcluded: _event(CooperationConcluded, **REASON),
    CooperationAbandoned: _event(CooperationAbandoned, **REASON),
}
"""What may be asked, by the event that it asks for."""


_ENDS = {
    CooperationConcluded,
    CooperationAbandoned,
    CooperationSuspended,
    OccasionCancelled,
    PartyMerged,
    PersonErased,
    SourceWithdrawn,
}


@st.composite
def asked(draw: st.DrawFn) -> tuple[Aggregate, list[Event]]:
    """Draw an aggregate, half the time the one with the most rules, and what is asked of one stream of it, in order.

    Mostly it begins with the event that a stream begins with, and ends come seldom. A cooperation has often some things
    already that something can become of.
    """
    aggregate = draw(st.sampled_from([*AGGREGATES.values(), *[AGGREGATES["cooperation"]] * 4]))
    first, *others = aggregate.events
    begin = draw(st.lists(EVENTS[first], min_size=draw(st.sampled_from([0, 1, 1, 1])), max_size=2))
    if begin and aggregate.kind == "cooperation" and draw(st.booleans()):
        begin = [OPENED, *draw(st.lists(st.sampled_from(ACTS), unique=True))]
    often = [kind for kind in others if kind not in _ENDS] * 4
    size = draw(st.sampled_from([0, 2, 8, 16, 24]))
    kinds = draw(st.lists(st.sampled_from([*often, *others, first]), min_size=size, max_size=size))
    return aggregate, [*begin, *(draw(EVENTS[kind]) for kind in kinds)]
