"""One event of every type with every field given. All of it is invented.

The texts are of several scripts and hold what an encoder may stumble over: quotes, a back slash, line feed and tab,
characters beyond the first 65,536.
"""

from __future__ import annotations

from events.catalogue import Event
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
from events.catalogue.history import EntryCorrected, EntryRetracted
from events.catalogue.occasion import DelegationSent, OccasionAmended, OccasionAnnounced, OccasionCancelled
from events.catalogue.party import PartyDetailsAmended, PartyMerged, PartyRegistered, PartyRenamed
from events.catalogue.person import PersonAppointed, PersonErased, PersonLeftPost, PersonRegistered
from events.catalogue.source import SourceFiled, SourceWithdrawn
from events.edtf import EdtfDate
from events.values import Citation, Identifier, Milestone, Participant, Place, Topic
from tests.support.spec import made_id

YARD, FERRIES, HARBOURS = (made_id("party", number) for number in (1, 2, 3))
PILOT = made_id("person", 1)
FAIR = made_id("occ", 1)
GAZETTE = made_id("src", 1)
MEETING = made_id("meeting", 1)
CRANES, TUGS = made_id("topic", 1), made_id("topic", 2)
ROADMAP, FIRST_CRANE = made_id("roadmap", 1), made_id("milestone", 1)
VISIT, ROUND, AGREEMENT = made_id("visit", 1), made_id("round", 1), made_id("agreement", 1)

CITATIONS = (Citation(source=GAZETTE, start=0, end=120), Citation(source=GAZETTE, start=340, end=412))
NOTE = 'As the gazette has it: "in due time".\n\tThe path C:\\fair is its own.'
QUAY = Place(country="NO", city="Halden", venue="Tollbodkaia, hall 3")

BOTH_SIDES = (
    Participant(party=YARD, person=PILOT, role="experts"),
    Participant(party=FERRIES, person=made_id("person", 2), role="experts"),
)


def _date(text: str) -> EdtfDate:
    return EdtfDate.parse(text)


EXAMPLES: tuple[Event, ...] = (
    PartyRegistered(
        name="Ærfugl Verft AS",
        kind="company",
        country="NO",
        part_of=HARBOURS,
        identifiers=(Identifier(scheme="NO-BRC", value="000000000"), Identifier(scheme="made.up-1", value="Æ:7")),
        alternative_names=("Ærfugl Shipyard", "Верфь Гага"),
        sectors=("shipbuilding", "coastal-transport"),
        citations=CITATIONS,
        note=NOTE,
    ),
    PartyRenamed(name="Ærfugl Maritime AS", since=_date("2032-01"), citations=CITATIONS, note=NOTE),
    PartyDetailsAmended(
        kind="agency",
        country="SE",
        part_of=HARBOURS,
        identifiers=(Identifier(scheme="SE-BLV", value="0000000000"),),
        alternative_names=("Верфь Гага",),
        sectors=("ports",),
        citations=CITATIONS,
        note=NOTE,
    ),
    PartyMerged(into=HARBOURS, reason="The two records are of one yard.", citations=CITATIONS, note=NOTE),
    PersonRegistered(sealed="bm90IHJlYWxseSBzZWFsZWQ=", citations=CITATIONS, note=NOTE),
    PersonAppointed(party=YARD, post="harbour pilot", from_=_date("2031-04~"), citations=CITATIONS, note=NOTE),
    PersonLeftPost(party=YARD, post="harbour pilot", until=_date("2033"), citations=CITATIONS, note=NOTE),
    PersonErased(
        authority="Coastal data protection office",
        reason="They asked for it.",
        documents="withdraw",
        citations=CITATIONS,
        note=NOTE,
    ),
    OccasionAnnounced(
        name="Coastal Fair 2031",
        kind="exhibition",
        place=QUAY,
        dates=_date("2031-06/2031-06-23"),
        organiser=HARBOURS,
        citations=CITATIONS,
        note=NOTE,
    ),
    DelegationSent(
        delegation_id=made_id("delegation", 1),
        party=YARD,
        participants=(Participant(party=YARD, person=PILOT, role="adviser"),),
        citations=CITATIONS,
        note=NOTE,
    ),
    OccasionAmended(
        name="Coastal Fair and Forum 2031",
        kind="forum",
        place=QUAY,
        dates=_date("2031-06-17/2031-06-23"),
        organiser=HARBOURS,
        citations=CITATIONS,
        note=NOTE,
    ),
    OccasionCancelled(reason="The quay is under water.", citations=CITATIONS, note=NOTE),
    SourceFiled(
        title="A crane for every quay 🏗",  # beyond the Basic Multilingual Plane
        publisher="Coastal Gazette",
        published=_date("2031-06-19"),
        language="nb-NO",
        media_type="text/plain",
        sha256="0123456789abcdef" * 4,
        size=2400,
        place=QUAY,
        url="https://gazette.example/2031/06/19?page=1",
        citations=CITATIONS,
        note=NOTE,
    ),
    SourceWithdrawn(authority="Coastal court", reason="It was not theirs to print.", citations=CITATIONS, note=NOTE),
    CooperationOpened(
        title="Cranes and tugs",
        parties=(YARD, FERRIES),
        fields=("coastal-transport", "ports"),
        citations=CITATIONS,
        note=NOTE,
    ),
    TopicRaised(
        topic=Topic(
            topic_id=CRANES,
            kind="joint-production",
            subject="production of quay cranes",
            products=("quay cranes", "剛性クレーン"),
            territory=("NO", "SE"),
            territory_note="neighbouring coasts",
        ),
        citations=CITATIONS,
        note=NOTE,
    ),
    MeetingHeld(
        meeting_id=MEETING,
        held=_date("2031-06-18"),
        participants=(
            Participant(party=YARD, person=PILOT, role="adviser"),
            Participant(party=FERRIES, person=made_id("person", 2), role="management"),
        ),
        occasion=FAIR,
        place=QUAY,
        topics=(CRANES, TUGS),
        summary="They spoke of cranes,\nand then of tugs.",
        citations=CITATIONS,
        note=NOTE,
    ),
    NegotiationsHeld(
        negotiations_id=made_id("negotiations", 1),
        held=_date("2031-06-17/2031-06-18"),
        subject="terms of delivery",
        meeting=MEETING,
        topics=(CRANES,),
        citations=CITATIONS,
        note=NOTE,
    ),
    RoadmapAgreed(
        roadmap_id=ROADMAP,
        agreed=_date("2031-06?"),
        meeting=MEETING,
        topics=(CRANES,),
        milestones=(Milestone(milestone_id=FIRST_CRANE, title="the first crane stands", due=_date("2032")),),
        citations=CITATIONS,
        note=NOTE,
    ),
    VisitScheduled(
        visit_id=VISIT,
        visitors=(Participant(party=FERRIES, person=made_id("person", 2), role="experts"),),
        host=YARD,
        place=QUAY,
        window=_date("2031-07"),
        purpose="to go on with the negotiations",
        topics=(CRANES,),
        meeting=MEETING,
        citations=CITATIONS,
        note=NOTE,
    ),
    RoundScheduled(
        round_id=ROUND,
        place=QUAY,
        participants=BOTH_SIDES,
        subject="tugs for the outer harbour",
        window=_date("2031-09/.."),
        citations=CITATIONS,
        note=NOTE,
    ),
    AgreementReached(
        agreement_id=AGREEMENT,
        kind="memorandum",
        subject="joint production of quay cranes",
        reached=_date("2031-06-XX"),
        topics=(CRANES,),
        document=GAZETTE,
        citations=CITATIONS,
        note=NOTE,
    ),
    MilestoneMet(roadmap_id=ROADMAP, milestone_id=FIRST_CRANE, met=_date("2032-03-XX"), citations=CITATIONS, note=NOTE),
    MilestoneMissed(
        roadmap_id=ROADMAP, milestone_id=FIRST_CRANE, reason="The steel never came.", citations=CITATIONS, note=NOTE
    ),
    MilestoneRescheduled(
        roadmap_id=ROADMAP,
        milestone_id=FIRST_CRANE,
        due=_date("2033"),
        reason="The steel came late.",
        citations=CITATIONS,
        note=NOTE,
    ),
    VisitRescheduled(
        visit_id=VISIT, window=_date("2031-08"), reason="The strait is closed.", citations=CITATIONS, note=NOTE
    ),
    VisitCancelled(visit_id=VISIT, reason="The strait stays closed.", citations=CITATIONS, note=NOTE),
    VisitHeld(
        visit_id=VISIT,
        held=_date("2031-08-04/2031-08-06"),
        participants=BOTH_SIDES,
        outcome="The yard was shown,\nand a crane.",
        citations=CITATIONS,
        note=NOTE,
    ),
    RoundRescheduled(
        round_id=ROUND, window=_date("2031-10/.."), reason="The hall is taken.", citations=CITATIONS, note=NOTE
    ),
    RoundCancelled(round_id=ROUND, reason="There is nothing left to settle.", citations=CITATIONS, note=NOTE),
    RoundHeld(
        round_id=ROUND,
        held=_date("2031-10-02"),
        participants=BOTH_SIDES,
        outcome="Tugs before cranes.",
        citations=CITATIONS,
        note=NOTE,
    ),
    AgreementAmended(
        agreement_id=AGREEMENT,
        amended=_date("2032-06"),
        kind="contract",
        subject="joint production of quay cranes and tugs",
        topics=(CRANES, TUGS),
        document=GAZETTE,
        citations=CITATIONS,
        note=NOTE,
    ),
    AgreementTerminated(
        agreement_id=AGREEMENT,
        terminated=_date("2035-12-31"),
        reason="All that was promised was delivered.",
        citations=CITATIONS,
        note=NOTE,
    ),
    CooperationSuspended(reason="The quay is being rebuilt.", citations=CITATIONS, note=NOTE),
    CooperationResumed(reason="The quay is open again.", citations=CITATIONS, note=NOTE),
    CooperationConcluded(reason="All cranes stand.", citations=CITATIONS, note=NOTE),
    CooperationAbandoned(reason="The harbour silted up.", citations=CITATIONS, note=NOTE),
    EntryCorrected(
        corrects=17,
        replacement={"visit_id": VISIT, "window": "2031-09~", "note": NOTE},
        replacement_type="registry.visit-rescheduled.v1",
        reason="August was a misprint.",
        citations=CITATIONS,
        note=NOTE,
    ),
    EntryRetracted(retracts=18, reason="It was another yard.", citations=CITATIONS, note=NOTE),
)
