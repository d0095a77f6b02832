"""cooperation: its events. What they make of it is in `cooperation_state`, what may happen to it in `cooperation`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from events.catalogue.aggregate import Event
from events.edtf import EdtfDate
from events.values import (
    DISTINCT,
    AgreementId,
    MeetingId,
    Milestone,
    MilestoneId,
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


class MilestoneMet(Event, frozen=True, kw_only=True):
    """A milestone of a roadmap was met."""

    event_type = "registry.milestone-met.v1"

    roadmap_id: RoadmapId
    milestone_id: MilestoneId
    met: EdtfDate


class MilestoneMissed(Event, frozen=True, kw_only=True):
    """A milestone of a roadmap was missed for good."""

    event_type = "registry.milestone-missed.v1"

    roadmap_id: RoadmapId
    milestone_id: MilestoneId
    reason: Text


class MilestoneRescheduled(Event, frozen=True, kw_only=True):
    """A milestone of a roadmap is due at another time now."""

    event_type = "registry.milestone-rescheduled.v1"

    roadmap_id: RoadmapId
    milestone_id: MilestoneId
    due: EdtfDate
    reason: Text | None = None


class VisitRescheduled(Event, frozen=True, kw_only=True):
    """A visit is due within another window now."""

    event_type = "registry.visit-rescheduled.v1"

    visit_id: VisitId
    window: EdtfDate
    reason: Text | None = None


class VisitCancelled(Event, frozen=True, kw_only=True):
    """A visit will not take place."""

    event_type = "registry.visit-cancelled.v1"

    visit_id: VisitId
    reason: Text


class VisitHeld(Event, frozen=True, kw_only=True):
    """A visit took place: when, with whom, and what came of it as far as stated."""

    event_type = "registry.visit-held.v1"

    visit_id: VisitId
    held: EdtfDate
    participants: Participants
    outcome: Text | None = None


class RoundRescheduled(Event, frozen=True, kw_only=True):
    """A round of discussions is due within another window now."""

    event_type = "registry.round-rescheduled.v1"

    round_id: RoundId
    window: EdtfDate
    reason: Text | None = None


class RoundCancelled(Event, frozen=True, kw_only=True):
    """A round of discussions will not take place."""

    event_type = "registry.round-cancelled.v1"

    round_id: RoundId
    reason: Text


class RoundHeld(Event, frozen=True, kw_only=True):
    """A round of discussions took place: when, with whom, and what came of it as far as stated."""

    event_type = "registry.round-held.v1"

    round_id: RoundId
    held: EdtfDate
    participants: Participants
    outcome: Text | None = None


class AgreementAmended(Event, frozen=True, kw_only=True):
    """The parties changed an agreement; kind, subject, topics and document are all of it, as it is now."""

    event_type = "registry.agreement-amended.v1"

    agreement_id: AgreementId
    amended: EdtfDate
    kind: AgreementKind
    subject: Name
    topics: TopicIds = ()
    document: SourceId | None = None


class AgreementTerminated(Event, frozen=True, kw_only=True):
    """An agreement ended, or ends, at a date."""

    event_type = "registry.agreement-terminated.v1"

    agreement_id: AgreementId
    terminated: EdtfDate
    reason: Text


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
