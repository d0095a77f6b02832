"""A made-up history of a whole registry: many streams side by side, all of it allowed, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import islice
from random import Random
from typing import Any, NamedTuple
from uuid import UUID

from events.catalogue import AGGREGATES, Event, Facts
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
from events.catalogue.cooperation_state import Cooperation
from events.catalogue.occasion import DelegationSent, OccasionAnnounced
from events.catalogue.party import PartyRegistered
from events.catalogue.person import PersonAppointed, PersonRegistered
from events.catalogue.source import SourceFiled
from events.edtf import EdtfDate
from events.errors import RegistryError
from events.log import Append, Draft
from events.values import Citation, Identifier, Milestone, Participant, Place, Topic
from tests.support.spec import entries_of, fold, made_id

TODAY = date(2019, 6, 19)
PAST = ("2019-06-18", "2019-06", "2018", "2019-06-17/2019-06-19", "../2019-05", "2019?", "201X", "2019-06-10~")
DATES = (*PAST, "2019-07", "2019-07-10/..", "2020-02-29", "2019-XX")
COUNTRIES = ("AZ", "FR", "NO", "TR")
WORDS = ("cranes", "Straße", "délais", "砂", "radar", "Ölbohrung", "two words")
IN_A_COOPERATION = {
    TopicRaised: 4,
    MeetingHeld: 6,
    NegotiationsHeld: 3,
    RoadmapAgreed: 2,
    VisitScheduled: 3,
    RoundScheduled: 3,
    AgreementReached: 2,
    CooperationSuspended: 1,
    CooperationResumed: 1,
    CooperationConcluded: 1,
    CooperationAbandoned: 1,
}
OFTEN: dict[type[Event], int] = {
    PartyRegistered: 2,
    PersonRegistered: 2,
    PersonAppointed: 2,
    SourceFiled: 1,
    OccasionAnnounced: 1,
    DelegationSent: 2,
    CooperationOpened: 2,
    **IN_A_COOPERATION,
}
"""What happens, and how often it is tried in proportion."""


class Happening(NamedTuple):
    """One event, its stream, and its revision there."""

    stream: str
    revision: int
    event: Event


class Chronicle:
    """Tells what happens, one event after the other, for ever."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._states: dict[str, Any] = {}
        self._revisions: dict[str, int] = {}
        self._ids: dict[str, list[str]] = {}

    def take(self, count: int) -> list[Happening]:
        """Return what happens next."""
        return list(islice(self, count))

    def __iter__(self) -> Iterator[Happening]:
        while True:
            kind = PartyRegistered if len(self._known("party")) < 2 else self._kind()
            stream, event = self._imagined(kind)
            aggregate = AGGREGATES[stream.partition("/")[0]]
            before = self._states.get(stream)
            try:
                aggregate.decide(before, event, Facts(today=TODAY))
            except RegistryError:
                continue
            revision = self._revisions.get(stream, -1) + 1
            entries = entries_of(stream, [event], TODAY, revision=revision)
            self._states[stream], self._revisions[stream] = fold(aggregate, entries, before), revision
            yield Happening(stream, revision, event)

    def _kind(self) -> type[Event]:
        return self._random.choices([*OFTEN], [*OFTEN.values()])[0]

    def _imagined(self, kind: type[Event]) -> tuple[str, Event]:
        """Make up an event of a kind and a stream for it, not always one in which it is allowed."""
        (aggregate,) = [one for one in AGGREGATES.values() if kind in one.events]
        if kind is aggregate.events[0]:
            key = self._new(aggregate.prefix)
        else:
            known = self._known(aggregate.prefix)
            key = self._one(known[-4:]) if known else self._new(aggregate.prefix)
        stream = f"{aggregate.kind}/{key}"
        state = self._states.get(stream)
        make = self._within if kind in IN_A_COOPERATION else self._apart
        return stream, make(kind, state)

    # Values

    def _known(self, prefix: str) -> list[str]:
        return self._ids.get(prefix, [])

    def _new(self, prefix: str) -> str:
        made = self._ids.setdefault(prefix, [])
        made.append(made_id(prefix, len(made) + 1))
        return made[-1]

    def _one(self, of: Any) -> Any:
        return self._random.choice(tuple(of))

    def _some(self, of: Any, most: int = 2) -> tuple[Any, ...]:
        items = tuple(of)
        return tuple(self._random.sample(items, min(len(items), self._random.randint(0, most))))

    def _maybe(self, of: Any) -> Any:
        return self._one((None, *of))

    def _date(self, of: Iterable[str] = DATES) -> EdtfDate:
        return EdtfDate.parse(self._one(of))

    def _place(self) -> Place:
        return Place(country=self._one(COUNTRIES), city=self._maybe(WORDS))

    def _participants(self, parties: Iterable[str]) -> tuple[Participant, ...]:
        people = self._known("person")
        return tuple(Participant(party=one, person=self._maybe(people), role=self._maybe(WORDS)) for one in parties)

    def _cited(self) -> dict[str, Any]:
        cited = self._some(self._known("src"), most=1)
        citations = tuple(Citation(source=one, start=1, end=self._random.randint(2, 99)) for one in cited)
        return {"citations": citations, "note": self._maybe(WORDS)}

    # Events

    def _apart(self, kind: type[Event], _state: Any) -> Event:
        parties = self._known("party")
        fields: dict[type[Event], Any] = {
            PartyRegistered: lambda: {
                "name": self._one(WORDS),
                "kind": self._one(("ministry", "company")),
                "country": self._one(COUNTRIES),
                "part_of": self._maybe(parties),
                "identifiers": (Identifier(scheme="XI-LEI", value=str(len(parties))),),
                "sectors": self._some(("aerospace", "naval")),
            },
            PersonRegistered: lambda: {"sealed": self._one(("AAAA", "BBBB"))},
            PersonAppointed: lambda: {
                "party": self._one(parties),
                "post": self._one(WORDS),
                "from_": self._maybe((self._date(),)),
            },
            SourceFiled: lambda: {
                "title": self._one(WORDS),
                "publisher": self._one(WORDS),
                "published": self._date(),
                "language": self._one(("en", "az")),
                "media_type": "text/plain",
                "sha256": self._random.randbytes(32).hex(),
                "size": 9,
            },
            OccasionAnnounced: lambda: {
                "name": self._one(WORDS),
                "kind": self._one(("forum", "exhibition")),
                "place": self._place(),
                "dates": self._date(),
                "organiser": self._maybe(parties),
            },
            DelegationSent: lambda: {
                "delegation_id": self._new("delegation"),
                "party": self._one(parties),
                "participants": self._participants(self._some(parties)),
            },
            CooperationOpened: lambda: {
                "title": self._one(WORDS),
                "parties": tuple(self._random.sample(parties, min(len(parties), self._random.randint(2, 3)))),
                "fields": self._some(("naval", "space")),
            },
        }
        return kind(**fields[kind](), **self._cited())

    def _within(self, kind: type[Event], state: Cooperation | None) -> Event:
        parties = state.opened.event.parties if state else tuple(self._known("party")[:2])
        met = {"meeting": self._maybe(state.meetings if state else ())}
        about = {"topics": self._some(state.topics if state else ())}
        fields: dict[type[Event], Any] = {
            TopicRaised: lambda: {
                "topic": Topic(
                    topic_id=self._new("topic"),
                    kind=self._one(("dialogue", "training", "research")),
                    subject=self._one(WORDS),
                    products=self._some(WORDS),
                )
            },
            MeetingHeld: lambda: {
                "meeting_id": self._new("meeting"),
                "held": self._date(PAST),
                "participants": self._participants(parties),
                "occasion": self._maybe(self._known("occ")),
                "place": self._maybe((self._place(),)),
                **about,
            },
            NegotiationsHeld: lambda: {
                "negotiations_id": self._new("negotiations"),
                "held": self._date(PAST),
                "subject": self._one(WORDS),
                **met,
                **about,
            },
            RoadmapAgreed: lambda: {
                "roadmap_id": self._new("roadmap"),
                "agreed": self._date(PAST),
                "milestones": tuple(
                    Milestone(milestone_id=self._new("milestone"), title=title, due=self._maybe((self._date(),)))
                    for title in self._some(WORDS)
                ),
                **met,
                **about,
            },
            VisitScheduled: lambda: {
                "visit_id": self._new("visit"),
                "visitors": self._participants(parties[1:]),
                "host": parties[0],
                "place": self._place(),
                "window": self._date(),
                "purpose": self._one(WORDS),
                **met,
                **about,
            },
            RoundScheduled: lambda: {
                "round_id": self._new("round"),
                "place": self._place(),
                "participants": self._participants(parties),
                "subject": self._one(WORDS),
                "window": self._maybe((self._date(),)),
            },
            AgreementReached: lambda: {
                "agreement_id": self._new("agreement"),
                "kind": self._one(("understanding", "treaty")),
                "subject": self._one(WORDS),
                "reached": self._date(PAST),
                "document": self._maybe(self._known("src")),
                **about,
            },
        }
        made = fields[kind]() if kind in fields else {"reason": self._one(WORDS)}
        return kind(**made, **self._cited())


def command(number: int, happenings: Iterable[Happening]) -> Append:
    """Return the command that records this; numbers tell commands apart."""
    first: dict[str, int] = {}
    drafts = tuple(
        Draft(
            stream=one.stream,
            expected_revision=first.setdefault(one.stream, one.revision - 1),
            event_type=one.event.event_type,
            data=one.event,
        )
        for one in happenings
    )
    return Append(command_id=UUID(int=number + 1, version=4), command_hash=bytes(32), actor="chronicle", drafts=drafts)
