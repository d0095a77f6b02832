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
    AgreementReached,
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
)
from events.catalogue.occasion import DelegationSent, OccasionAnnounced
from events.catalogue.party import PartyRegistered
from events.catalogue.person import PersonAppointed, PersonRegistered
from events.catalogue.source import SourceFiled
from events.edtf import EdtfDate
from events.values import Citation, Identifier, Milestone, Participant, Place, Topic
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
MILESTONE = st.builds(Milestone, milestone_id=_id("milestone", 5), title=TEXT, due=_maybe(DATES))
TOPICS = st.just(()) | _some(_id("topic", 2), most=2)
MEETING = st.none() | _id("meeting", 5)
PARTICIPANTS = _some(PARTICIPANT, least=1, most=4)


def _event(kind: Callable[..., T], /, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[T]:
    return st.builds(kind, citations=_some(CITATION, most=1), note=_maybe(TEXT), **fields)


EVENTS: dict[type[Event], st.SearchStrategy[Event]] = {
    PartyRegistered: _event(
        PartyRegistered,
        name=TEXT,
        kind=st.just("agency"),
        country=st.just("NO"),
        identifiers=_some(st.builds(Identifier, scheme=st.just("XI-LEI"), value=TEXT)),
    ),
    PersonRegistered: _event(PersonRegistered, sealed=st.sampled_from(["AAAA", "BBBB"])),
    PersonAppointed: _event(PersonAppointed, party=PARTY, post=TEXT, from_=_maybe(DATES)),
    OccasionAnnounced: _event(OccasionAnnounced, name=TEXT, kind=st.just("forum"), place=PLACE, dates=DATES),
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
    CooperationOpened: _event(CooperationOpened, title=TEXT, parties=st.just(tuple(PARTIES)) | _some(PARTY, least=1)),
    TopicRaised: _event(TopicRaised, topic=TOPIC),
    MeetingHeld: _event(
        MeetingHeld, meeting_id=_id("meeting", 5), held=DATES, participants=PARTICIPANTS, topics=TOPICS
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
        roadmap_id=_id("roadmap", 5),
        agreed=DATES,
        meeting=MEETING,
        topics=TOPICS,
        milestones=_some(MILESTONE),
    ),
    VisitScheduled: _event(
        VisitScheduled,
        visit_id=_id("visit", 5),
        visitors=_some(PARTICIPANT, least=1),
        host=PARTY,
        place=PLACE,
        window=DATES,
        purpose=TEXT,
        topics=TOPICS,
        meeting=MEETING,
    ),
    RoundScheduled: _event(
        RoundScheduled,
        round_id=_id("round", 5),
        place=PLACE,
        participants=PARTICIPANTS,
        subject=TEXT,
        window=_maybe(DATES),
    ),
    AgreementReached: _event(
        AgreementReached,
        agreement_id=_id("agreement", 5),
        kind=st.just("understanding"),
        subject=TEXT,
        reached=DATES,
        topics=TOPICS,
    ),
    CooperationSuspended: _event(CooperationSuspended, reason=TEXT),
    CooperationResumed: _event(CooperationResumed, reason=TEXT),
    CooperationConcluded: _event(CooperationConcluded, reason=TEXT),
    CooperationAbandoned: _event(CooperationAbandoned, reason=TEXT),
}
"""What may be asked, by the event that it asks for."""


_ENDS = {CooperationConcluded, CooperationAbandoned, CooperationSuspended}


@st.composite
def asked(draw: st.DrawFn) -> tuple[Aggregate, list[Event]]:
    """Draw an aggregate, half the time the one with the most rules, and what is asked of one stream of it, in order.

    Mostly it begins with the event that a stream begins with, and ends come seldom.
    """
    aggregate = draw(st.sampled_from([*AGGREGATES.values(), *[AGGREGATES["cooperation"]] * 4]))
    first, *others = aggregate.events
    begin = draw(st.lists(EVENTS[first], min_size=draw(st.sampled_from([0, 1, 1, 1])), max_size=2))
    often = [kind for kind in others if kind not in _ENDS] * 4
    kinds = draw(st.lists(st.sampled_from([*often, *others, first]), max_size=20))
    return aggregate, [*begin, *(draw(EVENTS[kind]) for kind in kinds)]
