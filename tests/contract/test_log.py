"""The log over HTTP: the very bytes that are stored, in order, a page at a time or as a stream of lines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.registry.api import log
from tests.support import by_hand
from tests.support import service as services
from tests.support.cluster import Cluster
from tests.support.refusals import refused
from tests.support.world import World, meeting, party

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRIES = "/v1/log/entries"
NDJSON = {"Accept": "application/x-ndjson"}


async def stored(world: World, first: int = 0, where: str = "true") -> list[bytes]:
    """The entries as the database has them."""
    query = f"SELECT bytes FROM log.entry WHERE position >= $1 AND {where} ORDER BY position"
    return [row["bytes"] for row in await world.service.parts.pool.fetch(query, first)]


async def get(world: World, query: str = "", **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = await world.service.client.get(world.fill(f"{ENTRIES}{query}"), headers=names)
    assert answer.status_code == 200, answer.text
    return answer


def items(body: bytes) -> list[bytes]:
    """The items of an answer as they stand in it, byte for byte."""

    class Answer(msgspec.Struct):
        items: list[msgspec.Raw]

    return [bytes(item) for item in msgspec.json.decode(body, type=Answer).items]


# One object


async def test_entries_are_given_as_they_are_stored(world: World):
    answer = await get(world)
    entries = await stored(world)
    assert items(answer.content) == entries
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["registry-size"] == str(len(entries))
    assert answer.json().keys() == {"items", "next", "size"}
    assert answer.json()["next"] == answer.json()["size"] == len(entries)


async def test_one_entry_is_the_very_bytes_that_are_stored(world: World):
    for position, entry in enumerate(await stored(world)):
        answer = await get(world, f"/{position}")
        assert answer.content == entry
        assert answer.json()["sequence"] == str(position)
        again = await world.service.client.get(
            f"{ENTRIES}/{position}", headers={"If-None-Match": answer.headers["etag"]}
        )
        assert again.status_code == 304


@pytest.mark.parametrize("limit", [1, 4, 5, 500])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "subject=cooperation/$cooperation",
        "type=registry.party-registered.v1",
        "subject=cooperation/$cooperation&type=registry.topic-raised.v1",
        "subject=party/$no_party",
        "type=registry.something-else.v1",
    ],
)
async def test_going_on_from_next_gives_every_entry_once(world: World, query: str, limit: int):
    names = dict(pair.split("=") for pair in world.fill(query).split("&") if pair)
    where = " AND ".join(f"{ {'subject': 'stream'}.get(name, name) } = '{value}'" for name, value in names.items())
    entries, at, size = list[bytes](), 0, -1
    while at != size:
        page = await get(world, f"?from={at}&limit={limit}&{query}".rstrip("&"))
        said = page.json()
        assert len(said["items"]) <= limit
        assert at < said["next"] <= said["size"]
        entries += items(page.content)
        at, size = said["next"], said["size"]
    assert entries == await stored(world, where=where or "true")


async def test_a_page_begins_where_it_is_asked_to(world: World):
    entries = await stored(world)
    assert items((await get(world, "?from=3&limit=2")).content) == entries[3:5]
    for beyond in (len(entries), len(entries) + 1000, 2**63 - 1):
        said = (await get(world, f"?from={beyond}")).json()
        assert said == {"items": [], "next": beyond, "size": len(entries)}


async def test_fifty_entries_are_given_unless_asked_otherwise(world: World):
    commands = [{"command": "register-party", "data": party(f"Party {number}")} for number in range(60)]
    await world.service.post("/v1/batch", {"commands": commands})
    said = (await get(world)).json()
    assert len(said["items"]) == said["next"] == 50


async def test_entries_that_the_client_has_are_not_sent_again(world: World):
    answer = await get(world, "?limit=3")
    headers = {"If-None-Match": answer.headers["etag"]}
    same = await world.service.client.get(f"{ENTRIES}?limit=3", headers=headers)
    assert same.status_code == 304
    assert same.content == b""


# A stream of lines


@pytest.mark.parametrize("weight", ["0", "0.000", "1e400", "inf", "nan", "2"])
async def test_lines_that_are_not_acceptable_or_weigh_what_is_no_weight_are_not_sent(world: World, weight: str):
    answer = await get(world, Accept=f"application/x-ndjson;q={weight}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize("accept", ["application/x-ndjson", "application/x-ndjson, */*;q=0.1", "Application/X-NDJSON"])
async def test_lines_are_entries_as_they_are_stored(world: World, accept: str):
    answer = await get(world, Accept=accept)
    entries = await stored(world)
    assert answer.content == b"".join(entry + b"\n" for entry in entries)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["registry-size"] == str(len(entries))


async def test_lines_are_filtered_and_bounded_as_pages_are(world: World):
    entries = await stored(world)
    for query, expected in (
        ("?from=3&limit=2", entries[3:5]),
        ("?from=100000", []),
        ("?subject=cooperation/$cooperation", await stored(world, where=f"stream LIKE '%{world.ids['cooperation']}'")),
        ("?type=registry.topic-raised.v1", await stored(world, where="type = 'registry.topic-raised.v1'")),
        (
            "?type=registry.topic-raised.v1&limit=1",
            (await stored(world, where="type = 'registry.topic-raised.v1'"))[:1],
        ),
    ):
        assert (await get(world, query, **NDJSON)).content == b"".join(entry + b"\n" for entry in expected)


async def test_what_is_wrong_is_said_before_the_first_line(world: World):
    answer = await world.service.client.get(f"{ENTRIES}?from=x", headers=NDJSON)
    refused(answer, 422, "invalid-field", "?from")


async def test_lines_come_in_parts_and_end_where_the_log_ended_when_it_was_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log, "PAGE", 5)
    token, _ = await world.service.token("follower")
    entries = await stored(world)
    parts: list[bytes] = []
    ended = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body" and message.get("body"):
            if not parts:  # while the first is on its way, more is recorded
                await world.service.post("/v1/parties", party("Too late"))
            parts.append(message["body"])
        if message["type"] == "http.response.body" and not message.get("more_body"):
            ended.set()

    async def receive() -> dict[str, Any]:
        await ended.wait()
        return {"type": "http.disconnect"}

    await by_hand.lines(world.service.app, ENTRIES, token, send, receive)
    assert len(parts) > 2
    assert b"".join(parts) == b"".join(entry + b"\n" for entry in entries)


# The log itself


async def test_an_empty_log_has_no_entries_and_no_projector_is_needed_to_say_so(cluster: Cluster, tmp_path: Path):
    with cluster.database() as database:
        async with services.running(database, tmp_path, project=False) as running:
            world = World(running)
            assert (await get(world)).json() == {"items": [], "next": 0, "size": 0}
            assert (await get(world, **NDJSON)).content == b""
            refused(await running.client.get(f"{ENTRIES}/0"), 404, "not-found", "?position")
            await running.post("/v1/parties", party("First"))
            assert items((await get(world)).content) == await stored(world)


async def test_an_entry_is_a_cloud_event_that_says_what_was_asked_for(world: World):
    body = world.fill(meeting("2019-06?", summary="They met.", note="As stated.", classification="restricted"))
    recorded = await world.service.post(world.fill("/v1/cooperations/$cooperation/meetings"), body)
    (said,) = recorded["entries"]
    entry = (await get(world, f"/{said['position']}")).json()
    assert entry["specversion"] == "1.0"
    assert entry["source"] == "https://registry.test/log"
    assert entry["type"] == "registry.meeting-held.v1"
    assert entry["subject"] == recorded["subject"]
    assert entry["datacontenttype"] == "application/json"
    assert entry["dataschema"] == "https://registry.test/log/v1/schemas/registry.meeting-held.v1"
    assert entry["classification"] == "restricted"
    del body["classification"]
    assert entry["data"] == {"meeting_id": recorded["id"], **body}
    assert (
        json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        == (await stored(world, said["position"]))[0]
    )


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("path", [ENTRIES, f"{ENTRIES}/0"])
async def test_entries_wait_for_the_least_size_and_refuse_one_that_is_none(world: World, path: str, accept: str):
    client, headers = world.service.client, {"Accept": accept}
    size = (await world.service.parts.log.head()).size
    for least in ("x", "-1", "", "1.0", "9" * 19):
        answer = await client.get(path, headers={**headers, "Registry-Min-Size": least})
        refused(answer, 422, "invalid-field", "@Registry-Min-Size")
    twice = [*headers.items(), ("Registry-Min-Size", "0"), ("Registry-Min-Size", "9")]
    refused(await client.get(path, headers=twice), 422, "invalid-field", "@Registry-Min-Size")
    waiting = asyncio.create_task(client.get(path, headers={**headers, "Registry-Min-Size": str(size + 1)}))
    await world.service.post("/v1/parties", party("Waited for"))
    answer = await waiting
    assert answer.status_code == 200
    assert int(answer.headers["registry-size"]) > size


async def test_entries_that_do_not_come_are_not_waited_for_long(cluster: Cluster, tmp_path: Path):
    with cluster.database() as database:
        async with services.running(database, tmp_path, min_size_wait=0.05) as running:
            for path in (ENTRIES, f"{ENTRIES}/0"):
                answer = await running.client.get(path, headers={"Registry-Min-Size": "1000"})
                refused(answer, 503, "read-model-behind")
                assert answer.headers["retry-after"]
