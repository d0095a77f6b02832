from __future__ import annotations

from typing import Any

from tests.support.service import Service


async def two_parties(service: Service) -> tuple[str, str]:
    one = await service.post("/v1/parties", {"name": "Ministry of Tests", "kind": "ministry", "country": "AZ"})
    other = await service.post("/v1/parties", {"name": "Testers SA", "kind": "company", "country": "FR"})
    return one["id"], other["id"]


async def a_cooperation(service: Service) -> tuple[str, str, str]:
    one, other = await two_parties(service)
    opened = await service.post("/v1/cooperations", {"title": "Ministry and Testers", "parties": [one, other]})
    return opened["id"], one, other


async def test_a_party_that_was_registered_is_read_back(service: Service) -> None:
    body = {"name": "Nexter", "kind": "company", "country": "FR", "identifiers": [{"scheme": "XI-LEI", "value": "1"}]}
    recorded = await service.post("/v1/parties", body)
    assert recorded["revision"] == 0
    assert recorded["size"] == 1
    assert recorded["entries"][0]["position"] == 0
    read = await service.get(f"/v1/parties/{recorded['id']}")
    assert read["name"] == "Nexter"
    assert read["identifiers"] == body["identifiers"]
    assert read["as_of"]["size"] == 1
    listed = await service.get("/v1/parties", country="FR")
    assert [one["id"] for one in listed["items"]] == [recorded["id"]]
    assert (await service.get("/v1/parties", country="AZ"))["items"] == []


async def test_a_meeting_is_found_by_its_party_and_names_everybody(service: Service) -> None:
    cooperation, one, other = await a_cooperation(service)
    person = await service.post("/v1/people", {"name": "Ada Example", "contact": "ada@example.org"})
    await service.post(f"/v1/people/{person['id']}/appoint", {"party": one, "post": "adviser"})
    topic = await service.post(
        f"/v1/cooperations/{cooperation}/topics", {"topic": {"kind": "dialogue", "subject": "cooperation in tests"}}
    )
    meeting = await service.post(
        f"/v1/cooperations/{cooperation}/meetings",
        {
            "held": "2019-06-18",
            "participants": [{"party": one, "person": person["id"], "role": "adviser"}, {"party": other}],
            "topics": [topic["id"]],
        },
    )
    found = await service.get("/v1/meetings", party=other, held_from="2019-06-01", held_to="2019-06-30")
    assert [item["id"] for item in found["items"]] == [meeting["id"]]
    names: dict[str, Any] = found["names"]
    assert names[other] == "Testers SA"
    assert names[person["id"]] == "Ada Example"
    assert names[topic["id"]] == "cooperation in tests"
    people = await service.get("/v1/people", party=one)
    assert people["items"][0]["name"] == "Ada Example"
    assert people["items"][0]["contact"] == "ada@example.org"


async def test_a_citation_comes_back_with_its_words(service: Service) -> None:
    text = "First sentence. The parties determined a roadmap. Last."
    sha256 = await service.file(text)
    source = await service.post(
        "/v1/sources",
        {
            "title": "Report",
            "publisher": "Press",
            "published": "2019-06-19",
            "language": "en",
            "media_type": "text/plain",
            "sha256": sha256,
            "size": len(text.encode()),
        },
    )
    cooperation, *_ = await a_cooperation(service)
    start = text.index("The parties")
    cited = {"source": source["id"], "start": start, "end": start + len("The parties determined a roadmap.")}
    roadmap = await service.post(
        f"/v1/cooperations/{cooperation}/roadmaps", {"agreed": "2019-06", "citations": [cited]}
    )
    read = await service.get(f"/v1/roadmaps/{roadmap['id']}")
    assert read["citations"][0]["quotation"] == "The parties determined a roadmap."
    assert read["names"][source["id"]] == "Report"
