"""Entity tags are made of what their answer is made of: never the same for another, and known without making it.

Keys are destroyed here behind the registry's back, as after a restore, so that the log's size tells nothing of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster
from tests.support.history import steps
from tests.support.recording import connected
from tests.support.service import execute
from tests.support.world import TEXT, World, party

MEMBERS = (
    "/v1/people/$ada",
    "/v1/people",
    "/v1/people?limit=1",
    "/v1/meetings/$met",
    "/v1/meetings",
    "/v1/cooperations/$first/timeline",
    "/v1/search?q=Ada",
)
"""Where Ada is named; of the last one it depends on her that she is found at all."""
QUOTING = ("/v1/parties/$ministry", "/v1/parties", "/v1/parties/$ministry/timeline")
OTHERS = ("/v1/statistics?by=month", "/v1/calendar.ics", "/v1/search?q=visit", "/v1/rounds?status=cancelled")
NAME = "Ada"
NDJSON = "application/x-ndjson"


@pytest_asyncio.fixture
async def world(cluster: Cluster, tmp_path: Path) -> AsyncIterator[World]:
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path) as running:
            world = World(running)
            for name, path, body in steps(await running.file(TEXT)):
                await world.record(name, path, body)
            await running.get("/v1/parties")
            yield world
        await check_log(database.admin_dsn)


async def ask(world: World, path: str, tag: str = "", *, status: int = 200, **headers: str) -> Any:
    given = {**headers, **({"If-None-Match": tag} if tag else {})}
    answer = await world.service.client.get(world.fill(path), headers=given)
    assert answer.status_code == status, (path, answer.text)
    return answer


def refuse(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing read from the read models or opened any more."""

    async def refused(*_: object, **__: object) -> None:
        raise AssertionError("this is to be known without")

    for one in ("one", "page", "around", "timeline", "search", "statistics", "calendar"):
        monkeypatch.setattr(world.service.parts.read_models, one, refused)
    for one in ("keys", "text", "find"):
        monkeypatch.setattr(world.service.parts.vault, one, refused)


async def test_that_the_client_has_an_answer_is_known_without_making_it(world: World, monkeypatch: pytest.MonkeyPatch):
    paths = [path for path in (*MEMBERS, *QUOTING, *OTHERS) if not path.endswith("/timeline")]  # is the thing there?
    answers = {path: await ask(world, path) for path in paths}
    refuse(world, monkeypatch)
    for path, answer in answers.items():
        same = await ask(world, path, answer.headers["etag"], status=304)
        assert (same.headers["etag"], same.content) == (answer.headers["etag"], b"")


async def test_an_answer_in_which_nothing_was_sealed_is_made_once_and_another_every_time(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    paths = (*MEMBERS, *QUOTING, *OTHERS)
    answers = {path: await ask(world, path) for path in paths}
    again = {path: await ask(world, path) for path in paths}
    assert {path: answer.content for path, answer in again.items()} == {
        path: answer.content for path, answer in answers.items()
    }
    kept = b"".join(one.body for one in world.service.parts.answers._kept.values())
    assert kept
    assert NAME.encode() not in kept
    assert TEXT[:20].encode() not in kept
    refuse(world, monkeypatch)
    for path in OTHERS:
        same = await ask(world, path)
        assert same.content == answers[path].content
        assert {**same.headers, "request-id": ""} == {**answers[path].headers, "request-id": ""}
    for path in MEMBERS:
        await ask(world, path, status=500)


@pytest.mark.parametrize(
    ("owners", "paths", "gone"),
    [("person/%", MEMBERS, '"Ada Example"'), ("document/%", QUOTING, '"quotation":"')],
    ids=["people", "documents"],
)
async def test_a_key_that_is_destroyed_at_one_size_is_hidden_by_no_tag(
    world: World, owners: str, paths: tuple[str, ...], gone: str
):
    before = {path: await ask(world, path) for path in paths}
    await execute(world.service.database.owner_dsn, "DELETE FROM vault.key WHERE owner LIKE $1", owners)
    for path, answer in before.items():
        after = await ask(world, path, answer.headers["etag"])
        assert after.headers["registry-size"] == answer.headers["registry-size"]
        assert after.headers["etag"] != answer.headers["etag"]
        assert gone in answer.text
        assert gone not in after.text
        await ask(world, path, after.headers["etag"], status=304)


async def test_a_document_that_is_filed_after_what_cites_it_is_quoted_from_then_on(world: World):
    """As after an import, which brings no documents."""
    keys = "SELECT owner, wrapped, master_key_id FROM vault.key WHERE owner LIKE 'document/%'"
    async with connected(world.service.database.owner_dsn) as owner:
        (key,) = await owner.fetch(keys)
        await owner.execute("DELETE FROM vault.key WHERE owner = $1", key["owner"])
        missing = await ask(world, "/v1/parties/$ministry")
        await ask(world, "/v1/parties/$ministry")
        await owner.execute("INSERT INTO vault.key (owner, wrapped, master_key_id) VALUES ($1, $2, $3)", *key)
    assert missing.json()["citations"][0]["quotation"] is None
    there = await ask(world, "/v1/parties/$ministry", missing.headers["etag"])
    assert there.json()["citations"][0]["quotation"]


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/csv"])
async def test_no_tag_of_a_stream_hides_that_what_it_quotes_was_filed(world: World, accept: str):
    keys = "SELECT owner, wrapped, master_key_id FROM vault.key WHERE owner LIKE 'document/%'"
    async with connected(world.service.database.owner_dsn) as owner:
        (key,) = await owner.fetch(keys)
        await owner.execute("DELETE FROM vault.key WHERE owner = $1", key["owner"])
        missing = await ask(world, "/v1/parties", Accept=accept)
        await owner.execute("INSERT INTO vault.key (owner, wrapped, master_key_id) VALUES ($1, $2, $3)", *key)
    there = await ask(world, "/v1/parties", missing.headers["etag"], Accept=accept)
    assert TEXT[:10] in there.text
    await ask(world, "/v1/parties", there.headers["etag"], status=304, Accept=accept)


async def test_no_tag_hides_that_entries_were_lost_and_others_recorded_in_their_place(cluster: Cluster, tmp_path: Path):
    """As after a restore to a time before them: both databases are copies of one, and have one mark."""
    paths = (("/v1/parties", "application/json"), ("/v1/parties", "text/csv"), ("/v1/log/entries", NDJSON))
    tags: list[list[str]] = []
    with cluster.database(projected=True) as lost, cluster.database(projected=True) as restored:
        for database, name, held in ((lost, "One", None), (restored, "Another", 0)):
            async with services.running(database, tmp_path, key_dir=None) as running:
                await running.post("/v1/parties", party(name))
                await running.get("/v1/parties")
                answers = [
                    await ask(World(running), path, "" if held is None else tags[held][number], Accept=accept)
                    for number, (path, accept) in enumerate(paths)
                ]
                assert all(name in answer.text for answer in answers)
                tags.append([answer.headers["etag"] for answer in answers])


async def test_what_is_asked_for_as_of_a_size_keeps_its_tag_while_the_log_goes_on(world: World):
    paths = tuple(f"{path}{'&' if '?' in path else '?'}as_of=20" for path in (*MEMBERS[:-1], *QUOTING, *OTHERS))
    before = {path: await ask(world, path) for path in paths}
    size = (await world.record("another", "/v1/parties", party("Another")))["size"]
    for path, answer in before.items():
        same = await ask(world, path, answer.headers["etag"], status=304, **{"Registry-Min-Size": str(size)})
        assert same.headers["registry-size"] == "20"


async def test_a_withdrawal_is_hidden_by_no_tag_at_any_size(world: World):
    now, then = "/v1/parties/$ministry", "/v1/parties/$ministry?as_of=20"
    before = {path: await ask(world, path) for path in (now, then)}
    source = before[now].json()["citations"][0]["source"]
    withdrawal = {"authority": "a court", "reason": "asked to"}
    await world.service.post(f"/v1/sources/{source}/withdraw", withdrawal)
    # Nobody has projected it yet, perhaps, but the document cannot be read any more.
    for path, answer in before.items():
        after = await ask(world, path, answer.headers["etag"])
        assert after.json()["citations"][0]["quotation"] is None
    await world.service.get("/v1/parties")
    for path, answer in before.items():
        after = await ask(world, path, answer.headers["etag"])
        assert after.json()["citations"][0]["withdrawn"] is True


async def test_the_tag_of_a_thing_of_which_there_is_no_such_revision_is_not_taken(world: World):
    tag = (await ask(world, "/v1/people/$ada")).headers["etag"]
    revision, _, rest = tag.strip('"').partition(".")
    for other in (f'"{int(revision) + 1}.{rest}"', f'"{rest}"', f'"{"9" * 19}.{rest}"', f'"-1.{rest}"'):
        await ask(world, "/v1/people/$ada", other)


async def test_a_tag_is_of_its_own_address_form_and_day(world: World):
    tags = [
        (await ask(world, f"/v1/{one}")).headers["etag"]
        for one in (
            "parties/$department",
            "parties/$works",
            "people/$ada",
            "people/$bob",
            "occasions",
            "rounds",
            "visits",
        )
    ]
    tags += [
        (await ask(world, path, Accept=accept)).headers["etag"]
        for path in ("/v1/commitments?limit=2", "/v1/commitments?limit=3", "/v1/commitments?on=2019-07-10&limit=2")
        for accept in ("application/json", "application/x-ndjson", "text/csv")
    ]
    assert len(set(tags)) == len(tags)


async def test_the_mark_of_the_vault_changes_with_its_keys_and_with_nothing_else(world: World):
    async with connected(world.service.database.owner_dsn) as owner:

        async def mark() -> object:
            return await owner.fetchval("SELECT mark FROM vault.mark")

        marks = [await mark()]
        await world.record("one", "/v1/parties", party("One"))
        assert await mark() == marks[-1]
        person = (await world.service.post("/v1/people", {"name": "Eve Example"}))["id"]
        marks.append(await mark())
        await world.service.file("Another text.")
        marks.append(await mark())
        await world.service.post(f"/v1/people/{person}/erase", {"authority": "a court", "reason": "asked to"})
        marks.append(await mark())
        await owner.execute("UPDATE vault.key SET master_key_id = master_key_id")
        marks.append(await mark())
        assert len(set(marks)) == len(marks)
