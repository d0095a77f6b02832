"""Corrections that refer to what there is not, and several at once: refused by name, or recorded as meant."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service

NOBODY = "party_7zzzzzzzzzzzzzzzzzzzzzzzzz"
NOTHING = "src_7zzzzzzzzzzzzzzzzzzzzzzzzz"
PARTY = {"name": "Yard", "kind": "company", "country": "FR"}


async def registered(service: Service, path: str = "/v1/parties", **fields: Any) -> tuple[str, int]:
    recorded = await service.post(path, fields or PARTY)
    return recorded["id"], recorded["entries"][0]["position"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"replacement": {**PARTY, "part_of": NOBODY}}, ["/replacement/part_of"]),
        (
            {"replacement": PARTY, "citations": [{"source": NOTHING, "start": 0, "end": 1}]},
            ["/citations/0/source"],
        ),
        (
            {
                "replacement": {**PARTY, "part_of": NOBODY, "citations": [{"source": NOTHING, "start": 0, "end": 1}]},
            },
            ["/replacement/part_of", "/replacement/citations/0/source"],
        ),
    ],
)
async def test_a_correction_that_refers_to_nothing_names_each_place(
    service: Service, body: dict[str, Any], fields: list[str]
):
    _, position = await registered(service)
    async with nothing_left_behind(service):
        answer = await service.client.post(f"/v1/log/entries/{position}/correct", json={"reason": "misread", **body})
        refused(answer, 422, "unknown-reference", *fields)


async def test_a_sound_correction_beside_a_command_that_refers_to_nothing_is_refused_with_it(service: Service):
    party, position = await registered(service)
    correct = {
        "command": "correct-entry",
        "subject": f"party/{party}",
        "data": {"corrects": position, "reason": "misread", "replacement": PARTY},
    }
    unsound = {"command": "register-party", "data": {**PARTY, "part_of": NOBODY}}
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/batch", json={"commands": [correct, unsound]})
        refused(answer, 422, "unknown-reference", "/commands/1/data/part_of")


async def test_of_two_corrections_of_one_person_at_once_the_last_is_who_they_are_and_are_found_by(service: Service):
    person, position = await registered(service, "/v1/people", name="Ada Example")

    def correction(name: str) -> dict[str, Any]:
        return {
            "command": "correct-entry",
            "subject": f"person/{person}",
            "data": {"corrects": position, "reason": "misread", "replacement": {"name": name}},
        }

    await service.post("/v1/batch", {"commands": [correction("Bea Example"), correction("Cleo Example")]})

    assert (await service.get(f"/v1/people/{person}"))["name"] == "Cleo Example"
    for word, found in (("cleo", [person]), ("example", [person]), ("bea", []), ("ada", [])):
        assert [one["id"] for one in (await service.get("/v1/search", q=word))["items"]] == found, word
