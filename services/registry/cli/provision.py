"""`registry provision`: what an administrator does once for a registry, as its connection URIs describe it."""

from __future__ import annotations

import os
import sys
from typing import Final
from urllib.parse import unquote, urlsplit

import uvloop

from services.registry import provision as cluster
from services.registry.settings import InvalidSettings, Settings, load, variable

FIELDS: Final = ("owner_database_url", "database_url", "projector_database_url", "reader_database_url")
"""Whose login a URI names, in the order of `provision.LOGINS`; nobody has to have a reader."""

OPTIONAL: Final = "reader_database_url"


def provision() -> int:
    """Make database, roles and logins, or bring those that are there to what the URIs say."""
    needed = ["admin_database_url", *(field for field in FIELDS if field != OPTIONAL)]
    settings = load(os.environ, needed=needed)
    database, passwords = described(settings)
    backup = for_backups(settings, database)
    uvloop.run(_provision(settings, database, passwords, backup))
    logins = [*passwords, *([cluster.BACKUP] if backup else [])]
    sys.stdout.write(f"The database {database} is there, and so are the logins {', '.join(logins)}.\n")
    return 0


async def _provision(settings: Settings, database: str, passwords: dict[str, str], backup: str) -> None:
    await cluster.provision(settings.admin_database_url, database, passwords=passwords)
    if backup:
        await cluster.provision_backup(settings.admin_database_url, settings.backup_database_url, backup)


def for_backups(settings: Settings, database: str) -> str:
    """Return the password of the login for backups, empty where none is wanted. Raises `InvalidSettings`."""
    if not settings.backup_database_url:
        return ""
    name, parts = variable("backup_database_url"), urlsplit(settings.backup_database_url)
    if unquote(parts.username or "") != cluster.BACKUP:
        raise InvalidSettings([f"{name}: the user has to be {cluster.BACKUP}."])
    if not parts.password:
        raise InvalidSettings([f"{name}: there is no password in it to give to {cluster.BACKUP}."])
    if unquote(parts.path.removeprefix("/")) in ("", database):
        raise InvalidSettings([f"{name}: it has to name a database, and not the registry's: postgres is one."])
    return unquote(parts.password)


def described(settings: Settings) -> tuple[str, dict[str, str]]:
    """Return the database that all the URIs name, and the password of each login. Raises `InvalidSettings`."""
    problems: list[str] = []
    passwords: dict[str, str] = {}
    databases: dict[str, str] = {}
    for field, login in zip(FIELDS, cluster.LOGINS, strict=True):
        if not (dsn := str(getattr(settings, field))):
            continue
        parts = urlsplit(dsn)
        databases[field] = unquote(parts.path.removeprefix("/"))
        if unquote(parts.username or "") != login:
            problems.append(f"{variable(field)}: the user has to be {login}.")
        elif not parts.password:
            problems.append(f"{variable(field)}: there is no password in it to give to {login}.")
        else:
            passwords[login] = unquote(parts.password)
    if len(set(databases.values())) != 1 or not all(databases.values()):
        names = ", ".join(variable(field) for field in databases)
        problems.append(f"{names} have to name one database, the same in each.")
    if problems:
        raise InvalidSettings(problems)
    return next(iter(databases.values())), passwords
