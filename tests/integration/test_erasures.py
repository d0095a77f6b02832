"""Who was erased stays so in a database that was restored from before then: the key ring remembers, outside of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import asyncpg
import pytest

from services.registry.signing.keyring import KeyRing, KeyRingUnusable
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.service import running

NAME = "Farrukh Erasable"
WHY = {"authority": "Court", "reason": "a mistake"}
SOURCE = {
    "title": "A report",
    "publisher": "Trend",
    "published": "2019-06-19",
    "language": "en",
    "media_type": "text/plain",
}


async def vaulted(database: Database) -> dict[str, list[asyncpg.Record]]:
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        return {
            table: await connection.fetch(f"SELECT * FROM vault.{table} ORDER BY 1, 2")
            for table in ("key", "token", "command_salt")
        }
    finally:
        await connection.close()


async def restore_vault(database: Database, rows: dict[str, list[asyncpg.Record]]) -> None:
    """Put the vault back as it was, as a backup of the database from then does."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        async with connection.transaction():
            for table, was in rows.items():
                if was:
                    await connection.execute(f"DELETE FROM vault.{table}")
                    await connection.copy_records_to_table(
                        table, records=[tuple(row) for row in was], schema_name="vault"
                    )
    finally:
        await connection.close()


async def test_who_was_erased_is_erased_again_before_a_restored_database_is_served(database: Database, tmp_path: Path):
    async with running(database, tmp_path) as service:
        person = (await service.post("/v1/people", {"name": NAME}))["id"]
        other = (await service.post("/v1/people", {"name": "Somebody Else"}))["id"]
        before = await vaulted(database)
        await service.post(f"/v1/people/{person}/erase", {"authority": "Court", "reason": "asked for"})
        assert service.parts.signer is not None
        await service.parts.signer.sign()
        assert KeyRing(tmp_path / "keys").erased()[2] == {f"person/{person}"}
    await restore_vault(database, before)
    assert len((await vaulted(database))["key"]) == 2

    async with running(database, tmp_path) as service:
        assert [row["owner"] for row in (await vaulted(database))["key"]] == [f"person/{other}"]
        assert {row["owner"] for table in ("token", "command_salt") for row in (await vaulted(database))[table]} == {
            f"person/{other}"
        }
        assert (await service.get(f"/v1/people/{person}"))["name"] == {"erased": True}
        assert (await service.get(f"/v1/people/{other}"))["name"] == "Somebody Else"
    await check_log(database.admin_dsn)


async def test_a_withdrawn_document_is_destroyed_again_and_one_that_stays_on_file_is_not(
    database: Database, tmp_path: Path
):
    async with running(database, tmp_path) as service:
        gone, shared = await service.file("Withdrawn."), await service.file("Both are over it.")
        sources = [
            (await service.post("/v1/sources", {**SOURCE, "sha256": sha256, "size": size}))["id"]
            for sha256, size in ((gone, 10), (shared, 17), (shared, 17))
        ]
        before = await vaulted(database)
        for source in sources[:2]:
            await service.post(f"/v1/sources/{source}/withdraw", {"authority": "Court", "reason": "a mistake"})
        assert service.parts.signer is not None
        await service.parts.signer.sign()
    assert KeyRing(tmp_path / "keys").erased()[2] == {f"document/{gone}"}
    await restore_vault(database, before)

    async with running(database, tmp_path) as service:
        assert set(await service.parts.vault.contents([gone, shared])) == {shared}


async def test_a_document_that_comes_after_one_of_its_sources_was_withdrawn_stays_on_file(
    database: Database, tmp_path: Path
):
    text = "Uploaded after its sources."
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    async with running(database, tmp_path) as service:
        said = {**SOURCE, "sha256": sha256, "size": len(text)}
        wrong = (await service.post("/v1/sources", {**said, "title": "A titel"}))["id"]
        await service.post("/v1/sources", said)
        await service.post(f"/v1/sources/{wrong}/withdraw", WHY)
        assert service.parts.signer is not None
        await service.parts.signer.sign()
        assert KeyRing(tmp_path / "keys").erased()[2] == set()
        assert await service.file(text) == sha256

    async with running(database, tmp_path) as service:
        assert (await service.client.get(f"/v1/documents/{sha256}")).text == text


@pytest.mark.parametrize("how", ["retract", "correct"])
async def test_a_document_is_destroyed_again_though_the_last_source_over_it_was_amended_and_not_withdrawn(
    database: Database, tmp_path: Path, how: str
):
    async with running(database, tmp_path) as service:
        shared, other = await service.file("Both are over it."), await service.file("Another, of 17 b.")
        first, last = [
            await service.post("/v1/sources", {**SOURCE, "sha256": shared, "size": 17, "title": title})
            for title in ("One", "Another")
        ]
        before = await vaulted(database)
        await service.post(f"/v1/sources/{first['id']}/withdraw", WHY)
        assert service.parts.signer is not None
        await service.parts.signer.sign()
        replacement = {**SOURCE, "sha256": other, "size": 17}
        wish = {"retract": {}, "correct": {"replacement": replacement}}[how]
        await service.post(f"/v1/log/entries/{last['entries'][0]['position']}/{how}", {"reason": "wrong", **wish})
        assert set(await service.parts.vault.contents([shared, other])) == {other}
        await service.parts.signer.sign()
    assert KeyRing(tmp_path / "keys").erased()[2] == {f"document/{shared}"}
    await restore_vault(database, before)

    async with running(database, tmp_path) as service:
        assert set(await service.parts.vault.contents([shared, other])) == {other}


def test_a_damaged_memory_of_erasures_is_named_and_not_taken_for_an_empty_one(tmp_path: Path):
    ring = KeyRing(tmp_path)
    assert ring.erased() == ("", 0, frozenset())
    ring.keep_erased("registry.test/log", 7, ["person/person_1"])
    ring.keep_erased("registry.test/log", 9, ["document/ab"])
    assert ring.erased() == ("registry.test/log", 9, {"person/person_1", "document/ab"})
    for damage in ("", "registry.test/log\n", "registry.test/log 9\nperson\n"):
        (tmp_path / "erased").write_text(damage)
        with pytest.raises(KeyRingUnusable, match="is damaged"):
            ring.erased()
