"""The value types of the domain: what fields hold, and within which bounds.

Bounds are carried by the types, so that decoding, the JSON Schemas and the API's documentation
say the same. A type's `extra` names the kind of a leaf (`party`, `country`, ...): `shape.leaves`
finds them, for the checks that need to look something up; or that it is a text of one or several lines, of which
`events.legible` has more to say on the way in.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from events.edtf import EdtfDate
from events.forms import form

# TypeIDs (the TypeID specification, 0.3): a prefix, and a UUID in lower-case Crockford base 32.
PartyId = Annotated[
    str,
    form(
        "^party_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a party: party_ and 26 characters of a TypeID",
        extra={"kind": "party"},
    ),
]
PersonId = Annotated[
    str,
    form(
        "^person_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a person: person_ and 26 characters of a TypeID",
        extra={"kind": "person"},
    ),
]
OccasionId = Annotated[
    str,
    form(
        "^occ_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of an occasion: occ_ and 26 characters of a TypeID",
        extra={"kind": "occasion"},
    ),
]
SourceId = Annotated[
    str,
    form(
        "^src_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a source: src_ and 26 characters of a TypeID",
        extra={"kind": "source"},
    ),
]
CooperationId = Annotated[
    str,
    form(
        "^coop_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a cooperation: coop_ and 26 characters of a TypeID",
        extra={"kind": "cooperation"},
    ),
]

# Things within a stream: their existence is a matter of that stream's own state.
DelegationId = Annotated[
    str,
    form(
        "^delegation_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a delegation: delegation_ and 26 characters of a TypeID",
    ),
]
TopicId = Annotated[
    str,
    form(
        "^topic_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a topic: topic_ and 26 characters of a TypeID",
    ),
]
MeetingId = Annotated[
    str,
    form(
        "^meeting_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a meeting: meeting_ and 26 characters of a TypeID",
    ),
]
NegotiationsId = Annotated[
    str,
    form(
        "^negotiations_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of negotiations: negotiations_ and 26 characters of a TypeID",
    ),
]
RoadmapId = Annotated[
    str,
    form(
        "^roadmap_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a roadmap: roadmap_ and 26 characters of a TypeID",
    ),
]
MilestoneId = Annotated[
    str,
    form(
        "^milestone_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a milestone: milestone_ and 26 characters of a TypeID",
    ),
]
VisitId = Annotated[
    str,
    form(
        "^visit_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a visit: visit_ and 26 characters of a TypeID",
    ),
]
RoundId = Annotated[
    str,
    form(
        "^round_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of a round: round_ and 26 characters of a TypeID",
    ),
]
AgreementId = Annotated[
    str,
    form(
        "^agreement_[0-7][0-9a-hjkmnp-tv-z]{25}$",
        description="the id of an agreement: agreement_ and 26 characters of a TypeID",
    ),
]

# Names and titles: one line. Texts: several lines. Neither holds control characters (C0, DEL, C1).
Name = Annotated[
    str,
    form(
        "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        min_length=1,
        max_length=300,
        description="one line of text without control characters",
        extra={"text": "line"},
    ),
]
Text = Annotated[
    str,
    form(
        "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]+$",
        min_length=1,
        max_length=4000,
        description="text without control characters other than line feed and tab",
        extra={"text": "lines"},
    ),
]
Slug = Annotated[
    str,
    form(
        "^[a-z0-9]+(-[a-z0-9]+)*$",
        max_length=60,
        description="lower-case words joined by hyphens, such as defence-industry",
    ),
]
Country = Annotated[
    str,
    form(
        "^[A-Z]{2}$",
        extra={"kind": "country"},
        description="a country code of ISO 3166-1 alpha-2, such as AZ or FR",
    ),
]
Language = Annotated[
    str,
    form(
        "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$",
        max_length=35,
        description="a language tag of BCP 47, such as en or az-Latn",
    ),
]
Sha256 = Annotated[str, form("^[0-9a-f]{64}$", description="a SHA-256 hash as 64 hexadecimal digits in lower case")]
WebAddress = Annotated[
    str,
    form(
        "^https?://[^\\s\\u0000-\\u001f\\u007f-\\u009f]+$",
        max_length=2000,
        description="a web address that begins with https:// or http://",
        extra={"text": "line"},
    ),
]

DISTINCT: Final[dict[str, Any]] = {"uniqueItems": True}
"""For `Meta(extra_json_schema=...)` of an array that is a set: what is in it twice is refused, not kept twice."""

Classification = Literal["public", "internal", "restricted", "confidential"]


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """What every value object is: immutable, compared by its fields, refusing what it does not know."""


class Place(Value, frozen=True, kw_only=True):
    """A country (ISO 3166-1 alpha-2) and, as far as stated, a city and a venue in it."""

    country: Country
    city: Name | None = None
    venue: Name | None = None


class Identifier(Value, frozen=True, kw_only=True):
    """A party's number in a register; a (scheme, value) pair belongs to one party only.

    `scheme` is an org-id.guide list code such as `XI-LEI` or `FR-RCS`, or a client's own prefix.
    """

    scheme: Annotated[
        str,
        form(
            "^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=40,
            description="a code of org-id.guide such as XI-LEI, or a prefix of your own",
        ),
    ]
    value: Name


class Participant(Value, frozen=True, kw_only=True):
    """Who took part: a party, who of it, and in which role on this one occasion."""

    party: PartyId
    person: PersonId | None = None
    role: Name | None = None


class Citation(Value, frozen=True, kw_only=True):
    """The characters `start` up to but not including `end` of a source's filed text (code points, from 0)."""

    source: SourceId
    start: Annotated[int, Meta(ge=0, le=100_000_000)]
    end: Annotated[int, Meta(ge=1, le=100_000_000)]


TopicKind = Literal[
    "dialogue",
    "joint-production",
    "service-centre",
    "joint-project",
    "procurement",
    "technology-transfer",
    "training",
    "research",
]


class Topic(Value, frozen=True, kw_only=True):
    """What is talked about: its kind, subject, products, and where it is to take effect."""

    topic_id: TopicId
    kind: TopicKind
    subject: Name
    products: Annotated[tuple[Name, ...], Meta(max_length=100, extra_json_schema=DISTINCT)] = ()
    territory: Annotated[tuple[Country, ...], Meta(max_length=250, extra_json_schema=DISTINCT)] = ()
    territory_note: Name | None = None


class Milestone(Value, frozen=True, kw_only=True):
    """A step of a roadmap, due when stated (`due` may lie in the future and be uncertain)."""

    milestone_id: MilestoneId
    title: Name
    due: EdtfDate | None = None
