"""`kill -9` of the service and of PostgreSQL while 32 clients record: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import httpx
import pytest

from services.registry.access import tokens
from services.registry.clock import now
from tests.support.check_log import check_log
from tests.support.cluster import scratch_folder
from tests.support.processes import Deployment, deployed
from tests.support.service import OPERATOR

CLIENTS = 32
COMMANDS = 12  # of each client
ACTOR = "load"


class Load:
    """Clients that each record parties one after the other, and retry each until it is acknowledged."""

    def __init__(self, base_url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            limits=httpx.Limits(max_connections=CLIENTS),
            timeout=20,
        )
        self.acknowledged: dict[str, int] = {}
        self.refusals: list[str] = []
        self.retries = 0
        self._progress = asyncio.Condition()

    async def run(self) -> None:
        async with self._client:
            await asyncio.gather(*(self._record(number) for number in range(CLIENTS)))

    async def reached(self, acknowledged: int) -> None:
        """Wait until this many commands have been acknowledged."""
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.acknowledged) >= acknowledged)

    async def _record(self, number: int) -> None:
        for one in range(COMMANDS):
            key = f"{number}-{one}"
            position = await self._until_acknowledged(key)
            async with self._progress:
                self.acknowledged[key] = position
                self._progress.notify_all()

    async def _until_acknowledged(self, key: str) -> int:
        body = {"name": f"Party {key}", "kind": "company", "country": "FR"}
        while True:
            try:
                answer = await self._client.post("/v1/parties", json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in (200, 201):
                position: int = answer.json()["entries"][0]["position"]
                return position
            if answer is not None and answer.status_code != 503:
                self.refusals.append(answer.text)
                raise AssertionError(answer.text)
            self.retries += 1
            await asyncio.sleep(0.1)  # what a client does that was told, or has to guess, to try again


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    with scratch_folder() as folder:
        async with deployed(folder) as made:
            yield made


async def test_what_was_acknowledged_survives_kill_9_of_the_service_and_of_postgresql(deployment: Deployment) -> None:
    owner = await asyncpg.connect(deployment.access.service)
    token, _ = await tokens.create(owner, name=ACTOR, roles=["recorder", "reader"], by=OPERATOR, now=now())
    await owner.close()

    with deployment.start("project"), deployment.start("serve") as first:
        await deployment.ready()
        load = Load(deployment.base_url, token)
        recording = asyncio.create_task(load.run())
        await load.reached(CLIENTS * COMMANDS // 4)
        first.kill()
        with deployment.start("serve") as second:
            await load.reached(CLIENTS * COMMANDS // 2)
            await deployment.kill_postgres()
            await asyncio.to_thread(deployment.postgres.start)
            await asyncio.wait_for(recording, 120)
            await deployment.ready()
            await _read_models_came_along(deployment, token)
            assert second.terminate() == 0

    assert load.retries > 0, "nothing was interrupted: the test tested nothing"
    await check_log(deployment.postgres.dsn("registry"))
    await _each_is_there_once(deployment, load)


async def _each_is_there_once(deployment: Deployment, load: Load) -> None:
    connection = await asyncpg.connect(deployment.access.service)
    try:
        rows = await connection.fetch("SELECT position, stream, command_id FROM log.entry ORDER BY position")
    finally:
        await connection.close()
    assert sorted(load.acknowledged.values()) == [row["position"] for row in rows]
    assert len({UUID(str(row["command_id"])) for row in rows}) == CLIENTS * COMMANDS
    assert len({row["stream"] for row in rows}) == CLIENTS * COMMANDS


async def _read_models_came_along(deployment: Deployment, token: str) -> None:
    async with httpx.AsyncClient(
        base_url=deployment.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30
    ) as client:
        names: set[str] = set()
        cursor: dict[str, str] = {}
        while True:
            headers = {"Registry-Min-Size": str(CLIENTS * COMMANDS)}
            answer = await client.get("/v1/parties", params={"limit": 500, **cursor}, headers=headers)
            if answer.status_code == 503:
                await asyncio.sleep(0.1)  # as above: the projector is finding its way back
                continue
            page = answer.json()
            names |= {item["name"] for item in page["items"]}
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
    assert len(names) == CLIENTS * COMMANDS
