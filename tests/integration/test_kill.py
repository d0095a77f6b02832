"""`kill -9` of the service and of PostgreSQL while 32 clients record: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from services.registry.access import tokens
from services.registry.clock import now
from tests.support.check_log import check_log
from tests.support.cluster import scratch_folder
from tests.support.load import Load, recorded_once
from tests.support.processes import Deployment, deployed
from tests.support.service import OPERATOR

CLIENTS = 32
COMMANDS = 12  # of each client
ACTOR = "load"


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
        load = Load(deployment.base_url, token, actor=ACTOR, clients=CLIENTS, commands=COMMANDS)
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
    await recorded_once(deployment.access.service, load)
    assert len(load.acknowledged) == CLIENTS * COMMANDS


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
