"""The Docker engine that container tests need, the images that they try, and the compose file in its own checkout."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import docker
import httpx
from docker.models.containers import Container

from tests.support.console import free_port

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "python:3.13-slim"
IMAGE: Final = os.environ.get("TEST_IMAGE", "cooperation-registry:test")
PROXY_IMAGE: Final = os.environ.get("TEST_PROXY_IMAGE", "cooperation-registry-proxy:test")
BACKUP_IMAGE: Final = os.environ.get("TEST_BACKUP_IMAGE", "cooperation-registry-backup:test")
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

    def __init__(self, folder: Path) -> None:
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
            "BACKUP_IMAGE": BACKUP_IMAGE,
            "BUILD_NETWORK": "host",
        }
        self.docker = docker.from_env()

    def run(self, *arguments: str, seconds: float = 180) -> str:
        """Run `docker compose …` and return what it prints."""
        done = subprocess.run(
            ["docker", "compose", *arguments],  # noqa: S607 - the operator's
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
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

    def dsn(self) -> str:
        """Return the administrator's connection to the registry's database."""
        (postgres,) = self.containers("postgres")
        password = self.run("exec", "-T", "postgres", "cat", "/run/secrets/password").strip()
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


def build() -> None:
    """Build the images from this tree. The host's network, since the engine may reach no other."""
    for image, arguments in (
        (IMAGE, ["--file", "deploy/Dockerfile", "."]),
        (PROXY_IMAGE, ["deploy/proxy"]),
        (BACKUP_IMAGE, ["deploy/backup"]),
    ):
        _docker("build", "--quiet", "--network", "host", "--tag", image, *arguments)


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
def composed(folder: Path) -> Generator[Compose]:
    """Copy the tree as a clean checkout has it, and take down whatever was brought up from it."""
    shutil.copytree(ROOT, folder, ignore=NOT_CHECKED_OUT)
    made = Compose(folder)
    try:
        yield made
    finally:
        made.down()
