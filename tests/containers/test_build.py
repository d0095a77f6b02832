"""The build on a network that intercepts TLS: it takes that network's CA as a secret, and leaves it nowhere."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final

import docker
import pytest
import yaml

from tests.support import engine
from tests.support.certifying import Authority
from tests.support.intercepting import Interceptor, intercepting

DEPLOY: Final = engine.ROOT / "deploy"
DOCKERFILES: Final = sorted(DEPLOY.rglob("Dockerfile"))
# Of one dependency, as what is tried is the way to it: the registry's own would take a minute.
PROJECT: Final = """
[project]
name = "cooperation-registry"
version = "0.0.0"
requires-python = ">=3.11"
dependencies = ["anyascii"]
optional-dependencies = { tracing = [] }
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[tool.hatch.build.targets.wheel]
packages = ["events", "projections", "services"]
"""


class Network:
    """A network on which no host is reached but by who trusts its CA, and the images that are built on it."""

    def __init__(self, interceptor: Interceptor, project: Path) -> None:
        self.interceptor = interceptor
        self.tag = f"registry-test-{secrets.token_hex(4)}"
        self._project = project
        base = f"{self.tag}-base"
        images = engine.ROOT / "tests" / "containers" / "images"
        told = ("--build-arg", f"BASE={engine.BASE}", "--build-arg", f"TRIAL={self.tag}")
        engine.build_image(base, *told, "--file", str(images / "impatient.Dockerfile"), str(images))
        proxy = ("HTTPS_PROXY", "https_proxy")
        arguments = [f"BASE={base}", *(f"{name}={interceptor.url}" for name in proxy)]
        self._arguments = [part for argument in arguments for part in ("--build-arg", argument)]

    def build_registry(self, ca: Path | None) -> subprocess.CompletedProcess[str]:
        """Build by deploy/Dockerfile what stands for the registry."""
        secret = ["--secret", f"id=ca,src={ca}"] if ca else []
        command = ["build", "--network", "host", "--tag", self.tag, *secret, *self._arguments]
        return self._docker(*command, "--file", str(DEPLOY / "Dockerfile"), str(self._project))

    def build_proxy(self, ca: Path | None) -> subprocess.CompletedProcess[str]:
        """Build the compose file's proxy, with BUILD_CA."""
        environ = {"BUILD_NETWORK": "host", "PROXY_IMAGE": f"{self.tag}-proxy", "BUILD_CA": str(ca) if ca else ""}
        return self._docker("compose", "build", *self._arguments, "proxy", **environ)

    @staticmethod
    def _docker(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", *arguments],  # noqa: S607 - wherever it is installed
            cwd=engine.ROOT,
            env={**os.environ, "DOCKER_BUILDKIT": "1", **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def remove(self) -> None:
        client = docker.from_env()
        for image in client.images.list(filters={"reference": f"{self.tag}*"}):
            client.images.remove(image.id, force=True)
        client.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def network(images: None, authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    project = tmp_path_factory.mktemp("project")
    (project / "pyproject.toml").write_text(PROJECT)
    for name in ("README.md", "LICENSE"):
        shutil.copy(engine.ROOT / name, project)
    for package in ("events", "projections", "services"):
        (project / package).mkdir()
        (project / package / "__init__.py").touch()
    subprocess.run([os.environ.get("UV", "uv"), "lock", "--quiet", "--project", project], check=True, timeout=60)
    with intercepting(authority) as interceptor:
        made = Network(interceptor, project)
        try:
            yield made
        finally:
            made.remove()


@pytest.mark.parametrize("trusted", ["nobody", "another"])
def test_without_the_networks_ca_nothing_is_fetched_and_nothing_is_built(
    network: Network, tmp_path: Path, trusted: str
):
    ca = Authority(tmp_path).ca if trusted == "another" else None
    with ThreadPoolExecutor() as builders:
        building = [builders.submit(build, ca) for build in (network.build_registry, network.build_proxy)]
        outcomes = [one.result() for one in building]
    assert [outcome.returncode != 0 for outcome in outcomes] == [True, True]
    assert not network.interceptor.hosts


def test_with_it_images_are_built_and_it_is_in_no_layer_of_them(network: Network, authority: Authority, tmp_path: Path):
    with ThreadPoolExecutor() as builders:
        building = [builders.submit(build, authority.ca) for build in (network.build_registry, network.build_proxy)]
        outcomes = [one.result() for one in building]
    for outcome in outcomes:
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert network.interceptor.hosts

    _, line, *_ = authority.ca.read_text().splitlines()  # the first of those that are the certificate
    for image in (network.tag, f"{network.tag}-proxy"):
        saved = tmp_path / "image.tar"
        with saved.open("wb") as file:
            subprocess.run(["docker", "save", image], stdout=file, check=True, timeout=60)  # noqa: S607 - as above
        names = list(holding(saved, line.encode()))
        assert names == []
        saved.unlink()


def holding(image: Path, text: bytes) -> Iterator[str]:
    """Yield what of an image holds a text: its configuration, its history, and every file of every layer."""
    with tarfile.open(image) as parts:
        layers = [layer for part in json.load(_file(parts, "manifest.json")) for layer in part["Layers"]]
        for part in parts:
            if part.name in layers:
                with tarfile.open(fileobj=_file(parts, part.name)) as layer:
                    yield from (
                        member.name for member in layer if member.isfile() and text in _file(layer, member).read()
                    )
            elif part.isfile() and text in _file(parts, part).read():
                yield part.name


def _file(archive: tarfile.TarFile, member: tarfile.TarInfo | str) -> IO[bytes]:
    file = archive.extractfile(member)
    assert file is not None
    return file


def test_whatever_fetches_packages_is_handed_the_ca_and_can_read_it():
    """Not all images are built above: each takes what those take, in the same words."""
    fetches = re.compile(r"pip install|uv sync|apt-get")
    taken = "--mount=type=secret,id=ca,target=/run/secrets/ca.pem,mode=0444,required=false"
    for path in DOCKERFILES:
        steps = re.findall(r"^RUN (?:.*\\\n)*.*", path.read_text(), re.MULTILINE)
        steps = [step for step in steps if fetches.search(step)]
        assert steps, path
        assert not [step for step in steps if not step.startswith(f"RUN {taken} \\\n")], path
    for file in ("docker-compose.yml", "deploy/ha/compose.yml"):
        services: dict[str, Any] = yaml.safe_load((engine.ROOT / file).read_text())["services"]
        built = {name: service["build"] for name, service in services.items() if "build" in service}
        assert built
        assert not [name for name, build in built.items() if build["secrets"] != ["ca"]]
