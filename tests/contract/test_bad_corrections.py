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


async def test_an_empty_reason_and_a_bad_replacement_are_both_named(service: Service):
    party, position = await registered(service)
    bad = {"reason": "", "replacement": {**PARTY, "country": "?", "part_of": NOBODY}}
    fields = ("reason", "replacement/country", "replacement/part_of")
    correct = {"command": "correct-entry", "subject": f"party/{party}", "data": {"corrects": position, **bad}}
    async with nothing_left_behind(service):
        answer = await service.client.post(f"/v1/log/entries/{position}/correct", json=bad)
        refused(answer, 422, "invalid-field", *(f"/{one}" for one in fields))
        answer = await service.client.post("/v1/batch", json={"commands": [correct]})
        refused(answer, 422, "invalid-field", *(f"/commands/0/data/{one}" for one in fields))


async def test_what_cannot_be_amended_is_pointed_to_in_its_command(service: Service):
    party, _ = await registered(service)
    _, elsewhere = await registered(service)
    sound = {"command": "register-party", "data": PARTY}
    for command, data in (
        ("correct-entry", {"corrects": elsewhere, "reason": "misread", "replacement": PARTY}),
        ("retract-entry", {"retracts": elsewhere, "reason": "misread"}),
    ):
        amend = {"command": command, "subject": f"party/{party}", "data": data}
        async with nothing_left_behind(service):
            answer = await service.client.post("/v1/batch", json={"commands": [sound, amend]})
            refused(answer, 409, "not-correctable", f"/commands/1/data/{next(iter(data))}")


@pytest.mark.parametrize("subject", [{}, {"subject": None}, {"subject": "ship/ship_1"}, {"subject": 7}], ids=str)
async def test_of_an_amendment_of_no_stream_all_that_is_wrong_is_named(service: Service, subject: dict[str, Any]):
    commands = [
        {"command": "retract-entry", **subject, "data": {"retracts": "first", "classification": "secret", "why": "x"}},
        {"command": "correct-entry", **subject, "data": {"corrects": 0, "reason": "misread"}},
    ]
    expected = [
        "/commands/0/subject",
        *(f"/commands/0/data/{name}" for name in ("retracts", "classification", "why", "reason")),
        "/commands/1/subject",
        "/commands/1/data/replacement",
    ]
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/batch", json={"commands": commands})
        refused(answer, 422, "invalid-field", *expected)


async def test_a_correction_keeps_what_it_cited_of_a_source_that_was_withdrawn_since(service: Service):
    text = "One sentence. Another."
    about = {"title": "T", "publisher": "P", "published": "2019", "language": "en", "media_type": "text/plain"}
    source = (await service.post("/v1/sources", {**about, "sha256": await service.file(text), "size": len(text)}))["id"]
    cited = {"source": source, "start": 0, "end": 13}
    _, position = await registered(service, **PARTY, citations=[cited])
    await service.post(f"/v1/sources/{source}/withdraw", {"authority": "Court", "reason": "a mistake"})
    async with nothing_left_behind(service):
        other = {**PARTY, "citations": [cited, {**cited, "start": 14, "end": 22}]}
        answer = await service.client.post(
            f"/v1/log/entries/{position}/correct", json={"reason": "misread", "replacement": other}
        )
        refused(answer, 409, "source-withdrawn", "/replacement/citations/1/source")
    right = {**PARTY, "name": "Yard and Sons", "citations": [cited]}
    await service.post(f"/v1/log/entries/{position}/correct", {"reason": "misread", "replacement": right})


async def test_milestones_keep_their_ids_in_a_correction_that_leaves_these_out(service: Service):
    parties = [(await registered(service))[0] for _ in range(2)]
    line = (await service.post("/v1/cooperations", {"title": "A", "parties": parties, "fields": ["research"]}))["id"]
    first, second, third = ({"title": title, "due": "2027"} for title in ("First", "Second", "Third"))
    body = {"agreed": "2019-06", "milestones": [first, second, third]}
    agreed = await service.post(f"/v1/cooperations/{line}/roadmaps", body)
    at = f"/v1/roadmaps/{agreed['id']}"
    ids = [one["id"] for one in (await service.get(at))["milestones"]]
    met = f"/v1/cooperations/{line}/roadmaps/{agreed['id']}/milestones/{ids[1]}/meet"
    await service.post(met, {"met": "2020-01"})

    async def correct(**fields: Any) -> list[str]:
        correction = {"reason": "misread", "replacement": {**body, **fields}}
        await service.post(f"/v1/log/entries/{agreed['entries'][0]['position']}/correct", correction)
        return [one["id"] for one in (await service.get(at))["milestones"]]

    assert await correct(agreed="2019-05") == ids
    assert await correct(milestones=[third, second, first]) == [ids[2], ids[1], ids[0]]
    assert await correct(milestones=[first, {**second, "title": "2nd"}, third]) == ids
    assert await correct(milestones=[first, second]) == ids[:2]
    *kept, new = await correct(milestones=[first, second, {"title": "Fourth"}])
    assert kept == ids[:2]
    assert new not in ids
    assert await correct() == ids


async def test_a_correction_that_breaks_history_points_at_the_fields_that_are_at_fault(service: Service):
    one, other, third = [(await registered(service))[0] for _ in range(3)]
    line = {"title": "A", "parties": [one, other], "fields": ["research"]}
    opened = await service.post("/v1/cooperations", line)
    held = {"held": "2019-06-18", "participants": [{"party": one}, {"party": other}]}
    met = await service.post(f"/v1/cooperations/{opened['id']}/meetings", held)
    position = opened["entries"][0]["position"]
    body = {"reason": "misread", "replacement": {**line, "title": "B", "parties": [one, third]}}
    commands = [
        {"command": "correct-entry", "subject": opened["subject"], "data": {"corrects": position, **body}},
        {"command": "register-party", "data": PARTY},
    ]
    async with nothing_left_behind(service):
        answer = await service.client.post(f"/v1/log/entries/{position}/correct", json=body)
        refused(answer, 409, "not-a-party", "/replacement/parties")
        assert f"entry {met['entries'][0]['position']} would break a rule" in answer.json()["detail"]
        answer = await service.client.post("/v1/batch", json={"commands": commands})
        refused(answer, 409, "not-a-party", "/commands/0/data/replacement/parties")
        answer = await service.client.post(f"/v1/log/entries/{position}/retract", json={"reason": "never was"})
        refused(answer, 409, "rested-upon", "?position")


async def test_a_correction_about_a_visit_that_there_is_not_points_at_its_id(service: Service):
    one, other = [(await registered(service))[0] for _ in range(2)]
    line = await service.post("/v1/cooperations", {"title": "A", "parties": [one, other], "fields": ["research"]})
    at = f"/v1/cooperations/{line['id']}/visits"
    visit = {"visitors": [{"party": one}], "host": other, "place": {"country": "FR"}, "window": "2019", "purpose": "x"}
    scheduled = await service.post(at, visit)
    cancelled = await service.post(f"{at}/{scheduled['id']}/cancel", {"reason": "rain"})
    position = cancelled["entries"][0]["position"]
    body = {"reason": "misread", "replacement": {"visit_id": "visit_00000000000000000000000000", "reason": "rain"}}
    async with nothing_left_behind(service):
        answer = await service.client.post(f"/v1/log/entries/{position}/correct", json=body)
        refused(answer, 422, "unknown-reference", "/replacement/visit_id")


async def test_a_merger_is_not_corrected_to_another_party_while_others_rest_on_it(service: Service):
    loser, survivor, partner, third = [(await registered(service))[0] for _ in range(4)]
    line = await service.post("/v1/cooperations", {"title": "A", "parties": [loser, partner], "fields": ["research"]})
    merged = await service.post(f"/v1/parties/{loser}/merge", {"into": survivor, "reason": "bought"})
    held = {"held": "2019-06-18", "participants": [{"party": survivor}, {"party": partner}]}
    await service.post(f"/v1/cooperations/{line['id']}/meetings", held)
    position = merged["entries"][0]["position"]
    body = {"reason": "misread", "replacement": {"into": third, "reason": "bought"}}
    async with nothing_left_behind(service):
        answer = await service.client.post(f"/v1/log/entries/{position}/correct", json=body)
        refused(answer, 409, "rested-upon", "/replacement/into")
    await service.post(
        f"/v1/log/entries/{position}/correct", {**body, "replacement": {"into": survivor, "reason": "?"}}
    )
