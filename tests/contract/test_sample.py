from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from projections import LISTED
from services.registry.bodies import Asked
from services.registry.sample import report, story
from tests.support.service import Service


@pytest.fixture
async def told(service: Service) -> Service:
    """A registry with the sample in it."""
    await story.record(service.parts.commands, service.parts.vault)
    return service


async def test_the_story_is_recorded_once_however_often_it_is_told(told: Service):
    size = (await told.parts.log.head()).size
    assert size == 50
    again = await story.record(told.parts.commands, told.parts.vault)
    assert all(answer.replayed for answer in again)
    assert (await told.parts.log.head()).size == size


async def test_the_story_begins_an_empty_log_and_is_not_mixed_into_another(service: Service):
    await service.post("/v1/parties", {"name": "Ours", "kind": "company", "country": "FR"})
    assert "not recorded" in await story.begin(service.parts)
    assert (await service.parts.log.head()).size == 1


async def test_a_story_that_was_interrupted_is_told_to_its_end(service: Service):
    parts = service.parts
    text = report.load()
    await parts.vault.file(text.content, report.MEDIA_TYPE, len(text.text))
    first, second, *_ = story.requests(text)
    for request in (first, second):
        await parts.commands.execute(request.asked(), story.ACTOR, key=request.key)
    assert await story.begin(parts) == "the meetings at the Paris Air Show 2019"
    assert (await parts.log.head()).size == 50
    assert "recorded before" in await story.begin(parts)


async def test_the_story_of_another_version_is_left_as_it_is(service: Service):
    parts = service.parts
    text = report.load()
    await parts.vault.file(text.content, report.MEDIA_TYPE, len(text.text))
    first, *_ = story.requests(text)
    (asked,) = first.asked()
    await parts.commands.execute(
        [Asked(asked.command, asked.subject, {**first.commands[0]["data"], "title": "As it was"})],
        story.ACTOR,
        key=first.key,
    )
    assert "another version" in await story.begin(parts)
    assert (await parts.log.head()).size == 1


async def test_every_entry_quotes_whole_sentences_of_the_report(told: Service):
    text = report.load()
    sentences = {text.text[start:end] for start, end in text.sentences()}
    quoted: set[str] = set()
    cited: set[tuple[int, int]] = set()
    for model in LISTED:
        items = (await told.get(f"/v1/{model.name}", limit=500))["items"]
        assert items, model.name
        for item in items:
            found = list(citations(item))
            assert found, (model.name, item["id"])
            assert {one["quotation"] for one in found} <= sentences
            quoted |= {one["quotation"] for one in found}
            cited |= {(one["start"], one["end"]) for one in found}
    assert len(quoted) == 15
    entries = (await told.get("/v1/log/entries", limit=500))["items"]
    assert cited == {(one["start"], one["end"]) for entry in entries for one in entry["data"]["citations"]}


def citations(value: Any) -> Iterator[dict[str, Any]]:
    """Every citation in an answer, however deep it stands."""
    if isinstance(value, dict):
        if "source" in value and "start" in value:
            yield value
        else:
            for one in value.values():
                yield from citations(one)
    elif isinstance(value, list):
        for one in value:
            yield from citations(one)


async def test_whom_was_met_at_the_exhibition_is_answered_with_names(told: Service):
    (occasion,) = (await told.get("/v1/occasions"))["items"]
    met = await told.get("/v1/meetings", occasion=occasion["id"])
    names = met["names"]
    parties = {names[whom["party"]] for item in met["items"] for whom in item["participants"]}
    assert parties == {
        "Ministry of Defence Industry of Azerbaijan",
        "Nexter",
        "Thales",
        "CS Communication & Systèmes",
        "Lacroix Group",
        "Turkish Aerospace Industries, Inc.",
        "Leonardo",
        "International Cooperation Department of the Ministry of Defence of France",
    }
    people = {names[whom["person"]] for item in met["items"] for whom in item["participants"] if "person" in whom}
    assert people == {"Farrukh Vezirov", "Thomas Lorne"}


async def test_which_topics_there_are_with_thales_is_answered(told: Service):
    thales = await party(told, "Thales")
    (cooperation,) = (await told.get("/v1/cooperations", party=thales))["items"]
    assert [(topic["kind"], topic["subject"]) for topic in cooperation["topics"]] == [
        ("dialogue", "Military-technical cooperation"),
        ("service-centre", "Regional service centre for the maintenance and repair of Thales products"),
        ("joint-production", "Joint production of surveillance and radar systems of various types"),
    ]
    assert cooperation["stage"] == "negotiating"


async def test_a_visit_in_july_is_due_on_the_tenth_and_not_certainly_before_the_fifteenth(told: Service):
    (visit,) = (await told.get("/v1/visits", window_from="2019-07-10"))["items"]
    assert visit["window"] == "2019-07"
    bounds = {"window_from": "2019-07-01", "window_to": "2019-07-15"}
    may = await told.client.get("/v1/visits", params=bounds)
    assert len(may.json()["items"]) == 1
    must = await told.client.get("/v1/visits", params={**bounds, "certain": "true"})
    assert must.json()["items"] == []


async def test_who_leads_the_department_is_answered(told: Service):
    department = await party(told, "International Cooperation Department of the Ministry of Defence of France")
    (person,) = (await told.get("/v1/people", party=department))["items"]
    assert person["name"] == "Thomas Lorne"
    assert [post["post"] for post in person["posts"]] == ["head"]


async def test_which_sentence_says_that_a_roadmap_was_determined_is_answered(told: Service):
    (roadmap,) = (await told.get("/v1/roadmaps"))["items"]
    quotations = [cited["quotation"] for cited in roadmap["citations"]]
    assert "For carrying out these projects, the two sides settled on a roadmap." in quotations


async def test_each_line_of_cooperation_stands_where_the_report_leaves_it(told: Service):
    listed = await told.get("/v1/cooperations")
    stages = {listed["names"][item["parties"][1]]: item["stage"] for item in listed["items"]}
    assert stages == {
        "Nexter": "roadmap",
        "Thales": "negotiating",
        "CS Communication & Systèmes": "contact",
        "Lacroix Group": "contact",
        "Turkish Aerospace Industries, Inc.": "contact",
        "Leonardo": "negotiating",
        "Airbus": "agreed",
        "Ministry of Defence of France": "contact",
    }


async def test_a_document_may_be_cited_for_what_it_says_of_itself_and_only_as_far_as_it_goes(service: Service):
    text = "Filed in Baku."
    sha256 = await service.file(text)
    body: dict[str, Any] = {
        "id": "src_01ddpggy00e008000000000002",
        "title": "A report",
        "publisher": "Press",
        "published": "2019",
        "language": "en",
        "media_type": "text/plain",
        "sha256": sha256,
        "size": len(text),
    }
    cited = {"source": body["id"], "start": 0, "end": len(text) + 1}
    refused = await service.post("/v1/sources", {**body, "citations": [cited]}, status=422)
    assert [one["pointer"] for one in refused["errors"]] == ["/citations/0/end"]
    await service.post("/v1/sources", {**body, "citations": [{**cited, "end": len(text)}]})
    read = await service.get(f"/v1/sources/{body['id']}")
    assert read["citations"][0]["quotation"] == text


async def test_a_source_with_a_hash_that_is_none_is_refused_and_not_looked_for(service: Service):
    source = {"source": "src_01ddpggy00e008000000000002", "start": 0, "end": 1}
    filing = {
        "command": "file-source",
        "subject": f"source/{source['source']}",
        "data": {
            "title": "A report",
            "publisher": "Press",
            "published": "2019",
            "language": "en",
            "media_type": "text/plain",
            "sha256": "zz",
            "size": 1,
            "citations": [source],
        },
    }
    refused = await service.post("/v1/batch", {"commands": [filing]}, status=422)
    assert [one["pointer"] for one in refused["errors"]] == ["/commands/0/data/sha256"]


async def party(service: Service, name: str) -> str:
    listed = await service.get("/v1/parties", limit="500")
    return next(item["id"] for item in listed["items"] if item["name"] == name)
