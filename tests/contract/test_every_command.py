"""Every command of the catalogue in a batch: recorded as on its own, and refused for every reference to nothing."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from events.catalogue import AMENDING, COMMANDS
from events.catalogue.aggregate import CommandType
from events.catalogue.cooperation_events import TopicRaised
from events.catalogue.source import SourceFiled
from events.shape import examine
from services.registry.ids import new_id
from tests.contract.test_commands import EVERY_COMMAND, KINDS
from tests.golden.examples import FAIR, FERRIES, GAZETTE, HARBOURS, PILOT, TUGS, YARD
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.forms import DATA
from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service, running
from tests.support.spec import made_id
from tests.support.world import World, build

AGAIN = {"cancel-visit": "schedule-visit", "cancel-round": "schedule-round"}
"""What is held is not cancelled: another is scheduled for that."""


def in_batch(world: World) -> list[dict[str, Any]]:
    """Return every command, in an order in which they can be recorded, about things that the ones ahead brought."""
    things: dict[str, str] = {}
    commands: list[dict[str, Any]] = []
    for name, about, given in EVERY_COMMAND:
        for command in (AGAIN[name], name) if name in AGAIN else (name,):
            (body,) = [one for other, _, one in EVERY_COMMAND if other == command]
            kind = COMMANDS[command][1]
            data = copy.deepcopy(body if command != name else given)
            if kind.identifies:
                things[f"{kind.prefix}_id"] = data["id"] = new_id(kind.prefix)
            if kind.numbered:
                array, field, prefix = kind.numbered
                for one in data[array]:
                    one[field] = new_id(prefix)
                things[f"{array}_left"] = " ".join(one[field] for one in data[array])
            if "milestone_id" in kind.targets:
                first, _, rest = things["milestones_left"].partition(" ")
                things["milestone_id"] = first
                if command == "meet-milestone":
                    things["milestones_left"] = rest
            data |= {target: things[target] for target in kind.targets}
            subject = world.fill(about) if about else None
            stream = {} if subject is None else {"subject": f"{KINDS[subject.partition('_')[0]]}/{subject}"}
            commands.append({"command": command, **stream, "data": world.fill(data)})
    return commands


async def test_every_command_is_recorded_in_a_batch_as_on_its_own(service: Service):
    world = await build(service)
    commands = in_batch(world)
    assert {one["command"] for one in commands} == COMMANDS.keys()
    before = (await service.parts.log.head()).size
    answer = await service.post("/v1/batch", {"commands": commands})
    types = [entry["type"] for one in answer["results"] for entry in one["entries"]]
    assert types == [COMMANDS[one["command"]][1].event.event_type for one in commands]
    assert answer["size"] == before + len(commands)
    for one, result in zip(commands, answer["results"], strict=True):
        assert result["subject"] == one.get("subject", result["subject"])
    state = await service.get(f"/v1/cooperations/{world.ids['other']}")
    assert state["stage"] == "concluded"
    assert (await service.get(f"/v1/cooperations/{world.ids['suspended']}"))["stage"] == "abandoned"


async def test_whatever_field_cannot_be_read_the_rest_is_looked_at(service: Service):
    world = await build(service)
    commands = in_batch(world)
    await service.post("/v1/batch", {"commands": commands})
    async with nothing_left_behind(service):
        for one in commands:
            for field in one["data"]:
                broken = one | {"data": one["data"] | {field: 1.5}}
                answer = await service.client.post("/v1/batch", json={"commands": [broken]})
                assert answer.status_code == 422, answer.text
                named = {problem["pointer"] for problem in answer.json()["errors"]}
                assert f"/commands/0/data/{field}" in named, (one["command"], field)


def nowhere(name: str, command: CommandType, number: int) -> tuple[dict[str, Any], list[str]]:
    """Return a command that is about nothing and refers to nothing, with all that is to be named of it."""
    at = f"/commands/{number}"
    data = DATA[command.body]
    problems, leaves = examine(data, command.body, f"{at}/data")
    assert problems == []
    aggregate = COMMANDS[name][0]
    named = [leaf.pointer for leaf in leaves]
    if command.opens:
        return {"command": name, "data": data}, named
    key = f"{aggregate.prefix}_0123456789abcdefghjkmnpqrs"
    return {"command": name, "subject": f"{aggregate.kind}/{key}", "data": data}, [*named, f"{at}/subject"]


async def test_every_reference_of_every_command_is_to_something_that_there_is(service: Service):
    commands: list[dict[str, Any]] = []
    fields: list[str] = []
    for name, (_, command) in COMMANDS.items():
        if name == "erase-person":  # the rules say whether there is anything to erase
            continue
        asked, named = nowhere(name, command, len(commands))
        commands.append(asked)
        fields += named
    assert {field.rpartition("/data/")[2].split("/")[0] for field in fields if "/data/" in field} >= {
        *("part_of", "into", "party", "organiser", "participants", "parties", "visitors", "host", "occasion"),
        *("document", "citations"),
    }
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/batch", json={"commands": commands})
        refused(answer, 422, "unknown-reference", *fields)


COOPERATION = made_id("coop", 1)
ABOUT = {"party": YARD, "person": PILOT, "occasion": FAIR, "source": GAZETTE, "cooperation": COOPERATION}
"""What the examples of each kind of stream are told of."""

FINAL = ("erase-person", "withdraw-source")
TAKEN_BACK = {
    *("merge-party", "cancel-occasion", "cancel-visit", "record-visit", "cancel-round", "record-round"),
    *("meet-milestone", "miss-milestone", "terminate-agreement", "conclude-cooperation", "abandon-cooperation"),
}
"""After which little or nothing happens to a thing: so that the next is taken, too, each is retracted."""


async def what_examples_refer_to(service: Service, text: str) -> None:
    """Record, under the ids that examples have, what none of them brings."""
    filed = {**DATA[SourceFiled], "id": GAZETTE, "sha256": await service.file(text), "size": len(text)}
    await service.post("/v1/sources", filed)
    for party in (HARBOURS, FERRIES):
        await service.post("/v1/parties", {"id": party, "name": party, "kind": "agency", "country": "NO"})
    await service.post("/v1/people", {"id": made_id("person", 2), "name": "Somebody Else"})


async def test_every_command_is_taken_with_every_field_where_what_it_refers_to_is_there(
    database: Database, tmp_path: Path
):
    async with running(database, tmp_path, clock=lambda: datetime(2036, 1, 1, tzinfo=UTC)) as service:
        await what_examples_refer_to(service, "The cranes stand on the quay. " * 80)
        order = sorted((one for one in COMMANDS if one != "file-source"), key=lambda one: one in FINAL)
        for name in order:
            aggregate, command = COMMANDS[name]
            subject = f"{aggregate.kind}/{ABOUT[aggregate.kind]}"
            answer = await service.post("/v1/batch", {"commands": [about(name, subject, DATA[command.body])]})
            (recorded,) = answer["results"]
            assert recorded["subject"] == subject
            position = recorded["entries"][0]["position"]
            said = (await service.get(f"/v1/log/entries/{position}"))["data"]
            if not command.wire:
                assert said == DATA[command.body], name
            if command.prefix == "topic":
                other = DATA[TopicRaised] | {"topic": DATA[TopicRaised]["topic"] | {"topic_id": TUGS}}
                await service.post("/v1/batch", {"commands": [about(name, subject, other)]})
            if name in TAKEN_BACK:
                await service.post(f"/v1/log/entries/{position}/retract", {"reason": "it was another"})
    await check_log(database.admin_dsn)


def about(name: str, subject: str, data: dict[str, Any]) -> dict[str, Any]:
    return {"command": name, "subject": subject, "data": data}


@pytest.mark.parametrize("name", AMENDING)
async def test_an_amendment_is_of_a_stream_that_there_is(service: Service, name: str):
    field = "corrects" if name == "correct-entry" else "retracts"
    data = {field: 0, "reason": "misread"} | ({"replacement": {}} if field == "corrects" else {})
    subject = "cooperation/coop_0123456789abcdefghjkmnpqrs"
    async with nothing_left_behind(service):
        answer = await service.client.post(
            "/v1/batch", json={"commands": [{"command": name, "subject": subject, "data": data}]}
        )
        assert answer.status_code in (409, 422), answer.text
        assert answer.json()["code"] in ("not-correctable", "unknown-reference")
