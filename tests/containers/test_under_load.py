"""What a stack has to be prepared for before it is under load: a disk that fills, a wrong clock, an upgrade."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from docker.models.containers import Container

from tests.support import engine
from tests.support.engine import Compose, fetch
from tests.support.faults import CLIENTS, back_in_time, loaded

READERS = 4
HOUR = 3600.0
PATIENCE = 10.0  # REGISTRY_COMMAND_TIMEOUT: as long a command is kept, in case there is room again
DISK: dict[str, str] = {"type": "tmpfs", "device": "tmpfs", "o": "size=400m"}
FILL = "dd if=/dev/zero of=/disk/filler bs=64k 2>&1 | grep -q 'No space left'"


@pytest.fixture(scope="module")
def disk(compose: Compose) -> Iterator[Container]:
    """Hold PostgreSQL's volume, made of a bounded size beforehand: what is in it outlives PostgreSQL's container."""
    volume = compose.docker.volumes.create(
        f"{compose.project}_postgres",
        driver_opts=DISK,
        labels={"com.docker.compose.project": compose.project, "com.docker.compose.volume": "postgres"},
    )
    holder = compose.docker.containers.run(
        engine.IMAGE,
        ["infinity"],
        entrypoint="sleep",
        user="0",
        detach=True,
        init=True,
        volumes={volume.name: {"bind": "/disk", "mode": "rw"}},
    )
    try:
        yield holder
    finally:
        holder.remove(force=True)


@pytest.fixture(scope="module")
def stack(compose: Compose, disk: Container) -> Compose:
    compose.up()
    return compose


async def test_a_full_disk_refuses_commands_until_there_is_room_again(stack: Compose, disk: Container):
    async with loaded(stack, "full-disk") as load:
        filled = await asyncio.to_thread(disk.exec_run, ["sh", "-c", FILL])
        assert filled.exit_code == 0, filled.output
        async with asyncio.timeout(2 * PATIENCE), stack.client(load.token) as client:
            await load.refused(CLIENTS)
            assert (await client.get("/v1/parties")).status_code == 200
        freed = await asyncio.to_thread(disk.exec_run, ["rm", "/disk/filler"])
        assert freed.exit_code == 0, freed.output
        await back_in_time(stack, load)


async def test_replicas_whose_clocks_are_an_hour_apart_lose_and_double_nothing(stack: Compose):
    stack.use(await asyncio.to_thread(engine.derive, "clock"))
    ahead = ("--env", "LD_PRELOAD=/usr/lib/faketime.so", "--env", "FAKETIME=+1h")
    name = f"{stack.project}-ahead"
    try:
        await asyncio.to_thread(
            stack.run, "run", "--detach", "--no-deps", "--use-aliases", "--name", name, *ahead, "api"
        )
        replica = stack.docker.containers.get(name)
        async with loaded(stack, "clocks") as load:
            async with asyncio.timeout(30):
                while not recorded(replica):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.2)
            await back_in_time(stack, load)
        stamped = await stamps(stack)
        assert stamped[-1] - stamped[0] > HOUR * 0.9
        assert len({one.name for one in stack.containers("api", all=False) if recorded(one)}) == 3
    finally:
        stack.use(engine.IMAGE)
        await asyncio.to_thread(stack.docker.containers.get(name).remove, force=True)


async def test_an_upgrade_to_another_migration_and_another_read_model_fails_no_request(stack: Compose):
    newer = await asyncio.to_thread(engine.derive, "newer")
    older = stack.containers("api", all=False)
    begun = int(time.time())
    journals = [asyncio.create_task(asyncio.to_thread(one.logs, follow=True, since=begun)) for one in older]
    before = await applied(stack)
    secret = await asyncio.to_thread(stack.registry, "token", "create", "side", "--role=recorder", "--role=reader")
    async with loaded(stack, "upgrade") as load, reading(stack, secret):
        stack.use(newer)
        await asyncio.to_thread(stack.script, "deploy/upgrade.sh")
        await back_in_time(stack, load)
    assert (load.unavailable, load.broken) == (0, 0)
    assert await applied(stack) == before + 1

    replicas = stack.containers("api")
    assert {one.image.tags[0] for one in (*replicas, *stack.containers("projector")) if one.image} == {newer}
    assert (len(replicas), len(stack.containers("projector"))) == (2, 2)
    async with stack.client(load.token) as client:
        (party,) = (await client.get("/v1/parties", params={"limit": 1})).json()["items"]
        assert party["initial"] == party["name"][0]

    old = [line for journal in await asyncio.gather(*journals) for line in lines(journal)]
    new = [line for one in replicas for line in lines(one.logs())]
    assert not [line for line in (*old, *new) if line["level"] == "error" or failed(line)]
    assert max(posts(old)) > min(posts(new)), "they did not record side by side"

    stack.use(engine.IMAGE)
    with pytest.raises(AssertionError, match=r"is at migration \d+ \(tried\), and this program knows"):
        await asyncio.to_thread(stack.run, "run", "--rm", "-T", "--no-deps", "api")
    stack.use(newer)


@asynccontextmanager
async def reading(stack: Compose, token: str) -> AsyncGenerator[None]:
    """Have clients record and read what they recorded meanwhile, without a key to repeat a command with."""
    stop = asyncio.Event()

    async def read(number: int) -> None:
        async with stack.client(token) as client:
            while not stop.is_set():
                party = {"name": f"Read {number}", "kind": "company", "country": "FR"}
                recorded = await client.post("/v1/parties", json=party)
                assert recorded.status_code == 201, recorded.text
                seen = {"Registry-Min-Size": recorded.headers["Registry-Size"]}
                for path in (
                    f"/v1/parties/{recorded.json()['id']}",
                    "/v1/parties?limit=5",
                    "/v1/statistics?by=country",
                ):
                    found = await client.get(path, headers=seen)
                    assert found.status_code == 200, f"{path}: {found.text}"
                    assert '"name":""' not in found.text, f"{path} was read by a program that does not know its form"

    async with asyncio.TaskGroup() as group:
        for number in range(READERS):
            group.create_task(read(number))
        yield
        stop.set()


def lines(journal: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in journal.decode().splitlines()]


def failed(line: dict[str, Any]) -> bool:
    """Say whether a request failed; that a replica says that it goes, or is not there yet, is no failure."""
    return line.get("status", 200) >= 500 and line["route"] != "/health/ready"


def posts(journal: list[dict[str, Any]]) -> list[str]:
    """Return when commands were recorded."""
    return [line["timestamp"] for line in journal if line.get("method") == "POST" and line["status"] == 201]


def recorded(replica: Container) -> bool:
    return bool(posts(lines(replica.logs())))


async def applied(stack: Compose) -> int:
    return (await fetch(stack.dsn(), "SELECT count(*)::int AS migrations FROM migration.applied"))[0]["migrations"]


async def stamps(stack: Compose) -> list[float]:
    """Return when each entry says that it was recorded, in order."""
    found = await fetch(
        stack.dsn(), "SELECT extract(epoch FROM recorded_at)::float8 AS at FROM log.entry ORDER BY position"
    )
    return [row["at"] for row in found]
