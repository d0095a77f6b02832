"""A made-up cooperation: one event of every type that can be recorded of it, and what has to come before each."""

from __future__ import annotations

from datetime import date

from events.catalogue import Event
from events.catalogue.cooperation import COOPERATION
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
from events.values import Milestone, Participant, Place, Topic
from tests.support.spec import Specification, made_id

TODAY = date(2019, 6, 19)
COOP_ID = made_id("coop", 1)
STREAM = f"cooperation/{COOP_ID}"
SPECIFICATION = Specification(COOPERATION, STREAM, TODAY)

NORTH, SOUTH, EAST, STRANGER, OTHER_STRANGER = (made_id("party", number) for number in range(1, 6))
TOPIC_ID, NO_TOPIC, NO_OTHER_TOPIC = (made_id("topic", number) for number in range(1, 4))
MEETING_ID, NO_MEETING = (made_id("meeting", number) for number in range(1, 3))
ROADMAP_ID, MILESTONE_ID = made_id("roadmap", 1), made_id("milestone", 1)
VISIT_ID, ROUND_ID, AGREEMENT_ID = made_id("visit", 1), made_id("round", 1), made_id("agreement", 1)
HERE = Place(country="NO", city="Halden")


def day(text: str) -> EdtfDate:
    return EdtfDate.parse(text)


def people_of(*parties: str) -> tuple[Participant, ...]:
    return tuple(Participant(party=party) for party in parties)


OPENED = CooperationOpened(title="Harbour cranes", parties=(NORTH, SOUTH, EAST))
TOPIC = TopicRaised(topic=Topic(topic_id=TOPIC_ID, kind="dialogue", subject="cranes"))
MEETING = MeetingHeld(meeting_id=MEETING_ID, held=day("2019-06-18"), participants=people_of(NORTH, SOUTH))
NEGOTIATIONS = NegotiationsHeld(
    negotiations_id=made_id("negotiations", 1), held=day("2019-06-18"), subject="terms of delivery"
)
ROADMAP = RoadmapAgreed(
    roadmap_id=ROADMAP_ID,
    agreed=day("2019-06-18"),
    milestones=(Milestone(milestone_id=MILESTONE_ID, title="first crane", due=day("2020")),),
)
VISIT = VisitScheduled(
    visit_id=VISIT_ID,
    visitors=people_of(SOUTH),
    host=NORTH,
    place=HERE,
    window=day("2019-07"),
    purpose="to go on talking",
)
ROUND = RoundScheduled(round_id=ROUND_ID, place=HERE, participants=people_of(NORTH, EAST), subject="next stage")
AGREEMENT = AgreementReached(
    agreement_id=AGREEMENT_ID, kind="understanding", subject="cranes", reached=day("2019-06-18")
)
SUSPENDED = CooperationSuspended(reason="a strike")
RESUMED = CooperationResumed(reason="the strike is over")
CONCLUDED = CooperationConcluded(reason="delivered")
ABANDONED = CooperationAbandoned(reason="no funds")

ACTS: tuple[Event, ...] = (TOPIC, MEETING, NEGOTIATIONS, ROADMAP, VISIT, ROUND, AGREEMENT)
"""What brings a thing of its own; nothing has to come before it but the opening."""

MET = MilestoneMet(roadmap_id=ROADMAP_ID, milestone_id=MILESTONE_ID, met=day("2019-06-19"))
MISSED = MilestoneMissed(roadmap_id=ROADMAP_ID, milestone_id=MILESTONE_ID, reason="no steel")
POSTPONED = MilestoneRescheduled(roadmap_id=ROADMAP_ID, milestone_id=MILESTONE_ID, due=day("2021"))
VISIT_MOVED = VisitRescheduled(visit_id=VISIT_ID, window=day("2019-08"))
VISIT_OFF = VisitCancelled(visit_id=VISIT_ID, reason="no ship")
VISITED = VisitHeld(visit_id=VISIT_ID, held=day("2019-06-19"), participants=people_of(NORTH, SOUTH))
ROUND_MOVED = RoundRescheduled(round_id=ROUND_ID, window=day("2019-09"))
ROUND_OFF = RoundCancelled(round_id=ROUND_ID, reason="no hall")
CONFERRED = RoundHeld(round_id=ROUND_ID, held=day("2019-06-19"), participants=people_of(NORTH, EAST))
CHANGED = AgreementAmended(agreement_id=AGREEMENT_ID, amended=day("2019-06-19"), kind="contract", subject="two cranes")
ENDED = AgreementTerminated(agreement_id=AGREEMENT_ID, terminated=day("2019-12-31"), reason="delivered")

CHANGES: tuple[Event, ...] = (
    *(MET, MISSED, POSTPONED),
    *(VISIT_MOVED, VISIT_OFF, VISITED),
    *(ROUND_MOVED, ROUND_OFF, CONFERRED),
    *(CHANGED, ENDED),
)
"""What becomes of a thing."""

_BRINGS: dict[str, Event] = {"milestone": ROADMAP, "visit": VISIT, "round": ROUND, "agreement": AGREEMENT}


def by_type(event: Event) -> str:
    """Return what happened, without the registry's prefix and the version."""
    return event.event_type.split(".")[1]


def before(event: Event) -> tuple[Event, ...]:
    """Return what brings the thing that an event changes; nothing for an event that changes none."""
    changes = any(type(event) is type(one) for one in CHANGES)
    return (_BRINGS[by_type(event).split("-")[0]],) if changes else ()
