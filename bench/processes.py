"""The registry in processes of its own, as an operator runs it, and the bare application beside it."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import asyncpg

from bench.bare import DSN
from bench.load import Client
from bench.measure import Failed
from events.vault import MasterKey
from projections.engine import QUERIES, VERSION
from services.registry.access import tokens
from services.registry.access.record import Who
from services.registry.access.roles import Role
from services.registry.provision import Access

ORIGIN = "registry.example/log"
READY_SECONDS = 120.0
REGISTRY = (sys.executable, "-m", "services.registry.cli.app")
QUIET = {"REGISTRY_LOG_LEVEL": "error"}
NOWHERE = subprocess.DEVNULL


class Process:
    """A command in a process group of its own, which ends when this is left."""

    def __init__(self, *command: str, environ: Mapping[str, str] | None = None, says: Any = None) -> None:
        self._process = subprocess.Popen(
            command,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=says or sys.stderr,
            stderr=sys.stderr,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ended(self) -> int | None:
        """Return its exit status, or None while it runs."""
        return self._process.poll()

    async def succeed(self) -> None:
        """Wait for its end. Raises `Failed` unless it is a good one."""
        if status := await asyncio.to_thread(self._process.wait):
            raise Failed(f"{self._process.args} ended with {status}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Registry:
    """Settings of a registry over a database, and its commands."""

    def __init__(self, access: Access, folder: Path) -> None:
        self.access = access
        self.port = free_port()
        key = folder / "master.key"
        MasterKey.create_file(key)
        self.environ = {
            **QUIET,
            "REGISTRY_DATABASE_URL": access.service,
            "REGISTRY_OWNER_DATABASE_URL": access.owner,
            "REGISTRY_PROJECTOR_DATABASE_URL": access.projector,
            "REGISTRY_MASTER_KEY_FILE": str(key),
            "REGISTRY_PORT": str(self.port),
            "REGISTRY_ORIGIN": ORIGIN,
            "REGISTRY_KEY_DIR": str(folder / "keys"),
        }

    def start(self, *command: str) -> Process:
        """Start a command of `registry`."""
        return Process(*REGISTRY, *command, environ=self.environ, says=NOWHERE)

    async def run(self, *command: str) -> None:
        """Run a command of `registry` to its end."""
        with self.start(*command) as process:
            await process.succeed()

    async def token(self) -> str:
        """Make a token with every role."""
        connection = await asyncpg.connect(self.access.service)
        try:
            now = datetime.now(UTC)  # noqa: TID251 - the bench is its own service
            roles = [role.value for role in Role]
            token, _ = await tokens.create(connection, name="bench", roles=roles, by=Who(name="bench"), now=now)
        finally:
            await connection.close()
        return token

    async def projected(self, size: int) -> None:
        """Wait until the read models show a size."""
        connection = await asyncpg.connect(self.access.projector)
        try:
            async with asyncio.timeout(3600):
                while (await connection.fetchval(QUERIES["position"], VERSION) or 0) < size:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()


@asynccontextmanager
async def registry(access: Access) -> AsyncGenerator[Registry, None]:
    """Make a registry that nothing runs of yet: keys and settings."""
    with tempfile.TemporaryDirectory(prefix="bench-registry-") as folder:
        made = Registry(access, Path(folder))
        await made.run("key", "create")
        yield made


@asynccontextmanager
async def serving(made: Registry, path: str = "/health/live") -> AsyncGenerator[Process, None]:
    """Run the API alone; it answers there with 200 when this is entered."""
    with made.start("serve") as process:
        await answering(process, made.port, path)
        yield process


@asynccontextmanager
async def bare(dsn: str) -> AsyncGenerator[int, None]:
    """Run the bare application on a port, with the same server and its settings."""
    port = free_port()
    with Process(sys.executable, "-m", "bench.bare", str(port), environ={DSN: dsn}) as process:
        await answering(process, port, "/nothing")
        yield port


async def answering(process: Process, port: int, path: str) -> float:
    """Wait for an answer with 200 and return when there was one; `Failed` if the process ends before."""
    async with asyncio.timeout(READY_SECONDS):
        while True:
            if process.ended() is not None:
                raise Failed(f"what was to answer on port {port} ended with {process.ended()}")
            try:
                async with Client(port, 1) as client:
                    if (await client.once("GET", path)).status == 200:
                        return time.perf_counter()
            except OSError:
                pass
            await asyncio.sleep(0.005)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nonce() -> str:
    """Return a name that nothing has yet."""
    return secrets.token_hex(8)
