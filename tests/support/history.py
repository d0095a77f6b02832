"""A longer story, told step by step on a clock that moves when it is told to: what reads are tried on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.support.world import cite, meeting, party, source

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STEP = timedelta(minutes=1)

COOPERATIONS = "/v1/cooperations"
ON_FIRST, ON_SECOND = f"{COOPERATIONS}/$first", f"{COOPERATIONS}/$second"


def visit(window: str, **more: Any) -> dict[str, Any]:
    return {
        "visitors": [{"party": "$company", "role": "experts"}],
        "host": "$ministry",
        "place": {"country": "AZ"},
        "window": window,
        "purpose": "to go on",
        **more,
    }


def steps(sha256: str) -> list[tuple[str, str, dict[str, Any]]]:
    """What is recorded, each under a name, in order; the document is on file."""
    return [
        ("report", "/v1/sources", source(sha256, place={"country": "AZ"})),
        (
            "leaflet",
            "/v1/sources",
            source("0" * 64, title="Leaflet", publisher="Other", published="2018", language="fr"),
        ),
        ("ministry", "/v1/parties", party("Ministry", "AZ", "ministry", citations=[cite("One sentence.")])),
        ("department", "/v1/parties", party("department", "AZ", "department", part_of="$ministry")),
        (
            "company",
            "/v1/parties",
            party(
                "Company",
                sectors=["aerospace", "defence-industry"],
                identifiers=[{"scheme": "XI-LEI", "value": "969500"}],
                note="Its note.",
            ),
        ),
        ("works", "/v1/parties", party("works", "IT", sectors=["aerospace"], classification="restricted")),
        ("ada", "/v1/people", {"name": "Ada Example", "contact": "ada@example.org"}),
        ("bob", "/v1/people", {"name": "Bob Example"}),
        (
            "ada",
            "/v1/people/$ada/appoint",
            {"party": "$ministry", "post": "adviser", "from": "2018?", "citations": [cite("The end.")]},
        ),
        ("bob", "/v1/people/$bob/appoint", {"party": "$company", "post": "head"}),
        (
            "show",
            "/v1/occasions",
            {
                "name": "Air Show",
                "kind": "exhibition",
                "place": {"country": "FR", "city": "Paris"},
                "dates": "2019-06/2019-06-23",
                "organiser": "$company",
            },
        ),
        ("forum", "/v1/occasions", {"name": "Forum", "kind": "forum", "place": {"country": "AZ"}, "dates": "2020"}),
        (
            "delegation",
            "/v1/occasions/$show/delegations",
            {
                "party": "$ministry",
                "participants": [{"party": "$ministry", "person": "$ada", "role": "adviser"}, {"party": "$works"}],
                "citations": [cite("One sentence.")],
            },
        ),
        ("first", COOPERATIONS, {"title": "First", "parties": ["$ministry", "$company"], "fields": ["aerospace"]}),
        ("second", COOPERATIONS, {"title": "Second", "parties": ["$ministry", "$works"], "fields": ["research"]}),
        (
            "vehicles",
            f"{ON_FIRST}/topics",
            {
                "topic": {
                    "kind": "joint-production",
                    "subject": "vehicles",
                    "products": ["a vehicle"],
                    "territory": ["AZ"],
                },
                "citations": [cite("they agreed on a roadmap.")],
            },
        ),
        ("talks", f"{ON_SECOND}/topics", {"topic": {"kind": "dialogue", "subject": "talks"}}),
        (
            "met",
            f"{ON_FIRST}/meetings",
            meeting(
                "2019-06-18",
                participants=[{"party": "$ministry", "person": "$ada"}, {"party": "$company", "role": "management"}],
                occasion="$show",
                place={"country": "FR"},
                topics=["$vehicles"],
                summary="They met.",
            ),
        ),
        (
            "met_again",
            f"{ON_SECOND}/meetings",
            meeting("2019-06?", participants=[{"party": "$ministry"}, {"party": "$works"}], topics=["$talks"]),
        ),
        (
            "terms",
            f"{ON_FIRST}/negotiations",
            {"held": "2019-06-18", "subject": "terms", "meeting": "$met", "topics": ["$vehicles"]},
        ),
        ("prices", f"{ON_SECOND}/negotiations", {"held": "2019-07", "subject": "prices"}),
        (
            "roadmap",
            f"{ON_FIRST}/roadmaps",
            {
                "agreed": "2019-06-18",
                "meeting": "$met",
                "topics": ["$vehicles"],
                "milestones": [{"title": "Drawings", "due": "2020"}, {"title": "A first vehicle"}],
                "citations": [cite("Another one: they agreed on a roadmap.")],
            },
        ),
        ("way", f"{ON_SECOND}/roadmaps", {"agreed": "2020"}),
        (
            "july",
            f"{ON_FIRST}/visits",
            visit("2019-07", topics=["$vehicles"], visitors=[{"party": "$company", "person": "$bob"}], meeting="$met"),
        ),
        (
            "back",
            f"{ON_FIRST}/visits",
            visit("2019-09-01", visitors=[{"party": "$ministry"}], host="$company", place={"country": "FR"}),
        ),
        (
            "round",
            f"{ON_FIRST}/rounds",
            {
                "place": {"country": "AZ"},
                "participants": [{"party": "$company", "person": "$bob"}, {"party": "$ministry"}],
                "subject": "next",
            },
        ),
        (
            "round_in_may",
            f"{ON_SECOND}/rounds",
            {
                "place": {"country": "IT"},
                "participants": [{"party": "$works"}, {"party": "$ministry"}],
                "subject": "last",
                "window": "2020-05",
            },
        ),
        (
            "understanding",
            f"{ON_FIRST}/agreements",
            {
                "kind": "understanding",
                "subject": "projects",
                "reached": "2019-06-18",
                "topics": ["$vehicles"],
                "document": "$report",
            },
        ),
        ("contract", f"{ON_SECOND}/agreements", {"kind": "contract", "subject": "parts", "reached": "2021"}),
        ("second", f"{ON_SECOND}/suspend", {"reason": "for a while"}),
        ("second", f"{ON_SECOND}/resume", {"reason": "on again"}),
        ("first", f"{ON_FIRST}/conclude", {"reason": "done"}),
    ]


FOUND: dict[str, dict[str, set[str]]] = {
    "parties": {
        "kind=ministry": {"ministry"},
        "kind=company": {"company", "works"},
        "country=AZ": {"ministry", "department"},
        "country=DE": set(),
        "part_of=$ministry": {"department"},
        "sector=aerospace": {"company", "works"},
        "sector=defence-industry": {"company"},
        "sector=aero": set(),
        "identifier=XI-LEI:969500": {"company"},
        "identifier=XI-LEI:9695": set(),
        "country=IT&sector=aerospace&kind=company": {"works"},
        "country=IT&kind=ministry": set(),
        "": {"ministry", "department", "company", "works"},
    },
    "people": {
        "party=$ministry": {"ada"},
        "party=$company": {"bob"},
        "party=$works": set(),
        "ever=$company": {"bob"},
        "ever=$works": set(),
        "": {"ada", "bob"},
    },
    "occasions": {
        "kind=forum": {"forum"},
        "country=FR": {"show"},
        "organiser=$company": {"show"},
        "organiser=$ministry": set(),
        "party=$ministry": {"show"},
        "party=$company": {"show"},
        "party=$works": {"show"},
        "party=$department": set(),
        "status=announced": {"show", "forum"},
        "status=cancelled": set(),
        "dates_from=2019-06-20&dates_to=2019-06-21": {"show"},
        "dates_to=2019-05-31": set(),
        "dates_from=2019-06-24": {"forum"},
        "dates_from=2019-06-01&dates_to=2019-06-30&certain=true": {"show"},
        "dates_from=2019-06-02&dates_to=2019-06-30&certain=true": set(),
    },
    "sources": {
        "publisher=Press": {"report"},
        "publisher=press": set(),
        "language=fr": {"leaflet"},
        f"sha256={'0' * 64}": {"leaflet"},
        "published_from=2018-06-01&published_to=2018-06-30": {"leaflet"},
        "published_from=2018-06-01&published_to=2018-06-30&certain=true": set(),
        "published_from=2019-06-19&published_to=2019-06-19&certain=true": {"report"},
    },
    "cooperations": {
        "party=$works": {"second"},
        "party=$ministry": {"first", "second"},
        "field=research": {"second"},
        "stage=concluded": {"first"},
        "stage=agreed": {"second"},
        "stage=suspended": set(),
        "topic_kind=dialogue": {"second"},
        "country=FR": {"first"},
        "country=AZ": {"first", "second"},
    },
    "meetings": {
        "cooperation=$first": {"met"},
        "party=$works": {"met_again"},
        "party=$ministry": {"met", "met_again"},
        "topic=$vehicles": {"met"},
        "topic_kind=dialogue": {"met_again"},
        "person=$ada": {"met"},
        "person=$bob": set(),
        "occasion=$show": {"met"},
        "country=FR": {"met"},
        "country=AZ": set(),
        "held_from=2019-06-18&held_to=2019-06-18": {"met", "met_again"},
        "held_from=2019-06-18&held_to=2019-06-18&certain=true": {"met"},
        "held_from=2019-06-01&held_to=2019-06-30&certain=true": {"met"},
        "held_from=2000-01-01&certain=true": {"met"},
        "held_from=2019-07-01": set(),
        "certain=true": {"met", "met_again"},
        "certain=false": {"met", "met_again"},
    },
    "negotiations": {
        "cooperation=$second": {"prices"},
        "party=$company": {"terms"},
        "topic=$vehicles": {"terms"},
        "topic_kind=joint-production": {"terms"},
        "meeting=$met": {"terms"},
        "held_from=2019-07-31": {"prices"},
    },
    "roadmaps": {
        "cooperation=$second": {"way"},
        "party=$company": {"roadmap"},
        "topic=$vehicles": {"roadmap"},
        "topic_kind=joint-production": {"roadmap"},
        "topic_kind=training": set(),
        "meeting=$met": {"roadmap"},
        "agreed_from=2020-12-31": {"way"},
        "agreed_from=2020-12-31&certain=true": set(),
    },
    "visits": {
        "cooperation=$first": {"july", "back"},
        "cooperation=$second": set(),
        "party=$ministry": {"july", "back"},
        "topic=$vehicles": {"july"},
        "topic_kind=joint-production": {"july"},
        "person=$bob": {"july"},
        "visitor=$ministry": {"back"},
        "visitor=$company": {"july"},
        "host=$ministry": {"july"},
        "country=FR": {"back"},
        "status=scheduled": {"july", "back"},
        "window_from=2019-07-10": {"july", "back"},
        "window_from=2019-07-10&window_to=2019-07-10": {"july"},
        "window_from=2019-07-01&window_to=2019-07-15&certain=true": set(),
        "window_from=2019-07-01&window_to=2019-07-31&certain=true": {"july"},
        "held_from=0001-01-01": set(),
        "held_to=9999-12-31": set(),
    },
    "rounds": {
        "cooperation=$first": {"round"},
        "party=$works": {"round_in_may"},
        "person=$bob": {"round"},
        "country=IT": {"round_in_may"},
        "status=scheduled": {"round", "round_in_may"},
        "window_from=2019-01-01&window_to=2019-12-31": {"round"},
        "window_from=2020-05-31": {"round", "round_in_may"},
        "window_from=2020-05-01&window_to=2020-05-31&certain=true": {"round_in_may"},
        "held_from=0001-01-01": set(),
    },
    "agreements": {
        "cooperation=$first": {"understanding"},
        "party=$works": {"contract"},
        "topic=$vehicles": {"understanding"},
        "topic_kind=joint-production": {"understanding"},
        "kind=contract": {"contract"},
        "status=in-force": {"understanding", "contract"},
        "status=terminated": set(),
        "reached_to=2019-12-31": {"understanding"},
    },
    "commitments": {
        "cooperation=$second": {"round_in_may"},
        "cooperation=$first": set(),
        "party=$works": {"round_in_may"},
        "party=$company": set(),
        "kind=round": {"round_in_may"},
        "kind=visit": set(),
        "due_from=2020-05-31": {"round_in_may"},
        "due_to=2020-04-30": set(),
        "overdue=true&on=2020-06-01": {"round_in_may"},
        "overdue=true&on=2020-05-31": set(),
        "overdue=false&on=2020-05-31": {"round_in_may"},
    },
}
"""What each list finds by which query, by name."""
