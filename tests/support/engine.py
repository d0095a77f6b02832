"""The Docker engine that container tests need, the images that they try, and the compose file in its own checkout."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg
import docker
import httpx
from docker.models.containers import Container

from tests.support.console import free_port

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "python:3.13-slim"
# Others who test on the same engine have tags of their own.
IMAGE: Final = os.environ.get("REGISTRY_TEST_IMAGE", "cooperation-registry:test")
PROXY_IMAGE: Final = os.environ.get("REGISTRY_TEST_PROXY_IMAGE", "cooperation-registry-proxy:test")
POSTGRES_IMAGE: Final = os.environ.get("REGISTRY_TEST_POSTGRES_IMAGE", "cooperation-registry-postgres:test")
BACKUP_IMAGE: Final = os.environ.get("REGISTRY_TEST_BACKUP_IMAGE", "cooperation-registry-backup:test")
PROMETHEUS_IMAGE: Final = f"{IMAGE}-prometheus"
HARDENED: Final[Mapping[str, Any]] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "user": "65532",
    "security_opt": ["no-new-privileges:true"],
}
"""How the image has to run."""

# What is not in a checkout, or not of a checkout that was just made.
NOT_CHECKED_OUT: Final = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "data", "secrets", "*.egg-info", "htmlcov"
)


def missing() -> str | None:
    """Say what is missing for container tests; None when they can run."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        if done.returncode:
            return f"`{' '.join(command)}` fails: {done.stderr.strip().splitlines()[-1:]}"
    return None


class Compose:
    """The compose file in a copy of the tree, as a project of its own: other ports, another subnet, other images."""

    def __init__(self, folder: Path, files: Sequence[str] = ("docker-compose.yml",)) -> None:
        self.folder = folder
        self.project = f"registry-test-{secrets.token_hex(4)}"
        self.base_url = f"http://127.0.0.1:{free_port()}"
        subnet = f"10.{secrets.randbelow(100) + 100}.{secrets.randbelow(256)}.0/28"
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")},
            "COMPOSE_PROJECT_NAME": self.project,
            "PUBLISH": self.base_url.removeprefix("http://"),
            "FRONT_SUBNET": subnet,
            "IMAGE": IMAGE,
            "PROXY_IMAGE": PROXY_IMAGE,
            "POSTGRES_IMAGE": POSTGRES_IMAGE,
            "COMPOSE_FILE": ":".join(files),
            "BACKUP_IMAGE": BACKUP_IMAGE,
            "PROMETHEUS_IMAGE": PROMETHEUS_IMAGE,
            "BUILD_NETWORK": "host",
        }
        self.docker = docker.from_env()

    def run(self, *arguments: str, seconds: float = 180) -> str:
        """Run `docker compose …` and return what it prints."""
        return self._call("docker", "compose", *arguments, seconds=seconds)

    def script(self, name: str, *arguments: str | Path) -> str:
        """Run one of the operator's scripts and return what it prints."""
        return self._call(str(self.folder / name), *map(str, arguments), seconds=300)

    def shell(self, commands: str) -> str:
        """Run commands of the operator's manual as they stand there, and return what they print."""
        return self._call("sh", "-euc", commands, seconds=180)

    def use(self, image: str) -> None:
        """Let the registry be of another image from now on, as with IMAGE in `.env`."""
        self.environ["IMAGE"] = image

    def _call(self, *command: str, seconds: float) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def registry(self, *arguments: str) -> str:
        """Run another command of the registry, as the operator's manual says."""
        return self.run("run", "--rm", "-T", "registry", *arguments).strip()

    def containers(self, service: str | None = None, *, all: bool = True) -> list[Container]:
        labels = [f"com.docker.compose.project={self.project}"]
        if service is not None:
            labels.append(f"com.docker.compose.service={service}")
        return self.docker.containers.list(all=all, filters={"label": labels})

    def address(self, container: Container, network: str) -> str:
        """Return where a container is reached from this machine: nothing but the proxy is published."""
        container.reload()
        found: str = container.attrs["NetworkSettings"]["Networks"][f"{self.project}_{network}"]["IPAddress"]
        return found

    def dsn(self, service: str = "postgres") -> str:
        """Return the administrator's connection to the registry's database, in the container of a service."""
        (postgres,) = self.containers(service)
        password = self.run("exec", "-T", service, "cat", "/run/secrets/password").strip()
        return f"postgresql://postgres:{password}@{self.address(postgres, 'back')}:5432/registry"

    @asynccontextmanager
    async def client(self, token: str | None = None) -> AsyncGenerator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(base_url=self.base_url, headers=headers, timeout=30) as client:
            yield client

    def up(self) -> None:
        """Bring everything up that is not, and wait until it serves."""
        self.run("up", "--detach", "--wait")

    def logs(self) -> str:
        return self.run("logs", "--no-color", "--tail", "50")

    def down(self) -> None:
        self.run("--profile", "*", "down", "--volumes", "--timeout", "5", "--remove-orphans")
        # Made by a container's root, whom this process need not be.
        secrets_ = {str(self.folder / "deploy"): {"bind": "/deploy", "mode": "rw"}}
        self.docker.containers.run(
            IMAGE, ["-rf", "/deploy/secrets"], entrypoint="rm", user="0", volumes=secrets_, remove=True
        )
        self.docker.close()


async def fetch(dsn: str, query: str) -> list[asyncpg.Record]:
    """Ask a stack's database, on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


def build() -> None:
    """Build the images from this tree, all at once: for the most part they wait for packages."""
    with ThreadPoolExecutor() as builders:
        building = [
            builders.submit(build_image, IMAGE, "--file", "deploy/Dockerfile", "."),
            builders.submit(build_image, PROXY_IMAGE, "deploy/proxy"),
            builders.submit(build_image, BACKUP_IMAGE, "deploy/backup"),
            builders.submit(build_image, POSTGRES_IMAGE, "deploy/ha"),
        ]
        for one in building:
            one.result()


def build_image(image: str, *arguments: str) -> None:
    """Build an image from this tree. The host's network, since the engine may reach no other."""
    _docker("build", "--quiet", "--network", "host", "--tag", image, *arguments)


def derive(name: str, base: str = IMAGE) -> str:
    """Build an image from `tests/containers/images/<name>.Dockerfile` over another, and return its tag."""
    folder, tag = ROOT / "tests" / "containers" / "images", f"{IMAGE}-{name}"
    file = str(folder / f"{name}.Dockerfile")
    build_image(tag, "--build-arg", f"BASE={base}", "--file", file, str(folder))
    return tag


def _docker(*arguments: str) -> None:
    done = subprocess.run(
        ["docker", *arguments],  # noqa: S607 - as above
        cwd=ROOT,
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stdout}{done.stderr}"


@contextmanager
def composed(folder: Path, *over: str) -> Generator[Compose]:
    """Copy the tree as a clean checkout has it, and take down whatever was brought up from it.

    `over` names compose files that are laid over the first.
    """
    shutil.copytree(ROOT, folder, ignore=NOT_CHECKED_OUT)
    made = Compose(folder, ("docker-compose.yml", *over))
    try:
        yield made
    finally:
        made.down()
