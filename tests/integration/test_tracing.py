"""Traces: from a request to the commit and to the read models, as a collector gets them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from events.log.observer import Commit
from projections.projector import Projector
from services.registry import journal
from services.registry.settings import Settings
from services.registry.tracing import exporting, switch
from tests.support.check_log import check_log
from tests.support.cluster import Database, scratch_folder
from tests.support.collecting import Collected, Collector, collecting, hanging
from tests.support.processes import deployed
from tests.support.service import Service, execute, running
from tests.support.world import party

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
SERVER, PRODUCER, CONSUMER = 2, 4, 5
OPEN = {"traceparent": TRACEPARENT}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")


@pytest.fixture
def collector() -> Generator[Collector]:
    with collecting() as made:
        yield made


@asynccontextmanager
async def traced(database: Database, folder: Path, endpoint: str, **more: Any) -> AsyncGenerator[Service]:
    """Run the application and a projector, both of them traced."""
    settings = Settings(projector_database_url=database.projector_dsn, tracing_endpoint=endpoint)
    async with switch.following(settings) as following:
        projecting = asyncio.create_task(Projector(database.projector_dsn, observer=following).run())
        try:
            async with running(database, folder, project=False, tracing_endpoint=endpoint, **more) as service:
                while await service.parts.read_models.live_position() is None:  # noqa: ASYNC110 - by the database
                    await asyncio.sleep(0.005)
                yield service
        finally:
            projecting.cancel()
            await asyncio.gather(projecting, return_exceptions=True)


async def arrived(collector: Collector, enough: Callable[[Collector], bool]) -> None:
    await asyncio.to_thread(collector.wait_for, enough)


def one(collector: Collector, name: str) -> Collected:
    (found,) = collector.named(name)
    return found


async def test_one_trace_leads_from_the_request_over_decision_and_commit_to_the_read_models(
    database: Database, tmp_path: Path, collector: Collector
):
    async with traced(database, tmp_path, collector.endpoint) as service:
        answer = await service.client.post("/v1/parties", json=party("Nexter"), headers=OPEN)
        assert answer.status_code == 201
        await arrived(collector, lambda seen: bool(seen.named("project")))

    request = one(collector, "POST /v1/parties")
    assert (request.trace.hex(), request.parent.hex(), request.kind) == (TRACE, CALLER, SERVER)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/parties",
        "http.response.status_code": 201,
        "url.scheme": "http",
        "registry.request_id": answer.headers["Request-Id"],
    }
    turn, decide, append = (one(collector, name) for name in ("wait for the stream's turn", "decide", "append"))
    assert {turn.parent, decide.parent, append.parent} == {request.id}
    waiting, commit = one(collector, "wait in the queue"), one(collector, "commit")
    assert {waiting.parent, commit.parent} == {append.id}
    assert commit.links == {append.id}
    assert append.links == {commit.id}
    assert commit.kind == PRODUCER
    span = {"registry.position": 0, "registry.size": 1, "registry.entries": 1}
    assert commit.attributes == {**span, "registry.commands": 1}
    project = one(collector, "project")
    assert (project.parent, project.links, project.kind) == (commit.id, {commit.id}, CONSUMER)
    assert project.attributes == span
    assert (request.service, project.service) == ("registry-api", "registry-projector")
    assert {found.trace.hex() for found in collector.spans} == {TRACE}
    assert decide.ended <= append.begun
    assert abs(waiting.ended - commit.begun) < 1_000_000
    assert request.begun <= decide.begun <= commit.begun <= commit.ended <= request.ended
    assert (await check_log(database.admin_dsn)).size == 1


async def test_a_commit_is_linked_to_every_command_in_it_and_the_projection_to_every_commit(
    database: Database, tmp_path: Path, collector: Collector
):
    count = 60

    def all_are_projected(seen: Collector) -> bool:
        return sum(found.attributes["registry.entries"] for found in seen.named("project")) == count

    async with traced(database, tmp_path, collector.endpoint) as service:
        await asyncio.gather(*(service.post("/v1/parties", party(f"Party {nth}")) for nth in range(count)))
        await arrived(collector, lambda seen: all_are_projected(seen) and len(seen.named("POST /v1/parties")) == count)
        await arrived(collector, lambda seen: len(seen.named("append")) == count)

    commits, projected = collector.named("commit"), collector.named("project")
    appends = {found.id: found for found in collector.named("append")}
    assert len(commits) < count
    assert sum(found.attributes["registry.commands"] for found in commits) == count
    linked = [link for commit in commits for link in commit.links]
    assert sorted(linked) == sorted(appends)  # each command in one commit
    for commit in commits:
        assert commit.parent in commit.links
        assert commit.trace == appends[commit.parent].trace
        assert all(appends[link].links == {commit.id} for link in commit.links)
    for found in projected:
        first, size = found.attributes["registry.position"], found.attributes["registry.size"]
        assert found.links == {
            commit.id
            for commit in commits
            if commit.attributes["registry.position"] < size and commit.attributes["registry.size"] > first
        }
    assert len({found.trace for found in collector.named("POST /v1/parties")}) == count


async def test_nothing_of_what_clients_say_is_in_a_span(database: Database, tmp_path: Path, collector: Collector):
    async with traced(database, tmp_path, collector.endpoint) as service:
        host = await service.post("/v1/parties", party("Zenobia Works"), Idempotency_Key="secret-key")
        await service.post("/v1/people", {"name": "Araminta Quill", "contact": "secret@example.org"})
        async with await service.client_of("reader", name="secret-token-name") as reader:
            await reader.get("/v1/search", params={"q": "Araminta"})
            await reader.get("/v1/parties/secret-id", headers={"User-Agent": "secret-agent"})
            await reader.get("/v1/secret-path")
            await reader.request("SECRET", "/v1/parties")
            await reader.get("/v1/parties", headers={**OPEN, "tracestate": "secret=state", "baggage": "secret=1"})
            refused = await reader.post("/v1/parties", json=party("secret refused"))
            assert refused.status_code == 403
        answered = await service.client.post("/v1/parties", json={"name": 7, "secret": 1})
        assert answered.status_code in (400, 422)
        await arrived(collector, lambda seen: len(seen.named("POST /v1/parties")) == 3)
    sent = b"".join(collector.bodies)
    assert len(collector.named("GET")) + len(collector.named("HTTP")) >= 2
    assert collector.named("GET /v1/parties/{id}")
    for said in (b"Zenobia", b"Araminta", b"Quill", b"secret", b"SECRET", b"tests", b"reg_", host["id"].encode()):
        assert said not in sent, said
    keys = {key for span in collector.spans for key in span.attributes}
    assert keys <= {
        "http.request.method",
        "http.route",
        "http.response.status_code",
        "url.scheme",
        "error.type",
        *(f"registry.{name}" for name in ("request_id", "attempt", "commands", "position", "size", "entries")),
    }


async def test_a_refusal_is_told_by_its_code_and_is_no_failure(
    database: Database, tmp_path: Path, collector: Collector
):
    async with traced(database, tmp_path, collector.endpoint) as service:
        made = await service.post("/v1/parties", party("Nexter"))
        answer = await service.client.post(f"/v1/parties/{made['id']}/rename", json={"name": "Nexter"})
        assert answer.status_code == 409
        await arrived(collector, lambda seen: bool(seen.named("POST /v1/parties/{id}/rename")))
    decided = [span for span in collector.named("decide") if "error.type" in span.attributes]
    assert {span.attributes["error.type"] for span in decided} == {answer.json()["code"]}
    assert {span.status for span in collector.spans} == {0}


async def test_what_the_caller_does_not_sample_and_what_monitors_ask_is_not_traced(
    database: Database, tmp_path: Path, collector: Collector
):
    async with traced(database, tmp_path, collector.endpoint) as service:
        unsampled = {"traceparent": TRACEPARENT[:-2] + "00"}
        await service.client.post("/v1/parties", json=party("Nexter"), headers=unsampled)
        for path in ("/health/live", "/health/ready", "/metrics"):
            await service.client.get(path)
        await service.client.get("/v1/parties", headers={"traceparent": "nonsense"})
        await arrived(collector, lambda seen: bool(seen.named("GET /v1/parties") and seen.named("project")))
    # That it was projected is known to the projector alone, which begins a trace of its own.
    assert {span.name for span in collector.spans} == {"GET /v1/parties", "project"}
    assert not one(collector, "project").parent
    assert not one(collector, "GET /v1/parties").parent


async def test_hints_that_anybody_makes_up_are_passed_over(database: Database, tmp_path: Path, collector: Collector):
    async with traced(database, tmp_path, collector.endpoint) as service:
        for hint in ("", "nonsense", "1 2", f"0 1 00-{'0' * 32}-{'0' * 16}-01", "0 " + "9" * 30 + " " + TRACEPARENT):
            await execute(database.service_dsn, "SELECT pg_notify('registry_trace', $1)", hint)
        await service.client.post("/v1/parties", json=party("Nexter"), headers=OPEN)
        await arrived(collector, lambda seen: bool(seen.named("project")))
    assert one(collector, "project").links == {one(collector, "commit").id}


def lines(stream: io.StringIO, event: str) -> list[Any]:
    return [line for line in map(json.loads, stream.getvalue().splitlines()) if line["event"] == event]


@pytest.fixture
def journalled() -> Generator[io.StringIO]:
    stream = io.StringIO()
    journal.configure("info", "json", stream)
    yield stream
    journal.configure("info", "json")


async def test_lines_of_the_journal_have_the_traces_id(
    database: Database, tmp_path: Path, collector: Collector, journalled: io.StringIO
):
    async with traced(database, tmp_path, collector.endpoint) as service:
        await service.client.get("/v1/parties", headers=OPEN)
        await service.client.get("/health/live")
    assert [line.get("trace_id") for line in lines(journalled, "request")] == [TRACE, None]


async def test_a_collector_that_hangs_costs_no_request_anything_and_is_told_of_once(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journalled: io.StringIO
):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "16")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    with hanging() as endpoint:
        async with traced(database, tmp_path, endpoint) as service:
            begun = time.monotonic()
            slowest = 0.0
            for nth in range(40):  # five spans and more each: the queue overflows while the first batch is under way
                at = time.monotonic()
                await service.post("/v1/parties", party(f"Party {nth}"))
                slowest = max(slowest, time.monotonic() - at)
            assert slowest < 3.0  # the collector's time: nobody waited for it
            # Past a time-out, so that both the full queue and the collector's silence would have been told.
            await asyncio.sleep(max(0.0, begun + 4.0 - time.monotonic()))
            assert threads_named("OtelBatch") == 2
            leaving = time.monotonic()
        assert time.monotonic() - leaving < 2 * exporting.CLOSE_SECONDS + 2.0
    assert len(lines(journalled, "traces_are_lost")) == 1
    assert [line for line in journalled.getvalue().splitlines() if "127.0.0.1" in line] == []
    assert (await check_log(database.admin_dsn)).size == 40


def threads_named(name: str) -> int:
    return sum(thread.name.startswith(name) for thread in threading.enumerate())


async def test_that_traces_arrive_again_is_told(
    journalled: io.StringIO, collector: Collector, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(exporting, "LASTING_SECONDS", 0.0)
    async with exporting.exporting(collector.endpoint, "registry-api") as tracer:
        logging.getLogger("opentelemetry.sdk").warning("Something with %s", "a secret")
        logging.getLogger("opentelemetry.sdk").warning("Something else")
        tracer.start_span("one").end()
        await arrived(collector, lambda seen: bool(seen.named("one")))
        while not lines(journalled, "traces_arrive_again"):  # noqa: ASYNC110 - another thread, after it has arrived
            await asyncio.sleep(0.005)
    assert [line["why"] for line in lines(journalled, "traces_are_lost")] == ["Something with %s"]
    assert "a secret" not in journalled.getvalue()


async def test_an_observer_is_told_of_each_commit_and_nothing_is_noted_without_one(service: Service):
    told: list[Commit] = []
    await service.post("/v1/parties", party("Before"))
    service.parts.log.observe(told.append)
    await service.post("/v1/parties", party("After"))
    (commit,) = told
    assert (commit.first, commit.size, len(commit.commands)) == (1, 2, 1)
    assert commit.commands[0][1] <= commit.sent <= commit.durable


@pytest.fixture
async def service(database: Database, tmp_path: Path) -> AsyncGenerator[Service]:
    async with running(database, tmp_path, project=False) as made:
        yield made


# Processes of their own


async def test_serve_and_project_trace_to_the_collector_that_opentelemetrys_variables_name(collector: Collector):
    named = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint.removesuffix("/v1/traces"),
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
    }
    with scratch_folder() as folder:
        async with deployed(folder) as deployment:
            with deployment.start("project", **named) as project, deployment.start("serve", **named) as serve:
                await deployment.ready()
                async with httpx.AsyncClient(base_url=deployment.base_url) as client:
                    assert (await client.get("/v1/parties", headers=OPEN)).status_code == 401
                assert serve.terminate() == 0  # what waits to be sent is sent at the end
                assert project.terminate() == 0
    refused = one(collector, "GET /v1/parties")
    assert (refused.service, refused.trace.hex()) == ("registry-api", TRACE)
    assert refused.attributes["http.response.status_code"] == 401
    assert set(collector.paths) == {"/v1/traces"}


def imported(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)


async def test_nothing_of_opentelemetry_is_imported_unless_it_is_configured(database: Database, tmp_path: Path):
    async with running(database, tmp_path) as made:
        settings = made.parts.settings
    program = f"""
import asyncio, sys
import services.registry.cli.serve, services.registry.cli.project, services.registry.cli.up
from services.registry.cli.project import _checked
from services.registry.main import create_service
from services.registry.settings import load
environ = {{
    "REGISTRY_DATABASE_URL": {database.service_dsn!r},
    "REGISTRY_PROJECTOR_DATABASE_URL": {database.projector_dsn!r},
    "REGISTRY_MASTER_KEY_FILE": {str(settings.master_key_file)!r},
}}
async def main(settings):
    app = create_service(settings)
    started, ended = asyncio.Event(), asyncio.Event()
    messages = iter([{{"type": "lifespan.startup"}}])
    async def receive():
        for message in messages:
            return message
        await ended.wait()
        return {{"type": "lifespan.shutdown"}}
    async def send(message):
        assert message["type"].endswith(".complete"), message
        started.set()
    project = asyncio.create_task(_checked(settings))
    serve = asyncio.create_task(app({{"type": "lifespan", "app": None, "state": {{}}, "asgi": {{}}}}, receive, send))
    await started.wait()
    project.cancel()
    ended.set()
    await asyncio.wait([serve, project])
asyncio.run(main(load(environ)))
libraries = ("opentelemetry", "google.protobuf")
constants = "opentelemetry.semconv.attributes.http_attributes"
print([name for name in sys.modules if name.startswith(libraries) and not constants.startswith(name)])
"""
    # Litestar looks for a plugin of its own, and so imports a module of constants, if that is installed.
    assert imported(program).stdout.splitlines()[-1] == "[]"
