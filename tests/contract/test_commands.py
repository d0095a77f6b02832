"""Commands over HTTP: what they answer, that they are recorded once, and all or nothing, whoever else records."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest

from events.errors import LogUnavailable
from events.log import Recorded
from services.registry.api.commands import ROUTES
from services.registry.ids import new_id
from services.registry.turns import Turns
from tests.support.recording import obstacle
from tests.support.refusals import nothing_left_behind, refused
from tests.support.world import World, cite, meeting, party, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 32
COOPERATIONS = "/v1/cooperations"
TOPIC = {"topic": {"kind": "joint-production", "subject": "vehicles", "products": ["a vehicle"]}}

BOTH = [{"party": "$company"}, {"party": "$ministry"}]

EVERY_COMMAND: list[tuple[str, str, dict[str, Any]]] = [
    ("register-party", "", party("Another", part_of="$company", sectors=["defence-industry"])),
    ("rename-party", "$stranger", {"name": "Friend", "since": "2019-06"}),
    ("amend-party", "$stranger", {"kind": "agency", "country": "IT", "sectors": ["aerospace"]}),
    ("register-person", "", {"name": "Bea Example", "contact": "bea@example.org"}),
    ("appoint-person", "$person", {"party": "$ministry", "post": "adviser", "from": "2019-XX"}),
    ("leave-post", "$person", {"party": "$ministry", "post": "adviser", "until": "2019-06"}),
    (
        "announce-occasion",
        "",
        {"name": "Forum", "kind": "forum", "place": {"country": "AZ", "city": "Baku"}, "dates": "2019-06/.."},
    ),
    (
        "send-delegation",
        "$occasion",
        {"party": "$ministry", "participants": [{"party": "$ministry", "person": "$person", "role": "head"}]},
    ),
    (
        "amend-occasion",
        "$occasion",
        {"name": "Show", "kind": "exhibition", "place": {"country": "FR"}, "dates": "2019-06-17/2019-06-23"},
    ),
    ("file-source", "", source("1" * 64, title="Another", url="https://example.org/report")),
    ("open-cooperation", "", {"title": "Line", "parties": ["$ministry", "$company"], "fields": ["aerospace"]}),
    ("raise-topic", "$other", TOPIC),
    ("record-meeting", "$other", meeting(occasion="$occasion", topics=["$other_topic"], summary="They met.")),
    ("record-negotiations", "$other", {"held": "2019-06?", "subject": "terms", "topics": ["$other_topic"]}),
    (
        "agree-roadmap",
        "$other",
        {"agreed": "2019-06", "milestones": [{"title": "First", "due": "2999"}, {"title": "Second"}]},
    ),
    (
        "schedule-visit",
        "$other",
        {
            "visitors": [{"party": "$company", "role": "experts"}],
            "host": "$ministry",
            "place": {"country": "AZ"},
            "window": "2019-07",
            "purpose": "to go on",
        },
    ),
    (
        "schedule-round",
        "$other",
        {
            "place": {"country": "AZ"},
            "participants": [{"party": "$company"}, {"party": "$ministry"}],
            "subject": "next",
        },
    ),
    ("reach-agreement", "$other", {"kind": "understanding", "subject": "projects", "reached": "2019-06-18"}),
    ("meet-milestone", "$other", {"met": "2019-06-18"}),
    ("reschedule-milestone", "$other", {"due": "2020", "reason": "later"}),
    ("miss-milestone", "$other", {"reason": "too late"}),
    ("reschedule-visit", "$other", {"window": "2019-08"}),
    ("record-visit", "$other", {"held": "2019-06-18", "participants": BOTH, "outcome": "well"}),
    ("cancel-visit", "$other", {"reason": "no more"}),
    ("reschedule-round", "$other", {"window": "2019-08"}),
    ("record-round", "$other", {"held": "2019-06-18", "participants": BOTH}),
    ("cancel-round", "$other", {"reason": "no more"}),
    ("amend-agreement", "$other", {"kind": "contract", "subject": "projects", "amended": "2019-06-18"}),
    ("terminate-agreement", "$other", {"terminated": "2020", "reason": "kept"}),
    ("suspend-cooperation", "$other", {"reason": "a pause"}),
    ("resume-cooperation", "$other", {"reason": "on again"}),
    ("conclude-cooperation", "$other", {"reason": "done"}),
    ("abandon-cooperation", "$suspended", {"reason": "given up"}),
    ("cancel-occasion", "$occasion", {"reason": "weather"}),
    ("withdraw-source", "$unfiled", {"authority": "the court", "reason": "a mistake"}),
    ("erase-person", "$person", {"authority": "the court", "reason": "asked"}),
    ("merge-party", "$stranger", {"into": "$company", "reason": "the same"}),
]
"""Each command with the thing that it is about and a body, in an order in which they can be recorded."""

KINDS = {"person": "person", "occ": "occasion", "coop": "cooperation", "party": "party", "src": "source"}


async def post(world: World, path: str, body: Any, client: httpx.AsyncClient | None = None, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await (client or world.service.client).post(world.fill(path), json=world.fill(body), headers=names)


async def size(world: World) -> int:
    return (await world.service.parts.log.head()).size


async def entry(world: World, answer: httpx.Response) -> dict[str, Any]:
    """The entry that an answer says was recorded."""
    return await world.service.get(f"/v1/log/entries/{answer.json()['entries'][0]['position']}")


class Things:
    """What is within the other cooperation and commands are about: the visit, round, agreement, milestone of now."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ids: dict[str, str] = {}
        self._milestones: list[str] = []

    def learn(self, command: str, recorded: dict[str, Any], stored: dict[str, Any]) -> None:
        verb, _, kind = command.partition("-")
        if verb in ("schedule", "reach", "agree"):
            self._ids[f"{kind}_id"] = recorded["id"]
        if command == "agree-roadmap":
            self._milestones = [one["milestone_id"] for one in stored["data"]["milestones"]]
        if command == "meet-milestone":
            del self._milestones[0]

    async def scheduled_again(self, command: str) -> None:
        """Schedule another visit or round where the one there was is held."""
        kind = command.removeprefix("cancel-")
        if command in ("cancel-visit", "cancel-round"):
            ((_, about, body),) = [one for one in EVERY_COMMAND if one[0] == f"schedule-{kind}"]
            answer = await post(self._world, ROUTES[f"schedule-{kind}"].path.replace("{id:str}", about), body)
            self._ids[f"{kind}_id"] = answer.json()["id"]

    def fill(self, path: str) -> str:
        ids = {**self._ids, "milestone_id": self._milestones[0] if self._milestones else ""}
        for name, key in ids.items():
            path = path.replace(f"{{{name}:str}}", key)
        return path


# What is answered


async def test_every_command_answers_where_what_it_brought_is_and_at_which_revision(world: World):
    assert {command for command, _, _ in EVERY_COMMAND} == ROUTES.keys()
    things = Things(world)
    for command, about, body in EVERY_COMMAND:
        await things.scheduled_again(command)
        before = await size(world)
        path = things.fill(ROUTES[command].path.replace("{id:str}", about))
        answer = await post(world, path, {**body, "note": "noted"})
        assert answer.status_code == 201, answer.text
        recorded = answer.json()
        assert recorded.keys() == {"id", "subject", "revision", "entries", "size"}
        assert recorded["size"] == before + 1
        assert answer.headers["registry-size"] == str(before + 1)
        assert answer.headers["etag"] == f'"{recorded["revision"]}"'
        assert "idempotency-replayed" not in answer.headers
        if about:
            assert recorded["subject"] == f"{KINDS[world.fill(about).partition('_')[0]]}/{world.fill(about)}"
        else:
            assert recorded["subject"].partition("/")[2] == recorded["id"]
            assert recorded["revision"] == 0
        (said,) = recorded["entries"]
        stored = await entry(world, answer)
        things.learn(command, recorded, stored)
        assert (stored["sequence"], stored["type"], stored["id"]) == (str(before), said["type"], said["id"])
        assert (stored["subject"], stored["revision"]) == (recorded["subject"], recorded["revision"])
        assert stored["data"]["note"] == "noted"
        read = await world.service.get(answer.headers["location"])
        milestones = [one["id"] for one in read.get("milestones", ())]
        assert {read["id"], *milestones} & {recorded["id"], recorded["subject"].partition("/")[2]}
        assert read["as_of"]["size"] == before + 1


async def test_what_a_client_calls_a_thing_it_is_called(world: World):
    for path, prefix, body in (
        ("/v1/parties", "party", party("Named")),
        ("/v1/people", "person", {"name": "Named"}),
        (f"{COOPERATIONS}/$cooperation/meetings", "meeting", meeting()),
        (f"{COOPERATIONS}/$cooperation/topics", "topic", TOPIC),
    ):
        key = new_id(prefix)
        answer = await post(world, path, {"id": key, **body})
        assert answer.json()["id"] == key
        again = await post(world, path, {"id": key, **body})
        assert again.status_code == 409
        assert again.json()["errors"][0]["pointer"] == "/id"


async def test_an_id_may_stand_in_its_own_field_as_it_does_in_the_log(world: World):
    key, topic, milestone = new_id("meeting"), new_id("topic"), new_id("milestone")
    assert (await post(world, f"{COOPERATIONS}/$cooperation/meetings", meeting(meeting_id=key))).json()["id"] == key
    body = {"topic": {"topic_id": topic, "kind": "training", "subject": "x"}, "id": topic}
    assert (await post(world, f"{COOPERATIONS}/$cooperation/topics", body)).json()["id"] == topic
    roadmap = {"agreed": "2019", "milestones": [{"milestone_id": milestone, "title": "x"}, {"title": "y"}]}
    answer = await post(world, f"{COOPERATIONS}/$cooperation/roadmaps", roadmap)
    first, second = (await entry(world, answer))["data"]["milestones"]
    assert first["milestone_id"] == milestone
    assert second["milestone_id"].startswith("milestone_")


async def test_a_json_body_may_say_its_character_set(world: World):
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    body = json.dumps(party("Ünïcode"), ensure_ascii=False).encode()
    answer = await world.service.client.post("/v1/parties", content=body, headers=headers)
    assert answer.status_code == 201
    assert (await entry(world, answer))["data"]["name"] == "Ünïcode"


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Content-Type": "application/json; charset=iso-8859-1"}, "@Content-Type"),
        ({"Content-Type": "application/json", "Content-Encoding": "gzip"}, "@Content-Encoding"),
    ],
)
async def test_a_body_in_another_encoding_is_not_taken(world: World, headers: dict[str, str], named: str):
    async with nothing_left_behind(world.service):
        answer = await world.service.client.post("/v1/parties", content=b'{"name":"x"}', headers=headers)
        refused(answer, 415, "unsupported-media-type", named)


# What is recorded of a request


async def test_an_entry_says_who_recorded_it_for_whom_and_how_public_it_is(world: World):
    token, made = await world.service.token("recorder", name="ministry-system", party=world.ids["ministry"])
    async with world.service.anonymous() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        one = await post(world, "/v1/parties", party("One"), client)
        stored = await entry(world, one)
        assert stored["actor"] == "ministry-system"
        assert stored["onbehalfof"] == world.ids["ministry"]
        assert stored["classification"] == "internal"
        assert made.id not in json.dumps(stored)
        for classification in ("public", "internal", "restricted", "confidential"):
            answer = await post(world, "/v1/parties", party("x", classification=classification), client)
            stored = await entry(world, answer)
            assert stored["classification"] == classification
            assert "classification" not in stored["data"]
            assert (await world.service.get(answer.headers["location"]))["classification"] == classification
    other = await entry(world, await post(world, "/v1/parties", party("Other")))
    assert other["actor"] == "tests"
    assert "onbehalfof" not in other


async def test_text_is_kept_in_normal_form_and_without_blanks_around_it(world: World):
    body = party("\u00a0 E\u0301cole  ", alternative_names=["\u3000\u212b "], note=" two\nlines\n")
    data = (await entry(world, await post(world, "/v1/parties", body)))["data"]
    assert data["name"] == "École"
    assert data["alternative_names"] == ["Å"]
    assert data["note"] == "two\nlines"


async def test_dates_are_kept_as_they_were_stated(world: World):
    for held in (
        "2019-06-18",
        "2019-06",
        "2019",
        "201X",
        "2019-06?",
        "2019-06~",
        "2019-06-17/2019-06-23",
        "2019-06/..",
    ):
        answer = await post(world, f"{COOPERATIONS}/$cooperation/meetings", meeting(held))
        assert (await entry(world, answer))["data"]["held"] == held
        assert (await world.service.get(answer.headers["location"]))["held"] == held


async def test_a_name_is_nowhere_in_the_log(world: World):
    answer = await post(world, "/v1/people", {"name": "Zyxwv Unmistakable", "contact": "zyxwv@example.org"})
    stored = await entry(world, answer)
    assert stored["data"].keys() == {"sealed"}
    rows = await world.service.parts.pool.fetch("SELECT bytes FROM log.entry")
    assert not any(b"yxwv" in row["bytes"] or b"Unmistak" in row["bytes"] for row in rows)
    assert (await world.service.get(answer.headers["location"]))["name"] == "Zyxwv Unmistakable"


# Idempotency


async def test_the_same_key_and_body_are_recorded_once_and_answered_the_same(world: World):
    for number, (path, body) in enumerate(
        (
            ("/v1/parties", party("Once")),
            ("/v1/parties", party("Once", id=new_id("party"), identifiers=[{"scheme": "X", "value": "once"}])),
            ("/v1/people", {"name": "Once Example", "contact": "once@example.org"}),
            (f"{COOPERATIONS}/$cooperation/topics", TOPIC),
            (f"{COOPERATIONS}/$cooperation/roadmaps", {"agreed": "2019", "milestones": [{"title": "x"}]}),
        )
    ):
        key = f"once-{number}"
        first = await post(world, path, body, Idempotency_Key=key)
        assert first.status_code == 201, first.text
        await post(world, "/v1/parties", party("Meanwhile"))
        async with nothing_left_behind(world.service):
            for _ in range(2):
                again = await post(world, path, body, Idempotency_Key=key)
                assert again.status_code == 200, again.text
                assert again.headers["idempotency-replayed"] == "true"
                assert again.content == first.content
                for header in ("location", "etag", "registry-size"):
                    assert again.headers[header] == first.headers[header]


async def test_the_same_said_in_other_words_of_json_is_the_same(world: World):
    first = await post(world, "/v1/parties", party("École"), Idempotency_Key="words")
    body = b'{ "country":"FR",\n"kind": "company", "name": " E\\u0301cole "}'
    headers = {"Content-Type": "application/json", "Idempotency-Key": "words"}
    again = await world.service.client.post("/v1/parties", content=body, headers=headers)
    assert again.status_code == 200
    assert again.content == first.content


async def test_a_request_is_replayed_even_when_it_could_not_be_recorded_any_more(world: World):
    opened = await world.record("ending", COOPERATIONS, {"title": "Ending", "parties": ["$ministry", "$company"]})
    said = (f"{COOPERATIONS}/$ending/meetings", meeting())
    first = await post(world, *said, Idempotency_Key="late", If_Match=f'"{opened["revision"]}"')
    assert first.status_code == 201
    await post(world, f"{COOPERATIONS}/$ending/conclude", {"reason": "done"})
    again = await post(world, *said, Idempotency_Key="late", If_Match=f'"{opened["revision"]}"')
    assert again.status_code == 200
    assert again.content == first.content
    refused(await post(world, *said), 409, "cooperation-closed", "?id")


async def test_one_command_and_a_batch_of_the_same_are_two_requests(world: World):
    assert (await post(world, "/v1/parties", party("Alone"), Idempotency_Key="alone")).status_code == 201
    batch = {"commands": [{"command": "register-party", "data": party("Alone")}]}
    answer = await post(world, "/v1/batch", batch, Idempotency_Key="alone")
    refused(answer, 422, "command-id-reused", "@Idempotency-Key")


async def test_an_idempotency_key_that_is_there_twice_is_refused(world: World):
    header, values = "Idempotency-Key", ("twice", "twice")
    path = world.fill("/v1/parties/$company/rename")
    async with nothing_left_behind(world.service):
        answer = await world.service.client.post(
            path, json={"name": "Twice"}, headers=[(header, value) for value in values]
        )
        refused(answer, 422, "invalid-field", f"@{header}")


async def test_another_client_with_the_same_key_sends_another_command(world: World):
    one, other = [await world.service.client_of("recorder", name=name) for name in ("one", "other")]
    first = await post(world, "/v1/parties", party("Shared"), one, Idempotency_Key="shared")
    second = await post(world, "/v1/parties", party("Shared"), other, Idempotency_Key="shared")
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_a_client_keeps_its_keys_when_it_gets_a_new_token(world: World):
    old = await world.service.client_of("recorder", name="rotating")
    new = await world.service.client_of("recorder", name="rotating")
    first = await post(world, "/v1/parties", party("Kept"), old, Idempotency_Key="kept")
    again = await post(world, "/v1/parties", party("Kept"), new, Idempotency_Key="kept")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.content == first.content


async def test_a_client_has_keys_for_each_party_that_it_records_for(world: World):
    tokens = [
        (await world.service.token("recorder", name="for several", party=one))[0]
        for one in (None, world.ids["ministry"], world.ids["company"])
    ]
    bearers = [{"Authorization": f"Bearer {token}", "Idempotency-Key": "1"} for token in tokens]
    answers = [
        await world.service.client.post("/v1/parties", json=party("Of each"), headers=headers) for headers in bearers
    ]
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 3


async def test_what_is_known_is_not_looked_up_again_and_what_begins_not_at_all(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Mapping[str, int]] = []
    log = world.service.parts.log
    read_on = log.read_on

    async def counted(known: Mapping[str, int]) -> list[Recorded]:
        asked.append(known)
        return await read_on(known)

    opened = {"title": "Known", "parties": ["$ministry", "$company"]}
    await world.record("known", COOPERATIONS, opened)
    monkeypatch.setattr(log, "read_on", counted)
    await world.record("begun", COOPERATIONS, {**opened, "id": new_id("coop")})
    await world.record("met", f"{COOPERATIONS}/$begun/meetings", meeting())
    assert not asked


async def test_a_refused_request_leaves_its_key_free(world: World):
    refused(await post(world, "/v1/parties", party(""), Idempotency_Key="free"), 422, "invalid-field", "/name")
    assert (await post(world, "/v1/parties", party("Right"), Idempotency_Key="free")).status_code == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/parties", party("At once")),
        ("/v1/people", {"name": "At Once"}),
        (f"{COOPERATIONS}/$cooperation/topics", TOPIC),
        ("/v1/batch", {"commands": [{"command": "register-person", "data": {"name": "At Once"}}]}),
    ],
)
async def test_the_same_request_sent_many_times_at_once_is_recorded_once(world: World, path: str, body: Any):
    before = await size(world)
    answers = await asyncio.gather(
        *(post(world, path, body, Idempotency_Key=f"at once {path}".replace(" ", "-")) for _ in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201], [answer.text for answer in answers]
    assert len({answer.content for answer in answers}) == 1
    assert await size(world) == before + 1


# If-Match


async def test_what_does_not_exist_yet_is_at_no_revision(world: World):
    answer = await post(world, "/v1/parties", party("Never met"), If_Match='"0"')
    problem = refused(answer, 412, "wrong-expected-version", "@If-Match")
    assert " does not exist yet. " in problem["detail"]


async def test_the_etag_of_what_was_read_is_what_if_match_takes(world: World):
    await world.record("matched", COOPERATIONS, {"title": "Matched", "parties": ["$ministry", "$company"]})
    await world.service.get("/v1/parties")
    read = await world.service.client.get(world.fill(f"{COOPERATIONS}/$matched"))
    path = f"{COOPERATIONS}/$matched/meetings"
    answer = await post(world, path, meeting(), If_Match=read.headers["etag"])
    assert answer.status_code == 201
    refused(
        await post(world, path, meeting(), If_Match=read.headers["etag"]), 412, "wrong-expected-version", "@If-Match"
    )
    assert (await post(world, path, meeting(), If_Match=answer.headers["etag"])).status_code == 201
    await world.service.get("/v1/parties")
    of_meeting = await world.service.client.get(answer.headers["location"])  # of the same stream
    assert (await post(world, path, meeting(), If_Match=of_meeting.headers["etag"])).status_code == 201


async def test_whichever_of_several_tags_the_revision_matches_is_heeded_and_a_star_matches_any(world: World):
    await world.record("listed", COOPERATIONS, {"title": "Listed", "parties": ["$ministry", "$company"]})
    path = world.fill(f"{COOPERATIONS}/$listed/topics")
    for revision, fields in enumerate(
        (["*"], ['"7", "1.9f2c", W/"9"'], ['"7"', 'W/"0"', ', "2"'], ['"3"', '"3"'], [" * "])
    ):
        headers = [("If-Match", field) for field in fields]
        answer = await world.service.client.post(path, json=TOPIC, headers=headers)
        assert (answer.status_code, answer.headers["etag"]) == (201, f'"{revision + 1}"'), answer.text
        if fields not in (["*"], [" * "]):
            answer = await world.service.client.post(path, json=TOPIC, headers=headers)
            refused(answer, 412, "wrong-expected-version", "@If-Match")


async def test_many_who_match_any_revision_are_all_recorded(world: World):
    await world.record("any", COOPERATIONS, {"title": "Any", "parties": ["$ministry", "$company"]})
    several = ", ".join(f'"{revision}"' for revision in range(2 * CLIENTS))
    answers = await asyncio.gather(
        *(post(world, f"{COOPERATIONS}/$any/topics", TOPIC, If_Match=tag) for tag in ("*", several) * (CLIENTS // 2))
    )
    assert {answer.status_code for answer in answers} == {201}


async def test_of_many_who_match_the_same_revision_one_is_recorded(world: World):
    opened = await world.record("raced", COOPERATIONS, {"title": "Raced", "parties": ["$ministry", "$company"]})
    answers = await asyncio.gather(
        *(
            post(world, f"{COOPERATIONS}/$raced/topics", TOPIC, If_Match=f'"{opened["revision"]}"')
            for _ in range(CLIENTS)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [412] * (CLIENTS - 1)


# Batches


def batch(*commands: tuple[str, str | None, dict[str, Any]]) -> dict[str, Any]:
    return {
        "commands": [
            {"command": command, "data": data} | ({"subject": subject} if subject else {})
            for command, subject, data in commands
        ]
    }


async def test_a_batch_is_recorded_in_order_and_later_commands_refer_to_what_earlier_ones_bring(world: World):
    ids = {name: new_id(prefix) for name, prefix in (("p", "party"), ("q", "person"), ("c", "coop"), ("t", "topic"))}
    before = await size(world)
    body = batch(
        ("register-party", None, party("New", id=ids["p"])),
        ("register-person", None, {"name": "New Person", "id": ids["q"]}),
        ("appoint-person", f"person/{ids['q']}", {"party": ids["p"], "post": "head"}),
        ("open-cooperation", f"cooperation/{ids['c']}", {"title": "New", "parties": [ids["p"], "$ministry"]}),
        ("raise-topic", f"cooperation/{ids['c']}", {"id": ids["t"], **TOPIC}),
        (
            "record-meeting",
            f"cooperation/{ids['c']}",
            {
                "held": "2019",
                "participants": [{"party": ids["p"], "person": ids["q"]}, {"party": "$ministry"}],
                "topics": [ids["t"]],
                "citations": [cite("One sentence.")],
            },
        ),
    )
    answer = await post(world, "/v1/batch", body, Idempotency_Key="whole")
    assert answer.status_code == 201, answer.text
    assert answer.headers["registry-size"] == str(before + 6)
    assert "etag" not in answer.headers
    said = answer.json()
    assert said.keys() == {"results", "size"}
    assert said["size"] == before + 6
    assert [one["entries"][0]["position"] for one in said["results"]] == list(range(before, before + 6))
    assert [one["revision"] for one in said["results"]] == [0, 0, 1, 0, 1, 2]
    assert [one["id"] for one in said["results"]][:5] == [ids["p"], ids["q"], ids["q"], ids["c"], ids["t"]]
    entries = (await world.service.get("/v1/log/entries", **{"from": before}))["items"]
    assert len({(one["commandid"], one["commandhash"], one["time"]) for one in entries}) == 1
    async with nothing_left_behind(world.service):
        again = await post(world, "/v1/batch", body, Idempotency_Key="whole")
        assert again.status_code == 200
        assert again.headers["idempotency-replayed"] == "true"
        assert again.content == answer.content
    read = await world.service.get(f"/v1/meetings/{said['results'][5]['id']}")
    assert read["names"][ids["q"]] == "New Person"


async def test_of_a_batch_all_is_recorded_or_nothing(world: World):
    good = ("register-party", None, party("Good", identifiers=[{"scheme": "X", "value": "good"}]))
    person = ("register-person", None, {"name": "Good Person"})
    for bad, status in (
        (("register-party", None, party("Bad", country="ZZ")), 422),
        (("register-party", None, party("Bad", part_of="$no_party")), 422),
        (("register-party", None, party("Bad", id="$ministry")), 409),
        (("register-party", None, party("Bad", identifiers=[{"scheme": "XI-LEI", "value": "969500"}])), 409),
        (("record-meeting", "cooperation/$concluded", meeting()), 409),
        (("record-meeting", "cooperation/$no_cooperation", meeting()), 422),
    ):
        for commands in ((good, person, bad), (bad, good, person)):
            async with nothing_left_behind(world.service):
                answer = await post(world, "/v1/batch", batch(*commands))
                assert answer.status_code == status, answer.text
                at = f"/commands/{commands.index(bad)}"
                assert all(one["pointer"].startswith(at) for one in answer.json()["errors"])
                assert answer.json()["errors"]
    assert (await post(world, "/v1/batch", batch(good, person))).status_code == 201


async def test_a_command_of_a_batch_obeys_the_rules_as_the_ones_before_it_leave_things(world: World):
    subject = f"cooperation/{new_id('coop')}"
    opened = ("open-cooperation", subject, {"title": "Short", "parties": ["$ministry", "$company"]})
    conclude = ("conclude-cooperation", subject, {"reason": "at once"})
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", batch(opened, conclude, ("raise-topic", subject, TOPIC)))
        refused(answer, 409, "cooperation-closed", "/commands/2")
        same = party("Same", id=new_id("party"))
        answer = await post(world, "/v1/batch", batch(("register-party", None, same), ("register-party", None, same)))
        refused(answer, 409, "already-exists", "/commands/1/data/id")
    assert (await post(world, "/v1/batch", batch(opened, ("raise-topic", subject, TOPIC), conclude))).status_code == 201


async def test_a_batch_may_have_a_thousand_commands(world: World):
    before = await size(world)
    many = batch(*(("register-party", None, party(f"Party {number}")) for number in range(1000)))
    answer = await world.service.client.post("/v1/batch", json=many)
    assert answer.status_code == 201
    assert len(answer.json()["results"]) == 1000
    assert await size(world) == before + 1000


# Many at once


async def test_of_what_many_record_in_one_cooperation_nothing_is_lost(world: World):
    opened = await world.record("busy", COOPERATIONS, {"title": "Busy", "parties": ["$ministry", "$company"]})
    before = opened["size"]
    clients = [await world.service.client_of("recorder", name=f"client {number}") for number in range(CLIENTS)]
    answers = await asyncio.gather(
        *(
            post(world, f"{COOPERATIONS}/$busy/meetings", meeting(summary=f"by {number}"), client)
            for number, client in enumerate(clients)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    recorded = [answer.json() for answer in answers]
    assert sorted(one["revision"] for one in recorded) == list(range(1, CLIENTS + 1))
    assert sorted(one["entries"][0]["position"] for one in recorded) == list(range(before, before + CLIENTS))
    listed = await world.service.get("/v1/meetings", cooperation=world.ids["busy"])
    assert {item["id"] for item in listed["items"]} == {one["id"] for one in recorded}
    assert {item["summary"] for item in listed["items"]} == {f"by {number}" for number in range(CLIENTS)}


async def test_many_who_record_in_one_cooperation_take_turns_and_none_is_decided_in_vain(world: World):
    await world.record("turns", COOPERATIONS, {"title": "Turns", "parties": ["$ministry", "$company"]})
    rebuilt = world.service.parts.log.counts.rebuilt

    async def record() -> list[int]:
        path = f"{COOPERATIONS}/$turns/meetings"
        return [(await post(world, path, meeting())).status_code for _ in range(5)]

    answers = await asyncio.gather(*(record() for _ in range(CLIENTS)))
    assert answers == [[201] * 5] * CLIENTS
    assert world.service.parts.log.counts.rebuilt == rebuilt


async def test_a_command_waits_no_longer_for_its_turn_and_the_log_together_than_for_either(world: World):
    await world.record("stuck", COOPERATIONS, {"title": "Stuck", "parties": ["$ministry", "$company"]})
    commands, loop = world.service.parts.commands, asyncio.get_running_loop()
    patience, commands._patience = commands._patience, 1.0
    try:
        async with obstacle(world.service.database):
            begun = loop.time()
            path = f"{COOPERATIONS}/$stuck/meetings"
            answers = await asyncio.gather(*(post(world, path, meeting()) for _ in range(3)))
            assert 0.9 < loop.time() - begun < 1.9
    finally:
        commands._patience = patience
    for answer in answers:
        refused(answer, 503, "log-unavailable")


async def test_who_waits_for_a_turn_too_long_is_told_to_come_again(world: World):
    turns, now = Turns(), asyncio.get_running_loop().time
    async with turns.at(["party/1"], now() + 10):
        async with turns.at(["party/2"], now() + 10):
            pass
        with pytest.raises(LogUnavailable, match="Nothing was recorded"):
            async with turns.at(["party/2", "party/1"], now() + 0.01):
                pass
    async with turns.at(["party/1", "party/2"], now() + 10):
        pass
    assert not turns._taken


async def test_of_many_who_claim_the_same_identifier_one_gets_it(world: World):
    body = party("Claimant", identifiers=[{"scheme": "X", "value": "contested"}])
    answers = await asyncio.gather(*(post(world, "/v1/parties", body) for _ in range(CLIENTS)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (CLIENTS - 1)
    for answer in answers:
        if answer.status_code == 409:
            refused(answer, 409, "already-claimed", "/identifiers/0")
    listed = await world.service.get("/v1/parties", identifier="X:contested")
    assert len(listed["items"]) == 1


async def test_one_who_is_refused_does_not_harm_those_recorded_beside_it(world: World):
    before = await size(world)
    bodies = [party("Fine"), party("Refused", id=world.ids["ministry"])] * (CLIENTS // 2)
    answers = await asyncio.gather(*(post(world, "/v1/parties", body) for body in bodies))
    assert [answer.status_code for answer in answers] == [201, 409] * (CLIENTS // 2)
    assert await size(world) == before + CLIENTS // 2


async def test_the_queue_has_a_bound_and_beyond_it_clients_are_told_to_come_again(world: World):
    parts = world.service.parts
    full = msgspec.structs.replace(parts.log._writer._limits, queue_commands=0)
    limits, parts.log._writer._limits = parts.log._writer._limits, full
    try:
        async with nothing_left_behind(world.service):
            answer = await post(world, "/v1/parties", party("Too many"))
            refused(answer, 503, "queue-full")
            assert answer.headers["retry-after"] == "1"
    finally:
        parts.log._writer._limits = limits
