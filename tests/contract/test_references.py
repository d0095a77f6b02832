"""What is referred to is there, whoever records what at the same time, through whichever service, in which request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.check_log import check_log
from tests.support.check_references import what_is_referred_to_is_there
from tests.support.cluster import Cluster
from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service, running
from tests.support.world import TEXT, party, source

TIMES = 8
WHY = {"reason": "a mistake"}


@pytest.fixture
async def service(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Service]:
    with cluster.database(projected=True) as database:
        async with running(database, tmp_path) as one:
            yield one
        await check_log(database.admin_dsn, [what_is_referred_to_is_there])


@pytest.fixture
async def two(service: Service, tmp_path: Path) -> AsyncIterator[tuple[Service, Service]]:
    """The same registry served by two processes' worth of service."""
    async with running(service.database, tmp_path, project=False) as another:
        yield service, another


async def a_party(service: Service, name: str = "A party", **more: Any) -> tuple[str, int]:
    answer = await service.post("/v1/parties", party(name, **more))
    return answer["id"], answer["entries"][0]["position"]


async def retract(service: Service, position: int) -> Any:
    return await service.client.post(f"/v1/log/entries/{position}/retract", json=WHY)


async def test_of_two_parties_one_at_most_is_merged_into_the_other(two: tuple[Service, Service]) -> None:
    one, other = two
    for _ in range(TIMES):
        (a, _), (b, _) = await a_party(one), await a_party(one)
        answers = await asyncio.gather(
            one.client.post(f"/v1/parties/{a}/merge", json={"into": b, **WHY}),
            one.client.post(f"/v1/parties/{b}/merge", json={"into": a, **WHY}),
            other.client.post(f"/v1/parties/{b}/merge", json={"into": a, **WHY}),
        )
        assert sorted(answer.status_code for answer in answers)[:2] == [201, 409]
        assert sum(answer.status_code == 201 for answer in answers) == 1


async def test_of_two_parties_one_at_most_is_part_of_the_other(two: tuple[Service, Service]) -> None:
    one, other = two
    amended = {"kind": "company", "country": "FR"}
    for _ in range(TIMES):
        (a, _), (b, _) = await a_party(one), await a_party(one)
        answers = await asyncio.gather(
            one.client.post(f"/v1/parties/{a}/amend", json={**amended, "part_of": b}),
            other.client.post(f"/v1/parties/{b}/amend", json={**amended, "part_of": a}),
        )
        assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_party_is_retracted_or_named_and_never_both(two: tuple[Service, Service]) -> None:
    outcomes: set[tuple[int, int]] = set()
    for nth in range(2 * TIMES):
        one, other = two if nth % 2 else (two[0], two[0])
        named, position = await a_party(one)
        naming, taking_back = await asyncio.gather(
            one.client.post("/v1/parties", json=party("Another", part_of=named)), retract(other, position)
        )
        outcomes.add((naming.status_code, taking_back.status_code))
        if naming.status_code == 201:
            refused(taking_back, 409, "rested-upon", "?position")
        else:
            refused(naming, 422, "unknown-reference", "/part_of")
    assert outcomes <= {(201, 409), (422, 201)}


async def test_what_another_service_took_back_is_not_believed_to_be_there(two: tuple[Service, Service]) -> None:
    one, other = two
    named, position = await a_party(one)
    await one.post("/v1/parties", party("Another", part_of=(await a_party(one, "Known to one"))[0]))
    assert (await retract(other, position)).status_code == 201
    async with nothing_left_behind(one):
        answer = await one.client.post("/v1/parties", json=party("Another", part_of=named))
    refused(answer, 422, "unknown-reference", "/part_of")


async def test_what_another_service_recorded_under_an_id_is_there_already(two: tuple[Service, Service]) -> None:
    """What begins is not looked for first: the log finds out."""
    one, other = two
    named, _ = await a_party(one)
    async with nothing_left_behind(other):
        answer = await other.client.post("/v1/parties", json=party("Another", id=named))
    refused(answer, 409, "already-exists", "/id")
    for service in two:
        assert (await service.post("/v1/parties", party("Part of it", part_of=named)))["revision"] == 0


async def test_what_another_service_withdrew_is_not_cited(two: tuple[Service, Service]) -> None:
    one, other = two
    filed = await one.post("/v1/sources", source(await one.file(TEXT)))
    cited = party("Cited", citations=[{"source": filed["id"], "start": 0, "end": 3}])
    await one.post("/v1/parties", cited)
    await other.post(f"/v1/sources/{filed['id']}/withdraw", {"authority": "Court", **WHY})
    refused(await one.client.post("/v1/parties", json=cited), 409, "source-withdrawn", "/citations/0/source")


def command(name: str, data: dict[str, Any], subject: str | None = None) -> dict[str, Any]:
    return {"command": name, "data": data, **({"subject": subject} if subject else {})}


async def batch(service: Service, *commands: dict[str, Any]) -> Any:
    return await service.client.post("/v1/batch", json={"commands": list(commands)})


async def test_a_request_refers_to_nothing_that_it_takes_back_before_or_after(service: Service) -> None:
    named, position = await a_party(service)
    naming = command("register-party", party("Another", part_of=named))
    taking_back = command("retract-entry", {"retracts": position, **WHY}, f"party/{named}")
    async with nothing_left_behind(service):
        refused(await batch(service, naming, taking_back), 409, "rested-upon", "/commands/1")
        refused(await batch(service, taking_back, naming), 422, "unknown-reference", "/commands/1/data/part_of")


async def test_a_request_cites_nothing_that_it_withdraws(service: Service) -> None:
    filed = await service.post("/v1/sources", source(await service.file(TEXT)))
    cited = command("register-party", party("Cited", citations=[{"source": filed["id"], "start": 0, "end": 3}]))
    withdrawn = command("withdraw-source", {"authority": "Court", **WHY}, f"source/{filed['id']}")
    async with nothing_left_behind(service):
        refused(await batch(service, withdrawn, cited), 409, "source-withdrawn", "/commands/1/data/citations/0/source")
    assert (await batch(service, cited, withdrawn)).status_code == 201  # what was cited before stays cited


async def test_retracting_a_change_brings_back_nothing_that_is_gone(service: Service) -> None:
    whole, position = await a_party(service, "Whole")
    part, registered = await a_party(service, "Part", part_of=whole)
    amended = await service.post(f"/v1/parties/{part}/amend", {"kind": "company", "country": "FR"})
    async with nothing_left_behind(service):  # the registration stands, and names it
        refused(await retract(service, position), 409, "rested-upon", "?position")
    corrected = await service.post(f"/v1/log/entries/{registered}/correct", {"replacement": party("Part"), **WHY})
    assert (await retract(service, position)).status_code == 201
    async with nothing_left_behind(service):
        refused(await retract(service, corrected["entries"][0]["position"]), 409, "not-correctable", "?position")
    assert (await retract(service, amended["entries"][0]["position"])).status_code == 201


async def test_what_a_later_change_hides_is_rested_upon_still(service: Service) -> None:
    organiser, position = await a_party(service, "Organiser")
    about = {"name": "Show", "kind": "exhibition", "place": {"country": "FR"}, "dates": "2019-06"}
    show = await service.post("/v1/occasions", {**about, "organiser": organiser})
    amended = await service.post(f"/v1/occasions/{show['id']}/amend", about)
    async with nothing_left_behind(service):
        answer = refused(await retract(service, position), 409, "rested-upon", "?position")
    assert f"entry {show['entries'][0]['position']} of occasion/{show['id']}" in answer["detail"]
    await service.post(f"/v1/log/entries/{amended['entries'][0]['position']}/retract", WHY)
    assert (await service.get(f"/v1/occasions/{show['id']}"))["organiser"] == organiser


async def test_a_person_is_erased_or_corrected_and_never_found_by_the_name_afterwards(
    two: tuple[Service, Service],
) -> None:
    one, other = two
    for _ in range(TIMES):
        answer = await one.post("/v1/people", {"name": "Ada Example"})
        person, position = answer["id"], answer["entries"][0]["position"]
        erased, corrected = await asyncio.gather(
            one.client.post(f"/v1/people/{person}/erase", json={"authority": "DPO", **WHY}),
            other.client.post(
                f"/v1/log/entries/{position}/correct", json={"replacement": {"name": "Eva Example"}, **WHY}
            ),
        )
        assert erased.status_code == 201, erased.text
        assert corrected.status_code in (201, 404, 409), corrected.text
    for name in ("Ada", "Eva"):
        assert (await one.get("/v1/search", q=name))["items"] == []


async def test_what_is_named_in_a_list_is_rested_upon(service: Service) -> None:
    parties = [await a_party(service, name) for name in ("One", "Other")]
    filed = await service.post("/v1/sources", source(await service.file(TEXT)))
    cited = {"source": filed["id"], "start": 0, "end": 3}
    opened = await service.post(
        "/v1/cooperations", {"title": "Line", "parties": [key for key, _ in parties], "citations": [cited]}
    )
    async with nothing_left_behind(service):
        for position in (*(position for _, position in parties), filed["entries"][0]["position"]):
            answer = refused(await retract(service, position), 409, "rested-upon", "?position")
            assert opened["subject"] in answer["detail"]
            pointers = [f"/parties/{number}" for number, (_, at) in enumerate(parties) if at == position]
            for pointer in pointers or ["/citations/0/source"]:
                assert f"({pointer})" in answer["detail"]


@pytest.mark.parametrize("mergers", [1, 2])
async def test_a_merger_is_not_taken_back_while_something_is_allowed_on_account_of_it(
    service: Service, mergers: int
) -> None:
    (first, _), (second, _), (last, _) = [await a_party(service, name) for name in ("First", "Second", "Last")]
    partner, _ = await a_party(service, "Partner", country="AZ")
    opened = await service.post("/v1/cooperations", {"title": "Open", "parties": [first, partner]})
    merged = [
        (await service.post(f"/v1/parties/{loser}/merge", {"into": winner, **WHY}))["entries"][0]["position"]
        for loser, winner in ((first, second), (second, last))[:mergers]
    ]
    survivor = last if mergers == 2 else second
    met = await service.post(
        f"/v1/cooperations/{opened['id']}/meetings",
        {"held": "2019-06-18", "participants": [{"party": survivor}, {"party": partner}]},
    )
    for position in merged:
        async with nothing_left_behind(service):
            problem = refused(await retract(service, position), 409, "rested-upon", "?position")
        assert f"Entry {met['entries'][0]['position']} of cooperation/{opened['id']}" in problem["detail"]
    assert (await retract(service, met["entries"][0]["position"])).status_code == 201
    for position in reversed(merged):
        assert (await retract(service, position)).status_code == 201


async def test_a_merger_is_taken_back_where_nothing_came_of_it(service: Service) -> None:
    (loser, _), (survivor, _) = await a_party(service), await a_party(service)
    partner, _ = await a_party(service, "Partner")
    opened = await service.post("/v1/cooperations", {"title": "Open", "parties": [loser, partner]})
    both = [{"party": loser}, {"party": partner}]
    await service.post(f"/v1/cooperations/{opened['id']}/meetings", {"held": "2019-06-18", "participants": both})
    merged = await service.post(f"/v1/parties/{loser}/merge", {"into": survivor, **WHY})
    assert (await retract(service, merged["entries"][0]["position"])).status_code == 201


async def test_what_is_rested_upon_within_a_cooperation_is_named_with_the_field_that_names_it(service: Service) -> None:
    parties = [(await a_party(service, name))[0] for name in ("One", "Other")]
    opened = await service.post("/v1/cooperations", {"title": "Line", "parties": parties})
    line = f"/v1/cooperations/{opened['id']}"
    raised = await service.post(f"{line}/topics", {"topic": {"kind": "training", "subject": "x"}})
    held = {"held": "2019-06-18", "participants": [{"party": one} for one in parties], "topics": [raised["id"]]}
    met = await service.post(f"{line}/meetings", held)
    async with nothing_left_behind(service):
        answer = refused(await retract(service, raised["entries"][0]["position"]), 409, "rested-upon", "?position")
    assert f"entry {met['entries'][0]['position']} would break a rule" in answer["detail"]
    assert f"(/topics/0: there is no topic {raised['id']} in {opened['id']})" in answer["detail"]
    body: dict[str, Any] = {"agreed": "2019", "milestones": [{"title": "x"}, {"title": "y"}]}
    agreed = await service.post(f"{line}/roadmaps", body)
    first = (await service.get(f"/v1/roadmaps/{agreed['id']}"))["milestones"][0]["id"]
    await service.post(f"{line}/roadmaps/{agreed['id']}/milestones/{first}/meet", {"met": "2020"})
    correction = {"replacement": {**body, "milestones": [{"title": "y"}]}, **WHY}
    async with nothing_left_behind(service):
        corrected = await service.client.post(
            f"/v1/log/entries/{agreed['entries'][0]['position']}/correct", json=correction
        )
        answer = refused(corrected, 409, "rested-upon", "/replacement/milestones")
    assert f"There is no milestone {first}" in answer["detail"]
    assert "corrected" in answer["title"]
