"""The registry as its operator runs it: in processes of its own, over a PostgreSQL that can be killed too."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import asyncpg
import httpx

from events.log.checkpoints import Checkpoints
from events.log.migrate import migrate
from events.vault import MasterKey
from services.registry.clock import now
from services.registry.embedded import EmbeddedPostgres
from services.registry.provision import Access, provision
from services.registry.signing.keyring import KeyRing

ORIGIN = "registry.test/log"
READY_SECONDS = 60.0


class Process:
    """A `registry …` command in a process group of its own."""

    def __init__(self, command: str, environ: Mapping[str, str], log: Path) -> None:
        with log.open("ab") as lines:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.registry.cli.app", command],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill it and whatever it started, as `kill -9` would."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def terminate(self) -> int:
        """Ask it to end, and return its exit status."""
        return self.end(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, and whatever it started none."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        """Send it a signal that ends it, and return its exit status."""
        self.send(number)
        return self.ended()

    def ended(self) -> int:
        """Wait until it has ended, and return its exit status."""
        return self._process.wait(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Deployment:
    """PostgreSQL, `registry serve` and `registry project`, each of which can be killed and started again."""

    def __init__(self, folder: Path, postgres: EmbeddedPostgres, access: Access) -> None:
        self.postgres = postgres
        self.access = access
        self.port = _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "registry.log"
        key = folder / "master.key"
        MasterKey.create_file(key)
        self._environ = {
            "REGISTRY_DATABASE_URL": access.service,
            "REGISTRY_OWNER_DATABASE_URL": access.owner,
            "REGISTRY_PROJECTOR_DATABASE_URL": access.projector,
            "REGISTRY_MASTER_KEY_FILE": str(key),
            "REGISTRY_PORT": str(self.port),
            "REGISTRY_ORIGIN": ORIGIN,
            "REGISTRY_KEY_DIR": str(folder / "keys"),
            "REGISTRY_CHECKPOINT_SECONDS": "0.05",
        }

    @property
    def settings(self) -> Mapping[str, str]:
        """The settings of every command."""
        return self._environ

    def start(self, command: str, **more: str) -> Process:
        """Start a command, with more settings than all of them have."""
        return Process(command, {**self._environ, **more}, self._log)

    async def ready(self) -> None:
        """Wait until the service says that it can serve."""
        async with httpx.AsyncClient(base_url=self.base_url) as client, asyncio.timeout(READY_SECONDS):
            while not await _says_ready(client):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def signed(self) -> None:
        """Wait until all that is recorded now is under a published checkpoint."""
        async with httpx.AsyncClient(base_url=self.base_url) as client, asyncio.timeout(READY_SECONDS):
            size = int((await client.get("/health/ready")).headers["Registry-Size"])
            while int((await client.get("/log/checkpoint")).headers.get("Registry-Size", "-1")) < size:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def kill_postgres(self) -> None:
        """Kill every process of PostgreSQL at once, and return when they are gone."""
        postmaster = self.postgres.pid
        assert postmaster is not None
        for pid in (postmaster, *_children(postmaster)):
            os.kill(pid, signal.SIGKILL)
        while self.postgres.pid is not None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.01)


def _children(parent: int) -> list[int]:
    """Return the processes that a process started and that are there."""
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii")
    return [int(pid) for pid in text.split()]


async def _says_ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def deployed(
    folder: Path, settings: Mapping[str, str | int | bool] | None = None
) -> AsyncGenerator[Deployment, None]:
    """Make a cluster of its own, migrated and empty; PostgreSQL's own settings, of durability too, but for these."""
    postgres = EmbeddedPostgres(folder / "postgres", settings=settings)
    await asyncio.to_thread(postgres.start)
    try:
        access = await provision(postgres.dsn(), "registry")
        await migrate(access.owner)
        async with asyncpg.create_pool(access.service, min_size=1, max_size=1) as pool:
            await Checkpoints(pool).add_verifier(KeyRing(folder / "keys").create(ORIGIN).verifier, now())
        yield Deployment(folder, postgres, access)
    finally:
        await asyncio.to_thread(postgres.stop)
