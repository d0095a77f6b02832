"""Three nodes of PostgreSQL under Patroni: the primary dies under load and a standby takes over, with no human act."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import httpx
import pytest

from services.registry.access.roles import Role
from tests.support import console, engine
from tests.support.check_log import check_log
from tests.support.engine import Compose
from tests.support.faults import BACK_SECONDS, CLIENTS, back_in_time, while_it_runs
from tests.support.load import Load, recorded_once

NODES: Final = ("postgres", "postgres-2", "postgres-3")
# The lease of a primary that is gone runs out (20 s, docs/adr/0029); then a standby is promoted.
FAILOVER_SECONDS: Final = 30.0
REJOIN_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1  # nothing tells how a cluster is: it is asked
CHECKPOINT_SECONDS: Final = 0.5


@pytest.fixture(scope="module")
def stack(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    folder = tmp_path_factory.mktemp("checkout") / "tree"
    with engine.composed(folder, "deploy/ha/compose.yml") as made:
        made.up()
        yield made


class Cluster:
    """The nodes as Patroni sees them, asked of whichever answers."""

    def __init__(self, stack: Compose) -> None:
        self._stack = stack
        self._addresses = {node: stack.address(stack.containers(node)[0], "back") for node in NODES}

    async def members(self) -> dict[str, dict[str, Any]]:
        """Return the nodes that are there, by name; none while no node answers."""
        async with httpx.AsyncClient(timeout=2) as client:
            for address in self._addresses.values():
                try:
                    answer = await client.get(f"http://{address}:8008/cluster")
                except httpx.TransportError:
                    continue
                return {member["name"]: member for member in answer.json()["members"]}
        return {}

    async def primary(self, *, other_than: str | None = None) -> str:
        """Wait until there is a primary, and return its name."""
        while True:
            for address, node in {address: node for node, address in self._addresses.items()}.items():
                if node != other_than and await self._is_primary(address) and await self._takes_writes(node):
                    return node
            await asyncio.sleep(LOOK_SECONDS)

    async def follows(self, node: str) -> None:
        """Wait until a node streams from the primary."""
        while True:
            member = (await self.members()).get(node, {})
            if member.get("role") in ("replica", "sync_standby") and member.get("state") == "streaming":
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def synchronous(self) -> str:
        """Wait until commits wait for a standby, and return its name."""
        while True:
            for name, member in (await self.members()).items():
                if member["role"] == "sync_standby" and member["state"] == "streaming":
                    return name
            await asyncio.sleep(LOOK_SECONDS)

    async def _takes_writes(self, node: str) -> bool:
        """Tell whether PostgreSQL is done with what Patroni has told it to become."""
        connection = await asyncpg.connect(await asyncio.to_thread(self._stack.dsn, node))
        try:
            return not await connection.fetchval("SELECT pg_is_in_recovery()")
        finally:
            await connection.close()

    @staticmethod
    async def _is_primary(address: str) -> bool:
        async with httpx.AsyncClient(timeout=1) as client:
            try:
                return (await client.get(f"http://{address}:8008/primary")).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False


class Kept:
    """Checkpoints that somebody outside keeps, each as it was published."""

    def __init__(self) -> None:
        self.notes: dict[int, str] = {}

    async def keep(self, stack: Compose) -> None:
        """Fetch the checkpoint now and again, for as long as this runs."""
        async with stack.client() as client:
            while True:
                try:
                    answer = await client.get("/log/checkpoint")
                except httpx.TransportError:
                    pass  # the next time
                else:
                    if answer.status_code == httpx.codes.OK:
                        size = int(answer.text.splitlines()[1])
                        root = self.notes.setdefault(size, answer.text).splitlines()[2]
                        assert answer.text.splitlines()[2] == root, f"two checkpoints over {size} entries disagree"
                    else:
                        assert answer.status_code in (404, 503), answer.text
                await asyncio.sleep(CHECKPOINT_SECONDS)

    def last(self) -> int:
        return max(self.notes, default=0)


@asynccontextmanager
async def under_load(load: Load, kept: Kept, stack: Compose) -> AsyncGenerator[asyncio.Task[None]]:
    """Record and keep checkpoints meanwhile; whichever of them finds something wrong ends both."""

    async def both() -> None:
        keeping = asyncio.create_task(kept.keep(stack))
        recording = asyncio.create_task(load.run())
        try:
            done, _ = await asyncio.wait([keeping, recording], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            keeping.cancel()
            recording.cancel()
            await asyncio.gather(keeping, recording, return_exceptions=True)

    task = asyncio.create_task(both())
    try:
        yield task
    finally:
        load.stop()
        await asyncio.wait_for(task, 60)


async def test_a_standby_takes_over_from_a_killed_primary_and_nothing_acknowledged_is_lost(
    stack: Compose, tmp_path: Path, record_property: Any
):
    roles = [f"--role={role}" for role in Role]
    secret = await asyncio.to_thread(stack.registry, "token", "create", "failover", *roles)
    cluster, kept = Cluster(stack), Kept()
    killed = await cluster.primary()
    async with asyncio.timeout(REJOIN_SECONDS):
        await cluster.synchronous()
    load = Load(stack.base_url, secret, actor="failover", clients=CLIENTS)
    loop = asyncio.get_running_loop()

    async with under_load(load, kept, stack) as task:
        await while_it_runs(task, load.reached(CLIENTS * 4))
        async with asyncio.timeout(BACK_SECONDS):
            while not kept.last():  # noqa: ASYNC110 - published once a second
                await asyncio.sleep(LOOK_SECONDS)
        before, at = kept.last(), loop.time()
        await asyncio.to_thread(stack.containers(killed)[0].kill)
        async with asyncio.timeout(FAILOVER_SECONDS):
            primary = await while_it_runs(task, cluster.primary(other_than=killed))
        promoted = loop.time()
        back = await while_it_runs(task, back_in_time(stack, load))
        record_property("seconds_to_promotion", round(promoted - at, 1))
        record_property("seconds_until_back", round(back, 1))

        assert primary != killed
        # It has what it wrote last and nobody confirmed; and comes back as one that follows.
        await asyncio.to_thread(stack.containers(killed)[0].start)
        async with asyncio.timeout(REJOIN_SECONDS):
            await while_it_runs(task, cluster.follows(killed))
            await while_it_runs(task, load.all_served())

    dsn = await asyncio.to_thread(stack.dsn, primary)
    await recorded_once(dsn, load)
    size = (await check_log(dsn)).size
    async with asyncio.timeout(BACK_SECONDS):
        await is_in_step(await asyncio.to_thread(stack.dsn, killed), size)
    assert kept.last() > before, "nothing was signed after the failover"
    for signed in {min(kept.notes), before, kept.last()}:
        (tmp_path / "note").write_text(kept.notes[signed])
        done = await asyncio.to_thread(
            console.registry,
            "verify",
            stack.base_url,
            "--against",
            str(tmp_path / "note"),
            "--json",
            settings={"REGISTRY_TOKEN": secret},
        )
        assert done.returncode == 0, f"against the checkpoint over {signed}: {done.stdout}{done.stderr}"
        json.loads(done.stdout)


async def test_lists_are_read_from_a_standby_once_that_is_laid_over_it(stack: Compose):
    secret = await asyncio.to_thread(stack.registry, "token", "create", "reader", "--role=reader")
    stack.environ["COMPOSE_FILE"] += ":deploy/ha/read-from-standbys.yml"
    await asyncio.to_thread(stack.up)
    async with stack.client(secret) as client:
        listed = await client.get("/v1/parties")
        assert listed.status_code == 200, listed.text
    reading = "SELECT FROM pg_stat_activity WHERE pg_is_in_recovery() AND application_name = 'registry-reads'"
    found = [await engine.fetch(await asyncio.to_thread(stack.dsn, node), reading) for node in NODES]
    assert any(found)


async def is_in_step(dsn: str, size: int) -> None:
    """Wait until a node is a standby that holds the whole log."""
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("SELECT pg_is_in_recovery()")
        while await connection.fetchval("SELECT size FROM log.head") < size:  # noqa: ASYNC110 - as above
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()
