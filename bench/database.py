"""A database to measure in: fresh, migrated, dropped afterwards, durable like a real one; on one server for a run.

`BENCH_DATABASE_URL` names an administrator's connection to a server of the user's; else an embedded one is started,
with PostgreSQL's own settings (`fsync` and `synchronous_commit` on). Roles belong to a server as a whole: on the user's
those of the registry are the run's own from its beginning to its end, and where there are any already it is refused.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import asyncpg

from events import sql
from events.log.migrate import migrate
from services.registry import provision
from services.registry.embedded import EmbeddedPostgres

URL = "BENCH_DATABASE_URL"
CONNECTIONS = {"max_connections": 300}  # of the registry, what is beside it, and peers with pools of their own
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
ROLES: Final = (*provision.LOGINS, *provision.LOGINS.values())
_SQL: Final = sql.load("bench", "database.sql")


@dataclass(frozen=True)
class Server:
    """What a run is measured on: an administrator's connection string, and PostgreSQL's version as it tells it.

    `passwords` are the logins' for this run, by login; None where the server asks for none.
    """

    admin: str
    version: str
    passwords: Mapping[str, str] | None = None


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
async def database(server: Server, work: str) -> AsyncGenerator[Room, None]:
    """Make a database for one work; it is dropped afterwards."""
    name = f"bench_{work}_{secrets.token_hex(4)}"
    admin = await asyncpg.connect(server.admin)
    try:
        access = await provision.provision(server.admin, name, passwords=server.passwords)
        await migrate(access.owner)
        yield Room(access.owner, access.service, access.projector, access.reader, server.admin, {name})
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await admin.execute("CHECKPOINT")  # what one work wrote is not still being written while the next is measured
        await admin.close()


@asynccontextmanager
async def server() -> AsyncGenerator[Server, None]:
    """Give the server that is measured on; nothing of the bench is left on it, and one of ours is gone afterwards.

    Raises SystemExit if it is not durable, as no figure of it would count, or one of the user's has the registry's
    roles.
    """
    if given := os.environ.get(URL):
        version = await _durable(given)
        async with claimed(given):
            yield Server(given, version, dict.fromkeys(provision.LOGINS, secrets.token_hex(16)))
        return
    home = Path(tempfile.mkdtemp(prefix="registry-bench-"))
    try:
        if os.geteuid() == 0:
            home.chmod(0o711)  # noqa: ASYNC240 - nothing else runs yet; the server's own account has to pass
        with EmbeddedPostgres(home / "postgres", settings=CONNECTIONS) as made:
            yield Server(made.dsn(), await _durable(made.dsn()))
    finally:
        shutil.rmtree(home)


async def _durable(admin_dsn: str) -> str:
    """Return the server's version. Raises SystemExit if its settings take shortcuts."""
    admin = await asyncpg.connect(admin_dsn)
    try:
        for setting, wanted in DURABLE.items():
            if (found := await admin.fetchval("SELECT current_setting($1)", setting)) != wanted:
                raise SystemExit(f"{setting} is {found} on this server; the bench measures with {wanted} only")
        version: str = await admin.fetchval("SHOW server_version")
    finally:
        await admin.close()
    print(f"PostgreSQL {version}", file=sys.stderr)
    return version


@asynccontextmanager
async def claimed(admin_dsn: str) -> AsyncGenerator[None, None]:
    """Make the registry's roles on a server that has none of them, and drop them afterwards, with the logins.

    Of two that begin at once one is refused. Raises SystemExit where there are any: they are a real registry's, which a
    bench would lock out by its passwords, or another bench's.
    """
    admin = await asyncpg.connect(admin_dsn)
    try:
        async with admin.transaction():
            if taken := [name for (name,) in await admin.fetch(_SQL["taken"], ROLES)]:
                raise SystemExit(_refusal(taken))
            for (statement,) in await admin.fetch(_SQL["claim"], tuple(provision.LOGINS.values())):
                await admin.execute(statement)
    except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):  # another bench was a moment earlier
        raise SystemExit(_refusal(sorted(provision.LOGINS.values()))) from None
    finally:
        await admin.close()
    try:
        yield
    finally:
        await _release(admin_dsn)


def _refusal(taken: list[str]) -> str:
    return (
        f"the server of {URL} has roles already that the bench would make: {', '.join(taken)}. They are those of a "
        "registry or of another bench, whose passwords it would change, or were left by a bench that was killed (then "
        "drop them). Take a server without a registry, or none: the bench starts its own"
    )


async def _release(admin_dsn: str) -> None:
    admin = await asyncpg.connect(admin_dsn)
    try:
        if statement := await admin.fetchval(_SQL["release"], ROLES):
            await admin.execute(statement)
    except asyncpg.DependentObjectsStillExistError as why:
        print(f"the registry's roles stay on the server, since something else uses them now: {why}", file=sys.stderr)
    finally:
        await admin.close()
