"""`registry master-key rotate`, as an operator types it, and what is read with either file afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import pytest

from events.errors import MasterKeyUnusable
from events.log.servers import connect
from events.vault import MasterKey
from services.registry import rewrapping
from services.registry.access.record import Who
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.console import registry
from tests.support.service import ORIGIN, running

WHO = Who(name="operator@test")
NAMES = ("Zoë O'Hara", "Farrukh Damaged", "Ilse Corrected")
BEFORE = "Ilse Mistyped"
ERASED = "Somebody Erased"
TEXT = "What the document says."


@dataclass
class Recorded:
    """A database in which people and a document were recorded, and the folder with the master key they are under."""

    database: Database
    folder: Path
    people: dict[str, str]
    document: str

    @property
    def old(self) -> Path:
        return self.folder / "master.key"

    @property
    def new(self) -> Path:
        return self.folder / "new.key"

    def rotate(self, *options: str, present: Path | None = None, new: Path | None = None) -> Any:
        settings = {
            "REGISTRY_OWNER_DATABASE_URL": self.database.owner_dsn,
            "REGISTRY_MASTER_KEY_FILE": str(present or self.old),
        }
        return registry("master-key", "rotate", str(new or self.new), *options, settings=settings)

    def verify(self, key: Path) -> subprocess.CompletedProcess[str]:
        settings = {
            "REGISTRY_DATABASE_URL": self.database.service_dsn,
            "REGISTRY_MASTER_KEY_FILE": str(key),
            "REGISTRY_ORIGIN": ORIGIN,
        }
        return registry("verify", settings=settings)

    async def rows(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(self.database.admin_dsn)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *arguments)]
        finally:
            await connection.close()

    async def vault(self) -> tuple[list[tuple[Any, ...]], ...]:
        keys = await self.rows("SELECT owner, wrapped, master_key_id, created_at FROM vault.key ORDER BY owner")
        return keys, await self.rows("SELECT * FROM vault.token ORDER BY 1, 2"), await self.rows("TABLE vault.mark")

    async def log(self) -> list[tuple[Any, ...]]:
        return await self.rows("SELECT position, leaf, bytes FROM log.entry ORDER BY position")


@pytest.fixture
async def recorded(database: Database, tmp_path: Path) -> AsyncGenerator[Recorded, None]:
    people: dict[str, str] = {}
    async with running(database, tmp_path) as service:
        for name in (*NAMES[:2], BEFORE, ERASED):
            people[name] = (await service.post("/v1/people", {"name": name, "contact": "not for all"}))["id"]
        ilse = people[NAMES[2]] = people.pop(BEFORE)
        position = (await service.get(f"/v1/people/{ilse}"))["position"]
        correction = {"reason": "mistyped", "replacement": {"name": NAMES[2]}}
        await service.post(f"/v1/log/entries/{position}/correct", correction)
        await service.post(f"/v1/people/{people[ERASED]}/erase", {"authority": "Court", "reason": "asked for"})
        document = await service.file(TEXT)
    yield Recorded(database, tmp_path, people, document)
    await check_log(database.admin_dsn)


async def found(service: Any, text: str) -> list[str]:
    return [item["id"] for item in (await service.get("/v1/search", q=text))["items"]]


async def test_everything_reads_and_is_found_as_before_with_the_new_file_and_nothing_with_the_old(recorded: Recorded):
    before, log = await recorded.vault(), await recorded.log()

    done = await asyncio.to_thread(recorded.rotate)

    assert done.returncode == 0, done.stderr
    assert "4 keys are wrapped by" in done.stdout
    assert "REGISTRY_MASTER_KEY_FILE" in done.stderr
    assert recorded.new.stat().st_mode & 0o777 == 0o600
    old, new = MasterKey.from_file(recorded.old), MasterKey.from_file(recorded.new)
    after = await recorded.vault()
    assert [(row[0], row[3]) for row in after[0]] == [(row[0], row[3]) for row in before[0]]
    assert {row[2] for row in after[0]} == {new.key_id}
    assert [new.unwrap(row[0], row[1]) for row in after[0]] == [old.unwrap(row[0], row[1]) for row in before[0]]
    assert sorted(row[0] for row in after[1]) == sorted(row[0] for row in before[1])
    assert not {row[1] for row in after[1]} & {row[1] for row in before[1]}
    assert after[2] != before[2]
    assert await recorded.log() == log
    detail = "SELECT detail->>'from', detail->>'to' FROM access.record WHERE what = 'rotate-master-key'"
    assert await recorded.rows(detail) == [(old.key_id, new.key_id)]

    async with running(recorded.database, recorded.folder, master_key_file=recorded.new) as service:
        for name in NAMES:
            person = recorded.people[name]
            read = await service.get(f"/v1/people/{person}")
            assert (read["name"], read["contact"] is None) == (name, name == NAMES[2])
            assert await found(service, name) == [person]
        assert await service.parts.vault.find(BEFORE) == [f"person/{recorded.people[NAMES[2]]}"]
        assert (await service.get(f"/v1/people/{recorded.people[ERASED]}"))["name"] == {"erased": True}
        assert await found(service, ERASED) == []
        assert (await service.client.get(f"/v1/documents/{recorded.document}")).text == TEXT
        more = (await service.post("/v1/people", {"name": "Recorded Afterwards"}))["id"]
        assert await found(service, "afterwards recorded") == [more]
    verified = await asyncio.to_thread(recorded.verify, recorded.new)
    assert verified.returncode == 0, verified.stdout + verified.stderr

    async with running(recorded.database, recorded.folder) as service:
        refused = await service.get(f"/v1/people/{recorded.people[NAMES[0]]}", status=500)
        assert refused["code"] == "master-key-unusable"
        assert (await service.client.get("/health/ready")).status_code == 503
        assert await found(service, NAMES[0]) == []
    verified = await asyncio.to_thread(recorded.verify, recorded.old)
    assert (verified.returncode, f"is wrapped by the master key {new.key_id}" in verified.stderr) == (2, True)


async def test_no_name_is_in_the_database_or_on_the_output(recorded: Recorded):
    done = await asyncio.to_thread(recorded.rotate)

    tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information_)'"
    everything = done.stdout + done.stderr
    for (table,) in await recorded.rows(tables):
        everything += "".join(row for (row,) in await recorded.rows(f"SELECT t::text FROM {table} AS t"))
    for name in (*NAMES, BEFORE, ERASED):
        for word in name.split():
            assert word not in everything
            assert word.encode().hex() not in everything


async def test_an_interrupted_rotation_changes_nothing_and_is_repeated_with_the_same_file(recorded: Recorded):
    before = await recorded.vault()
    old, new = MasterKey.from_file(recorded.old), MasterKey.create_file(recorded.new)
    told: list[int] = []

    def stop(done: int) -> None:
        told.append(done)
        if done >= 3:
            raise RuntimeError("the power went")

    connection = await connect(recorded.database.owner_dsn)
    options = {"leave_damaged": False, "while_served": False}
    with patch.object(rewrapping, "PAGE", 1):
        with pytest.raises(RuntimeError):
            await rewrapping.rewrap(connection, old, new, WHO, progress=stop, **options)
        assert told == [1, 2, 3]
        assert await recorded.vault() == before
        assert await recorded.rows("SELECT FROM access.record WHERE what = 'rotate-master-key'") == []
        await connection.close()

    done = await asyncio.to_thread(recorded.rotate)
    assert done.returncode == 0, done.stderr
    assert MasterKey.from_file(recorded.new).key_id == new.key_id
    again = await asyncio.to_thread(recorded.rotate)
    assert (again.returncode, "nothing to do" in again.stdout) == (0, True)


async def test_a_process_that_has_the_old_file_still_is_told_and_adds_no_key(recorded: Recorded):
    async with running(recorded.database, recorded.folder, project=False) as service:
        refused = await asyncio.to_thread(recorded.rotate)
        assert (refused.returncode, "A registry is served" in refused.stderr) == (1, True)
        assert {row[2] for row in (await recorded.vault())[0]} == {service.parts.master.key_id}

        done = await asyncio.to_thread(recorded.rotate, "--while-served")
        assert done.returncode == 0, done.stderr
        after = await recorded.vault()
        refused = await service.post("/v1/people", {"name": "Too Late"}, status=500)
        assert refused["code"] == "master-key-unusable"
        path = f"/v1/documents/{hashlib.sha256(b'x').hexdigest()}"
        unfiled = await service.client.put(path, content=b"x", headers={"Content-Type": "text/plain"})
        assert (unfiled.status_code, unfiled.json()["code"]) == (500, "master-key-unusable")
        with pytest.raises(MasterKeyUnusable, match="is refused: keys are wrapped by"):
            await service.parts.vault.file(b"too late", "text/plain", 8)
        assert (await service.client.get("/health/ready")).status_code == 503
        assert await recorded.vault() == after


async def test_a_process_that_connects_meanwhile_is_found_at_the_end(recorded: Recorded):
    before = await recorded.vault()
    old, new = MasterKey.from_file(recorded.old), MasterKey.create_file(recorded.new)
    owner, services = await connect(recorded.database.owner_dsn), list[asyncpg.Connection]()
    real = rewrapping.record

    async def connecting(*what: Any) -> None:
        await real(*what)
        services.append(await asyncpg.connect(recorded.database.service_dsn))

    options = {"leave_damaged": False, "while_served": False}
    try:
        with patch.object(rewrapping, "record", connecting), pytest.raises(rewrapping.Served):
            await rewrapping.rewrap(owner, old, new, WHO, progress=lambda _: None, **options)
        assert await recorded.vault() == before
    finally:
        for connection in (owner, *services):
            await connection.close()


async def test_the_owner_and_whoever_restores_an_older_vault_may_put_back_keys_of_before(recorded: Recorded):
    keys, _, _ = await recorded.vault()
    await asyncio.to_thread(recorded.rotate)
    put = "INSERT INTO vault.key (owner, wrapped, master_key_id) VALUES ($1, $2, $3)"
    service = await asyncpg.connect(recorded.database.service_dsn)
    owner = await asyncpg.connect(recorded.database.owner_dsn)
    try:
        await owner.execute("DELETE FROM vault.key WHERE owner = $1", keys[0][0])
        with pytest.raises(asyncpg.RestrictViolationError):
            await service.execute(put, *keys[0][:3])
        await owner.execute(put, *keys[0][:3])
        assert (await asyncio.to_thread(recorded.rotate, "--while-served")).returncode == 0
        assert len({row[2] for row in (await recorded.vault())[0]}) == 1

        await owner.execute("DELETE FROM vault.key")
        await service.executemany(put, [key[:3] for key in keys])
    finally:
        await service.close()
        await owner.close()


async def test_damaged_keys_are_named_and_stop_it_unless_they_are_left(recorded: Recorded):
    one, other = (f"person/{recorded.people[name]}" for name in NAMES[:2])
    await recorded.rows("UPDATE vault.key SET wrapped = sha256('') WHERE owner = $1", one)
    await recorded.rows("UPDATE vault.key SET master_key_id = 'x' WHERE owner = $1", other)
    before = await recorded.vault()

    stopped = await asyncio.to_thread(recorded.rotate)
    assert stopped.returncode == 1
    assert one in stopped.stderr
    assert other in stopped.stderr
    assert await recorded.vault() == before

    left = await asyncio.to_thread(recorded.rotate, "--leave-damaged")
    assert left.returncode == 0, left.stderr
    assert left.stdout.count("damaged, left as it was: ") == 2
    after = await recorded.vault()
    damaged = [row for row in before[0] if row[0] in {one, other}]
    assert [row for row in after[0] if row[0] in {one, other}] == damaged
    assert not {one, other} & {row[0] for row in after[1]}

    async with running(recorded.database, recorded.folder) as holding_old:
        assert (await holding_old.client.get("/health/ready")).status_code == 503
        refused = await holding_old.get(f"/v1/people/{recorded.people[NAMES[2]]}", status=500)
        assert refused["code"] == "master-key-unusable"
    async with running(recorded.database, recorded.folder, master_key_file=recorded.new) as holding_new:
        assert (await holding_new.client.get("/health/ready")).status_code == 200
        assert (await holding_new.get(f"/v1/people/{recorded.people[NAMES[2]]}"))["name"] == NAMES[2]
        assert (await holding_new.get(f"/v1/people/{recorded.people[NAMES[0]]}"))["name"] == {"unreadable": "damaged"}

    old = MasterKey.from_file(recorded.old)
    service = await asyncpg.connect(recorded.database.service_dsn)
    with pytest.raises(asyncpg.RestrictViolationError):
        await service.execute("INSERT INTO vault.key VALUES ('person/late', '', $1)", old.key_id)
    await service.close()


async def test_who_has_a_name_that_cannot_be_read_is_named_and_has_no_token(recorded: Recorded):
    owner = f"person/{recorded.people[NAMES[0]]}"
    old, another = MasterKey.from_file(recorded.old), bytes(32)
    await recorded.rows("UPDATE vault.key SET wrapped = $2 WHERE owner = $1", owner, old.wrap(owner, another))

    done = await asyncio.to_thread(recorded.rotate)

    assert done.returncode == 0, done.stderr
    assert f"cannot be read: {owner}\n" in done.stdout
    assert owner not in {row[0] for row in (await recorded.vault())[1]}


async def test_what_is_no_present_or_new_master_key_is_refused_and_changes_nothing(recorded: Recorded):
    before = await recorded.vault()
    other, same, none = recorded.folder / "other.key", recorded.folder / "same.key", recorded.folder / "none.key"
    MasterKey.create_file(other)
    same.write_text(recorded.old.read_text())
    none.write_text("no key")

    for expected, present, new in (
        ("but keys are wrapped by", other, recorded.new),
        ("holds the master key that is in use", recorded.old, same),
        ("holds the master key that is in use", recorded.old, recorded.old),
        ("64 hexadecimal digits", recorded.old, none),
        ("64 hexadecimal digits", none, recorded.new),
    ):
        refused = await asyncio.to_thread(recorded.rotate, present=present, new=new)
        assert (refused.returncode, expected in refused.stderr) == (1, True), refused.stderr
    assert await recorded.vault() == before
    assert not recorded.new.exists()
    assert none.read_text() == "no key"


async def test_an_empty_vault_has_nothing_to_wrap_anew(database: Database, tmp_path: Path):
    MasterKey.create_file(tmp_path / "master.key")

    refused = await asyncio.to_thread(Recorded(database, tmp_path, {}, "").rotate)

    assert (refused.returncode, "no key in the vault" in refused.stderr) == (1, True)
    assert not (tmp_path / "new.key").exists()


async def test_the_services_role_may_not_do_it(recorded: Recorded):
    settings = {
        "REGISTRY_OWNER_DATABASE_URL": recorded.database.service_dsn,
        "REGISTRY_MASTER_KEY_FILE": str(recorded.old),
    }

    refused = await asyncio.to_thread(registry, "master-key", "rotate", str(recorded.new), settings=settings)

    assert (refused.returncode, "no member of the role that owns" in refused.stderr) == (1, True)


async def test_keys_are_read_while_they_are_wrapped_anew_and_nothing_is_written(recorded: Recorded):
    old, new = MasterKey.from_file(recorded.old), MasterKey.create_file(recorded.new)
    owner = await connect(recorded.database.owner_dsn)
    service = await asyncpg.connect(recorded.database.service_dsn, server_settings={"lock_timeout": "100ms"})
    begun, seen = asyncio.Event(), list[str]()

    async def other() -> None:
        await begun.wait()
        seen.extend(row["master_key_id"] for row in await service.fetch("SELECT master_key_id FROM vault.key"))
        for statement in ("INSERT INTO vault.key VALUES ('person/x', '', 'x')", "DELETE FROM vault.key"):
            with pytest.raises(asyncpg.LockNotAvailableError):
                await service.execute(statement)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await service.execute("UPDATE log.head SET size = size")

    beside = asyncio.create_task(other())
    real = rewrapping.record

    async def waiting(*what: Any) -> None:
        begun.set()
        await beside
        await real(*what)

    options = {"leave_damaged": False, "while_served": True}
    with patch.object(rewrapping, "record", waiting):
        done = await rewrapping.rewrap(owner, old, new, WHO, progress=lambda _: None, **options)
    assert (done.keys, seen) == (4, [old.key_id] * 4)
    await owner.close()
    await service.close()
