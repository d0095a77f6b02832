"""Entries that were deleted or altered behind the log's back: nobody reads over them without being told."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from events.errors import Corrupt
from events.log import Reader, Recorded
from events.merkle.tiles import Tile
from services.registry.api import log
from services.registry.main import surrounded
from tests.support import service as services
from tests.support.cluster import Cluster, Database
from tests.support.console import registry
from tests.support.exporting import export, register, sign
from tests.support.service import Service
from tests.support.tampering import tamper

SIZE = 70
ENTRIES = "/v1/log/entries"
NDJSON = {"Accept": "application/x-ndjson"}
LACKS_60 = "the log lacks the entry at position 60"
OF_A_TYPE = "registry.party-registered.v1"


@pytest.fixture
async def service(database: Database, tmp_path: Path) -> AsyncIterator[Service]:
    """A registry with seventy parties, each its own stream."""
    async with services.running(database, tmp_path, project=False, sign=False) as running:
        await register(running, SIZE)
        yield running


async def delete(service: Service, which: str) -> None:
    await tamper(service.database.admin_dsn, f"DELETE FROM log.entry WHERE {which}")


async def corrupt(service: Service, path: str, **headers: str) -> str:
    """Read what has to be refused as corrupt, and return where, as the client is told."""
    answer = await service.client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status_code == 500, answer.text
    assert answer.json()["code"] == "corrupt"
    found = re.match("What must be stored is missing or another: ([^.]+)[.] ", answer.json()["detail"])
    assert found, answer.text
    return found[1]


def positions(entries: list[dict[str, Any]]) -> list[int]:
    return [int(one["sequence"]) for one in entries]


# Over HTTP


@pytest.mark.parametrize(
    "query",
    [
        "from=59&limit=2",
        "from=60&limit=1",
        "from=0&limit=500",
        "from=60",
        f"from=0&type={OF_A_TYPE}&limit=500",
        f"from=59&type={OF_A_TYPE}&limit=2",
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
async def test_a_page_or_stream_that_lacks_an_entry_is_refused_and_names_it(service: Service, query: str, accept: str):
    await delete(service, "position = 60")
    assert await corrupt(service, f"{ENTRIES}?{query}", Accept=accept) == "position 60"


async def test_one_entry_below_the_size_is_there_or_the_log_is_corrupt(service: Service):
    await delete(service, "position = 60")
    assert await corrupt(service, f"{ENTRIES}/60") == "position 60"
    assert await corrupt(service, f"{ENTRIES}/60/proof?size={SIZE}") == "position 60"
    for beyond in (SIZE, SIZE + 1, 2**62, "x"):
        assert (await service.client.get(f"{ENTRIES}/{beyond}")).status_code == 404


async def test_what_is_read_beside_a_gap_is_given_as_ever(service: Service):
    await delete(service, "position = 60")
    for first, limit in ((58, 2), (61, 2), (61, 500)):
        page = await service.get(ENTRIES, min_size=0, **{"from": first, "limit": limit})
        assert positions(page["items"]) == list(range(first, min(first + limit, SIZE)))


@pytest.mark.parametrize(("which", "first"), [("position >= 68", 68), ("position >= 50", 50), ("true", 0)])
async def test_entries_that_are_missing_at_the_end_are_missed(service: Service, which: str, first: int):
    await delete(service, which)
    lacks = f"position {first}"
    for headers in ({}, NDJSON):
        assert await corrupt(service, f"{ENTRIES}?from={max(first - 3, 0)}&limit=60", **headers) == lacks
        assert await corrupt(service, f"{ENTRIES}?from={first}", **headers) == lacks
    assert await corrupt(service, f"{ENTRIES}/69") == "position 69"


async def test_nothing_is_missed_beyond_the_end(service: Service):
    for query in ("", "?from=69&limit=5", "?from=70", "?from=7000", f"?type={OF_A_TYPE}", "?type=registry.none.v1"):
        for headers in ({}, NDJSON):
            answer = await service.client.get(f"{ENTRIES}{query}", headers=headers)
            assert answer.status_code == 200, answer.text


async def test_a_stream_that_comes_to_a_gap_is_cut_off(service: Service, monkeypatch: pytest.MonkeyPatch):
    """A client must be able to tell: the answer has no end."""
    monkeypatch.setattr(log, "PAGE", 20)
    token, _ = await service.token("follower")
    served = surrounded(service.app, service.parts.settings)

    async def streamed() -> tuple[list[int], bool]:
        sent = list[Any]()

        async def noted(scope: Any, receive: Any, send: Any) -> None:
            async def note(message: Any) -> None:
                sent.append(message)
                await send(message)

            await served(scope, receive, note)

        transport = httpx.ASGITransport(noted, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.test") as client:
            answer = await client.get(ENTRIES, headers={**NDJSON, "Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        read = [int(json.loads(line)["sequence"]) for line in answer.text.splitlines()]
        return read, not sent[-1].get("more_body", False)

    assert await streamed() == (list(range(SIZE)), True)
    await delete(service, "position = 50")
    assert await streamed() == (list(range(40)), False)


# Streams


async def test_a_stream_that_lacks_an_entry_is_refused_and_names_its_revision(service: Service):
    party = (await service.post("/v1/parties", {"name": "Old", "kind": "company", "country": "NO"}))["id"]
    for number in range(5):
        await service.post(f"/v1/parties/{party}/rename", {"name": f"Newer {number}"})
    await service.post("/v1/parties", {"name": "Other", "kind": "company", "country": "NO"})
    subject = f"party/{party}"

    async def found(query: str) -> list[int]:
        answer = await service.client.get(f"{ENTRIES}?subject={subject}&{query}")
        assert answer.status_code == 200, answer.text
        lines = await service.client.get(f"{ENTRIES}?subject={subject}&{query}", headers=NDJSON)
        read = positions(answer.json()["items"])
        assert read == [int(json.loads(line)["sequence"]) for line in lines.text.splitlines()]
        return read

    assert await found("") == list(range(SIZE, SIZE + 6))
    assert await found(f"from={SIZE + 2}&limit=2") == [SIZE + 2, SIZE + 3]
    await delete(service, f"stream = '{subject}' AND revision = 3")
    lacks = f"revision 3 of {subject}"
    for query in ("", f"from={SIZE + 2}", f"from={SIZE + 3}", f"from={SIZE + 4}&limit=1"):
        for headers in ({}, NDJSON):
            assert await corrupt(service, f"{ENTRIES}?subject={subject}&{query}", **headers) == lacks
    assert await found("limit=3") == [SIZE, SIZE + 1, SIZE + 2]
    assert await found(f"from={SIZE + 5}") == [SIZE + 5]
    with pytest.raises(Corrupt, match=lacks):
        await service.parts.log.read_stream(subject)
    with pytest.raises(Corrupt, match=lacks):
        await service.parts.log.read_on({subject: 1})
    assert [one.revision for one in await service.parts.log.read_on({subject: 3})] == [4, 5]


# Replay


def settings(database: Database) -> dict[str, str]:
    return {"REGISTRY_DATABASE_URL": database.service_dsn}


async def replay(service: Service, *arguments: str, code: int = 1) -> str:
    done = await asyncio.to_thread(registry, "replay", *arguments, settings=settings(service.database))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


async def test_a_replay_fails_where_an_entry_is_missing(service: Service, cluster: Cluster):
    await delete(service, "position = 60")
    assert LACKS_60 in await replay(service)
    assert LACKS_60 in await replay(service, "--to", "62")
    assert "   59  " in await replay(service, "--to", "60", code=0)
    with cluster.unmigrated_database() as empty:
        assert LACKS_60 in await replay(service, "--into", empty.admin_dsn)


async def test_a_replay_fails_where_an_entry_was_altered(service: Service, cluster: Cluster):
    stream = await service.parts.pool.fetchval("SELECT stream FROM log.entry WHERE position = 60")
    await tamper(
        service.database.admin_dsn,
        "UPDATE log.entry SET bytes = convert_to(replace(convert_from(bytes, 'UTF8'), 'Yard 60', 'Yard 99'), 'UTF8') "
        "WHERE position = 60",
    )
    altered = "position 60: the entry's bytes are not those that its leaf is the hash of"
    assert altered in await replay(service)
    assert altered in await replay(service, "--subject", stream)
    assert "Yard 59" in await replay(service, "--to", "60", code=0)
    with cluster.unmigrated_database() as empty:
        assert altered in await replay(service, "--into", empty.admin_dsn)


async def test_a_replay_of_a_stream_fails_where_its_entry_is_missing(service: Service):
    party = (await service.post("/v1/parties", {"name": "Old", "kind": "company", "country": "NO"}))["id"]
    for name in ("Newer", "Newest"):
        await service.post(f"/v1/parties/{party}/rename", {"name": name})
    assert "Newest" in await replay(service, "--subject", f"party/{party}", code=0)
    await delete(service, f"position = {SIZE + 1}")
    assert "revision 1 of party/" in await replay(service, "--subject", f"party/{party}")


# Whoever reads


async def test_whatever_reads_the_log_in_order_misses_what_is_missing(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("events.log.read.WINDOW", 16)
    reader = service.parts.log
    instant = (await reader.read_all(0, 1))[0].recorded_at
    await delete(service, "position IN (35, 36)")
    for page in (1, 7, 35, 36, SIZE, 1000):
        for pages in (reader.iterate, reader.iterate_stored, reader.iterate_decoded):
            with pytest.raises(Corrupt, match="position 35"):
                _ = [one async for one in pages(page=page)]
            read = [one async for one in pages(page=page, below=35)]
            assert sum(1 if isinstance(one, Recorded) else len(one) for one in read) == 35
    for limit in (36, 1000):
        with pytest.raises(Corrupt, match="position 35"):
            await reader.read_all(0, limit)
        with pytest.raises(Corrupt, match="position 35"):
            await reader.read_all(0, limit, types=[OF_A_TYPE])
    assert len(await reader.read_all(0, 35, types=[OF_A_TYPE])) == 35
    with pytest.raises(Corrupt, match="position 35"):
        _ = [one async for one in reader.mentions("Yard 69", 0, SIZE)]
    with pytest.raises(Corrupt, match="position 35"):
        await reader.size_at(instant)


async def test_entries_that_come_meanwhile_are_no_gap(service: Service, monkeypatch: pytest.MonkeyPatch):
    """The head says that they are there once they are, but the page had been read by then."""
    reader = Reader(service.parts.pool)
    fetched = reader._fetch_rows

    async def earlier(statement: str, *arguments: object) -> list[asyncpg.Record]:
        return (await fetched(statement, *arguments))[:3]

    monkeypatch.setattr(reader, "_fetch_rows", earlier)
    assert [one.position for one in await reader.read_all(10, 5)] == [10, 11, 12]
    assert [one.position async for one in reader.iterate(10, page=5)] == [10, 11, 12]


async def test_what_a_server_does_not_have_yet_is_no_gap(service: Service):
    """As when the size was told by a primary, and the entries are read from a standby that is behind."""
    reader = Reader(service.parts.pool)
    for types in (None, [OF_A_TYPE]):
        read = await reader.read_all(60, 500, below=SIZE + 30, types=types)
        assert [one.position for one in read] == list(range(60, SIZE))
        assert await reader.read_all(SIZE, 5, below=SIZE + 30, types=types) == []
    assert [one.position async for one in reader.iterate(60, below=SIZE + 30)] == list(range(60, SIZE))


# Exports and tiles

LARGE = 600  # two full tiles and a part of one
ALTERED = "UPDATE log.tile SET hashes = overlay(hashes PLACING '\\x0102' FROM 100) WHERE level = 0 AND index = 1"


@pytest.fixture
async def large(database: Database, tmp_path: Path) -> AsyncIterator[Service]:
    """A registry whose log has tiles, under a checkpoint."""
    async with services.running(database, tmp_path, project=False, sign=False) as running:
        await register(running, LARGE)
        await sign(running)
        yield running


@pytest.mark.parametrize("position", [0, 60, 300, 599])
@pytest.mark.parametrize("tiles", ["stored", "deleted"])
async def test_an_export_names_the_entry_that_is_missing(large: Service, tmp_path: Path, position: int, tiles: str):
    await delete(large, f"position = {position}")
    if tiles == "deleted":
        await tamper(large.database.admin_dsn, "DELETE FROM log.tile")
    lacks = f"the log lacks the entry at position {position}"
    with pytest.raises(Corrupt, match=f"{lacks}$"):
        await export(large, tmp_path / "export")
    if tiles == "deleted" and position < 512:
        with pytest.raises(Corrupt, match=f"{lacks}$"):
            await large.parts.tree.integrate(LARGE)


@pytest.mark.parametrize(
    "change",
    [
        "hashes = overlay(hashes PLACING '\\x0102' FROM 100)",
        "hashes = substr(hashes, 1, 8160)",
        "hashes = hashes || sha256('')",
        "root = sha256('')",
    ],
)
@pytest.mark.parametrize("read_before", [True, False])
async def test_an_altered_tile_is_not_served_and_nothing_is_made_of_it(
    large: Service, tmp_path: Path, change: str, *, read_before: bool
):
    paths = ["/log/tile/0/001", f"{ENTRIES}/300/proof", f"{ENTRIES}/300/proof?size=599", "/v1/log/consistency?from=300"]
    if read_before:
        for path in paths:
            assert (await large.client.get(path)).status_code == 200
    await tamper(
        large.database.admin_dsn,
        "ALTER TABLE log.tile DROP CONSTRAINT tile_is_full",
        f"UPDATE log.tile SET {change} WHERE level = 0 AND index = 1",
    )
    for path in paths:
        assert await corrupt(large, path) == "tile 0/001"
    with pytest.raises(Corrupt, match="tile 0/001: the stored hashes are not those of its root"):
        await export(large, tmp_path / "export")
    with pytest.raises(Corrupt, match="tile 0/001"):
        await large.parts.tree.inclusions([3, 300], LARGE)
    for path in ("/log/tile/0/000", f"{ENTRIES}/3/proof?size=256", "/log/tile/0/001.p/255"):
        assert (await large.client.get(path)).status_code == 200


async def test_tiles_beyond_those_that_are_remembered_as_good_are_looked_at_too(
    large: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("events.log.tree.KEPT", 1)
    for _ in range(2):
        for index in (0, 1):
            assert len(await large.parts.tree.tile(Tile(0, index))) == 8192
    await tamper(large.database.admin_dsn, ALTERED)
    assert len(await large.parts.tree.tile(Tile(0, 0))) == 8192
    with pytest.raises(Corrupt, match="tile 0/001"):
        await large.parts.tree.tile(Tile(0, 1))
