"""History told, and replayed into another database: the same entries, claims and digests there as here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from projections import MODELS, projector
from projections.projector import Projector
from services.registry.cli.replica import replay_into
from tests.support import service as services
from tests.support import world as worlds
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import registry
from tests.support.projecting import Reached, beside
from tests.support.recording import connected, note, open_log
from tests.support.service import Service
from tests.support.world import PERSON, World, meeting, party


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """A registry with corrections, retractions and an erasure in it."""
    async with services.running(database, tmp_path) as running:
        world = await worlds.build(running)
        await amend(world)
        yield world
    await check_log(database.admin_dsn)


async def amend(world: World) -> None:
    service: Service = world.service
    await service.post(world.fill("/v1/parties/$company/rename"), {"name": "Company of Old"})
    entries = (await service.client.get("/v1/log/entries?limit=500")).json()["items"]

    def position(subject: str, kind: str = "") -> int:
        return next(
            int(one["sequence"])
            for one in entries
            if world.ids[subject] in str(one["data"]) + one["subject"] and kind in one["type"]
        )

    registered = position("company", "party-registered")
    now = party(
        "Company & Sons", identifiers=[{"scheme": "XI-LEI", "value": "969500"}, {"scheme": "FR-RCS", "value": "7"}]
    )
    await service.post(f"/v1/log/entries/{registered}/correct", {"replacement": now, "reason": "the register says so"})
    held = position("meeting", "meeting-held")
    again = world.fill(meeting("2019-06-17", summary="They met\nearlier."))
    again["meeting_id"] = world.ids["meeting"]
    corrected = await service.post(f"/v1/log/entries/{held}/correct", {"replacement": again, "reason": "a day earlier"})
    await service.post(
        f"/v1/log/entries/{corrected['entries'][0]['position']}/retract", {"reason": "it was right as it was"}
    )
    await service.post(world.fill("/v1/people/$person/erase"), {"authority": "Court", "reason": "asked"})


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    with cluster.unmigrated_database() as made:
        yield made


def settings(database: Database) -> dict[str, str]:
    return {
        "REGISTRY_DATABASE_URL": database.service_dsn,
        "REGISTRY_PROJECTOR_DATABASE_URL": database.projector_dsn,
    }


async def run(database: Database, *arguments: str, code: int = 0) -> str:
    done = await asyncio.to_thread(registry, *arguments, settings=settings(database))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


async def rows(database: Database, statement: str) -> list[Any]:
    async with connected(database.admin_dsn) as connection:
        return [tuple(row) for row in await connection.fetch(statement)]


ENTRIES = "SELECT * FROM log.entry WHERE position < 1000 ORDER BY position"
CLAIMS = "SELECT * FROM log.claim ORDER BY scope, value"


async def test_a_replay_elsewhere_has_the_same_entries_claims_and_digests(world: World, empty: Database):
    here = world.service.database
    said = await run(here, "replay", "--into", empty.admin_dsn)
    size = (await world.service.parts.log.head()).size
    summary = await check_log(empty.admin_dsn)
    assert summary.size == size
    assert f"{size} entries and the root {summary.root.hex()}" in said
    assert await rows(empty, ENTRIES) == await rows(here, ENTRIES)
    claims = await rows(empty, CLAIMS)
    assert claims == await rows(here, CLAIMS)
    assert {scope for scope, *_ in claims} == {"id", "party-identifier"}
    assert await run(empty, "digest") == await run(here, "digest", "--size", str(size))
    assert "What is live is what the log says" in await run(empty, "rebuild", "--check")
    assert (await rows(empty, "SELECT count(*) FROM vault.key")) == [(0,)]
    refused = await run(here, "replay", "--into", empty.admin_dsn, code=1)
    assert "holds a registry that is in use" in refused


async def test_a_replay_to_a_size_has_the_digests_of_that_size_before_and_after_erasures(world: World, empty: Database):
    here = world.service.database
    size = (await world.service.parts.log.head()).size // 2
    await run(here, "replay", "--to", str(size), "--into", empty.admin_dsn)
    assert (await check_log(empty.admin_dsn)).size == size
    assert await run(empty, "digest") == await run(here, "digest", "--size", str(size))
    assert await run(empty, "digest", "--size", "3") == await run(here, "digest", "--size", "3")


async def test_an_interrupted_replay_is_gone_on_with_and_one_into_another_log_is_refused(
    world: World, empty: Database, cluster: Cluster
):
    reader = world.service.parts.log
    size = (await reader.head()).size
    await replay_into(empty.admin_dsn, reader, size // 2)
    async with connected(empty.admin_dsn) as administrator:
        await administrator.execute("UPDATE projection.generation SET state = 'retired'")
    with pytest.raises(Exception, match="already, more than 3"):
        await replay_into(empty.admin_dsn, reader, 3)
    await replay_into(empty.admin_dsn, reader, size)
    assert (await check_log(empty.admin_dsn)).size == size
    assert await rows(empty, CLAIMS) == await rows(world.service.database, CLAIMS)
    with cluster.database() as other:
        async with await open_log(other.service_dsn) as log:
            await log.append(note("a/1"))
        with pytest.raises(Exception, match="entries of another log"):
            await replay_into(other.admin_dsn, reader, size)
        assert (await check_log(other.admin_dsn)).size == 1


async def test_a_projector_goes_on_where_a_replay_ended(world: World, empty: Database, monkeypatch):
    monkeypatch.setattr(projector, "STANDBY_SECONDS", 0.02)
    reader = world.service.parts.log
    size = (await reader.head()).size
    await replay_into(empty.admin_dsn, reader, size)
    reached = Reached()
    async with beside(Projector(empty.projector_dsn, reached).run()):
        await reached.at_least(size)
    assert (await rows(empty, "SELECT id, state FROM projection.generation")) == [(1, "live")]


async def test_history_is_told_in_words_with_the_names_of_its_day(world: World):
    told = await run(world.service.database, "replay")
    lines = told.splitlines()
    ids = world.ids
    firsts = [line for line in lines if not line.startswith("           ")]
    size = (await world.service.parts.log.head()).size
    assert len(firsts) == size
    assert [int(line.split()[0]) for line in firsts] == list(range(size))
    assert len(lines) <= 2 * size
    assert "party registered: “Ministry”  [tests, internal]" in told
    assert "kind ministry; country AZ" in told
    assert f"person registered: {ids['person']}" in told
    assert "personal details, sealed" in told
    assert [half for half in PERSON.split() if half in told] == []
    assert "cooperation opened: “Open”" in told
    assert "parties “Ministry”, “Company”\n" in told
    assert f"{ids['meeting']}; held 2019-06-18; participants “Ministry”, “Company”\n" in told
    assert "party renamed: “Company of Old”" in told
    assert "(party registered) corrected: “Company of Old”" in told  # the correction is of what was before the renaming
    assert "as name Company & Sons; kind company; country FR; identifiers XI-LEI:969500, FR-RCS:7" in told
    assert "(meeting held) corrected: “Open”" in told
    assert "They met earlier." in told
    assert "(entry corrected) retracted: “Open”" in told
    assert "reason it was right as it was" in told
    assert "person erased" in told


async def test_history_is_told_to_a_size_and_of_one_stream(world: World):
    database, ids = world.service.database, world.ids
    whole = await run(database, "replay")
    part = await run(database, "replay", "--to", "5")
    assert whole.startswith(part)
    assert part.count("registered") == 4
    of_one = await run(database, "replay", "--subject", f"cooperation/{ids['cooperation']}")
    assert set(of_one.splitlines()) <= set(whole.splitlines())  # with names that other streams gave
    assert "participants “Ministry”, “Company”" in of_one
    assert "“Other”" not in of_one
    assert "no entry of cooperation" in await run(
        database, "replay", "--to", "2", "--subject", f"cooperation/{ids['cooperation']}", code=1
    )


async def test_it_is_on_record_who_replays_before_anything_is_told(world: World):
    service, subject = world.service, f"cooperation/{world.ids['cooperation']}"
    await run(service.database, "replay", "--to", "5")
    await run(service.database, "replay", "--to", "20", "--subject", subject)

    seen = (await service.get("/v1/access", min_size=0, what="replay-log", limit="2"))["items"]
    assert [one["detail"] for one in seen] == [
        {"size": 20, "into": False, "subject": subject},
        {"size": 5, "into": False},
    ]
    assert "@" in seen[0]["who"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--to", "999"), "--to: the log has"),
        (("--subject", "x"), "--subject: expected the name of a stream"),
        (("--subject", "party/party_x", "--into", "postgresql://x"), "--subject: a replay into a database"),
        (("--into", ""), "--into: expected where an empty database is"),
    ],
)
async def test_what_cannot_be_replayed_is_told(world: World, arguments: tuple[str, ...], said: str):
    assert said in await run(world.service.database, "replay", *arguments, code=2)


async def test_the_console_names_what_differs_and_rebuilds(world: World):
    database = world.service.database
    async with connected(database.admin_dsn) as administrator:
        await administrator.execute("UPDATE read_1.parties SET body = body || ' ' WHERE id = $1", world.ids["stranger"])
    done = await asyncio.to_thread(registry, "rebuild", "--check", settings=settings(database))
    assert done.returncode == 1
    assert "parties differs at size" in done.stdout
    assert f"{world.ids['stranger']} born 2: altered in body" in done.stdout
    refused = await run(database, "rebuild", "parties", code=1)
    assert "Nothing was switched" in refused
    assert "is live now" in await run(database, "rebuild", "parties", "--accept-difference")
    assert f"What is live is what the log says: {len(MODELS)} read models" in await run(database, "rebuild", "--check")
    assert "is live now" in await run(database, "rebuild")
    assert "MODEL: expected one of agreements, " in await run(database, "rebuild", "nothing", code=2)
    assert "--size: the log has" in await run(database, "digest", "--size", "999", code=2)
