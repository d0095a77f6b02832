"""What is under way when the service ends, and is not finished in time: answered as a problem, or cut off."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import structlog

from services.registry import journal, under_way
from services.registry.access import tokens
from services.registry.cli.listening import listening
from services.registry.clock import now
from services.registry.main import create_service, open_registry
from services.registry.under_way import UnderWay
from tests.support.cluster import Cluster, Database
from tests.support.console import free_port
from tests.support.raw import answers
from tests.support.service import ALL_ROLES, OPERATOR, settings_for

STALLED = b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
WAITING = b"Registry-Min-Size: 1000\r\n\r\n"
LIVE = b"\r\n"


class Sending:
    """Requests to a registry that is about to end."""

    def __init__(self, port: int, token: bytes) -> None:
        self._port = port
        self._token = token

    async def send(self, line: bytes, rest: bytes) -> asyncio.Task[bytes]:
        """Send one, and return all that is answered until the connection closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(line + b" HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + self._token + b"\r\n" + rest)
        await writer.drain()

        async def answered() -> bytes:
            try:
                return await reader.read()
            finally:
                writer.transport.abort()

        return asyncio.create_task(answered())


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    monkeypatch.setattr(under_way, "FINISH_SECONDS", 0.5)
    written = io.StringIO()
    journal.configure("info", "json", written)
    yield written
    structlog.reset_defaults()


@asynccontextmanager
async def served(database: Database, folder: Path) -> AsyncIterator[Sending]:
    """A registry as `registry up` serves it; it ends on the way out."""
    chosen = settings_for(database, folder, min_size_wait=60.0)
    async with open_registry(chosen) as parts:
        token, _ = await tokens.create(parts.pool, name="tests", roles=ALL_ROLES, by=OPERATOR, now=now())
    number, ending = free_port(), UnderWay()
    app = create_service(chosen, under_way=ending)
    async with listening(app, "127.0.0.1", number, head_timeout=60, under_way=ending):
        yield Sending(number, token.encode())


async def test_who_is_not_done_in_time_gets_a_problem_and_the_application_closes(
    cluster: Cluster, tmp_path: Path, lines: io.StringIO
):
    with cluster.database(projected=True) as database:
        async with served(database, tmp_path) as client:
            stalled = await client.send(b"POST /v1/parties", STALLED)
            waiting = await client.send(b"GET /v1/parties", WAITING)
            await asyncio.sleep(0.5)
        for answered, status, code in ((stalled, 408, "not-in-time"), (waiting, 503, "not-ready")):
            (answer,) = answers(await answered)
            assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
            problem = json.loads(answer.body)
            assert (problem["status"], problem["code"]) == (status, code)
            assert "The service ends" in problem["detail"]
            assert answer.headers["request-id"] in lines.getvalue()
            assert answer.headers["connection"] == "close"
            assert answer.headers.get("retry-after") == ("1" if status == 503 else None)
        owner = await asyncpg.connect(database.admin_dsn)
        left = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert await owner.fetchval(f"{left} AND application_name LIKE 'registry%'") == 0
        await owner.close()
    written = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [line["requests"] for line in written if line["event"] == "requests_cut_short"] == [2]
    assert sorted(line["status"] for line in written if line["event"] == "request") == [408, 503]


async def test_who_has_sent_all_is_answered_and_nothing_is_cut_short(
    cluster: Cluster, tmp_path: Path, lines: io.StringIO
):
    with cluster.database(projected=True) as database:
        async with served(database, tmp_path) as client:
            answered = await client.send(b"GET /health/live", LIVE)
            await asyncio.sleep(0.2)
        (answer,) = answers(await answered)
        assert answer.status == 200
    assert "requests_cut_short" not in lines.getvalue()
