"""Clients that record without a pause, through whatever fault, and remember every answer that they got."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator

import asyncpg
import httpx

RECORDED = (200, 201)
UNAVAILABLE = 503
PAUSE = 0.1  # what a client waits that was told, or has to guess, to try again


class Load:
    """Clients that each record parties one after the other, and retry each until it is acknowledged.

    They go on until each has recorded `commands`, or until `stop`. The only answers that they take are success, 503
    with Retry-After, and a broken connection; anything else ends `run` with an AssertionError that shows it.
    `actor` is the name of the token; two loads on one log need different names.
    """

    def __init__(self, base_url: str, token: str, *, actor: str, clients: int, commands: int | None = None) -> None:
        self.actor = actor
        self.token = token
        self.clients = clients
        self.acknowledged: dict[str, int] = {}
        self.unavailable = 0
        self.broken = 0
        self._commands = commands
        self._latest = [0] * clients
        self._stopped = False
        self._progress = asyncio.Condition()
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            limits=httpx.Limits(max_connections=clients),
            timeout=30,
        )

    @property
    def retries(self) -> int:
        return self.unavailable + self.broken

    async def run(self) -> None:
        async with self._client, asyncio.TaskGroup() as group:
            for number in range(self.clients):
                group.create_task(self._record(number))

    def stop(self) -> None:
        """Let each client finish the command that it is at."""
        self._stopped = True

    async def reached(self, acknowledged: int) -> None:
        """Wait until this many commands have been acknowledged."""
        async with self._progress:
            await self._progress.wait_for(lambda: len(self.acknowledged) >= acknowledged)

    async def refused(self, times: int) -> None:
        """Wait until clients have got 503 this many times more."""
        before = self.unavailable
        async with self._progress:
            await self._progress.wait_for(lambda: self.unavailable >= before + times)

    async def all_served(self) -> None:
        """Wait until each client has been acknowledged a command that it began after this was called."""
        begun = list(self._latest)
        async with self._progress:
            await self._progress.wait_for(
                lambda: all(latest >= before + 2 for latest, before in zip(self._latest, begun, strict=True))
            )

    def _numbers(self) -> Iterator[int]:
        return itertools.takewhile(
            lambda one: not self._stopped and (self._commands is None or one < self._commands), itertools.count()
        )

    async def _record(self, number: int) -> None:
        for one in self._numbers():
            key = f"{self.actor}-{number}-{one}"
            position = await self._until_acknowledged(key)
            async with self._progress:
                self.acknowledged[key] = position
                self._latest[number] += 1
                self._progress.notify_all()

    async def _until_acknowledged(self, key: str) -> int:
        body = {"name": f"Party {key}", "kind": "company", "country": "FR"}
        while True:
            try:
                answer = await self._client.post("/v1/parties", json=body, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                self.broken += 1
            else:
                if answer.status_code in RECORDED:
                    position: int = answer.json()["entries"][0]["position"]
                    return position
                assert answer.status_code == UNAVAILABLE, f"{answer.status_code} {answer.text}"
                assert answer.headers.get("Retry-After"), answer.text
                assert answer.headers["Content-Type"] == "application/problem+json", answer.text
                async with self._progress:
                    self.unavailable += 1
                    self._progress.notify_all()
            await asyncio.sleep(PAUSE)


async def recorded_once(dsn: str, load: Load) -> None:
    """Show that the log holds what the load was acknowledged, at the positions that it was told, and no more of it."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT position, stream, command_id, bytes FROM log.entry ORDER BY position")
    finally:
        await connection.close()
    ours = [row for row in rows if json.loads(row["bytes"])["actor"] == load.actor]
    told = {position: f"Party {key}" for key, position in load.acknowledged.items()}
    assert len(told) == len(load.acknowledged), "two commands were acknowledged at one position"
    assert {row["position"]: json.loads(row["bytes"])["data"]["name"] for row in ours} == told
    assert len({row["command_id"] for row in ours}) == len({row["stream"] for row in ours}) == len(told)
