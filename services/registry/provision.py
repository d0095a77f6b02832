"""Makes room for a registry in a PostgreSQL cluster: roles, a database, and logins for its processes.

It needs an administrator's connection, which no process of the registry has while it serves: `registry
up` and the tests, which own their cluster, run it; elsewhere `registry provision` does, or an administrator
runs `roles.sql` by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import msgspec

from events import sql
from events.log.servers import connect

ROLES: Final = "roles.sql"
# Login, and the group role of roles.sql that it acts as.
LOGINS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "registry_migrate": "registry_owner",
        "registry_serve": "registry_service",
        "registry_project": "registry_projector",
        "registry_report": "registry_reader",
    }
)
BACKUP: Final = "registry_backup"
"""The login of backups. It replicates the cluster, and may do nothing in the registry's database."""

_LOCK: Final = 0x7265_6769_7374_7279  # "registry"
_SQL: Final = sql.load("services.registry", "provision.sql")


class Access(msgspec.Struct, frozen=True):
    """Where each process connects to its database, by the role that it acts as."""

    owner: str
    service: str
    projector: str
    reader: str


async def provision(admin_dsn: str, database: str, *, passwords: Mapping[str, str] | None = None) -> Access:
    """Make what is missing, and say where to connect.

    Afterwards the database exists, is owned by `registry_owner` and open to the registry's roles only,
    and each of `LOGINS` is a member of its role. What exists is brought to that and otherwise left alone,
    so it may be run at each start, and by several processes at once. Without `passwords` (by login) the
    logins' are not touched, which is right where the socket is trusted.

    Raises what asyncpg raises: the administrator may not do it, or cannot connect.
    """
    passwords = passwords or {}
    admin = await connect(admin_dsn)
    try:
        await admin.execute(_SQL["lock"], _LOCK)
        statement = await admin.fetchval(_SQL["create_database"], database)
        if statement is not None:
            await admin.execute(statement)
        await grant(dsn_for(admin_dsn, database=database))
        for login, role in LOGINS.items():
            for (step,) in await admin.fetch(_SQL["create_login"], login, role, passwords.get(login)):
                await admin.execute(step)
    finally:
        await admin.close()
    return access(admin_dsn, database, passwords=passwords)


async def provision_backup(admin_dsn: str, dsn: str, password: str) -> None:
    """Make the login of backups, or bring it to this: it may replicate, and in the database of `dsn` start backups.

    Raises what asyncpg raises.
    """
    database = unquote(urlsplit(dsn).path.removeprefix("/"))
    admin = await connect(dsn_for(admin_dsn, database=database))
    try:
        await admin.execute(_SQL["lock"], _LOCK)
        for (step,) in await admin.fetch(_SQL["create_backup_login"], BACKUP, password):
            await admin.execute(step)
    finally:
        await admin.close()


async def grant(admin_dsn: str) -> None:
    """Run roles.sql in the database that the administrator's DSN names."""
    connection = await connect(admin_dsn)
    try:
        async with connection.transaction():
            await connection.execute(files("services.registry").joinpath(ROLES).read_text(encoding="utf-8"))
    finally:
        await connection.close()


def access(dsn: str, database: str, *, passwords: Mapping[str, str] | None = None) -> Access:
    """Where the logins connect to a database of the cluster that any DSN of it names."""
    passwords = passwords or {}
    return Access(*(dsn_for(dsn, database=database, user=login, password=passwords.get(login)) for login in LOGINS))


def dsn_for(dsn: str, *, database: str, user: str | None = None, password: str | None = None) -> str:
    """The same server under another database and, if `user` is given, as that user with that password or none."""
    parts = urlsplit(dsn)
    who, _, where = parts.netloc.rpartition("@")
    replaced = {"dbname", "database"}
    if user is not None:
        replaced |= {"user", "password"}
        who = quote(user, safe="") + ("" if password is None else ":" + quote(password, safe=""))
    query = urlencode([pair for pair in parse_qsl(parts.query) if pair[0] not in replaced], safe="/,")
    netloc = f"{who}@{where}" if who else where
    return f"{parts.scheme}://{netloc}/{quote(database, safe='')}" + (f"?{query}" if query else "")
