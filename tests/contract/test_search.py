from __future__ import annotations

import pytest

from tests.contract.test_story_by_hand import a_cooperation
from tests.support.service import Service


async def found(service: Service, text: str) -> list[str]:
    return [item["title"] for item in (await service.get("/v1/search", q=text))["items"]]


@pytest.fixture
async def recorded(service: Service) -> Service:
    for name in ("Azərbaycan Müdafiə Sənayesi Nazirliyi", "CS Communication & Systèmes", "Straße GmbH"):
        await service.post("/v1/parties", {"name": name, "kind": "company", "country": "AZ"})
    cooperation, *_ = await a_cooperation(service)
    topic = {"kind": "joint-production", "subject": "Radar stations", "products": ["surveillance systems"]}
    await service.post(f"/v1/cooperations/{cooperation}/topics", {"topic": topic})
    return service


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Azerbaycan", "Azərbaycan Müdafiə Sənayesi Nazirliyi"),
        ("MÜDAFIE sen", "Azərbaycan Müdafiə Sənayesi Nazirliyi"),
        ("systemes communication", "CS Communication & Systèmes"),
        ("strasse", "Straße GmbH"),
        ("surveil", "Radar stations"),
        ("radar stations", "Radar stations"),
    ],
)
async def test_words_are_found_whatever_their_case_and_diacritics(recorded: Service, text: str, title: str) -> None:
    assert title in await found(recorded, text)


@pytest.mark.parametrize("text", ["a' | !(b) & <-> :*", '"', "radar | strasse", "!!", "%_\\", "'; DROP TABLE x; --"])
async def test_nothing_in_a_text_is_an_operator(recorded: Service, text: str) -> None:
    assert await found(recorded, text) == []


async def test_what_cannot_be_looked_for_is_refused(service: Service) -> None:
    for text in ("x" * 10_000, "a\x00b", ""):
        refused = await service.get("/v1/search", status=422, q=text)
        assert [problem["parameter"] for problem in refused["errors"]] == ["q"]


async def test_what_was_found_comes_in_pages_that_do_not_shift(recorded: Service) -> None:
    first = await recorded.get("/v1/search", q="s", limit=2)
    await recorded.post("/v1/parties", {"name": "S first of all", "kind": "company", "country": "AZ"})
    pages = [first]
    while pages[-1]["next"]:
        pages.append(await recorded.get("/v1/search", q="s", limit=2, cursor=pages[-1]["next"]))
    ids = [item["id"] for page in pages for item in page["items"]]
    whole = await recorded.get("/v1/search", q="s", as_of=str(first["as_of"]["size"]), limit=500)
    assert ids == [item["id"] for item in whole["items"]]
    assert len(ids) > 2


async def test_people_are_found_by_their_names_until_they_are_erased(service: Service) -> None:
    person = (await service.post("/v1/people", {"name": "Zoë Müller-Example", "contact": "z@example.org"}))["id"]
    for text in ("zoe", "MULLER example", "Zoë Müller-Example"):
        assert [item["id"] for item in (await service.get("/v1/search", q=text))["items"]] == [person]
    assert await found(service, "zo") == []
    assert await found(service, "zoe other") == []
    position = (await service.get(f"/v1/people/{person}"))["position"]
    correction = {"replacement": {"name": "Zoé Meunier"}, "reason": "misheard"}
    await service.post(f"/v1/log/entries/{position}/correct", correction)
    assert await found(service, "muller") == []
    assert await found(service, "meunier") == ["Zoé Meunier"]
    await service.post(f"/v1/people/{person}/erase", {"authority": "the court", "reason": "asked to be forgotten"})
    assert await found(service, "meunier") == []
    assert await service.parts.pool.fetchval("SELECT count(*) FROM vault.token") == 0
