"""What an operator adds to the compose file, or changes: TLS, traces, the administrator's password; a bad upgrade."""

from __future__ import annotations

import asyncio
import base64
import re
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
import httpx
import pytest
from docker.models.containers import Container

from services.registry.access.roles import Role
from tests.support import console, engine
from tests.support.certifying import Authority
from tests.support.collecting import Collector
from tests.support.engine import Compose
from tests.support.faults import BACK_SECONDS
from tests.support.world import party

COLLECTOR: Final = "collector"
# Takes what it is sent and says it, a line each: its path, and its body in base64.
COLLECTING: Final = """
import base64, http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        print(self.path, base64.b64encode(body).decode(), flush=True)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("", 4318), Handler).serve_forever()
"""
HOST: Final = "127.0.0.1"
OPERATIONS: Final = (engine.ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stack(images: None, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    with engine.composed(tmp_path_factory.mktemp("checkout") / "tree", "deploy/tls/compose.yml") as made:
        made.base_url = made.base_url.replace("http:", "https:")
        made.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{COLLECTOR}:4318"
        made.script("deploy/tls/certificate.sh", authority.issue(HOST))
        made.up()
        yield made


@pytest.fixture(scope="module")
def token(stack: Compose) -> str:
    return stack.registry("token", "create", "tests", *(f"--role={role}" for role in Role))


@asynccontextmanager
async def client(stack: Compose, trusted: Authority, token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that trusts one authority and no other."""
    context = ssl.create_default_context(cafile=trusted.ca)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(base_url=stack.base_url, headers=headers, timeout=30, verify=context) as made:
        yield made


# TLS


async def test_the_api_is_served_over_tls_to_who_trusts_its_authority_and_verified_from_outside(
    stack: Compose, authority: Authority, token: str
):
    async with client(stack, authority, token) as trusting:
        recorded = await trusting.post("/v1/parties", json=party("Over TLS"))
        assert recorded.status_code == 201, recorded.text
        assert recorded.headers["Strict-Transport-Security"] == "max-age=31536000"
        async with asyncio.timeout(BACK_SECONDS):
            while (await trusting.get("/log/checkpoint")).status_code != 200:  # noqa: ASYNC110 - once a second
                await asyncio.sleep(0.05)
    settings = {"REGISTRY_TOKEN": token, "SSL_CERT_FILE": str(authority.ca)}
    verified = await asyncio.to_thread(console.registry, "verify", stack.base_url, settings=settings)
    assert verified.returncode == 0, f"{verified.stdout}{verified.stderr}"


async def test_who_trusts_another_authority_is_not_served_and_nobody_is_in_the_clear(stack: Compose, tmp_path: Path):
    async with client(stack, Authority(tmp_path)) as another:
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            await another.get("/health/ready")
    async with httpx.AsyncClient(base_url=stack.base_url.replace("https:", "http:")) as plain:
        with pytest.raises(httpx.RemoteProtocolError):
            await plain.get("/health/ready")
    published = {
        (one.labels["com.docker.compose.service"], port)
        for one in stack.containers(all=False)
        for port, at in one.attrs["HostConfig"]["PortBindings"].items()
        if at
    }
    assert published == {("proxy", "8443/tcp")}


async def test_what_is_older_than_tls_1_2_is_refused(stack: Compose, authority: Authority):
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # or this side would not ask
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with httpx.AsyncClient(base_url=stack.base_url, verify=context) as old:
        with pytest.raises(httpx.ConnectError, match="ALERT_PROTOCOL_VERSION"):
            await old.get("/health/ready")


async def test_the_access_record_has_the_clients_own_address(stack: Compose, authority: Authority, token: str):
    async with client(stack, authority, token) as trusting:
        claims = {"X-Forwarded-For": "203.0.113.7"}
        read = await trusting.get("/v1/log/entries", params={"limit": 500}, headers=claims)
        assert read.status_code == 200, read.text
        rows = (await trusting.get("/v1/access", params={"limit": 5})).json()["items"]
    clients = stack.docker.networks.get(f"{stack.project}_clients").attrs["IPAM"]["Config"][0]["Gateway"]
    assert {row["from_address"] for row in rows if row["from_address"]} == {clients}


async def test_a_renewed_certificate_is_served_with_at_once_and_no_request_fails_meanwhile(
    stack: Compose, authority: Authority
):
    before, renewed = await served_with(stack, authority), authority.issue(HOST)
    answers: list[int] = []
    done = asyncio.Event()  # in place of a cancellation, which would leave behind a connection that is being made

    async def ask() -> None:
        while not done.is_set():
            async with client(stack, authority) as asking:
                answers.extend([(await asking.get("/health/ready")).status_code for _ in range(2)])

    async with asyncio.TaskGroup() as asking:
        asking.create_task(ask())
        await asyncio.to_thread(stack.script, "deploy/tls/certificate.sh", renewed)
        assert await served_with(stack, authority) == ssl.PEM_cert_to_DER_cert(_certificate(renewed)) != before
        done.set()
    assert set(answers) == {200}


async def test_a_certificate_without_its_key_is_refused_and_the_one_in_place_stays(
    stack: Compose, authority: Authority, tmp_path: Path
):
    before = await served_with(stack, authority)
    (tmp_path / "certificate").write_text(_certificate(authority.issue(HOST)))
    key = authority.issue(HOST).read_text().removeprefix(_certificate(authority.issue(HOST)))
    (tmp_path / "key").write_text(key[key.index("-----BEGIN PRIVATE") :])
    for files in (["certificate"], ["certificate", "key"]):
        with pytest.raises(AssertionError, match="no certificate with its key"):
            stack.script("deploy/tls/certificate.sh", *(tmp_path / name for name in files))
    assert await served_with(stack, authority) == before


async def served_with(stack: Compose, authority: Authority) -> bytes:
    """Return the certificate that a new client is shown."""
    port = int(stack.base_url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=authority.ca)
    _, writer = await asyncio.open_connection(HOST, port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return shown


def _certificate(pem: Path) -> str:
    text, end, _ = pem.read_text().partition("-----END CERTIFICATE-----")
    return text + end


# Traces


async def test_a_collector_in_the_network_watch_is_sent_the_traces_of_api_and_projector(
    stack: Compose, authority: Authority, token: str
):
    running = stack.docker.containers.create(
        engine.BASE, ["python3", "-c", COLLECTING], name=f"{stack.project}-{COLLECTOR}", **engine.HARDENED
    )
    try:
        stack.docker.networks.get(f"{stack.project}_watch").connect(running, aliases=[COLLECTOR])
        await asyncio.to_thread(running.start)
        async with client(stack, authority, token) as trusting, asyncio.timeout(BACK_SECONDS * 2):
            while not {"POST /v1/parties", "commit", "project"} <= (names := await arrived(running)):
                recorded = await trusting.post("/v1/parties", json=party("Traced"))
                assert recorded.status_code == 201, recorded.text
                await asyncio.sleep(0.5)
    finally:
        running.remove(force=True)
    assert {"decide", "append"} <= names


async def arrived(collector: Container) -> set[str]:
    """Return the names of the spans that a collector was sent."""
    taken = Collector("")
    for line in (await asyncio.to_thread(collector.logs)).decode().splitlines():
        path, body = line.split()
        assert path == "/v1/traces"
        taken.take(path, base64.b64decode(body))
    return {span.name for span in taken.spans}


# The administrator's password


async def test_the_administrators_password_is_changed_as_the_manual_says(
    stack: Compose, authority: Authority, token: str
):
    old = await asyncio.to_thread(stack.dsn)
    blocks = re.findall(r"^```sh\n(.*?)^```$", OPERATIONS, re.MULTILINE | re.DOTALL)
    block = next(block for block in blocks if "ALTER ROLE postgres" in block)  # the next is for three nodes
    await asyncio.to_thread(stack.shell, block)
    new = await asyncio.to_thread(stack.dsn)
    assert new != old
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(old)
    assert await engine.fetch(new, "SELECT 1")
    async with client(stack, authority, token) as trusting:
        recorded = await trusting.post("/v1/parties", json=party("After it"))
        assert recorded.status_code == 201, recorded.text


# An upgrade that fails


async def test_an_upgrade_that_fails_says_why_and_leaves_those_that_serve_and_no_others(stack: Compose):
    before = {one.id for one in stack.containers("api")}
    silent = await asyncio.to_thread(engine.derive, "silent")
    stack.use(silent)
    try:
        with pytest.raises(AssertionError, match=r"256\.0\.0\.1:8000 cannot be listened on"):
            await asyncio.to_thread(stack.script, "deploy/upgrade.sh")
    finally:
        stack.use(engine.IMAGE)
    assert {one.id for one in stack.containers("api") if one.health == "healthy"} == before
    assert {one.id for one in stack.containers("api")} == before
