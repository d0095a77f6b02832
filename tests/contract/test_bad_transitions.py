"""Each transition out of order, twice, and on another stream's thing: refused by name, and nothing is left behind."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import refusals as problems
from tests.support.refusals import nothing_left_behind
from tests.support.service import Service
from tests.support.world import World, build, meeting

ON = "/v1/cooperations/$cooperation"
ELSEWHERE = "/v1/cooperations/$other"
BOTH = [{"party": "$ministry"}, {"party": "$company"}]
VISIT = {
    "visitors": [{"party": "$company"}],
    "host": "$ministry",
    "place": {"country": "AZ"},
    "window": "2019-07",
    "purpose": "to go on",
}
ROUND = {"place": {"country": "AZ"}, "participants": BOTH, "subject": "next"}
AGREEMENT = {"kind": "understanding", "subject": "projects", "reached": "2019-06-18"}
HELD = {"held": "2019-06-18", "participants": BOTH}
AMENDED = {"kind": "contract", "subject": "projects", "amended": "2019-06-18"}
AGREEMENT_AS_REACHED = {"kind": "understanding", "subject": "projects", "amended": AGREEMENT["reached"]}
PARTY = {"kind": "agency", "country": "IT"}

Step = tuple[str, dict[str, Any]]

VISIT_STEPS: list[Step] = [("reschedule", {"window": "2019-08"}), ("cancel", {"reason": "no"}), ("held", HELD)]
MILESTONE_STEPS: list[Step] = [
    ("meet", {"met": "2019-06-18"}),
    ("miss", {"reason": "late"}),
    ("reschedule", {"due": "2020"}),
]
AGREEMENT_STEPS: list[Step] = [("amend", AMENDED), ("terminate", {"terminated": "2020", "reason": "kept"})]


@pytest.fixture
async def world(service: Service) -> World:
    world = await build(service)
    await world.record("visit", f"{ON}/visits", VISIT)
    await world.record("round", f"{ON}/rounds", ROUND)
    await world.record("agreement", f"{ON}/agreements", AGREEMENT)
    roadmap = await service.get(f"/v1/roadmaps/{world.ids['roadmap']}")
    world.ids["milestone"] = roadmap["milestones"][0]["id"]
    return world


async def refused(world: World, path: str, body: dict[str, Any], *codes: str) -> None:
    async with nothing_left_behind(world.service):
        answer = await world.service.client.post(world.fill(path), json=world.fill(body))
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] in codes, answer.text


@pytest.mark.parametrize(
    ("thing", "last", "steps", "code"),
    [
        ("visits/$visit", ("cancel", {"reason": "no"}), VISIT_STEPS, "not-scheduled"),
        ("visits/$visit", ("held", HELD), VISIT_STEPS, "not-scheduled"),
        ("rounds/$round", ("cancel", {"reason": "no"}), VISIT_STEPS, "not-scheduled"),
        ("rounds/$round", ("held", HELD), VISIT_STEPS, "not-scheduled"),
        ("roadmaps/$roadmap/milestones/$milestone", ("meet", {"met": "2019"}), MILESTONE_STEPS, "milestone-closed"),
        ("roadmaps/$roadmap/milestones/$milestone", ("miss", {"reason": "late"}), MILESTONE_STEPS, "milestone-closed"),
        ("agreements/$agreement", AGREEMENT_STEPS[1], AGREEMENT_STEPS, "agreement-over"),
    ],
)
async def test_what_is_over_is_not_gone_on_with(
    world: World, thing: str, last: Step, steps: list[Step], code: str
) -> None:
    await world.service.post(world.fill(f"{ON}/{thing}/{last[0]}"), world.fill(last[1]))
    for verb, body in steps:
        await refused(world, f"{ON}/{thing}/{verb}", body, code)


@pytest.mark.parametrize(
    ("thing", "steps"),
    [
        ("visits/$visit", VISIT_STEPS),
        ("rounds/$round", VISIT_STEPS),
        ("roadmaps/$roadmap/milestones/$milestone", MILESTONE_STEPS),
        ("agreements/$agreement", AGREEMENT_STEPS),
    ],
)
async def test_the_things_of_another_stream_are_not_there(world: World, thing: str, steps: list[Step]) -> None:
    for verb, body in steps:
        await refused(world, f"{ELSEWHERE}/{thing}/{verb}", body, "not-found")


async def test_a_topic_and_a_meeting_of_another_stream_are_not_there(world: World) -> None:
    for path, body in (
        (f"{ELSEWHERE}/visits", {**VISIT, "topics": ["$topic"]}),
        (f"{ELSEWHERE}/meetings", meeting(topics=["$topic"])),
        (f"{ELSEWHERE}/roadmaps", {"agreed": "2019-06", "meeting": "$meeting"}),
    ):
        await refused(world, path, body, "unknown-reference")


async def test_a_cooperation_is_suspended_resumed_and_ended_in_order(world: World) -> None:
    said = {"reason": "so it was decided"}
    await refused(world, f"{ON}/resume", said, "cooperation-not-suspended")
    for verb in ("suspend", "conclude"):
        await refused(world, f"/v1/cooperations/$suspended/{verb}", said, "cooperation-suspended")
    for verb in ("suspend", "resume", "conclude", "abandon"):
        await refused(world, f"/v1/cooperations/$concluded/{verb}", said, "cooperation-closed")


async def test_parties_people_occasions_and_sources_end_once(world: World) -> None:
    why = {"authority": "the court", "reason": "a mistake"}
    post = {"party": "$ministry", "post": "adviser"}
    await refused(world, "/v1/people/$person/leave-post", post, "not-in-post")
    for path, body in (
        ("/v1/parties/$stranger/merge", {"into": "$company", "reason": "the same"}),
        ("/v1/people/$person/erase", why),
        ("/v1/occasions/$occasion/cancel", {"reason": "weather"}),
        ("/v1/sources/$unfiled/withdraw", why),
    ):
        await world.service.post(world.fill(path), world.fill(body))
    for verb, body in (("rename", {"name": "x"}), ("amend", PARTY), ("merge", {"into": "$ministry", "reason": "x"})):
        await refused(world, f"/v1/parties/$stranger/{verb}", body, "party-merged")
    await refused(world, "/v1/parties/$company/merge", {"into": "$stranger", "reason": "x"}, "circular-parties")
    for path, body in (("appoint", post), ("leave-post", post), ("erase", why)):
        await refused(world, f"/v1/people/$person/{path}", body, "person-erased")
    show = {"name": "Show", "kind": "exhibition", "place": {"country": "FR"}, "dates": "2019"}
    for path, body in (("amend", show), ("cancel", {"reason": "x"}), ("delegations", {"party": "$ministry"})):
        await refused(world, f"/v1/occasions/$occasion/{path}", body, "occasion-cancelled")
    await refused(world, "/v1/sources/$unfiled/withdraw", why, "source-withdrawn")


@pytest.mark.parametrize(
    ("path", "body", "more"),
    [
        ("/v1/parties/$company/rename", {"name": "Company "}, {"since": "1987"}),
        (f"{ON}/visits/$visit/reschedule", {"window": "2019-07"}, {"reason": "confirmed"}),
        (f"{ON}/agreements/$agreement/amend", AGREEMENT_AS_REACHED, {"amended": "2019-06-19"}),
    ],
)
async def test_what_changes_nothing_of_what_a_thing_came_with_is_refused(
    world: World, path: str, body: dict[str, Any], more: dict[str, Any]
) -> None:
    async with nothing_left_behind(world.service):
        answer = await world.service.client.post(world.fill(path), json=body)
        problems.refused(answer, 409, "nothing-changes", "?id")
    await world.service.post(world.fill(path), {**body, **more})


async def test_an_amendment_has_a_target_in_its_own_stream_and_of_its_type(world: World) -> None:
    position = (await world.service.get(f"/v1/visits/{world.ids['visit']}"))["position"]
    elsewhere = {
        "commands": [
            {
                "command": "retract-entry",
                "subject": "cooperation/$other",
                "data": {"retracts": position, "reason": "never was"},
            }
        ]
    }
    await refused(world, "/v1/batch", elsewhere, "not-correctable")
    of_another_type = {"replacement": {"reason": "so it was decided"}, "reason": "misread"}
    await refused(world, f"/v1/log/entries/{position}/correct", of_another_type, "invalid-field")
    await refused(world, "/v1/log/entries/999/retract", {"reason": "never was"}, "not-found")
    await world.service.post(f"/v1/log/entries/{position}/retract", {"reason": "never was"})
    await refused(world, f"/v1/log/entries/{position}/retract", {"reason": "again"}, "not-correctable")
    corrected = {"replacement": VISIT, "reason": "misread"}
    await refused(world, f"/v1/log/entries/{position}/correct", corrected, "not-correctable")


async def test_a_correction_that_refers_to_nothing_is_refused_by_the_field_alone_and_in_a_batch(world: World) -> None:
    position = (await world.service.get(f"/v1/parties/{world.ids['company']}"))["position"]
    nowhere = {"replacement": {**PARTY, "name": "Company", "part_of": "$no_party"}, "reason": "misread"}
    answer = await world.service.client.post(f"/v1/log/entries/{position}/correct", json=world.fill(nowhere))
    problems.refused(answer, 422, "unknown-reference", "/replacement/part_of")
    right = {"corrects": position, "replacement": {**PARTY, "name": "Company"}, "reason": "misread"}
    commands = [
        {"command": "correct-entry", "subject": "party/$company", "data": right},
        {"command": "register-party", "data": {**PARTY, "name": "Another", "part_of": "$no_party"}},
    ]
    answer = await world.service.client.post("/v1/batch", json=world.fill({"commands": commands}))
    problems.refused(answer, 422, "unknown-reference", "/commands/1/data/part_of")
