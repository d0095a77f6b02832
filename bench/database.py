"""A database to measure in: fresh, migrated, dropped afterwards, durable like a real one; on one server for a run.

`BENCH_DATABASE_URL` names an administrator's connection to a server of the user's; else an embedded one is started,
with PostgreSQL's own settings (`fsync` and `synchronous_commit` on).
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from events.log.migrate import migrate
from services.registry import provision
from services.registry.embedded import EmbeddedPostgres

URL = "BENCH_DATABASE_URL"
CONNECTIONS = {"max_connections": 300}  # of the registry, what is beside it, and peers with pools of their own
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class Room(provision.Access, frozen=True):
    """Where a work is measured: the registry's database, and the server's administrator for those of others.

    `databases` are those that were made for it and are there, by name.
    """

    admin: str
    databases: set[str]

    async def settle(self) -> None:
        """Vacuum and analyze what all contestants have recorded, as PostgreSQL does by itself within a minute or two.

        Whoever is the first to read would do a part of it, and plans made before know nothing of what is there.
        """
        for database in sorted(self.databases):
            inside = await asyncpg.connect(provision.dsn_for(self.admin, database=database))
            await inside.execute("VACUUM (ANALYZE)")
            await inside.close()

    @asynccontextmanager
    async def beside(self, name: str) -> AsyncGenerator[str, None]:
        """Make an empty database of the administrator's in the same server; it is dropped afterwards."""
        made = f"bench_{name}_{secrets.token_hex(4)}"
        admin = await asyncpg.connect(self.admin)
        try:
            await admin.execute(f'CREATE DATABASE "{made}"')
            self.databases.add(made)
            yield provision.dsn_for(self.admin, database=made)
        finally:
            self.databases.discard(made)
            await admin.execute(f'DROP DATABASE IF EXISTS "{made}" WITH (FORCE)')
            await admin.close()


@asynccontextmanager
async def database(admin_dsn: str, work: str) -> AsyncGenerator[Room, None]:
    """Make a database for one work. Raises SystemExit if the server is not durable: no figure of it would count."""
    name = f"bench_{work}_{secrets.token_hex(4)}"
    passwords = None if URL not in os.environ else dict.fromkeys(provision.LOGINS, secrets.token_hex(16))
    admin = await asyncpg.connect(admin_dsn)
    try:
        await _refuse_shortcuts(admin)
        access = await provision.provision(admin_dsn, name, passwords=passwords)
        await migrate(access.owner)
        yield Room(access.owner, access.service, access.projector, access.reader, admin_dsn, {name})
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute("CHECKPOINT")  # what one work wrote is not still being written while the next is measured
        await admin.close()


async def _refuse_shortcuts(admin: asyncpg.Connection[asyncpg.Record]) -> None:
    for setting, wanted in DURABLE.items():
        if (found := await admin.fetchval("SELECT current_setting($1)", setting)) != wanted:
            raise SystemExit(f"{setting} is {found} on this server; the bench measures with {wanted} only")
    print(f"PostgreSQL {await admin.fetchval('SHOW server_version')}", file=sys.stderr)


@contextmanager
def server() -> Generator[str, None, None]:
    """Give an administrator's connection string of the server that is measured on; one of ours is gone afterwards."""
    if given := os.environ.get(URL):
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="registry-bench-"))
    try:
        if os.geteuid() == 0:
            home.chmod(0o711)  # the server's own account has to pass
        with EmbeddedPostgres(home / "postgres", settings=CONNECTIONS) as server:
            yield server.dsn()
    finally:
        shutil.rmtree(home)
