"""What has to hold of the stack whatever breaks in it while clients record, and when it has to be back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from tests.support.check_log import check_log
from tests.support.engine import Compose
from tests.support.load import Load, recorded_once

T = TypeVar("T")

CLIENTS = 16
BACK_SECONDS = 10.0  # after which every client has to be served again


@asynccontextmanager
async def loaded(stack: Compose, actor: str) -> AsyncGenerator[Load]:
    """Have clients record meanwhile; then nothing acknowledged is lost or doubled, and the oracle holds.

    `actor` names their token, which is made here.
    """
    secret = await asyncio.to_thread(stack.registry, "token", "create", actor, "--role=recorder", "--role=reader")
    load = Load(stack.base_url, secret, actor=actor, clients=CLIENTS)
    loading = asyncio.create_task(load.run())
    try:
        async with asyncio.timeout(60):
            await while_it_runs(loading, load.reached(CLIENTS * 4))
        yield load
    finally:
        load.stop()
        await asyncio.wait_for(loading, 60)
    await recorded_once(stack.dsn(), load)
    await check_log(stack.dsn())


async def back_in_time(stack: Compose, load: Load) -> float:
    """Wait until every client is served and readers see what is recorded, and not longer than they may wait.

    Returns how long that took, in seconds.
    """
    begun = time.monotonic()
    async with asyncio.timeout(BACK_SECONDS):
        await load.all_served()
        await _readers_follow(stack, load.token)
    return time.monotonic() - begun


async def while_it_runs(loading: asyncio.Task[None], reached: Awaitable[T]) -> T:
    """Wait for something of a load and return it, or raise what ended the load."""
    waiting = asyncio.ensure_future(reached)
    await asyncio.wait([waiting, loading], return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await loading
        raise AssertionError("the load ended by itself")
    return waiting.result()


async def _readers_follow(stack: Compose, secret: str) -> None:
    """Show that what is recorded from now on is seen by readers too."""
    async with stack.client(secret) as client:
        while True:
            answer = await client.get("/health/ready")
            if answer.status_code == 200:
                size = answer.headers["Registry-Size"]
                found = await client.get("/v1/parties", params={"limit": 1}, headers={"Registry-Min-Size": size})
                if found.status_code == 200:
                    return
            await asyncio.sleep(0.1)
