"""The sample: what the report says, statement by statement (3-domain.md), as commands like any client's.

One request a subject, each all or nothing. Ids and idempotency keys are fixed, so that recording the story again
records nothing. Every event cites the sentences that it rests on, and a note says where the record had to add to what
the report states, or departs from it. People are named by id: no free text holds a name but the field that is sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from events.errors import CommandIdReused
from events.vault import Vault
from services.registry.commands import Actor, Answer, Commands
from services.registry.parts import Parts
from services.registry.sample import report
from services.registry.sample.telling import (
    ADVISER,
    AIR_SHOW,
    DATELINE,
    DAY,
    HELD,
    MET,
    MINISTRY,
    REPORT,
    Request,
    Said,
    Telling,
    sample_id,
)

ACTOR: Final = Actor("sample")

NEXTER, THALES, CS, LACROIX, TAI, LEONARDO, AIRBUS, FRANCE = range(2, 10)
"""The numbers of those that the ministry met or negotiated with."""

FRENCH_MINISTRY: Final = sample_id("party", FRANCE)
FRENCH_DEPARTMENT: Final = sample_id("party", 10)
HEAD_OF_DEPARTMENT: Final = sample_id("person", 2)

NEXTER_PRODUCTION: Final = sample_id("topic", 11)
SERVICE_CENTRE: Final = sample_id("topic", 12)
RADARS: Final = sample_id("topic", 13)

BY_CONTEXT: Final = "The report does not say who met them: by its context it was the adviser, whose visit this was."


def requests(text: report.Report) -> list[Request]:
    """Return the whole story, in the order in which it has to be recorded."""
    tell = Telling(text)
    told: Sequence[tuple[str, list[Said]]] = (
        ("report", _report(tell)),
        ("exhibition", _exhibition(tell)),
        ("nexter", _nexter(tell)),
        ("thales", _thales(tell)),
        ("cs", _company(tell, CS, "CS Communication & Systèmes")),
        ("lacroix", _company(tell, LACROIX, "Lacroix Group")),
        ("tai", _tai(tell)),
        ("leonardo", _leonardo(tell)),
        ("airbus", _airbus(tell)),
        ("france", _france(tell)),
    )
    return [Request(f"paris-air-show-2019/{key}", tuple(commands)) for key, commands in told]


def lines(text: report.Report) -> Iterator[bytes]:
    """Yield the story as the lines of a file for `registry import`; the report has to be on file before."""
    return (request.line() for request in requests(text))


async def record(commands: Commands, vault: Vault) -> list[Answer]:
    """File the report and record the story; what was recorded before is answered as `replayed`.

    Raises `CommandIdReused` where it was recorded in another wording, by another version of the program or before
    somebody in it was erased, and what `Commands.execute` raises.
    """
    text = report.load()
    await vault.file(text.content, report.MEDIA_TYPE, len(text.text))
    return [await commands.execute(request.asked(), ACTOR, key=request.key) for request in requests(text)]


async def is_of_others(parts: Parts) -> bool:
    """Tell whether the log begins with something else than the story."""
    first = await parts.log.read_all(0, limit=1)
    return bool(first) and msgspec.json.decode(first[0].bytes)["actor"] != ACTOR.name


async def begin(parts: Parts) -> str:
    """Record the story into an empty log, or its rest into one that begins with it, and say what became of it."""
    if await is_of_others(parts):
        return "not recorded, since the log holds other entries already"
    try:
        answers = await record(parts.commands, parts.vault)
    except CommandIdReused:
        return "as another version recorded it, or as it was before somebody in it was erased"
    before = ", recorded before" if all(answer.replayed for answer in answers) else ""
    return f"the meetings at the Paris Air Show 2019{before}"


def _report(tell: Telling) -> list[Said]:
    return [
        tell.say(
            "file-source",
            f"source/{REPORT}",
            DATELINE,
            "renowned exhibition",
            title="Azerbaijan represented at the Paris Air Show 2019",
            publisher="Trend",
            published="2019-06-19",
            place={"country": "AZ", "city": "Baku"},
            language="en",
            media_type=report.MEDIA_TYPE,
            sha256=tell.report.sha256,
            size=len(tell.report.content),
            note="Trend refers to the Ministry of Defence Industry of Azerbaijan. The title describes the report, "
            "which has none. The text on file retells it in other words, sentence for sentence.",
        )
    ]


def _exhibition(tell: Telling) -> list[Said]:
    person, occasion = f"person/{ADVISER}", f"occasion/{AIR_SHOW}"
    return [
        tell.say(
            "register-party",
            f"party/{MINISTRY}",
            "renowned exhibition",
            name="Ministry of Defence Industry of Azerbaijan",
            kind="ministry",
            country="AZ",
            sectors=["defence-industry"],
        ),
        tell.say("register-person", person, MET, name="Farrukh Vezirov"),
        tell.say("appoint-person", person, "renowned exhibition", MET, party=MINISTRY, post="adviser"),
        tell.say(
            "announce-occasion",
            occasion,
            "renowned exhibition",
            "remains open",
            DATELINE,
            name="Paris Air Show 2019",
            kind="exhibition",
            place={"country": "FR", "city": "Paris"},
            dates="2019-06/2019-06-23",
            note="The last day is stated. The first is not, and is taken to lie in June.",
        ),
        tell.say(
            "send-delegation",
            occasion,
            "renowned exhibition",
            MET,
            id=sample_id("delegation", 1),
            party=MINISTRY,
            participants=[{"party": MINISTRY, "person": ADVISER, "role": "adviser"}],
            note="The report says that Azerbaijan was represented, and names nobody but the ministry's adviser.",
        ),
    ]


def _company(
    tell: Telling, number: int, name: str, *cited: str, besides: Sequence[Said] = (), summary: str = "", **about: Any
) -> list[Said]:
    """Tell of one of the companies whose management the adviser met; `besides` are the topics that only it raised."""
    party, dialogue = sample_id("party", number), sample_id("topic", number)
    topics = [dialogue, *(one["data"]["topic"]["topic_id"] for one in besides)]
    return [
        tell.say(
            "register-party", f"party/{party}", MET, **{"name": name, "kind": "company", "country": "FR", **about}
        ),
        tell.opened(number, MET, title=f"Military-technical cooperation with {name}"),
        tell.topic(number, dialogue, MET, kind="dialogue", subject="Military-technical cooperation"),
        *besides,
        tell.meeting(
            number,
            *cited,
            whom={"party": party, "role": "management"},
            topics=topics,
            summary=summary or "The parties discussed military-technical cooperation.",
        ),
    ]


def _nexter(tell: Telling) -> list[Said]:
    meeting = sample_id("meeting", NEXTER)
    production = tell.topic(
        NEXTER,
        NEXTER_PRODUCTION,
        "robotic weapons",
        kind="joint-production",
        subject="Joint production of defence products at enterprises of the Ministry of Defence of Azerbaijan",
        products=["wheeled armoured vehicles", "robotic weapons of various kinds, for use at sea and in the air"],
        territory=["AZ"],
        note="The report names the Ministry of Defence here, and the Ministry of Defence Industry elsewhere.",
    )
    return [
        *_company(
            tell,
            NEXTER,
            "Nexter",
            "robotic weapons",
            besides=[production],
            summary="The parties discussed military-technical cooperation, and the joint production in Azerbaijan of "
            "defence products, wheeled armoured vehicles and robotic weapons among them.",
        ),
        tell.of(
            NEXTER,
            "agree-roadmap",
            "robotic weapons",
            "roadmap",
            DATELINE,
            id=sample_id("roadmap", NEXTER),
            agreed=HELD,
            meeting=meeting,
            topics=[NEXTER_PRODUCTION],
            note=f"The report names no milestones. {DAY}",
        ),
        tell.of(
            NEXTER,
            "schedule-visit",
            "experts of Nexter",
            DATELINE,
            id=sample_id("visit", NEXTER),
            visitors=[{"party": sample_id("party", NEXTER), "role": "experts"}],
            host=MINISTRY,
            place={"country": "AZ"},
            window="2019-07",
            purpose="Continue the negotiations",
            topics=[NEXTER_PRODUCTION],
            meeting=meeting,
            note="The report says July; the year is its own. It names the country that is to be visited: the host and "
            "the topic are those of the meeting at which the visit was decided.",
        ),
    ]


def _thales(tell: Telling) -> list[Said]:
    besides = [
        tell.topic(
            THALES,
            SERVICE_CENTRE,
            "service centre",
            kind="service-centre",
            subject="Regional service centre for the maintenance and repair of Thales products",
            territory=["AZ"],
            territory_note="neighbouring countries",
        ),
        tell.topic(
            THALES,
            RADARS,
            "radars",
            kind="joint-production",
            subject="Joint production of surveillance and radar systems of various types",
            products=["surveillance systems", "radar systems"],
        ),
    ]
    return [
        *_company(
            tell,
            THALES,
            "Thales",
            "service centre",
            "radars",
            besides=besides,
            summary="The parties discussed military-technical cooperation and a regional service centre, and "
            "negotiated on the joint production of surveillance and radar systems.",
        ),
        tell.negotiations(
            THALES,
            "service centre",
            "radars",
            subject="Establishing the joint production of surveillance and radar systems",
            topics=[RADARS],
            at_meeting=True,
        ),
    ]


def _tai(tell: Telling) -> list[Said]:
    return _company(
        tell,
        TAI,
        "Turkish Aerospace Industries, Inc.",
        country="TR",
        alternative_names=["TAI"],
        note="The report counts it among French companies. It is Turkish, as its name says.",
    )


def _leonardo(tell: Telling) -> list[Said]:
    met, joint = "Italian company", "joint projects"
    party, projects = sample_id("party", LEONARDO), sample_id("topic", LEONARDO)
    return [
        tell.say("register-party", f"party/{party}", met, name="Leonardo", kind="company", country="IT"),
        tell.opened(LEONARDO, met, joint, title="Joint projects with Leonardo"),
        tell.topic(LEONARDO, projects, joint, kind="joint-project", subject="Joint projects"),
        tell.meeting(
            LEONARDO,
            met,
            joint,
            whom={"party": party, "role": "representatives"},
            topics=[projects],
            summary="The parties negotiated on joint projects.",
            note=BY_CONTEXT,
        ),
        tell.negotiations(LEONARDO, met, joint, subject="Joint projects", topics=[projects], at_meeting=True),
    ]


def _airbus(tell: Telling) -> list[Said]:
    agreed = "aerospace sector"
    party, projects = sample_id("party", AIRBUS), sample_id("topic", AIRBUS)
    return [
        tell.say(
            "register-party",
            f"party/{party}",
            agreed,
            name="Airbus",
            kind="company",
            country="NL",
            note="The report calls it the largest transnational airline of Europe; it makes aircraft. The report names "
            "no country: this is the one where Airbus SE has its seat.",
        ),
        tell.opened(AIRBUS, agreed, title="Projects in the aerospace sector with Airbus", field="aerospace"),
        tell.topic(AIRBUS, projects, agreed, kind="joint-project", subject="Projects in the aerospace sector"),
        tell.negotiations(
            AIRBUS,
            agreed,
            subject="Projects in the aerospace sector",
            topics=[projects],
            at_meeting=False,
            note="Held with representatives of Airbus. Of what was negotiated the report states what was agreed.",
        ),
        tell.of(
            AIRBUS,
            "reach-agreement",
            agreed,
            DATELINE,
            id=sample_id("agreement", AIRBUS),
            kind="understanding",
            subject="Implementation of projects in the aerospace sector",
            reached=HELD,
            topics=[projects],
            note=f"The report speaks of an agreement and of no document. {DAY}",
        ),
        tell.of(
            AIRBUS,
            "schedule-round",
            "next stage",
            id=sample_id("round", AIRBUS),
            place={"country": "AZ"},
            participants=[{"party": MINISTRY, "role": "experts"}, {"party": party, "role": "experts"}],
            subject="Next stage of the discussions",
            note="The report does not say when.",
        ),
    ]


def _france(tell: Telling) -> list[Said]:
    met, discussed = "International Cooperation Department", "two countries"
    person, dialogue = f"person/{HEAD_OF_DEPARTMENT}", sample_id("topic", FRANCE)
    ministry = {"name": "Ministry of Defence of France", "kind": "ministry", "country": "FR"}
    department = {
        "name": "International Cooperation Department of the Ministry of Defence of France",
        "kind": "department",
        "country": "FR",
        "part_of": FRENCH_MINISTRY,
    }
    return [
        tell.say("register-party", f"party/{FRENCH_MINISTRY}", met, **ministry),
        tell.say("register-party", f"party/{FRENCH_DEPARTMENT}", met, **department),
        tell.say("register-person", person, met, name="Thomas Lorne"),
        tell.say("appoint-person", person, met, party=FRENCH_DEPARTMENT, post="head"),
        tell.opened(
            FRANCE,
            met,
            discussed,
            title="Military-technical cooperation of Azerbaijan and France",
            parties=[FRENCH_MINISTRY, FRENCH_DEPARTMENT],
        ),
        tell.topic(
            FRANCE,
            dialogue,
            discussed,
            kind="dialogue",
            subject="Development of the military-technical cooperation of the two countries",
            territory=["AZ", "FR"],
        ),
        tell.meeting(
            FRANCE,
            met,
            discussed,
            whom={"party": FRENCH_DEPARTMENT, "person": HEAD_OF_DEPARTMENT, "role": "head"},
            topics=[dialogue],
            summary="The parties discussed how the military-technical cooperation of the two countries could develop.",
            note=BY_CONTEXT,
        ),
    ]
