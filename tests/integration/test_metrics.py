"""Metrics of a running registry: each is there and moves when it should, and none says who did what."""

from __future__ import annotations

import asyncio
import json
import math
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from projections import rebuild
from services.registry.cli.ports import claim_metrics
from services.registry.clock import now
from services.registry.metrics.catalogue import BACKUP_AGE, OF_PROJECTOR, OF_SERVICE, REBUILD_PROGRESS
from services.registry.metrics.requests import METHODS, OTHER, UNMATCHED
from services.registry.settings import InvalidSettings, Settings
from services.registry.signing.signer import NotSigned
from tests.support.check_log import check_log
from tests.support.cluster import Database, scratch_folder
from tests.support.console import free_port, registry
from tests.support.processes import Deployment, deployed
from tests.support.projecting import projecting, terminate
from tests.support.recording import PATIENCE, note, obstacle, open_log, until
from tests.support.scraping import Scraped, scrape
from tests.support.service import Service, running
from tests.support.world import party

NAMES = {metric.name for metric in OF_SERVICE}
ABSENT = {REBUILD_PROGRESS.name, BACKUP_AGE.name}  # while nothing is built, and where nobody tells of backups


@pytest.fixture
async def service(database: Database, tmp_path: Path) -> AsyncIterator[Service]:
    """The application and its projector; the oracle looks after it."""
    async with running(database, tmp_path, checkpoint_seconds=0.05) as made:
        yield made
    await check_log(database.admin_dsn)


@pytest.fixture
async def alone(database: Database, tmp_path: Path) -> AsyncIterator[Service]:
    """The application without a projector, so that its log may hold what no rule of the domain knows."""
    async with running(database, tmp_path, project=False, sign=False) as made:
        yield made
    await check_log(database.service_dsn)


def reached(service: Service, name: str, value: float, **labels: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return (await scrape(service.client)).value(name, **labels) == value

    return ask


async def test_there_is_every_metric_of_the_catalogue_and_no_other(service: Service):
    await service.post("/v1/parties", party("Nexter"))
    await until(reached(service, "registry_checkpoint_entries", 1))

    assert (await scrape(service.client)).names == NAMES - ABSENT


async def test_what_is_recorded_is_counted_projected_and_signed(service: Service):
    before = await scrape(service.client)
    for name in ("Nexter", "Safran", "Thales"):
        await service.post("/v1/parties", party(name))
    batch = [{"command": "register-party", "data": party(name)} for name in ("Airbus", "Dassault")]
    await service.post("/v1/batch", {"commands": batch})
    await until(reached(service, "registry_projection_entries", 5))
    await until(reached(service, "registry_checkpoint_entries", 5))
    page = await scrape(service.client)

    def moved(name: str, **labels: str) -> float:
        return (page.value(name, **labels) or 0) - (before.value(name, **labels) or 0)

    assert moved("registry_append_commands_total") == 4
    assert moved("registry_append_entries_total") == 5
    assert moved("registry_append_batches_total") == moved("registry_append_batch_entries_count") == 4
    assert moved("registry_append_batch_entries_sum") == 5
    assert moved("registry_append_batch_entries_bucket", le="1.0") == 3
    assert moved("registry_append_seconds_count") == 4
    assert 0 < moved("registry_append_seconds_sum") < PATIENCE
    assert moved("registry_log_entries") == moved("registry_projection_entries") == 5
    assert (page.value("registry_projection_lag_entries"), page.value("registry_projection_lag_seconds")) == (0, 0)
    age = page.value("registry_checkpoint_age_seconds")
    assert age is not None
    assert 0 <= age < PATIENCE
    assert page.value("registry_database_up") == 1
    assert page.value("registry_rebuilds_running") == 0
    assert page.value("registry_signing_stopped") == 0
    assert page.value("registry_append_queue_commands") == page.value("registry_append_queue_bytes") == 0
    posted = {"method": "POST", "route": "/v1/parties"}
    assert moved("registry_http_requests_total", **posted, status="201") == 3
    assert moved("registry_http_request_seconds_count", **posted) == 3
    assert 0 < moved("registry_http_request_seconds_sum", **posted) < PATIENCE


async def test_the_newest_base_backup_is_as_old_as_is_told(database: Database, tmp_path: Path):
    file = tmp_path / "status.json"
    async with running(database, tmp_path, project=False, sign=False, backup_status_file=file) as service:
        for text in (None, "what?"):
            if text is not None:
                file.write_text(text)
            assert BACKUP_AGE.name not in (await scrape(service.client)).names
        file.write_text("{}")
        assert (await scrape(service.client)).value(BACKUP_AGE.name) == math.inf
        file.write_text(json.dumps({"finished": (now() - timedelta(hours=40)).isoformat()}))
        age = (await scrape(service.client)).value(BACKUP_AGE.name)
        assert age == pytest.approx(40 * 3600, abs=PATIENCE)


async def test_what_waits_is_seen_while_it_waits(alone: Service, database: Database):
    log = alone.parts.log
    async with obstacle(database) as held:
        first = asyncio.create_task(log.append(note("a/1")))
        await held.waited_for()
        others = [asyncio.create_task(log.append(note(f"b/{nth}"))) for nth in range(3)]
        page = await until_seen(alone, "registry_append_queue_commands", 3)
        waiting_bytes = page.value("registry_append_queue_bytes")
        assert waiting_bytes is not None
        assert waiting_bytes > 3 * 100
        assert page.value("registry_append_queue_limit_commands") == alone.parts.settings.queue_limit
    await asyncio.gather(first, *others)
    page = await scrape(alone.client)
    assert page.value("registry_append_queue_commands") == page.value("registry_append_queue_bytes") == 0


async def until_seen(service: Service, name: str, value: float) -> Scraped:
    await until(reached(service, name, value))
    return await scrape(service.client)


async def test_repetitions_and_what_had_to_be_done_again_are_counted(alone: Service, database: Database):
    log = alone.parts.log
    said = note("a/1")
    await log.append(said)
    await log.append(said)
    assert (await scrape(alone.client)).value("registry_append_replays_total") == 1

    async with await open_log(database.service_dsn) as another:
        await another.append(note("b/1"))
    rebuilt = (await scrape(alone.client)).value("registry_append_batches_rebuilt_total")
    assert rebuilt is not None
    await log.append(note("c/1"))
    assert (await scrape(alone.client)).value("registry_append_batches_rebuilt_total") == rebuilt + 1

    async with obstacle(database) as held:
        waiting = asyncio.create_task(log.append(note("d/1")))
        await held.waited_for()
        assert await terminate(database, "registry-writer") == 1
    await waiting
    resent = (await scrape(alone.client)).value("registry_append_batches_resent_total")
    assert resent is not None
    assert resent >= 1


async def test_how_far_the_read_models_are_behind_is_told_in_entries_and_seconds(alone: Service):
    page = await scrape(alone.client)
    assert (page.value("registry_projection_lag_entries"), page.value("registry_projection_lag_seconds")) == (0, 0)

    await alone.parts.log.append(note("a/1", events=7))
    page = await scrape(alone.client)
    assert page.value("registry_projection_entries") == 0
    assert page.value("registry_projection_lag_entries") == 7
    first = page.value("registry_projection_lag_seconds")
    assert first is not None
    await until(grown(alone, first))


def grown(service: Service, seconds: float) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return ((await scrape(service.client)).value("registry_projection_lag_seconds") or 0) > seconds

    return ask


async def test_a_rebuild_tells_how_far_it_is_as_long_as_somebody_builds(service: Service, database: Database):
    for nth in range(4):
        await service.post("/v1/parties", party(f"Party {nth}"))
    async with projecting(database) as connection:
        built = await rebuild.begin(connection)
        page = await scrape(service.client)
        assert (page.value("registry_rebuilds_running"), page.value(REBUILD_PROGRESS.name)) == (1, 0)
        await built.catch_up(3)
        page = await scrape(service.client)
        assert page.value(REBUILD_PROGRESS.name) == 0.75
        assert page.names == NAMES - {BACKUP_AGE.name}
    page = await scrape(service.client)  # what an interrupted build leaves is none
    assert (page.value("registry_rebuilds_running"), page.value(REBUILD_PROGRESS.name)) == (0, None)


async def test_the_pool_is_told_by_what_its_connections_do(alone: Service):
    pool = alone.parts.pool
    async with pool.acquire(), pool.acquire():
        await until(reached(alone, "registry_pool_connections", 2, state="used"))
    await until(reached(alone, "registry_pool_connections", 0, state="used"))
    page = await scrape(alone.client)
    assert page.value("registry_pool_connections", state="idle") == pool.get_size()
    assert page.value("registry_pool_limit_connections") == alone.parts.settings.pool_size


async def test_that_signing_has_stopped_is_told(alone: Service, monkeypatch: pytest.MonkeyPatch):
    assert alone.parts.signer is not None
    assert (await scrape(alone.client)).value("registry_signing_stopped") == 0
    # Held there: the signer, which is at work beside, finds that it can sign and would take it back.
    held = property(lambda _: NotSigned("for the test"), lambda _, found: None)
    monkeypatch.setattr(type(alone.parts.signer), "stopped", held, raising=False)
    assert (await scrape(alone.client)).value("registry_signing_stopped") == 1


async def test_routes_are_told_as_they_are_declared_and_nothing_that_a_client_says_is(service: Service):
    made = await service.post("/v1/parties", party("Zenobia Works"))
    declared = {re.sub(r":\w+}", "}", str(route.path)) for route in service.app.routes}
    async with service.anonymous() as stranger:
        for path in ("/nowhere", "/v1/parties/secret-name", "/%00", "/v1/" + "x/" * 300, "/metrics/x"):
            await stranger.get(path)
        for method in ("SECRET-METHOD", "TRACE", "PROPFIND"):
            await stranger.request(method, "/v1/parties")
    await service.get(f"/v1/parties/{made['id']}")
    answer = await service.client.get("/metrics")
    page = await scrape(service.client)

    assert page.labels("route") <= {*declared, UNMATCHED}
    assert page.labels("method") <= {*METHODS, OTHER}
    assert all(status in ("none", "other") or 100 <= int(status) < 600 for status in page.labels("status"))
    assert page.value("registry_http_requests_total", method="GET", route="/v1/parties/{id}", status="200") == 1
    assert page.value("registry_http_requests_total", method="GET", route=UNMATCHED, status="404") == 4
    for said in ("secret", "SECRET", "nowhere", "Zenobia", made["id"], "registry.test", "tests"):
        assert said not in answer.text
    labels = {key for _, found in page.samples for key, _ in found}
    assert labels == {"version", "state", "method", "route", "status", "le"}


async def test_a_refusal_is_counted_as_what_it_was_answered_with(service: Service):
    async with service.anonymous() as stranger:
        assert (await stranger.get("/metrics")).status_code == 401
    async with await service.client_of("reader", "recorder", "follower", "auditor") as others:
        assert (await others.get("/metrics")).status_code == 403
    async with await service.client_of("operator") as operator:
        page = await scrape(operator)
    refused = {"method": "GET", "route": "/metrics"}
    assert page.value("registry_http_requests_total", **refused, status="401") == 1
    assert page.value("registry_http_requests_total", **refused, status="403") == 1


# The listener


def test_unless_a_port_is_named_nobody_listens_and_then_on_the_loopback():
    settings = Settings()
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", None)


async def raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


async def test_the_listener_shows_the_page_and_nothing_else(database: Database, tmp_path: Path):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    async with running(database, tmp_path, metrics_port=port) as service, httpx.AsyncClient() as anybody:
        await service.post("/v1/parties", party("Nexter"))
        page = await scrape(anybody, f"{url}/metrics?of=nothing")
        assert page.value("registry_append_commands_total") == 1
        assert page.names >= NAMES - ABSENT - {"registry_checkpoint_age_seconds"}

        head = await anybody.head(f"{url}/metrics")
        assert (head.status_code, head.content) == (200, b"")
        assert int(head.headers["content-length"]) > 0
        for path in ("/", "/metrics/", "/v1/parties", "/health/ready", "/metricsx"):
            assert (await anybody.get(url + path)).status_code == 404
        posted = await anybody.post(f"{url}/metrics", content=b"x")
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
        assert (await raw(port, b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert await raw(port, b"") == b""
        assert await raw(port, b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 100_000) == b""
        pages = await asyncio.gather(*(scrape(anybody, f"{url}/metrics") for _ in range(8)))
        assert all(page.value("registry_database_up") == 1 for page in pages)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_a_client_that_says_nothing_does_not_keep_the_service_from_stopping(database: Database, tmp_path: Path):
    port = free_port()
    async with asyncio.timeout(PATIENCE):
        async with running(database, tmp_path, metrics_port=port):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /metr")
            await writer.drain()
        writer.close()


def test_where_metrics_cannot_be_shown_nothing_starts(database: Database):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = {
            "REGISTRY_PROJECTOR_DATABASE_URL": database.projector_dsn,
            "REGISTRY_METRICS_PORT": str(port),
        }
        refused = registry("project", settings=settings)
    assert refused.returncode == 1
    assert f"127.0.0.1:{port} cannot be listened on: address already in use" in refused.stderr


def test_the_port_of_the_api_is_not_that_of_the_metrics():
    with pytest.raises(InvalidSettings, match="REGISTRY_METRICS_PORT: 8000 is the API's"):
        claim_metrics(Settings(metrics_port=8000), api=True)
    claim_metrics(Settings(port=free_port()), api=True)


# Processes of their own


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    with scratch_folder() as folder:
        async with deployed(folder) as made:
            yield made


async def test_the_projector_shows_whether_it_is_the_one_and_both_answer_without_a_database(
    deployment: Deployment,
) -> None:
    ports = [free_port() for _ in range(3)]
    serving, *projectors = ports

    def start(command: str, port: int) -> Any:
        return deployment.start(command, REGISTRY_METRICS_PORT=str(port))

    async with httpx.AsyncClient(timeout=PATIENCE) as client:

        async def pages(*asked: int) -> list[Scraped]:
            return [await scrape(client, f"http://127.0.0.1:{port}/metrics") for port in asked]

        async def all_have(name: str, values: list[float], *asked: int) -> bool:
            try:
                return sorted(page.value(name) or 0 for page in await pages(*asked)) == values
            except httpx.TransportError:
                return False

        async def interrupted(*asked: int) -> bool:
            found = [page.value("registry_projector_interruptions_total") for page in await pages(*asked)]
            return all(times is not None and times >= 1 for times in found)

        with (
            start("project", projectors[0]),
            start("project", projectors[1]),
            start("serve", serving),
        ):
            await deployment.ready()
            await until(lambda: all_have("registry_projector_active", [0, 1], *projectors))
            names = {metric.name for metric in OF_PROJECTOR} - {REBUILD_PROGRESS.name}
            assert [page.names for page in await pages(*projectors)] == [names, names]

            await deployment.kill_postgres()
            await until(lambda: all_have("registry_database_up", [0, 0, 0], *ports))
            await until(lambda: all_have("registry_projector_active", [0, 0], *projectors))
            for page in await pages(*ports):
                assert page.value("registry_log_entries") is None
            await until(lambda: interrupted(*projectors))

            await asyncio.to_thread(deployment.postgres.start)
            await until(lambda: all_have("registry_database_up", [1, 1, 1], *ports))
            await until(lambda: all_have("registry_projector_active", [0, 1], *projectors))
