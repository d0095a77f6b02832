"""One PostgreSQL for a test session, and a fresh, migrated database for each test that asks for one.

Where it comes from: REGISTRY_TEST_DATABASE_URL (an administrator's), else a container with
`--containers`, else the embedded one. A template database is migrated once and cloned, and another one whose
read models are there. Each pytest-xdist worker has its own templates, and its own cluster unless one is given.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg

from events.log.migrate import migrate
from projections import MODELS
from projections.projector import SESSION
from projections.rebuild import ensure
from services.registry import provision
from services.registry.embedded import EmbeddedPostgres

URL = "REGISTRY_TEST_DATABASE_URL"
IMAGE = "postgres:17"
# These databases are thrown away: nothing need reach the disk. What a killed server had committed, it still has.
EMBEDDED = {"fsync": "off", "full_page_writes": "off", "max_connections": 200, "max_wal_size": "128MB"}
ROOM = 2 * 1024**3  # bytes

T = TypeVar("T")


@dataclass(frozen=True)
class Database:
    """A database of one test, and where each role connects to it; `admin_dsn` is the administrator's."""

    name: str
    admin_dsn: str
    owner_dsn: str
    service_dsn: str
    projector_dsn: str
    reader_dsn: str


class Cluster:
    """Makes and drops databases over one connection, on a loop of its own: fixtures may be sync or async."""

    def __init__(self, admin_dsn: str, *, trusted: bool) -> None:
        self.admin_dsn = admin_dsn
        self._prefix = f"registry_test_{secrets.token_hex(4)}"
        self._template = f"{self._prefix}_template"
        self._projected = f"{self._prefix}_projected"
        self._has_projected = False
        self._made = 0
        # Workers may share a cluster, and so its logins: they have to come to the same password.
        password = hashlib.sha256(admin_dsn.encode()).hexdigest()
        self._passwords = None if trusted else dict.fromkeys(provision.LOGINS, password)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="test-cluster", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._admin = self._run(asyncpg.connect(self.admin_dsn))
        template = self.empty_database(self._template)
        self._run(migrate(template.owner_dsn))
        return self

    def __exit__(self, *_: object) -> None:
        self.drop(self._projected)
        self.drop(self._template)
        self._run(self._admin.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @contextmanager
    def database(self, *, projected: bool = False) -> Iterator[Database]:
        """A clone of a template; dropped afterwards, whoever is still connected to it.

        With `projected` the read models are there already, of an empty log: what a projector begins with.
        """
        if projected and not self._has_projected:
            self._run(_project(self._clone(self._projected, self._template).projector_dsn))
            self._has_projected = True
        name = self._next_name()
        try:
            yield self._clone(name, self._projected if projected else self._template)
        finally:
            self.drop(name)

    def _clone(self, name: str, template: str) -> Database:
        # By copying files: most of them are small, and the log of what is written takes twice the time.
        self._run(self._admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY'))
        database = self._describe(name)
        self._run(provision.grant(database.admin_dsn))  # grants on a database are not cloned with it
        return database

    @contextmanager
    def unmigrated_database(self) -> Iterator[Database]:
        """A database with its roles and grants, in which no migration has run."""
        database = self.empty_database(self._next_name())
        try:
            yield database
        finally:
            self.drop(database.name)

    def empty_database(self, name: str) -> Database:
        self._run(provision.provision(self.admin_dsn, name, passwords=self._passwords))
        return self._describe(name)

    def _describe(self, name: str) -> Database:
        access = provision.access(self.admin_dsn, name, passwords=self._passwords)
        admin_dsn = provision.dsn_for(self.admin_dsn, database=name)
        return Database(name, admin_dsn, access.owner, access.service, access.projector, access.reader)

    def _next_name(self) -> str:
        self._made += 1
        return f"{self._prefix}_{self._made}"

    def drop(self, name: str) -> None:
        self._run(self._admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def _project(dsn: str) -> None:
    """Build the read models, as the first projector does."""
    connection = await asyncpg.connect(dsn, server_settings=dict(SESSION))
    try:
        await ensure(connection, MODELS)
    finally:
        await connection.close()


@contextmanager
def cluster(*, containers: bool) -> Iterator[Cluster]:
    """The session's cluster, from wherever this session is to take it."""
    if given := os.environ.get(URL):
        with Cluster(given, trusted=False) as found:
            yield found
    elif containers:
        from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415 (slow, and needs Docker)

        with (
            PostgresContainer(IMAGE, driver=None) as container,
            Cluster(container.get_connection_url(), trusted=False) as made,
        ):
            yield made
    else:
        with (
            scratch_folder() as home,
            EmbeddedPostgres(home, settings=EMBEDDED) as server,
            Cluster(server.dsn(), trusted=True) as made,
        ):
            yield made


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for a server's home, which whoever root runs it as can reach: pytest's own are closed to others.

    In memory where there is enough of it, which makes a clone three times as fast. What killed sessions left
    behind is removed: its lock is free.
    """
    memory = Path("/dev/shm")  # noqa: S108 (made by mkdtemp)
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= ROOM
    parent = memory if roomy else Path(tempfile.gettempdir())
    for left in parent.glob("registry-test-*/lock"):
        with suppress(OSError), left.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left.parent)
    folder = Path(tempfile.mkdtemp(prefix="registry-test-", dir=parent))
    folder.chmod(0o711)
    with (folder / "lock.new").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (folder / "lock.new").rename(folder / "lock")
        try:
            yield folder / "home"
        finally:
            shutil.rmtree(folder)
