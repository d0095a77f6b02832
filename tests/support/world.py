"""A small world to record in: some of everything, by short names that bodies and paths may use as `$ministry`."""

from __future__ import annotations

import re
from typing import Any

from tests.support.service import Service

TEXT = "One sentence. Another one: they agreed on a roadmap. The end."

PERSON = "Adelheid Quistorp"
"""Whose name is looked for where it must not be: in either half, too long for chance to write it into sealed bytes."""

NOTHING = {
    "no_party": "party_00000000000000000000000000",
    "no_person": "person_00000000000000000000000000",
    "no_occasion": "occ_00000000000000000000000000",
    "no_source": "src_00000000000000000000000000",
    "no_cooperation": "coop_00000000000000000000000000",
    "no_topic": "topic_00000000000000000000000000",
    "no_meeting": "meeting_00000000000000000000000000",
}
"""Ids that are ids, of nothing."""


class Names:
    """Ids by name. `fill` puts them in the place of `$names`, wherever they stand."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = dict(NOTHING)

    def fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$(\w+)", lambda found: self.ids.get(found[1], found[0]), value)
        if isinstance(value, list):
            return [self.fill(one) for one in value]
        if isinstance(value, dict):
            return {key: self.fill(one) for key, one in value.items()}
        return value


class World(Names):
    """What is recorded in a registry, by name."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.service = service

    async def record(self, name: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Post a body and keep the id of what it brought under a name."""
        answer: dict[str, Any] = await self.service.post(self.fill(path), self.fill(body))
        self.ids[name] = answer["id"]
        return answer


def party(name: str, country: str = "FR", kind: str = "company", **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": kind, "country": country, **more}


def source(sha256: str, **more: Any) -> dict[str, Any]:
    return {
        "title": "Report",
        "publisher": "Press",
        "published": "2019-06-19",
        "language": "en",
        "media_type": "text/plain",
        "sha256": sha256,
        "size": len(TEXT),
        **more,
    }


def meeting(held: str = "2019-06-18", **more: Any) -> dict[str, Any]:
    return {"held": held, "participants": [{"party": "$ministry"}, {"party": "$company"}], **more}


def cite(words: str) -> dict[str, Any]:
    start = TEXT.index(words)
    return {"source": "$report", "start": start, "end": start + len(words)}


async def build(service: Service) -> World:
    """Record one of most things, and lines of cooperation that are open, suspended and concluded."""
    world = World(service)
    await world.record("ministry", "/v1/parties", party("Ministry", "AZ", "ministry"))
    await world.record(
        "company", "/v1/parties", party("Company", identifiers=[{"scheme": "XI-LEI", "value": "969500"}])
    )
    await world.record("stranger", "/v1/parties", party("Stranger", "IT"))
    await world.record("person", "/v1/people", {"name": PERSON})
    await world.record(
        "occasion",
        "/v1/occasions",
        {"name": "Air Show", "kind": "exhibition", "place": {"country": "FR"}, "dates": "2019-06"},
    )
    await world.record("report", "/v1/sources", source(await service.file(TEXT)))
    await world.record("unfiled", "/v1/sources", source("0" * 64, title="Not on file"))
    both = ["$ministry", "$company"]
    await world.record("cooperation", "/v1/cooperations", {"title": "Open", "parties": both})
    await world.record("other", "/v1/cooperations", {"title": "Other", "parties": [*both, "$stranger"]})
    await world.record("suspended", "/v1/cooperations", {"title": "Suspended", "parties": both})
    await world.record("concluded", "/v1/cooperations", {"title": "Concluded", "parties": both})
    topic = {"topic": {"kind": "dialogue", "subject": "talks"}}
    await world.record("topic", "/v1/cooperations/$cooperation/topics", topic)
    await world.record("other_topic", "/v1/cooperations/$other/topics", topic)
    await world.record("meeting", "/v1/cooperations/$cooperation/meetings", meeting())
    await world.record(
        "roadmap", "/v1/cooperations/$cooperation/roadmaps", {"agreed": "2019-06", "milestones": [{"title": "First"}]}
    )
    await world.record("suspended", "/v1/cooperations/$suspended/suspend", {"reason": "for a while"})
    await world.record("concluded", "/v1/cooperations/$concluded/conclude", {"reason": "done"})
    return world
