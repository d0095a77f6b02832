"""An identifier belongs to one party at a time: to the survivor of a merger, and to nobody who had it by mistake."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service
from tests.support.world import party

WHY = {"reason": "a mistake"}
LEI = {"scheme": "XI-LEI", "value": "969500"}
RCS = {"scheme": "FR-RCS", "value": '552 "059" \\ 024'}
AMENDED = {"kind": "company", "country": "FR"}


async def registered(service: Service, name: str, *identifiers: dict[str, str]) -> tuple[str, int]:
    answer = await service.post("/v1/parties", party(name, identifiers=list(identifiers)))
    return answer["id"], answer["entries"][0]["position"]


async def amend(service: Service, key: str, *identifiers: dict[str, str]) -> Any:
    return await service.client.post(f"/v1/parties/{key}/amend", json={**AMENDED, "identifiers": list(identifiers)})


async def correct(service: Service, position: int, name: str, *identifiers: dict[str, str]) -> Any:
    body = {"replacement": party(name, identifiers=list(identifiers)), **WHY}
    return await service.client.post(f"/v1/log/entries/{position}/correct", json=body)


async def retract(service: Service, position: int) -> Any:
    return await service.client.post(f"/v1/log/entries/{position}/retract", json=WHY)


def position_of(answer: Any) -> int:
    assert answer.status_code == 201, answer.text
    position: int = answer.json()["entries"][0]["position"]
    return position


async def test_the_survivor_of_a_merger_takes_up_the_losers_identifiers(service: Service) -> None:
    loser, _ = await registered(service, "Loser", LEI, RCS)
    middle, _ = await registered(service, "Middle")
    survivor, _ = await registered(service, "Survivor")
    stranger, _ = await registered(service, "Stranger")
    async with nothing_left_behind(service):
        refused(await amend(service, survivor, LEI), 409, "already-claimed", "/identifiers/0")
    merged = [
        await service.client.post(f"/v1/parties/{one}/merge", json={"into": into, **WHY})
        for one, into in ((loser, middle), (middle, survivor))
    ]
    async with nothing_left_behind(service):
        refused(await amend(service, stranger, RCS, LEI), 409, "already-claimed", "/identifiers/0", "/identifiers/1")
    position_of(await amend(service, survivor, LEI, RCS))
    assert (await service.get(f"/v1/parties/{survivor}"))["identifiers"] == [LEI, RCS]
    async with nothing_left_behind(service):  # two parties would have it
        refused(await retract(service, position_of(merged[0])), 409, "not-correctable", "?position")
        refused(await amend(service, stranger, LEI), 409, "already-claimed", "/identifiers/0")
        refused(await retract(service, position_of(merged[1])), 409, "not-correctable", "?position")
    assert (await service.get(f"/v1/parties/{middle}"))["merged_into"] == survivor


async def test_an_identifier_that_was_a_mistake_is_free_for_another_and_not_for_two(service: Service) -> None:
    one, position = await registered(service, "One", LEI)
    other, _ = await registered(service, "Other")
    third, _ = await registered(service, "Third")
    amended = position_of(await amend(service, one))  # it changed, which is no mistake: it was theirs
    async with nothing_left_behind(service):
        refused(await amend(service, other, LEI), 409, "already-claimed", "/identifiers/0")
    corrected = position_of(await correct(service, position, "One"))
    taken = position_of(await amend(service, other, LEI))
    async with nothing_left_behind(service):
        refused(await amend(service, third, LEI), 409, "already-claimed", "/identifiers/0")
        refused(await amend(service, one, LEI), 409, "already-claimed", "/identifiers/0")
        refused(await retract(service, corrected), 409, "not-correctable", "?position")
        answer = await correct(service, position, "One", LEI)
        refused(answer, 409, "already-claimed", "/replacement/identifiers/0")
        assert (await service.client.post("/v1/parties", json=party("New", identifiers=[LEI]))).status_code == 409
    assert (await retract(service, amended)).status_code == 201
    assert (await retract(service, taken)).status_code == 201
    assert (await retract(service, corrected)).status_code == 201
    assert (await service.get(f"/v1/parties/{one}"))["identifiers"] == [LEI]
    async with nothing_left_behind(service):
        refused(await amend(service, other, LEI), 409, "already-claimed", "/identifiers/0")


async def test_the_identifiers_of_a_party_that_was_retracted_are_free(service: Service) -> None:
    one, position = await registered(service, "One", RCS)
    taken = position_of(await retract(service, position))
    other, _ = await registered(service, "Other", RCS)
    async with nothing_left_behind(service):
        refused(await retract(service, taken), 409, "not-correctable", "?position")
        again = await service.client.post("/v1/parties", json=party("One", id=one, identifiers=[RCS]))
        refused(again, 409, "already-claimed", "/identifiers/0")
    assert (await service.get(f"/v1/parties/{other}"))["identifiers"] == [RCS]


async def test_what_is_given_up_and_taken_in_one_request_is_taken_once(service: Service) -> None:
    one, position = await registered(service, "One", LEI)
    give_up = {
        "command": "correct-entry",
        "subject": f"party/{one}",
        "data": {"corrects": position, "replacement": party("One"), **WHY},
    }
    take = [{"command": "register-party", "data": party(name, identifiers=[LEI])} for name in ("Other", "Third")]
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/batch", json={"commands": [give_up, *take]})
        assert (answer.status_code, answer.json()["code"]) == (409, "already-claimed")
    await service.post("/v1/batch", {"commands": [give_up, take[0]]})


async def test_of_those_who_take_what_is_free_at_once_one_gets_it(service: Service) -> None:
    _, position = await registered(service, "One", LEI)
    for nth in range(4):
        identifier = {**LEI, "value": f"{nth}"}
        _, position = await registered(service, "One", identifier)
        corrected = position_of(await correct(service, position, "One"))
        takers = [
            service.client.post("/v1/parties", json=party(name, identifiers=[identifier])) for name in ("Two", "Three")
        ]
        answers = await asyncio.gather(*takers, retract(service, corrected))
        assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
