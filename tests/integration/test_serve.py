"""`registry serve` in a process of its own: how it leaves, so that nobody's request fails."""

from __future__ import annotations

import asyncio
import signal

import asyncpg
import httpx

from services.registry.access import tokens
from services.registry.clock import now
from tests.support.cluster import scratch_folder
from tests.support.processes import deployed
from tests.support.service import OPERATOR

FOR_EVER = "3600"


async def test_told_to_end_it_is_not_ready_but_serves_until_it_has_drained_or_is_told_to_end_at_once():
    with scratch_folder() as folder:
        async with deployed(folder) as deployment:
            owner = await asyncpg.connect(deployment.access.service)
            token, _ = await tokens.create(owner, name="a", roles=["recorder"], by=OPERATOR, now=now())
            await owner.close()
            with deployment.start("project"), deployment.start("serve", REGISTRY_DRAIN_SECONDS=FOR_EVER) as serving:
                await deployment.ready()
                serving.send(signal.SIGTERM)
                headers = {"Authorization": f"Bearer {token}"}
                async with httpx.AsyncClient(base_url=deployment.base_url, headers=headers) as client:
                    async with asyncio.timeout(10):
                        while (ready := await client.get("/health/ready")).status_code == 200:  # noqa: ASYNC110
                            await asyncio.sleep(0.05)
                    assert ready.status_code == 503
                    assert ready.json()["code"] == "not-ready"
                    assert "about to stop" in ready.json()["detail"]
                    party = {"name": "Late", "kind": "company", "country": "FR"}
                    assert (await client.post("/v1/parties", json=party)).status_code == 201
                assert await asyncio.to_thread(serving.end, signal.SIGINT) == 0


async def test_it_ends_by_itself_when_it_has_drained():
    with scratch_folder() as folder:
        async with deployed(folder) as deployment:
            with deployment.start("project"), deployment.start("serve", REGISTRY_DRAIN_SECONDS="0.2") as serving:
                await deployment.ready()
                assert await asyncio.to_thread(serving.terminate) == 0
