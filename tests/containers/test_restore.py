"""The drill: what was backed up while the registry was in use is restored, to a time and to the last received."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from services.registry.access.roles import Role
from services.registry.clock import now
from tests.support.check_log import check_log
from tests.support.engine import Compose
from tests.support.load import Load, recorded_once

CLIENTS = 4
NAME = "Erasable Personage"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def stack(compose: Compose) -> Iterator[Compose]:
    """The stack with its backups, which have taken one by the time that the container is healthy."""
    compose.run("--profile", "backup", "up", "--detach", "--wait", seconds=300)
    yield compose
    used = f"{compose.project}_postgres"
    compose.run("--profile", "*", "down", "--timeout", "5")
    for volume in compose.docker.volumes.list(filters={"name": used}):
        volume.remove(force=True)


def volumes(stack: Compose) -> set[str]:
    """The stack's own: others may be at work on the same engine."""
    return {one.name for one in stack.docker.volumes.list() if one.name.startswith(stack.project)}


def restore(stack: Compose, *arguments: str) -> str:
    """Run the operator's script as the runbook says."""
    done = run_restore(stack, *arguments)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


def run_restore(stack: Compose, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [stack.folder / "deploy" / "backup" / "restore.sh", "--yes", *arguments],
        cwd=stack.folder,
        env=stack.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def start(stack: Compose) -> None:
    stack.run("--profile", "backup", "up", "--detach", "--wait", seconds=300)


def destroy(stack: Compose) -> None:
    """Kill PostgreSQL, and remove its volume."""
    (postgres,) = stack.containers("postgres")
    (volume,) = [mount["Name"] for mount in postgres.attrs["Mounts"] if mount["Type"] == "volume"]
    postgres.kill()
    postgres.remove(force=True)
    stack.docker.volumes.get(volume).remove()


async def checkpoint(client: httpx.AsyncClient, size: int) -> bytes:
    """Return the first checkpoint that is published over so many entries or more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = await client.get("/log/checkpoint")
            if answer.status_code == 200 and int(answer.headers["Registry-Size"]) >= size:
                return answer.content
            await asyncio.sleep(0.1)


async def received(dsn: str) -> None:
    """Wait until all that is recorded by now has been received by the backup."""
    connection = await asyncpg.connect(dsn)
    try:
        written = await connection.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        async with asyncio.timeout(PATIENCE):
            while not await connection.fetchval(  # noqa: ASYNC110 - another process
                "SELECT bool_or(write_lsn >= $1::text::pg_lsn) FROM pg_stat_replication"
                " WHERE application_name = 'registry-backup'",
                written,
            ):
                await asyncio.sleep(0.1)
    finally:
        await connection.close()


async def size_of(stack: Compose) -> int:
    connection = await asyncpg.connect(stack.dsn())
    try:
        size: int = await connection.fetchval("SELECT size FROM log.head WHERE one")
        return size
    finally:
        await connection.close()


def verify_against(stack: Compose, note: bytes, tmp_path: Path) -> str:
    """Hold the database's log against a checkpoint that was kept."""
    kept = tmp_path / "kept"
    kept.write_bytes(note)
    kept.chmod(0o644)
    tmp_path.chmod(0o755)
    alone = ("run", "--rm", "-T", "--no-deps", "--env", "REGISTRY_KEY_DIR=/nowhere", "--volume", f"{kept}:/kept:ro")
    return stack.run(*alone, "registry", "verify", "--against", "/kept")


def behind(stack: Compose) -> tuple[str, int]:
    """What is found to be wrong of a log that has fewer entries than were signed, and which size was."""
    said = stack.shell("docker compose run --rm -T --no-deps registry verify --json || test $? = 1")
    (found,) = json.loads(said)["findings"]
    return found["code"], found["size"]


def doctor(stack: Compose) -> dict[str, dict[str, str]]:
    """What it says is looked at, and not whether this machine's disk is full."""
    said = stack.run(
        *("run", "--rm", "-T", "--no-deps", "--entrypoint", "sh", "registry", "-c", "registry doctor --json || true")
    )
    return {f"{one['area']} {one['name']}": one for one in json.loads(said)["findings"]}


def back_up(stack: Compose) -> None:
    """Take a base backup, of which the doctor then tells how old it is."""
    begun = time.monotonic()
    stack.run("exec", "-T", "backup", "backup", "now")
    base = doctor(stack)["backup base"]
    (age,) = re.findall(r"the newest base backup is ([0-9.]+) (?:s|min) old$", base["found"])
    passed = time.monotonic() - begun
    assert base["verdict"] == "ok", base
    assert float(age) * (60 if " min " in base["found"] else 1) <= passed + 3, base


def refusal(stack: Compose) -> str:
    return "".join(one.logs().decode() for one in stack.containers("api"))


async def test_what_was_backed_up_is_restored_to_a_time_and_to_the_last_received_and_nobody_erased_comes_back(
    stack: Compose, tmp_path: Path
):
    run = asyncio.to_thread
    token = await run(stack.registry, "token", "create", "drill", *(f"--role={role}" for role in Role))
    await run(stack.registry, "sample")
    async with stack.client(token) as client:
        person = (await client.post("/v1/people", json={"name": NAME})).json()["id"]
        await run(back_up, stack)

        # Writing on, and a checkpoint that somebody keeps.
        secret = await run(stack.registry, "token", "create", "load", "--role=recorder")
        first = Load(stack.base_url, secret, actor="load", clients=CLIENTS, commands=10)
        await first.run()
        kept = await checkpoint(client, await size_of(stack))
        assert (await client.get(f"/v1/people/{person}")).json()["name"] == NAME
        at, there = now(), await size_of(stack)

        # What the restore to that time loses, among it that the person was erased.
        erased = await client.post(f"/v1/people/{person}/erase", json={"authority": "Court", "reason": "asked for"})
        assert erased.status_code == 201, erased.text
        assert (await client.post("/v1/parties", json={"name": "Later", "kind": "company", "country": "FR"})).is_success
        lost = await checkpoint(client, there + 2)
    archive = (await run(doctor, stack))["backup archive"]
    assert (archive["verdict"], "WAL is received" in archive["found"]) == ("ok", True), archive
    await received(stack.dsn())
    await run(destroy, stack)

    # To the last received: nothing is lost that was acknowledged and received.
    assert "0 erasures" not in await run(restore, stack)
    await recorded_once(stack.dsn(), first)
    assert (await check_log(stack.dsn())).size == there + 2
    await run(verify_against, stack, lost, tmp_path)

    # To the time, from the same backups.
    await run(restore, stack, "--at", at.isoformat())
    assert await size_of(stack) == there
    await recorded_once(stack.dsn(), first)
    await check_log(stack.dsn())
    await run(verify_against, stack, kept, tmp_path)
    assert await run(behind, stack) == ("rolled-back", there + 2)

    # The log is behind what was signed: that is named, nothing is signed, and another name is the way on.
    await run(start, stack)
    async with stack.client(token) as client:
        async with asyncio.timeout(PATIENCE):
            while '"log-rolled-back"' not in await run(refusal, stack):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        size = str(await size_of(stack))
        again = await client.get(f"/v1/people/{person}", headers={"Registry-Min-Size": size})
        assert again.json()["name"] == {"erased": True}, again.text
        found = await client.get("/v1/people", params={"q": NAME}, headers={"Registry-Min-Size": size})
        assert NAME not in found.text
        assert (await client.get("/log/checkpoint")).content != lost
        await run(stack.registry, "log", "adopt", "registry.localhost/log-2", "--reason", "restored from a backup")
        assert b"registry.localhost/log-2\n" in await checkpoint(client, int(size))
        erased = await client.post(f"/v1/people/{person}/erase", json={"authority": "Court", "reason": "restored"})
        assert erased.status_code == 201, erased.text
        assert NAME not in (await client.get("/v1/log/entries", params={"limit": 500})).text
    # A base backup was taken by then: those of before the restore are none of what runs now.
    base = (await run(doctor, stack))["backup base"]
    assert base["verdict"] == "ok", base
    assert (await run(stack.run, "exec", "-T", "backup", "backup", "list")).count("a restore was begun") == 2
    await check_log(stack.dsn())


def test_the_scripts_say_how_they_are_used_and_refuse_what_they_do_not_understand(stack: Compose):
    script = stack.folder / "deploy" / "backup" / "restore.sh"
    shown = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert "--at TIME" in shown.stdout
    for arguments in (["--when"], ["--at"]):
        wrong = subprocess.run([script, *arguments], capture_output=True, text=True, check=False, env=os.environ)
        assert wrong.returncode == 2
        assert "restore.sh: " in wrong.stderr
    before = volumes(stack)
    wrong = run_restore(stack, "--at", "2020-01-01T00:00:00Z")
    assert wrong.returncode == 2
    assert "there is no base backup from before then" in wrong.stderr
    assert volumes(stack) == before
