"""cooperation: its events and its state. What may happen to it is in `cooperation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from events.catalogue.aggregate import Entry, Event
from events.edtf import EdtfDate
from events.values import (
    DISTINCT,
    AgreementId,
    MeetingId,
    Milestone,
    Name,
    NegotiationsId,
    OccasionId,
    Participant,
    PartyId,
    Place,
    RoadmapId,
    RoundId,
    Slug,
    SourceId,
    Text,
    Topic,
    TopicId,
    VisitId,
)

AgreementKind = Literal["understanding", "memorandum", "contract", "treaty"]
Stage = Literal["contact", "negotiating", "roadmap", "agreed", "suspended", "concluded", "abandoned"]

TopicIds = Annotated[tuple[TopicId, ...], Meta(max_length=100, extra_json_schema=DISTINCT)]
Participants = Annotated[tuple[Participant, ...], Meta(max_length=500)]


# Events


class CooperationOpened(Event, frozen=True, kw_only=True):
    """A line of cooperation between two or more parties began."""

    event_type = "registry.cooperation-opened.v1"

    title: Name
    parties: Annotated[tuple[PartyId, ...], Meta(min_length=2, max_length=100, extra_json_schema=DISTINCT)]
    fields: Annotated[tuple[Slug, ...], Meta(max_length=50, extra_json_schema=DISTINCT)] = ()


class TopicRaised(Event, frozen=True, kw_only=True):
    """A subject came up between the parties."""

    event_type = "registry.topic-raised.v1"

    topic: Topic


class MeetingHeld(Event, frozen=True, kw_only=True):
    """People of two or more of the parties met."""

    event_type = "registry.meeting-held.v1"

    meeting_id: MeetingId
    held: EdtfDate
    participants: Participants
    occasion: OccasionId | None = None
    place: Place | None = None
    topics: TopicIds = ()
    summary: Text | None = None


class NegotiationsHeld(Event, frozen=True, kw_only=True):
    """The parties negotiated on a subject, at one of their meetings when stated."""

    event_type = "registry.negotiations-held.v1"

    negotiations_id: NegotiationsId
    held: EdtfDate
    subject: Name
    meeting: MeetingId | None = None
    topics: TopicIds = ()


class RoadmapAgreed(Event, frozen=True, kw_only=True):
    """The parties agreed on a roadmap: the way ahead, with milestones as far as stated."""

    event_type = "registry.roadmap-agreed.v1"

    roadmap_id: RoadmapId
    agreed: EdtfDate
    meeting: MeetingId | None = None
    topics: TopicIds = ()
    milestones: Annotated[tuple[Milestone, ...], Meta(max_length=200)] = ()


class VisitScheduled(Event, frozen=True, kw_only=True):
    """A visit was agreed: who comes to whom, where, within which window (uncertain as it was stated)."""

    event_type = "registry.visit-scheduled.v1"

    visit_id: VisitId
    visitors: Annotated[tuple[Participant, ...], Meta(min_length=1, max_length=500)]
    host: PartyId
    place: Place
    window: EdtfDate
    purpose: Name
    topics: TopicIds = ()
    meeting: MeetingId | None = None


class RoundScheduled(Event, frozen=True, kw_only=True):
    """A next stage of discussions was agreed; `window` is absent while none was stated."""

    event_type = "registry.round-scheduled.v1"

    round_id: RoundId
    place: Place
    participants: Participants
    subject: Name
    window: EdtfDate | None = None


class AgreementReached(Event, frozen=True, kw_only=True):
    """The parties agreed on something: an understanding, a memorandum, a contract or a treaty."""

    event_type = "registry.agreement-reached.v1"

    agreement_id: AgreementId
    kind: AgreementKind
    subject: Name
    reached: EdtfDate
    topics: TopicIds = ()
    document: SourceId | None = None


class CooperationSuspended(Event, frozen=True, kw_only=True):
    """The cooperation rests until it is resumed or abandoned."""

    event_type = "registry.cooperation-suspended.v1"

    reason: Text


class CooperationResumed(Event, frozen=True, kw_only=True):
    """The cooperation goes on after a suspension."""

    event_type = "registry.cooperation-resumed.v1"

    reason: Text


class CooperationConcluded(Event, frozen=True, kw_only=True):
    """The cooperation came to its end as intended; nothing but corrections follows."""

    event_type = "registry.cooperation-concluded.v1"

    reason: Text


class CooperationAbandoned(Event, frozen=True, kw_only=True):
    """The cooperation was given up; nothing but corrections follows."""

    event_type = "registry.cooperation-abandoned.v1"

    reason: Text


# State


class Cooperation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a cooperation. Each mapping is by the thing's id, in the order of recording."""

    id: str
    opened: Entry[CooperationOpened]
    topics: Mapping[str, Entry[TopicRaised]]
    meetings: Mapping[str, Entry[MeetingHeld]]
    negotiations: Mapping[str, Entry[NegotiationsHeld]]
    roadmaps: Mapping[str, Entry[RoadmapAgreed]]
    milestones: Mapping[str, Milestone]
    visits: Mapping[str, Entry[VisitScheduled]]
    rounds: Mapping[str, Entry[RoundScheduled]]
    agreements: Mapping[str, Entry[AgreementReached]]
    suspended: bool = False
    closed: Literal["concluded", "abandoned"] | None = None
    last_activity: EdtfDate | None = None
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


def new_cooperation(entry: Entry[CooperationOpened]) -> Cooperation:
    """Return the state after a cooperation's first entry."""
    cooperation = entry.stream.partition("/")[2]
    return Cooperation(
        id=cooperation,
        opened=entry,
        topics={},
        meetings={},
        negotiations={},
        roadmaps={},
        milestones={},
        visits={},
        rounds={},
        agreements={},
        touched=(cooperation,),
    )
