"""`registry serve` in a process of its own: how it leaves, so that nobody's request fails."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from services.registry.access import tokens
from services.registry.clock import now
from services.registry.under_way import CLOSE_SECONDS, CUT_SECONDS, FINISH_SECONDS
from tests.support.cluster import scratch_folder
from tests.support.processes import Deployment, deployed
from tests.support.raw import answers
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


async def test_a_stream_under_way_comes_to_its_end():
    with scratch_folder() as folder:
        async with deployed(folder) as deployment:
            owner = await asyncpg.connect(deployment.access.service)
            token, _ = await tokens.create(owner, name="a", roles=["recorder", "follower"], by=OPERATOR, now=now())
            await owner.close()
            with deployment.start("project"), deployment.start("serve") as serving:
                await deployment.ready()
                async with slow_reader(deployment.base_url, token) as client:
                    size = await record_more_than_fits_between(client)
                    async with client.stream(
                        "GET", "/v1/log/entries", headers={"Accept": "application/x-ndjson"}
                    ) as stream:
                        lines = stream.aiter_lines()
                        first = await anext(lines)
                        serving.send(signal.SIGTERM)
                        await refuses_connections(deployment.base_url)
                        positions = [json.loads(line)["sequence"] for line in [first, *[line async for line in lines]]]
                assert positions == [str(position) for position in range(size)]
                assert await asyncio.to_thread(serving.ended) == 0


STALLED = b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"


async def test_who_stalls_is_cut_off_and_does_not_keep_it_from_ending_in_order():
    with scratch_folder() as folder:
        async with deployed(folder) as deployment:
            token = await token_of(deployment, "recorder", "follower")
            with deployment.start("project"), deployment.start("serve") as serving:
                await deployment.ready()
                async with slow_reader(deployment.base_url, token) as client:
                    await record_more_than_fits_between(client)
                sending, said = await request(deployment, token, b"POST /v1/parties", STALLED)
                _, unread = await request(deployment, token, b"GET /v1/log/entries", NDJSON, much=False)
                _, half = await asyncio.open_connection("127.0.0.1", deployment.port)
                half.write(b"GET /health/live HTTP/1.1\r\nHost:")
                await asyncio.sleep(1)
                begun = time.monotonic()
                serving.send(signal.SIGTERM)
                (answer,) = answers(await sending.read())
                assert await asyncio.to_thread(serving.ended) == 0
                assert FINISH_SECONDS < time.monotonic() - begun < FINISH_SECONDS + CLOSE_SECONDS + CUT_SECONDS
                assert (answer.status, answer.headers["content-type"]) == (408, "application/problem+json")
                assert json.loads(answer.body)["code"] == "not-in-time"
                assert answer.headers["request-id"]
                for writer in (said, unread, half):
                    writer.transport.abort()
                lines = journalled(folder)
                (cut,) = [line for line in lines if line["event"] == "requests_cut_short"]
                assert cut["requests"] in {1, 2}  # of what is not read the server alone may have the rest by then
                assert not [line for line in lines if line["level"] == "error"]


async def test_whoever_started_it_is_killed_and_who_stalls_does_not_keep_it_from_ending():
    with scratch_folder() as folder:
        async with deployed(folder) as deployment:
            token = await token_of(deployment, "recorder")
            with deployment.start("project"), deployment.start("serve") as serving:
                await deployment.ready()
                sending, said = await request(deployment, token, b"POST /v1/parties", STALLED)
                serving.send(signal.SIGKILL)
                await asyncio.to_thread(serving.ended)
                async with asyncio.timeout(FINISH_SECONDS + CLOSE_SECONDS + CUT_SECONDS):
                    (answer,) = answers(await sending.read())
                assert answer.status == 408
                said.transport.abort()


NDJSON = b"Accept: application/x-ndjson\r\n\r\n"


async def token_of(deployment: Deployment, *roles: str) -> str:
    owner = await asyncpg.connect(deployment.access.service)
    token, _ = await tokens.create(owner, name="a", roles=roles, by=OPERATOR, now=now())
    await owner.close()
    return token


async def request(
    deployment: Deployment, token: str, line: bytes, rest: bytes, *, much: bool = True
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request, and read nothing of the answer."""
    buffer = socket.socket()
    if not much:
        buffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    buffer.connect(("127.0.0.1", deployment.port))
    reader, writer = await asyncio.open_connection(sock=buffer, limit=2**16 if much else 1)
    writer.write(line + b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token.encode() + b"\r\n" + rest)
    await writer.drain()
    return reader, writer


def journalled(folder: Path) -> list[Any]:
    lines = (folder / "registry.log").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def slow_reader(base_url: str, token: str) -> httpx.AsyncClient:
    """A client that buffers little, so that the service is not done with a stream before it is read."""
    transport = httpx.AsyncHTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=base_url, headers=headers, timeout=30, transport=transport)


async def record_more_than_fits_between(client: httpx.AsyncClient) -> int:
    """Record some 8 MB, and return the log's size."""
    names = [f"{number:02} {'x' * 290}" for number in range(50)]
    party = {"name": "Large", "kind": "company", "country": "FR", "alternative_names": names}
    for _ in range(10):
        recorded = await client.post(
            "/v1/batch", json={"commands": [{"command": "register-party", "data": party}] * 50}
        )
        assert recorded.status_code == 201, recorded.text
    return 500


async def refuses_connections(base_url: str) -> None:
    """Wait until a new client gets nothing any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with httpx.AsyncClient(base_url=base_url, timeout=2) as client:
                    await client.get("/health/live")
            except httpx.TransportError:
                return
            await asyncio.sleep(0.05)
