"""The image: what is in it, how little it needs, how it starts and how it ends."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import re
import secrets
import stat
import tarfile
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

import asyncpg
import docker
import httpx
import pytest
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from events.log.migrate import migrate
from events.vault import MasterKey
from services.registry import provision
from services.registry.access import tokens
from services.registry.clock import now
from tests.support import cluster, engine
from tests.support.check_log import check_log
from tests.support.service import OPERATOR

STARTS_SECONDS: Final = 3.0
STARTS: Final = 12
ABOVE_BASE: Final = 200 * 1000**2  # bytes
IN_FLIGHT: Final = 16
METADATA: Final = {"title": "Report", "publisher": "Press", "published": "2019-06-19", "language": "en"}
PASSWORDS: Final = {login: f"made-up-{login}" for login in provision.LOGINS}
TOOLS: Final = re.compile(
    r"/s?bin/(pip[\d.]*|uv|uvx|gcc|cc|c\+\+|g\+\+|clang|ld|make|cmake|cargo|rustc|git|curl|wget)$|/(pip|setuptools)/__init__"
)
PRIVATE: Final = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}|PRIVATE\+KEY\+\S+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{20}"
)
NAMED_AS_SECRET: Final = re.compile(r"(^|/)(\.env|\.netrc|\.git-credentials|id_(rsa|ed25519)|master\.key|[^/]+\.p12)$")
DATA: Final = "var/lib/registry"


class Served:
    """`registry serve` in a container, and the database that it is over."""

    def __init__(self, container: DockerContainer, access: provision.Access, admin_dsn: str) -> None:
        self.container = container
        self.access = access
        self.admin_dsn = admin_dsn
        self.base_url = f"http://127.0.0.1:{container.get_exposed_port(8000)}"

    async def token(self) -> str:
        connection = await asyncpg.connect(self.access.service)
        try:
            token, _ = await tokens.create(
                connection, name="tests", roles=["recorder", "reader"], by=OPERATOR, now=now()
            )
            return token
        finally:
            await connection.close()


@pytest.fixture(scope="module")
def network(images: None) -> Iterator[Network]:
    with Network() as made:
        yield made


@pytest.fixture(scope="module")
def postgres(network: Network) -> Iterator[PostgresContainer]:
    container = PostgresContainer(cluster.IMAGE, driver=None)
    with container.with_network(network).with_network_aliases("postgres") as running:
        yield running


@contextmanager
def served(postgres: PostgresContainer, network: Network, folder: Path, name: str) -> Generator[Served]:
    """A fresh database, and the image over it with no right but what it needs."""
    admin = postgres.get_connection_url()
    access = asyncio.run(provision.provision(admin, name, passwords=PASSWORDS))
    asyncio.run(migrate(access.owner))
    inside = provision.access("postgresql://postgres:5432", name, passwords=PASSWORDS)
    MasterKey.create_file(folder / "master.key")
    (folder / "service_url").write_text(inside.service)
    for file in (folder, folder / "master.key", folder / "service_url"):
        file.chmod(0o755)  # the container's user is nobody here
    container = (
        DockerContainer(engine.IMAGE)
        .with_kwargs(**engine.HARDENED)
        .with_network(network)
        .with_volume_mapping(str(folder), "/run/secrets", "ro")
        .with_env("REGISTRY_DATABASE_URL_FILE", "/run/secrets/service_url")
        .with_env("REGISTRY_MASTER_KEY_FILE", "/run/secrets/master.key")
        .with_exposed_ports(8000)
    )
    with container as running:
        yield Served(running, access, provision.dsn_for(admin, database=name))


@pytest.fixture
def service(postgres: PostgresContainer, network: Network, tmp_path: Path) -> Iterator[Served]:
    with served(postgres, network, tmp_path, f"test_{secrets.token_hex(4)}") as made:
        yield made


async def listening(service: Served) -> None:
    async with httpx.AsyncClient(base_url=service.base_url) as client, asyncio.timeout(30):
        while True:
            try:
                if (await client.get("/health/live")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)


async def test_it_records_with_a_read_only_file_system_no_capability_and_an_ordinary_user(service: Served):
    await listening(service)
    document = b"%PDF-" + bytes(4_000_000)
    async with httpx.AsyncClient(
        base_url=service.base_url, headers={"Authorization": f"Bearer {await service.token()}"}, timeout=30
    ) as client:
        sha256 = hashlib.sha256(document).hexdigest()
        filed = await client.put(
            f"/v1/documents/{sha256}", content=document, headers={"Content-Type": "application/pdf"}
        )
        assert filed.status_code == 201, filed.text
        form = {
            "metadata": (None, json.dumps(METADATA), "application/json"),
            "document": ("report.pdf", document[:-1], "application/pdf"),
        }
        source = await client.post("/v1/sources", files=form)
        assert source.status_code == 201, source.text
    assert (await check_log(service.admin_dsn)).size == 1


async def test_it_listens_within_three_seconds_of_its_start(service: Served):
    """The best of several, since the machine has other things to do."""
    await listening(service)
    container = service.container.get_wrapped_container()
    took: list[float] = []
    for _ in range(STARTS):
        await asyncio.to_thread(container.stop)
        begun = time.monotonic()
        await asyncio.to_thread(container.start)
        service.base_url = f"http://127.0.0.1:{service.container.get_exposed_port(8000)}"
        await listening(service)
        took.append(time.monotonic() - begun)
        if took[-1] < STARTS_SECONDS:
            return
    raise AssertionError(took)


async def test_sigterm_lets_requests_under_way_finish_and_what_waits_be_recorded(service: Served):
    await listening(service)
    container = service.container.get_wrapped_container()
    async with httpx.AsyncClient(
        base_url=service.base_url, headers={"Authorization": f"Bearer {await service.token()}"}, timeout=30
    ) as client:
        in_the_way = await asyncpg.connect(service.admin_dsn)
        try:
            async with in_the_way.transaction():
                await in_the_way.execute("SELECT FROM log.head FOR UPDATE")
                asked = [
                    asyncio.create_task(
                        client.post("/v1/parties", json={"name": f"P {n}", "kind": "company", "country": "FR"})
                    )
                    for n in range(IN_FLIGHT)
                ]
                waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                async with asyncio.timeout(10):
                    while not await in_the_way.fetchval(waits):  # noqa: ASYNC110 - another process
                        await asyncio.sleep(0.01)
                await asyncio.to_thread(container.kill, "SIGTERM")
                await _refuses_connections(service)
        finally:
            await in_the_way.close()
        answers = await asyncio.gather(*asked)
    ended = await asyncio.to_thread(container.wait, timeout=30)
    assert [answer.status_code for answer in answers] == [201] * IN_FLIGHT
    assert ended["StatusCode"] == 0
    assert (await check_log(service.admin_dsn)).size == IN_FLIGHT


async def _refuses_connections(service: Served) -> None:
    """Wait until a new client gets nothing any more."""
    async with asyncio.timeout(10):
        while True:
            try:
                async with httpx.AsyncClient(base_url=service.base_url, timeout=2) as client:
                    await client.get("/health/live")
            except httpx.TransportError:
                return
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def files(images: None) -> Iterator[tarfile.TarFile]:
    """Every file of the image."""
    client = docker.from_env()
    container = client.containers.create(engine.IMAGE)
    try:
        archive = io.BytesIO(b"".join(cast("Iterator[bytes]", container.export())))
    finally:
        container.remove()
        client.close()
    with tarfile.open(fileobj=archive) as opened:
        yield opened


def test_nothing_in_it_can_be_written_by_who_it_runs_as_but_the_folder_for_keys(files: tarfile.TarFile):
    scratch = {"tmp", "var/tmp", "run/lock", "dev/shm", "dev/mqueue"}  # sticky, empty, and read-only when it runs
    writable = [
        member.name
        for member in files
        if (member.isfile() or member.isdir()) and (65532 in (member.uid, member.gid) or member.mode & stat.S_IWOTH)
    ]
    assert {name for name in writable if name not in scratch} == {DATA, f"{DATA}/keys"}
    within = tuple(f"{folder}/" for folder in scratch)
    assert not [member.name for member in files if member.isfile() and member.name.startswith(within)]


def test_there_are_no_build_tools_no_installers_and_no_set_uid_programs_of_ours_in_it(files: tarfile.TarFile):
    assert not [member.name for member in files if TOOLS.search(member.name)]
    assert not [
        member.name for member in files if member.isfile() and member.mode & 0o6000 and member.name.startswith("opt/")
    ]


def test_there_is_no_secret_in_it(files: tarfile.TarFile):
    assert not [member.name for member in files if NAMED_AS_SECRET.search(member.name)]
    found = [member.name for member in files if member.isfile() and _holds(files.extractfile(member), PRIVATE)]
    assert not found
    layers = docker.from_env().images.get(engine.IMAGE).history()
    assert not [layer for layer in layers if re.search(r"BEGIN CERTIFICATE|password|token=", layer["CreatedBy"])]


def _holds(file: IO[bytes] | None, pattern: re.Pattern[bytes]) -> bool:
    assert file is not None
    return bool(pattern.search(file.read()))


def test_the_program_in_it_is_that_of_this_tree(files: tarfile.TarFile):
    inside = {
        member.name.partition("/site-packages/")[2]: hashlib.sha256(files.extractfile(member).read()).digest()  # type: ignore[union-attr]
        for member in files
        if re.search(r"/site-packages/(events|projections|services)/.*\.(py|sql)$", member.name)
    }
    here = {
        path.relative_to(engine.ROOT).as_posix(): hashlib.sha256(path.read_bytes()).digest()
        for package in ("events", "projections", "services")
        for path in (engine.ROOT / package).rglob("*")
        if path.suffix in (".py", ".sql")
    }
    assert inside == here


def test_it_is_labelled_and_adds_less_than_200_mb_to_its_base(images: None):
    client = docker.from_env()
    image, base = client.images.get(engine.IMAGE), client.images.get(engine.BASE)
    assert image.attrs["Size"] - base.attrs["Size"] < ABOVE_BASE
    labels = {
        f"org.opencontainers.image.{name}" for name in ("title", "description", "licenses", "version", "revision")
    }
    assert labels <= image.labels.keys()
    assert image.attrs["Config"]["User"] == "65532:65532"
    assert image.attrs["Config"]["Healthcheck"]["Test"]
