"""Documents that name somebody who is to be erased: who asks for it is told, and says what becomes of them."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import asyncpg
import httpx
import pytest

from events import vault
from services.registry import erasing
from services.registry.erasing import Look
from services.registry.ids import new_id
from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service
from tests.support.tampering import tamper
from tests.support.world import party, source

NAME = "Zenobia Quillfeather"
ORDER = {"authority": "the court", "reason": "asked to be"}
NAMING = "Among those who came was ZENOBIA\n  QUILLFEATHER, who spoke."
HARMLESS = "Somebody came, and spoke at length of the weather."
AT = "/documents"


async def registered(service: Service, name: str = NAME, *citing: str, **more: Any) -> str:
    citations = [{"source": one, "start": 0, "end": 7} for one in citing]
    identifier: str = (await service.post("/v1/people", {"name": name, "citations": citations, **more}))["id"]
    return identifier


async def filed(service: Service, text: str, title: str = "Report") -> str:
    sha256 = await service.file(text)
    answer = await service.post("/v1/sources", source(sha256, title=title, size=len(text.encode())))
    identifier: str = answer["id"]
    return identifier


async def erase(service: Service, person: str, **more: Any) -> httpx.Response:
    return await service.client.post(f"/v1/people/{person}/erase", json={**ORDER, **more})


async def on_file(service: Service, text: str) -> bool:
    answer = await service.client.get(f"/v1/documents/{hashlib.sha256(text.encode()).hexdigest()}")
    return answer.status_code == 200


def said(problem: dict[str, Any]) -> list[str]:
    return sorted(one["detail"] for one in problem["errors"])


async def test_who_is_named_in_a_document_is_not_erased_before_it_is_said_what_becomes_of_it(service: Service) -> None:
    naming, beside = await filed(service, NAMING, "Minutes"), await filed(service, HARMLESS, "Weather")
    await filed(service, "Of another matter altogether.")
    person = await registered(service, NAME, naming)
    await service.post("/v1/parties", party("One", citations=[{"source": beside, "start": 0, "end": 4}]))
    answer = await service.post("/v1/parties", party("Two"))
    post = {"party": answer["id"], "post": "adviser", "citations": [{"source": beside, "start": 0, "end": 4}]}
    await service.post(f"/v1/people/{person}/appoint", post)
    async with nothing_left_behind(service):
        problem = refused(await erase(service, person), 409, "documents-name-person", AT, AT)
    assert said(problem) == sorted(
        [f"{naming} (Minutes) names them", f"{beside} (Weather) is cited with them and does not name them: it stays"]
    )
    assert (await service.get(f"/v1/people/{person}"))["name"] == NAME
    batch = {"commands": [{"command": "erase-person", "subject": f"person/{person}", "data": ORDER}]}
    at = "/commands/0/data/documents"
    refused(await service.client.post("/v1/batch", json=batch), 409, "documents-name-person", at, at)
    refused(await erase(service, person, documents="burn"), 422, "invalid-field", AT)


async def test_what_is_cited_with_somebody_without_naming_them_is_no_reason_to_refuse(service: Service) -> None:
    person = await registered(service, NAME, await filed(service, HARMLESS))
    answer = await erase(service, person)
    assert answer.status_code == 201
    assert "kept" not in answer.json()
    assert await on_file(service, HARMLESS)


async def test_withdrawing_destroys_what_names_them_in_the_same_breath_and_nothing_else(service: Service) -> None:
    person = await registered(service)
    naming = [await filed(service, NAMING), await filed(service, NAMING, "The same"), await filed(service, NAME + ".")]
    beside = await filed(service, HARMLESS)
    cited = party("One", citations=[{"source": naming[0], "start": 0, "end": 5}])
    citing = (await service.post("/v1/parties", cited))["id"]
    key, order = str(new_id("src")), {**ORDER, "documents": "withdraw"}
    answer = await service.post(f"/v1/people/{person}/erase", order, Idempotency_Key=key)
    assert [one["type"] for one in answer["entries"]] == ["registry.person-erased.v1"] + [
        "registry.source-withdrawn.v1"
    ] * len(naming)
    first = answer["entries"][0]["position"]
    assert [one["position"] for one in answer["entries"]] == [*range(first, first + 4)]
    assert (answer["subject"], answer["revision"], "kept" in answer) == (f"person/{person}", 1, False)
    for one in naming:
        assert (await service.get(f"/v1/sources/{one}"))["withdrawn"] is True
    assert not await on_file(service, NAMING)
    assert not await on_file(service, NAME + ".")
    assert await on_file(service, HARMLESS)
    (citation,) = (await service.get(f"/v1/parties/{citing}"))["citations"]
    assert (citation["quotation"], citation["withdrawn"]) == (None, True)
    assert (await service.get(f"/v1/people/{person}"))["name"] == {"erased": True}
    again = await service.client.post(f"/v1/people/{person}/erase", json=order, headers={"Idempotency-Key": key})
    assert (again.status_code, again.json()) == (200, answer)
    entry = await service.get(f"/v1/log/entries/{first}")
    assert entry["data"] == order
    assert (await service.get(f"/v1/sources/{beside}"))["title"] == "Report"


async def test_keeping_is_answered_with_what_is_kept_and_is_on_record(service: Service) -> None:
    person = await registered(service)
    naming = await filed(service, NAMING)
    unfiled = await service.file(f"{NAME} again")
    key = str(new_id("src"))
    order = {**ORDER, "documents": "keep"}
    answer = await service.post(f"/v1/people/{person}/erase", order, Idempotency_Key=key)
    assert answer["kept"] == sorted([naming, unfiled])
    assert len(answer["entries"]) == 1
    assert await on_file(service, NAMING)
    again = await service.client.post(f"/v1/people/{person}/erase", json=order, headers={"Idempotency-Key": key})
    assert again.json() == {name: value for name, value in answer.items() if name != "kept"}
    entry = await service.get(f"/v1/log/entries/{answer['entries'][0]['position']}")
    assert entry["data"]["documents"] == "keep"
    nobody = await registered(service, "Somebody Else")
    assert (await erase(service, nobody, documents="keep")).json()["kept"] == []


async def test_a_document_that_no_source_is_over_is_not_destroyed_without_an_entry_that_says_so(
    service: Service,
) -> None:
    person = await registered(service)
    sha256 = await service.file(NAMING)
    moved = await filed(service, f"{NAME}, at first")
    other = await service.file("Nobody, as it turned out")
    replacement = source(other, size=len("Nobody, as it turned out"))
    correction = {"reason": "the wrong one", "replacement": replacement}
    await service.post(f"/v1/log/entries/{(await service.parts.log.head()).size - 1}/correct", correction)
    async with nothing_left_behind(service):
        problem = refused(await erase(service, person, documents="withdraw"), 409, "documents-name-person", AT, AT)
    first = hashlib.sha256(f"{NAME}, at first".encode()).hexdigest()
    assert said(problem) == sorted(f"no source is over the document {one}, which names them" for one in (sha256, first))
    for text in (NAMING, f"{NAME}, at first"):
        await filed(service, text)
    assert (await erase(service, person, documents="withdraw")).status_code == 201
    assert not await on_file(service, NAMING)
    assert not await on_file(service, f"{NAME}, at first")
    assert (await service.get(f"/v1/sources/{moved}"))["sha256"] == other
    assert await on_file(service, "Nobody, as it turned out")


async def test_every_name_that_somebody_ever_had_is_looked_for(service: Service) -> None:
    answer = await service.post("/v1/people", {"name": "Zenobia Maiden"})
    person, position = answer["id"], answer["entries"][0]["position"]
    correction = {"reason": "misread", "replacement": {"name": NAME}}
    await service.post(f"/v1/log/entries/{position}/correct", correction)
    naming = [await filed(service, NAMING), await filed(service, "By Maiden, Zenobia.", "Before")]
    problem = refused(await erase(service, person), 409, "documents-name-person", AT, AT)
    assert said(problem) == sorted([f"{naming[0]} (Report) names them", f"{naming[1]} (Before) names them"])
    last = (await service.parts.log.head()).size
    await service.post(f"/v1/log/entries/{position + 1}/retract", {"reason": "it was right"})
    await service.post(f"/v1/log/entries/{position}/retract", {"reason": "nobody"})
    assert (await service.parts.log.head()).size == last + 2
    refused(await erase(service, person), 409, "documents-name-person", AT, AT)
    assert (await erase(service, person, documents="withdraw")).status_code == 201


async def test_names_that_come_with_the_same_request_are_looked_for(service: Service) -> None:
    naming = await filed(service, NAMING)
    person = new_id("person")
    commands = [
        {"command": "register-person", "data": {"id": person, "name": NAME}},
        {"command": "erase-person", "subject": f"person/{person}", "data": ORDER},
    ]
    answer = await service.client.post("/v1/batch", json={"commands": commands})
    assert said(refused(answer, 409, "documents-name-person", "/commands/1/data/documents")) == [
        f"{naming} (Report) names them"
    ]


async def test_of_a_batch_each_command_is_answered_with_its_own_entries(service: Service) -> None:
    one, two = await registered(service), await registered(service, "Theo Gander")
    both, alone = await filed(service, f"{NAME} and Theo Gander"), await filed(service, "Theo Gander")
    given = {**ORDER, "documents": "withdraw"}
    by_hand = await filed(service, HARMLESS)
    commands = [
        {"command": "register-party", "data": party("New")},
        {"command": "erase-person", "subject": f"person/{one}", "data": given},
        {"command": "withdraw-source", "subject": f"source/{by_hand}", "data": ORDER},
        {"command": "erase-person", "subject": f"person/{two}", "data": given},
        {"command": "register-party", "data": party("Newer")},
    ]
    headers = {"Idempotency-Key": "both"}
    answer = await service.client.post("/v1/batch", json={"commands": commands}, headers=headers)
    assert answer.status_code == 201, answer.text
    results = answer.json()["results"]
    assert [len(result["entries"]) for result in results] == [1, 2, 1, 2, 1]
    subjects = [
        (await service.get(f"/v1/log/entries/{entry['position']}"))["subject"]
        for result in results
        for entry in result["entries"]
    ]
    about = [f"person/{one}", f"source/{both}", f"source/{by_hand}", f"person/{two}", f"source/{alone}"]
    assert subjects[1:-1] == about
    again = await service.client.post("/v1/batch", json={"commands": commands}, headers=headers)
    assert (again.status_code, again.json()) == (200, answer.json())


async def test_what_is_withdrawn_with_somebody_cannot_be_cited_behind_them_in_a_batch(service: Service) -> None:
    person, naming = await registered(service), await filed(service, NAMING)
    commands = [
        {"command": "erase-person", "subject": f"person/{person}", "data": {**ORDER, "documents": "withdraw"}},
        {"command": "register-party", "data": party("New", citations=[{"source": naming, "start": 0, "end": 5}])},
    ]
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/batch", json={"commands": commands})
        refused(answer, 409, "source-withdrawn", "/commands/1/data/citations/0/source")


async def test_if_match_is_about_the_person_and_not_about_what_goes_with_them(service: Service) -> None:
    person = await registered(service)
    naming = await filed(service, NAMING)
    position = (await service.parts.log.head()).size - 1
    same = source(hashlib.sha256(NAMING.encode()).hexdigest(), title="Renamed", size=len(NAMING.encode()))
    await service.post(f"/v1/log/entries/{position}/correct", {"reason": "misread", "replacement": same})
    order = {**ORDER, "documents": "withdraw"}
    await service.post(f"/v1/people/{person}/erase", order, If_Match='"0"')
    assert not await on_file(service, NAMING)
    assert (await service.get(f"/v1/sources/{naming}"))["title"] == "Renamed"


async def test_two_who_are_named_in_one_document_are_erased_at_the_same_moment(service: Service) -> None:
    people = [await registered(service, name) for name in (NAME, "Theo Gander")]
    naming = await filed(service, f"{NAME} and Theo Gander")
    answers = await asyncio.gather(*(erase(service, one, documents="withdraw") for one in people))
    assert [one.status_code for one in answers] == [201, 201]
    assert sorted(len(one.json()["entries"]) for one in answers) == [1, 2]
    entries = (await service.get("/v1/log/entries", limit=500))["items"]
    withdrawn = [one for one in entries if one["subject"] == f"source/{naming}"]
    assert [one["type"] for one in withdrawn] == ["registry.source-filed.v1", "registry.source-withdrawn.v1"]


async def test_what_is_filed_between_the_look_and_the_record_is_looked_into(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await registered(service)
    looked, filing = Look.into_texts, [NAMING]

    async def look(self: Look, names: frozenset[str]) -> erasing.Told:
        told = await looked(self, names)
        if filing:
            await filed(service, filing.pop())
        return told

    monkeypatch.setattr(Look, "into_texts", look)
    refused(await erase(service, person), 409, "documents-name-person", AT)


async def test_a_source_that_is_filed_over_the_document_meanwhile_is_withdrawn_too(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, first = await registered(service), await filed(service, NAMING)
    withdrawn_with, more = erasing.Erasing.withdrawn_with, [NAMING]

    async def decide(self: Any, *asked: Any) -> list[str]:
        streams = await withdrawn_with(self, *asked)
        while more:
            await filed(service, more.pop(), "Meanwhile")
        return streams

    monkeypatch.setattr(erasing.Erasing, "withdrawn_with", decide)
    answer = await erase(service, person, documents="withdraw")
    assert len(answer.json()["entries"]) == 3
    assert not await on_file(service, NAMING)
    assert first


async def test_each_document_is_looked_into_once_and_few_at_a_time(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await registered(service)
    for number in range(7):
        await filed(service, f"{number}: {HARMLESS}")
    await filed(service, NAMING)
    monkeypatch.setattr(vault, "MOST", 3)
    held, asked = vault.Vault.held, list[int]()

    async def hold(self: vault.Vault, hashes: Any) -> Any:
        asked.append(len(hashes))
        return await held(self, hashes)

    monkeypatch.setattr(vault.Vault, "held", hold)
    refused(await erase(service, person), 409, "documents-name-person", AT)
    assert asked == [3, 3, 2]


@pytest.mark.parametrize("cited", [True, False])
async def test_a_damaged_document_is_a_reason_to_ask_only_if_it_is_cited_with_them(
    service: Service,
    cited: bool,
) -> None:
    damaged = await filed(service, HARMLESS, "Weather")
    person = await registered(service, NAME, *([damaged] if cited else []))
    await tamper(service.database.admin_dsn, "UPDATE log.document SET sealed = sealed || '\\x00'::bytea")
    answer = await erase(service, person)
    if not cited:
        assert answer.status_code == 201
        return
    problem = refused(answer, 409, "documents-name-person", AT)
    assert said(problem) == [f"{damaged} (Weather) {erasing.DAMAGED}"]
    assert len((await erase(service, person, documents="withdraw")).json()["entries"]) == 2
    connection = await asyncpg.connect(service.database.admin_dsn)
    assert await connection.fetchval("SELECT count(*) FROM vault.key WHERE owner LIKE 'document/%'") == 0
    await connection.close()


async def test_whoever_may_erase_may_withdraw_with_it_and_nobody_else(service: Service) -> None:
    person = await registered(service)
    await filed(service, NAMING)
    body = {**ORDER, "documents": "withdraw"}
    for role in ("reader", "follower", "auditor", "operator"):
        async with await service.client_of(role) as client:
            answer = await client.post(f"/v1/people/{person}/erase", json=body)
            refused(answer, 403, "forbidden", "@Authorization")
    async with await service.client_of("recorder") as client:
        assert (await client.post(f"/v1/people/{person}/erase", json=body)).status_code == 201


async def test_who_has_a_damaged_key_is_erased_once_it_is_said_what_becomes_of_what_is_cited_with_them(
    service: Service,
) -> None:
    cited = await filed(service, HARMLESS, "Weather")
    await filed(service, "Of another matter altogether.")
    person = await registered(service, NAME, cited)
    damage = "UPDATE vault.key SET wrapped = sha256('') WHERE owner LIKE 'person/%'"
    await tamper(service.database.admin_dsn, damage)
    problem = refused(await erase(service, person), 409, "documents-name-person", AT)
    assert said(problem) == [f"{cited} (Weather) {erasing.UNREADABLE}"]
    assert (await erase(service, person, documents="keep")).json()["kept"] == [cited]
    assert (await service.get(f"/v1/people/{person}"))["name"] == {"erased": True}
