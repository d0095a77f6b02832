"""What is taken back whole: a person can still be erased, and a thing recorded again under the id that is its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service
from tests.support.world import party

WHY = {"reason": "a mistake"}
ORDER = {"authority": "DPO", **WHY}
LEI = {"scheme": "XI-LEI", "value": "969500"}
RCS = {"scheme": "FR-RCS", "value": "552 059 024"}


async def recorded(service: Service, path: str, body: dict[str, Any]) -> tuple[str, int]:
    answer = await service.post(path, body)
    return answer["id"], answer["entries"][0]["position"]


async def retract(service: Service, position: int) -> int:
    answer = await service.post(f"/v1/log/entries/{position}/retract", WHY)
    taken: int = answer["entries"][0]["position"]
    return taken


async def test_a_person_whose_registration_was_retracted_can_be_erased(service: Service) -> None:
    for in_batch in (False, True):
        person, position = await recorded(service, "/v1/people", {"name": "Ada Example"})
        size = (await service.parts.log.head()).size
        await retract(service, position)
        assert (await service.get(f"/v1/people/{person}", as_of=size))["name"] == "Ada Example"
        if in_batch:
            erase = {"command": "erase-person", "subject": f"person/{person}", "data": ORDER}
            await service.post("/v1/batch", {"commands": [erase]})
        else:
            await service.post(f"/v1/people/{person}/erase", ORDER)
        assert (await service.get(f"/v1/people/{person}", as_of=size))["name"] == {"erased": True}
        await service.get(f"/v1/people/{person}", status=404)
        assert (await service.get("/v1/search", q="ada", as_of=size))["items"] == []
        async with nothing_left_behind(service):
            refused(await service.client.post(f"/v1/people/{person}/erase", json=ORDER), 409, "person-erased", "?id")
            again = {"id": person, "name": "Ada Example"}
            refused(await service.client.post("/v1/people", json=again), 409, "person-erased", "/id")


async def test_nobody_is_erased_who_never_was(service: Service) -> None:
    nobody = "person_00000000000000000000000000"
    async with nothing_left_behind(service):
        refused(await service.client.post(f"/v1/people/{nobody}/erase", json=ORDER), 404, "not-found", "?id")


async def test_an_erased_person_whose_registration_is_brought_back_stays_erased(service: Service) -> None:
    person, position = await recorded(service, "/v1/people", {"name": "Ada Example"})
    taken = await retract(service, position)
    await service.post(f"/v1/people/{person}/erase", ORDER)
    await retract(service, taken)
    read = await service.get(f"/v1/people/{person}")
    assert (read["name"], [one["type"] for one in read["changes"]]) == ({"erased": True}, ["registry.person-erased.v1"])


async def test_a_person_is_registered_again_and_found_by_both_names(service: Service) -> None:
    person, position = await recorded(service, "/v1/people", {"name": "Ada Example"})
    size = (await service.parts.log.head()).size
    await retract(service, position)
    await service.post("/v1/people", {"id": person, "name": "Eva Example"})
    assert (await service.get(f"/v1/people/{person}"))["name"] == "Eva Example"
    assert (await service.get(f"/v1/people/{person}", as_of=size))["name"] == "Ada Example"
    assert [one["id"] for one in (await service.get("/v1/search", q="eva"))["items"]] == [person]
    assert [one["id"] for one in (await service.get("/v1/search", q="ada", as_of=size))["items"]] == [person]
    await service.post(f"/v1/people/{person}/erase", ORDER)
    for as_of in (size, size + 2):
        assert (await service.get(f"/v1/people/{person}", as_of=as_of))["name"] == {"erased": True}


async def test_a_party_is_registered_again_with_the_identifier_that_is_its_own(service: Service) -> None:
    body = party("Works", identifiers=[LEI, RCS])
    key, position = await recorded(service, "/v1/parties", body)
    taken = await retract(service, position)
    again = await service.post("/v1/parties", {**body, "id": key, "identifiers": [LEI]})
    assert again["revision"] == 2
    assert (await service.get(f"/v1/parties/{key}"))["identifiers"] == [LEI]
    # The other is its own still, now and after the stream is folded anew.
    amended = {"kind": "company", "country": "FR", "identifiers": [RCS]}
    await service.post(f"/v1/parties/{key}/amend", amended)
    async with nothing_left_behind(service):  # it would be registered twice
        answer = await service.client.post(f"/v1/log/entries/{taken}/retract", json=WHY)
        refused(answer, 409, "already-exists", "?position")


@pytest.mark.parametrize("kind", ["meeting", "source", "occasion"])
async def test_other_things_are_recorded_again_under_their_ids(service: Service, kind: str) -> None:
    one, _ = await recorded(service, "/v1/parties", party("One"))
    other, _ = await recorded(service, "/v1/parties", party("Other"))
    opening = {"title": "Line", "parties": [one, other], "fields": ["research"]}
    line, opened = await recorded(service, "/v1/cooperations", opening)
    path, body = {
        "meeting": (
            f"/v1/cooperations/{line}/meetings",
            {"held": "2019-06", "participants": [{"party": one}, {"party": other}]},
        ),
        "source": (
            "/v1/sources",
            {"title": "T", "publisher": "P", "published": "2019", "language": "en", "media_type": "text/plain",
             "sha256": "0" * 64, "size": 3},
        ),
        "occasion": (
            "/v1/occasions",
            {"name": "Show", "kind": "exhibition", "place": {"country": "FR"}, "dates": "2019-06"},
        ),
    }[kind]  # fmt: skip
    key, position = await recorded(service, path, body)
    await retract(service, position)
    if kind == "meeting":
        await retract(service, opened)
        await service.post("/v1/cooperations", {**opening, "id": line})
    assert (await recorded(service, path, {**body, "id": key}))[0] == key
    if kind != "source":
        await service.get(f"/v1/{kind}s/{key}")
