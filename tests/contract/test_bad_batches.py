"""Bad preconditions, idempotency keys and batches: each gets a problem that names all that is wrong, leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest

from services.registry.api.commands import MAX_COMMANDS
from tests.support.refusals import nothing_left_behind, refused
from tests.support.world import World, meeting, party

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEETINGS = "/v1/cooperations/$cooperation/meetings"


async def post(world: World, path: str, body: Any, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.service.client.post(world.fill(path), json=world.fill(body), headers=names)


# Preconditions and idempotency


async def test_a_stale_if_match_is_refused(world: World):
    async with nothing_left_behind(world.service):
        for tag in ('"0"', '"99"', '"0.abc"', '"0", "99"', 'W/"2"', 'W/"3.9f", W/"x"', ', "99",'):
            problem = refused(
                await post(world, MEETINGS, meeting(), If_Match=tag), 412, "wrong-expected-version", "@If-Match"
            )
            assert "revision" in problem["detail"]
        for tag in ('"0"', "*", '"0", W/"1"'):
            answer = await post(world, "/v1/parties", party("x"), If_Match=tag)
            refused(answer, 412, "wrong-expected-version", "@If-Match")
            answer = await post(world, "/v1/cooperations/$no_cooperation/meetings", meeting(), If_Match=tag)
            refused(answer, 412, "wrong-expected-version", "@If-Match")


@pytest.mark.parametrize(
    "tag",
    [
        *("3", '"x"', '"3', '"-1"', '"1e3"', "", '"9999999999"', "**", "*, *", '*, "3"', '"3", *', '"3" "4"', '"3", x'),
        *('w/"3"', "W/3", ",", " , ,", '"3", "x"', 'W/ "3"', '"3"4'),
    ],
)
async def test_an_if_match_that_is_no_revision_is_refused(world: World, tag: str):
    async with nothing_left_behind(world.service):
        refused(await post(world, MEETINGS, meeting(), If_Match=tag), 422, "invalid-field", "@If-Match")


async def test_a_batch_matches_no_revision(world: World):
    batch = {"commands": [{"command": "register-party", "data": party("x")}]}
    async with nothing_left_behind(world.service):
        refused(await post(world, "/v1/batch", batch, If_Match='"3"'), 422, "invalid-field", "@If-Match")


@pytest.mark.parametrize("key", ["", "with a space", "x" * 256, "tab\tbed", "\xe9"])
async def test_an_idempotency_key_that_is_none_is_refused(world: World, key: str):
    headers = {"Idempotency-Key": key.encode("latin-1")}
    async with nothing_left_behind(world.service):
        answer = await world.service.client.post("/v1/parties", json=party("x"), headers=headers)  # type: ignore[arg-type]
        refused(answer, 422, "invalid-field", "@Idempotency-Key")


async def test_an_idempotency_key_that_was_used_for_another_request_is_refused(world: World):
    await world.service.post("/v1/parties", party("First"), Idempotency_Key="used")
    async with nothing_left_behind(world.service):
        for path, body in (
            ("/v1/parties", party("Second")),
            ("/v1/parties", party("First", note="more")),
            ("/v1/people", {"name": "First"}),
            ("/v1/batch", {"commands": [{"command": "register-party", "data": party("Second")}]}),
            (MEETINGS, meeting()),
        ):
            answer = await post(world, path, body, Idempotency_Key="used")
            refused(answer, 422, "command-id-reused", "@Idempotency-Key")


# Batches


async def test_all_bad_commands_of_a_batch_are_named(world: World):
    commands = [
        {"command": "register-party", "data": {"name": 1, "kind": "company", "country": "ZZ"}},
        {"command": "register-party", "data": party("fine")},
        {"command": "open-everything", "data": {}},
        {"command": ["register-party"], "data": {}},
        {"command": "record-meeting", "subject": "party/$ministry", "data": meeting("2019-13")},
        {"command": "record-meeting", "data": meeting(summary=1)},
        {"command": "record-meeting", "subject": 5, "data": []},
        {"command": "register-party", "subject": None, "data": party("x")},
        {"command": "register-party"},
        {"command": "register-person", "data": {"name": "x"}, "extra": 1, "a/b": 2},
        {
            "command": "record-meeting",
            "subject": "cooperation/$no_cooperation",
            "data": meeting(occasion="$no_occasion"),
        },
        {"command": "register-party", "subject": "party/$no_party", "data": party("x", id="$ministry")},
        {"command": "register-party", "data": {"sectors": [[[[]]]] * 3, "deep": _nested(30)}},
        "a text",
        None,
    ]
    fields = [
        "/commands/0/data/name",
        "/commands/0/data/country",
        "/commands/2/command",
        "/commands/3/command",
        "/commands/4/subject",
        "/commands/4/data/held",
        "/commands/5/subject",
        "/commands/5/data/summary",
        "/commands/6/subject",
        "/commands/6/data",
        "/commands/7/subject",
        "/commands/8/data",
        "/commands/9/extra",
        "/commands/9/a~1b",
        "/commands/10/subject",
        "/commands/10/data/occasion",
        "/commands/11/data/id",
        *("/commands/12/data/" + one for one in ("name", "kind", "country", "sectors/0", "sectors/1", "sectors/2")),
        "/commands/12/data/deep",
        "/commands/12/data/deep" + "/0" * 24,
        "/commands/13",
        "/commands/14",
        "/more",
    ]
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": commands, "more": 1})
        refused(answer, 422, "invalid-field", *fields)


def _nested(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


async def test_a_batch_refers_to_nothing_that_is_brought_later(world: World):
    later = "party_00000000000000000000000009"
    commands = [
        {"command": "open-cooperation", "data": {"title": "x", "parties": ["$ministry", later]}},
        {"command": "register-party", "data": party("x", id=later)},
    ]
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": commands})
        refused(answer, 422, "unknown-reference", "/commands/0/data/parties/1")


async def test_a_rule_that_a_command_of_a_batch_breaks_is_named_with_the_command(world: World):
    act = {"command": "record-meeting", "data": meeting()}
    fine = {"command": "register-party", "data": party("x")}
    for subject, code in (("$concluded", "cooperation-closed"), ("$suspended", "cooperation-suspended")):
        async with nothing_left_behind(world.service):
            batch = {"commands": [fine, {**act, "subject": f"cooperation/{subject}"}]}
            refused(await post(world, "/v1/batch", batch), 409, code, "/commands/1")
    alone = {**act, "subject": "cooperation/$cooperation", "data": meeting(participants=[{"party": "$ministry"}])}
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": [fine, alone]})
        refused(answer, 409, "too-few-parties", "/commands/1/data/participants")


def _about_nothing(command: str, **data: Any) -> dict[str, Any]:
    return {"command": command, "subject": "cooperation/$cooperation", "data": data}


NOTHING = "00000000000000000000000000"
ABOUT_NOTHING = [
    (_about_nothing("cancel-visit", visit_id=f"visit_{NOTHING}", reason="x"), ["visit_id"]),
    (_about_nothing("cancel-round", round_id=f"round_{NOTHING}", reason="x"), ["round_id"]),
    (
        _about_nothing("miss-milestone", roadmap_id="$roadmap", milestone_id=f"milestone_{NOTHING}", reason="x"),
        ["milestone_id"],
    ),
    (
        _about_nothing(
            "miss-milestone", roadmap_id=f"roadmap_{NOTHING}", milestone_id=f"milestone_{NOTHING}", reason="x"
        ),
        ["roadmap_id", "milestone_id"],
    ),
    (
        _about_nothing("terminate-agreement", agreement_id=f"agreement_{NOTHING}", terminated="2019", reason="x"),
        ["agreement_id"],
    ),
    (
        _about_nothing(
            "record-visit",
            visit_id=f"visit_{NOTHING}",
            held="2999",
            participants=[{"party": "$ministry"}, {"party": "$stranger"}],
        ),
        ["visit_id", "held", "participants/1/party"],
    ),
]
OF_NOTHING = [
    {"command": "erase-person", "subject": "person/$no_person", "data": {"authority": "x", "reason": "x"}},
    {"command": "rename-party", "subject": "party/$no_party", "data": {"name": "x"}},
    {
        "command": "correct-entry",
        "subject": "party/$no_party",
        "data": {"corrects": 0, "replacement": {"name": "x"}, "reason": "x"},
    },
    {"command": "retract-entry", "subject": "party/$no_party", "data": {"retracts": 0, "reason": "x"}},
    {
        "command": "raise-topic",
        "subject": "cooperation/$no_cooperation",
        "data": {"topic": {"kind": "dialogue", "subject": "talks"}},
    },
]


@pytest.mark.parametrize(("command", "fields"), ABOUT_NOTHING, ids=lambda one: str(one)[:40])
async def test_a_command_of_a_batch_about_what_is_not_there_names_the_fields_that_say_so(
    world: World, command: dict[str, Any], fields: list[str]
):
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": [command]})
        refused(answer, 422, "unknown-reference", *(f"/commands/0/data/{field}" for field in fields))


@pytest.mark.parametrize("command", OF_NOTHING, ids=lambda one: one["command"])
async def test_a_command_of_a_batch_whose_subject_is_not_there_names_it(world: World, command: dict[str, Any]):
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": [command]})
        refused(answer, 422, "unknown-reference", "/commands/0/subject")


async def test_whatever_of_a_batch_is_not_there_is_named_with_every_other(world: World):
    commands = [*(command for command, _ in ABOUT_NOTHING), *OF_NOTHING]
    things = [f"/commands/{number}/data/{one}" for number, (_, keys) in enumerate(ABOUT_NOTHING) for one in keys[:2]]
    things.remove("/commands/5/data/held")  # a rule, of a stream of which something was refused already
    subjects = [f"/commands/{number}/subject" for number in range(len(ABOUT_NOTHING), len(commands))]
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": commands})
        refused(answer, 422, "unknown-reference", *things, *subjects)
        wrong = [*commands, {"command": "register-party", "data": {"name": "x", "kind": "company"}}]
        answer = await post(world, "/v1/batch", {"commands": wrong})
        country = f"/commands/{len(commands)}/data/country"
        refused(answer, 422, "invalid-field", *things, *subjects, country)


async def test_what_a_batch_brings_may_be_gone_on_with_in_it_whatever_else_is_not_there(world: World):
    visit, roadmap, milestone = (f"{kind}_00000000000000000000000777" for kind in ("visit", "roadmap", "milestone"))
    scheduled = {
        "id": visit,
        "visitors": [{"party": "$company"}],
        "host": "$ministry",
        "place": {"country": "AZ"},
        "window": "2019-07",
        "purpose": "to go on",
    }
    agreed = {"id": roadmap, "agreed": "2019", "milestones": [{"title": "x", "milestone_id": milestone}]}
    commands = [
        _about_nothing("schedule-visit", **scheduled),
        _about_nothing("cancel-visit", visit_id=visit, reason="x"),
        _about_nothing("agree-roadmap", **agreed),
        _about_nothing("miss-milestone", roadmap_id=roadmap, milestone_id=milestone, reason="x"),
        _about_nothing("cancel-visit", visit_id=f"visit_{NOTHING}", reason="x"),
        OF_NOTHING[0],
    ]
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": commands})
        refused(answer, 422, "unknown-reference", "/commands/4/data/visit_id", "/commands/5/subject")


async def test_an_address_of_nothing_is_named_beside_all_that_is_wrong_with_the_body(world: World):
    held = {"held": "2999", "participants": [{"party": "$no_party"}, {"party": "$ministry"}]}
    known = {"held": "2999", "participants": [{"party": "$company"}, {"party": "$ministry"}]}
    nowhere = f"/v1/cooperations/$cooperation/visits/visit_{NOTHING}/held"
    missed = f"/v1/cooperations/$cooperation/roadmaps/roadmap_{NOTHING}/milestones/milestone_{NOTHING}/miss"
    async with nothing_left_behind(world.service):
        fields = ("?visit_id", "/held", "/participants/0/party")
        refused(await post(world, nowhere, held), 422, "unknown-reference", *fields)
        refused(await post(world, nowhere, known), 404, "not-found", "?visit_id", "/held")
        answer = await post(world, nowhere, {**known, "outcome": 1})
        refused(answer, 422, "invalid-field", "/outcome", "?visit_id", "/held")
        answer = await post(world, nowhere, {**known, "visit_id": "x"})
        refused(answer, 422, "invalid-field", "/visit_id", "/held")
        refused(await post(world, missed, {"reason": "x"}), 404, "not-found", "?roadmap_id", "?milestone_id")
        answer = await post(world, "/v1/cooperations/$no_cooperation/meetings", held)
        refused(answer, 422, "unknown-reference", "?id", "/participants/0/party")


async def test_an_id_that_is_taken_is_named_where_it_was_given(world: World):
    taken = {"command": "register-party", "subject": "party/$ministry", "data": party("x")}
    both = {"command": "register-party", "subject": "party/$ministry", "data": party("x", id="$ministry")}
    topic = {"topic_id": "$topic", "kind": "dialogue", "subject": "talks"}
    async with nothing_left_behind(world.service):
        for command, field in (
            (taken, "subject"),
            (both, "data/id"),
            (_about_nothing("raise-topic", topic=topic), "data/topic/topic_id"),
            (_about_nothing("record-meeting", **meeting(meeting_id="$meeting")), "data/meeting_id"),
            (_about_nothing("record-meeting", **meeting(id="$meeting")), "data/id"),
        ):
            answer = await post(world, "/v1/batch", {"commands": [command]})
            refused(answer, 409, "already-exists", f"/commands/0/{field}")
        answer = await post(world, "/v1/cooperations/$other/topics", {"topic": topic})
        refused(answer, 409, "already-claimed", "/topic/topic_id")


@pytest.mark.parametrize("commands", [None, [], {}, "x", 5])
async def test_a_batch_of_no_commands_is_refused(world: World, commands: Any):
    async with nothing_left_behind(world.service):
        refused(await post(world, "/v1/batch", {"commands": commands}), 422, "invalid-field", "/commands")


async def test_a_batch_without_commands_or_with_too_many_is_refused(world: World):
    async with nothing_left_behind(world.service):
        refused(await post(world, "/v1/batch", {}), 422, "invalid-field", "/commands")
        many = [{"command": "register-party", "data": party("x")}] * (MAX_COMMANDS + 1)
        refused(await post(world, "/v1/batch", {"commands": many}), 422, "invalid-field", "/commands")


async def test_every_identifier_and_every_id_of_a_batch_that_is_taken_is_named(world: World):
    lei = [{"scheme": "XI-LEI", "value": value} for value in ("TAKEN-1", "TAKEN-2", "TAKEN-3")]
    await world.service.post("/v1/parties", party("Holder", identifiers=lei[:2]))
    commands = [
        {"command": "register-party", "data": party("a", identifiers=[lei[0], lei[2]])},
        {"command": "register-party", "data": party("b")},
        {"command": "register-party", "data": party("c", identifiers=[lei[1]])},
        {"command": "register-party", "data": party("d")},
    ]
    async with nothing_left_behind(world.service):
        refused(
            await post(world, "/v1/batch", {"commands": commands}),
            *(409, "already-claimed"),
            "/commands/0/data/identifiers/0",
            "/commands/2/data/identifiers/0",
        )
        twice = [{"command": "register-party", "data": party(name, identifiers=[lei[2]])} for name in "abc"]
        answer = await post(world, "/v1/batch", {"commands": twice})
        refused(answer, 409, "already-claimed", *(f"/commands/{number}/data/identifiers/0" for number in (1, 2)))
        both = [
            {"command": "register-party", "data": party("a", identifiers=[lei[2], lei[0]])},
            {"command": "register-party", "data": party("b", identifiers=[lei[2]])},
            {"command": "register-party", "data": party("c", identifiers=[lei[1]])},
        ]
        refused(
            await post(world, "/v1/batch", {"commands": both}),
            *(409, "already-claimed"),
            "/commands/0/data/identifiers/1",
            "/commands/1/data/identifiers/0",
            "/commands/2/data/identifiers/0",
        )
        commands = [
            {"command": "register-party", "data": party("a", id="$ministry")},
            {"command": "rename-party", "subject": "party/$ministry", "data": {"name": "Later"}},
            {
                "command": "open-cooperation",
                "data": {"id": "$other", "title": "b", "parties": ["$ministry", "$company"]},
            },
            {"command": "register-party", "data": party("c")},
            {"command": "register-party", "data": party("d", id="$company")},
        ]
        refused(
            await post(world, "/v1/batch", {"commands": commands}),
            *(409, "already-exists"),
            *(f"/commands/{number}/data/id" for number in (0, 2, 4)),
        )
