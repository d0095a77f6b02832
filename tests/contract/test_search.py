from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.test_story_by_hand import a_cooperation
from tests.contract.test_transitions import a_visit
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


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("Сельхозмаш", ("selkhozmash", "Сельхозмаш", "selkh", "Sel'khozmash", "sel\u2019kh")),
        ("ОБЪЕДИНЕНИЕ", ("obedinenie", "объединение", "ob'edinenie")),
        *(
            (
                f"O{sign}zbekiston Yo{sign}llari",
                ("Ozbekiston yollari", "O\u02bbzbekiston", "O'zbekiston", "yo\u2019llari"),
            )
            for sign in "\u02bb\u02bc\u02b9\u02ba\u2018"
        ),
        ("Union de l'industrie", ("industrie", "l'industrie", "l\u2019industrie")),
        ("Union de l\u2019industrie", ("industrie", "l'industrie", "l\u2019industrie")),
        ("Amis de l'O\u02bbzbekiston", ("ozbekiston", "l'O'zbekiston", "l\u2019o\u2019zb", "l'O\u02bbzbekiston")),
    ],
)
async def test_a_sign_within_a_word_does_not_split_it_and_an_apostrophe_does(
    service: Service, name: str, texts: tuple[str, ...]
) -> None:
    await service.post("/v1/parties", {"name": name, "kind": "company", "country": "UZ"})
    person = (await service.post("/v1/people", {"name": name}))["id"]
    for text in texts:
        assert name in await found(service, text), text
    for text in (name, texts[0], name.replace("ь", "'").replace("\u02bb", "'")):
        hits = (await service.get("/v1/search", q=text))["items"]
        assert person in [item["id"] for item in hits], text


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


async def test_every_word_of_a_long_text_is_found_and_every_word_of_a_query_counts(service: Service) -> None:
    cooperation, one, other = await a_cooperation(service)
    summary = " ".join(f"w{number:05}" for number in range(571))
    held = {"held": "2019-06-18", "participants": [{"party": one}, {"party": other}], "summary": summary}
    meeting = (await service.post(f"/v1/cooperations/{cooperation}/meetings", held))["id"]
    for text in ("w00000", "w00506", "w00570", " ".join(f"w{number:05}" for number in range(40))):
        assert [item["id"] for item in (await service.get("/v1/search", q=text))["items"]] == [meeting]
    sixteen = " ".join(f"w{number:05}" for number in range(16))
    assert await found(service, f"{sixteen} zzznotthere") == []


async def test_a_run_of_letters_of_any_length_is_found(service: Service) -> None:
    name = "\u5317\u4eac" * 150
    party = (await service.post("/v1/parties", {"name": name, "kind": "company", "country": "CN"}))["id"]
    for text in ("\u5317", "\u5317\u4eac" * 100, name):
        assert [item["id"] for item in (await service.get("/v1/search", q=text))["items"]] == [party]


async def test_what_is_called_so_comes_before_what_begins_so_and_what_it_was_only_said_of(service: Service) -> None:
    for name, more in (("Aaa", {"alternative_names": ["Radar"]}), ("Radars", {}), ("Zeta Radar", {})):
        await service.post("/v1/parties", {"name": name, "kind": "company", "country": "AZ", **more})
    assert await found(service, "radar") == ["Zeta Radar", "Radars", "Aaa"]


async def test_erasing_somebody_between_two_pages_hides_nobody_else(service: Service) -> None:
    people = [(await service.post("/v1/people", {"name": f"Xylophonist Number{one}"}))["id"] for one in range(6)]
    page = await service.get("/v1/search", q="xylophonist", limit=2)
    ids = [item["id"] for item in page["items"]]
    await service.post(f"/v1/people/{ids[0]}/erase", {"authority": "the court", "reason": "asked"})
    while page["next"]:
        page = await service.get("/v1/search", q="xylophonist", limit=2, cursor=page["next"])
        ids += [item["id"] for item in page["items"]]
    assert sorted(ids) == sorted(people)


async def test_people_of_one_name_are_looked_at_together(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = [{"command": "register-person", "data": {"name": f"Namesake Number{one}"}} for one in range(60)]
    results = (await service.post("/v1/batch", {"commands": commands}))["results"]
    looked = 0
    keys = service.parts.vault.keys

    async def counted(owners: Any) -> Any:
        nonlocal looked
        looked += 1
        return await keys(owners)

    monkeypatch.setattr(service.parts.vault, "keys", counted)
    for limit, most in ((2, 2), (500, 2), (55, 3)):
        looked = 0
        page = await service.get("/v1/search", q="namesake", limit=limit)
        assert [item["id"] for item in page["items"]] == sorted(one["id"] for one in results)[:limit]
        assert looked <= most


async def test_corrections_that_are_made_at_once_lose_no_name(service: Service) -> None:
    for number in range(8):
        person = await service.post("/v1/people", {"name": f"Wrong{number}"})
        position = person["entries"][0]["position"]
        names = [f"{word}{number}" for word in ("Abel", "Bela", "Cees")]
        correct = f"/v1/log/entries/{position}/correct"
        bodies = [{"replacement": {"name": name}, "reason": "misheard"} for name in names]
        await asyncio.gather(*(service.post(correct, body) for body in bodies))
        at_once = [
            {"command": "correct-entry", "subject": person["subject"], "data": {"corrects": position, **body}}
            for body in ({"replacement": {"name": f"{name}x"}, "reason": "misheard"} for name in names)
        ]
        await service.post("/v1/batch", {"commands": at_once})
        end = (await service.parts.log.head()).size
        read_at = [await service.get(f"/v1/people/{person['id']}", as_of=str(size)) for size in range(end - 6, end + 1)]
        assert {read["name"] for read in read_at} == {f"Wrong{number}", *names, *(f"{name}x" for name in names)}
        for size, read in enumerate(read_at, start=end - 6):
            found = (await service.get("/v1/search", q=read["name"], as_of=str(size)))["items"]
            assert [hit["id"] for hit in found] == [person["id"]], (size, read["name"])


async def test_people_are_found_by_the_name_that_was_theirs_at_the_size_asked_about(service: Service) -> None:
    registered = await service.post("/v1/people", {"name": "Quirin Fensterbrett"})
    position = registered["entries"][0]["position"]
    correction = {"replacement": {"name": "Quirin Tuerklinke"}, "reason": "misheard"}
    corrected = await service.post(f"/v1/log/entries/{position}/correct", correction)

    async def titles(text: str, **query: int) -> list[str]:
        return [item["title"] for item in (await service.get("/v1/search", q=text, **query))["items"]]

    assert await titles("fensterbrett", as_of=registered["size"]) == ["Quirin Fensterbrett"]
    assert await titles("tuerklinke", as_of=registered["size"]) == []
    assert await titles("tuerklinke") == ["Quirin Tuerklinke"]
    assert await titles("fensterbrett") == []
    assert await titles("fensterbrett tuerklinke") == []
    made = corrected["entries"][0]["position"]
    await service.post(f"/v1/log/entries/{made}/retract", {"reason": "it was right at first"})
    assert await titles("fensterbrett") == ["Quirin Fensterbrett"]
    assert await titles("tuerklinke") == []
    assert await titles("tuerklinke", as_of=corrected["size"]) == ["Quirin Tuerklinke"]


async def test_thirty_reschedulings_with_the_longest_reasons_are_projected_and_found(service: Service) -> None:
    cooperation, visit, _, _ = await a_visit(service)
    address = f"/v1/cooperations/{cooperation}/visits/{visit}/reschedule"
    for number in range(30):
        reason = f"r{number} " + " ".join(chr(0x1F16D) * 30 + f"{number}x{word}" for word in range(110))
        await service.post(address, {"window": f"2019-08-{number % 28 + 1:02}", "reason": reason[:4000].strip()})
    assert await found(service, "r0") == await found(service, "to go on") == ["to go on"]
    assert (await service.get(f"/v1/visits/{visit}"))["window"] == "2019-08-02"


async def test_each_apostrophe_is_read_in_the_way_that_finds_something(service: Service) -> None:
    name = "Industrie de l'O\u02bbzbekiston"
    await service.post("/v1/parties", {"name": name, "kind": "company", "country": "UZ"})
    await service.post("/v1/people", {"name": name})
    for text in ("l'Ozbekiston", "O'zbekiston industrie", "l'O'zbekiston", "l\u2019O\u2019zbekiston"):
        assert (await found(service, text)).count(name) == 2, text
    assert await found(service, "k'O'zbekiston") == []
