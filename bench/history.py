"""A made-up registry of any size: parties, people, occasions, sources, and lines of cooperation that run their course.

Its parts are those of the story (a meeting at an exhibition, what was talked about, negotiations, a roadmap, a visit
and a round that are held, an agreement), each with its citation, so that an entry is as large as entries are.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import AsyncIterator, Iterator
from itertools import count, cycle
from typing import Any
from uuid import UUID

from events.catalogue import Event
from events.catalogue import cooperation_events as said
from events.catalogue.occasion import OccasionAnnounced
from events.catalogue.party import PartyRegistered, PartyRenamed
from events.catalogue.person import PersonAppointed, PersonRegistered
from events.catalogue.source import SourceFiled
from events.edtf import EdtfDate
from events.entry import Envelope, canonical_bytes
from events.values import Citation, Milestone, Participant, Place, Topic

ORIGIN = "https://registry.example/log"
AT_ONCE = 20  # lines of cooperation that are under way side by side
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def _day(text: str) -> EdtfDate:
    return EdtfDate.parse(text)


class History:
    """Tells what happens, for ever, the same each time of the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._chance = random.Random(seed)
        self._parties: list[str] = []
        self._people: list[str] = []
        self._sources: list[str] = []
        self._occasions: list[str] = []

    def __iter__(self) -> Iterator[tuple[str, Event]]:
        """Yield each stream and what happened in it."""
        for _ in range(4):
            yield from self._around()
        under_way = [self._cooperation() for _ in range(AT_ONCE)]
        for number, place in enumerate(cycle(range(AT_ONCE))):
            if number % 40 == 0:
                yield from self._around()
            happened = next(under_way[place], None)
            if happened is None:
                under_way[place] = self._cooperation()
            else:
                yield happened

    def endless(self) -> Iterator[tuple[str, Event]]:
        """Yield what happens in one line of cooperation that never ends; what is around it is not told."""
        deque(self._around(), maxlen=0)
        stream, (ours, theirs) = f"cooperation/{self._id('coop')}", self._parties[:2]
        sides = Participant(party=ours, role="adviser"), Participant(party=theirs, role="management")
        yield stream, said.CooperationOpened(title="Joint production", parties=(ours, theirs))
        while True:
            for event in self._stage(sides, Place(country="AZ", city="Baku")):
                yield stream, event

    def openings(self) -> Iterator[tuple[str, Event]]:
        """Yield beginnings of lines of cooperation, each a stream of its own, and nothing that comes of them."""
        deque(self._around(), maxlen=0)
        while True:
            yield next(self._cooperation())

    def _id(self, prefix: str, kept: list[str] | None = None) -> str:
        made = f"{prefix}_0" + "".join(self._chance.choices(ALPHABET, k=25))
        if kept is not None:
            kept.append(made)
            del kept[:-1000]
        return made

    def _cited(self) -> tuple[Citation, ...]:
        return (Citation(source=self._chance.choice(self._sources), start=812, end=1010),)

    def _around(self) -> Iterator[tuple[str, Event]]:
        """Register what lines of cooperation are made of."""
        source = self._id("src", self._sources)
        yield (
            f"source/{source}",
            SourceFiled(
                title="A ministry's meetings at an exhibition",
                publisher="News agency",
                published=_day("2019-06-19"),
                language="en",
                media_type="text/plain",
                sha256=self._chance.randbytes(32).hex(),
                size=4711,
            ),
        )
        for name in ("Ministry of Defence Industry", "Aerospace Company", "Engineering Works"):
            party = self._id("party", self._parties)
            registered = PartyRegistered(name=name, kind="company", country="FR", citations=self._cited())
            yield f"party/{party}", registered
        yield f"party/{party}", PartyRenamed(name="Engineering Works and Sons")
        person = self._id("person", self._people)
        yield f"person/{person}", PersonRegistered(sealed="c2VhbGVk" * 12)
        yield f"person/{person}", PersonAppointed(party=party, post="Adviser")
        occasion = self._id("occ", self._occasions)
        place = Place(country="FR", city="Paris", venue="Le Bourget")
        show = OccasionAnnounced(name="Air Show", kind="exhibition", place=place, dates=_day("2019-06-17/2019-06-23"))
        yield f"occasion/{occasion}", show

    def _cooperation(self) -> Iterator[tuple[str, Event]]:
        """Tell a line of cooperation from its beginning to its end."""
        stream = f"cooperation/{self._id('coop')}"
        ours, theirs = self._chance.sample(self._parties, 2)
        sides = (
            Participant(party=ours, person=self._chance.choice(self._people), role="adviser"),
            Participant(party=theirs, role="management"),
        )
        place = Place(country="AZ", city="Baku")
        yield stream, said.CooperationOpened(title="Joint production", parties=(ours, theirs), fields=("aerospace",))
        for _ in range(self._chance.randint(1, 4)):
            for event in self._stage(sides, place):
                yield stream, event
        yield stream, said.CooperationConcluded(reason="What was agreed has been delivered.")

    def _stage(self, sides: tuple[Participant, ...], place: Place) -> Iterator[Event]:
        """Tell what comes of one meeting."""
        topic, meeting, visit, nth = (self._id(one) for one in ("topic", "meeting", "visit", "round"))
        about: dict[str, Any] = {"topics": (topic,), "citations": self._cited()}
        yield said.TopicRaised(
            topic=Topic(
                topic_id=topic,
                kind="joint-production",
                subject="Joint production of defence products",
                products=("wheeled armoured vehicles", "robotic weapons for sea", "robotic weapons for air"),
            ),
            citations=self._cited(),
        )
        yield said.MeetingHeld(
            meeting_id=meeting,
            held=_day("2019-06-17/2019-06-19"),
            participants=sides,
            occasion=self._chance.choice(self._occasions),
            summary="Military-technical cooperation was discussed.",
            **about,
        )
        yield said.NegotiationsHeld(
            negotiations_id=self._id("negotiations"), held=_day("2019-06"), subject="Service centre", meeting=meeting
        )
        roadmap, milestone = self._id("roadmap"), self._id("milestone")
        steps = (Milestone(milestone_id=milestone, title="Prototype", due=_day("2020-03")),)
        yield said.RoadmapAgreed(roadmap_id=roadmap, agreed=_day("2019-06-19"), milestones=steps, **about)
        window = _day("2019-07")
        yield said.VisitScheduled(
            visit_id=visit,
            visitors=sides[1:],
            host=sides[0].party,
            place=place,
            window=window,
            purpose="To go on",
            **about,
        )
        yield said.VisitRescheduled(visit_id=visit, window=_day("2019-08"), reason="Holidays")
        yield said.VisitHeld(visit_id=visit, held=_day("2019-08-12"), participants=sides, outcome="They went on.")
        yield said.RoundScheduled(round_id=nth, place=place, participants=sides, subject="Next stage", window=window)
        yield said.RoundHeld(round_id=nth, held=_day("2019-09"), participants=sides, outcome="An understanding.")
        yield said.MilestoneMet(roadmap_id=roadmap, milestone_id=milestone, met=_day("2020-02"))
        yield said.AgreementReached(
            agreement_id=self._id("agreement"), kind="contract", subject="Production", reached=_day("2020-04"), **about
        )


async def entries(size: int) -> AsyncIterator[bytes]:
    """Yield the history's first entries as a log would have them."""
    revisions: dict[str, count[int]] = {}
    for position, (stream, event) in zip(range(size), History(), strict=False):
        identifier = UUID(int=(0x0197_0000_0000_7000_8000 << 48) + position)
        yield canonical_bytes(
            Envelope(
                specversion="1.0",
                id=str(identifier),
                source=ORIGIN,
                type=event.event_type,
                subject=stream,
                time="2026-01-01T00:00:00.000000Z",
                datacontenttype="application/json",
                dataschema=f"{ORIGIN}/v1/schemas/{event.event_type}",
                sequence=str(position),
                revision=next(revisions.setdefault(stream, count())),
                commandid=str(identifier),
                commandhash="00" * 32,
                actor="bench",
                classification="internal",
                data=event,
            )
        )


def versions(rows: int) -> Iterator[tuple[str, Event]]:
    """Tell of so many parties, all registered first, and then renamed one after the other, for ever."""
    streams = [f"party/party_{number:026}" for number in range(rows)]
    for number, stream in enumerate(streams):
        yield stream, PartyRegistered(name=f"Party {number:09}", kind="company", country="FR")
    for again in count(1):
        for number, stream in enumerate(streams):
            yield stream, PartyRenamed(name=f"Party {number:09} {again}")
