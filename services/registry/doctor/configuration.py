"""Whether the server keeps what it has answered for, and holds the tables of this program."""

from __future__ import annotations

from typing import Final

import msgspec

from events.log.connection import DURABLE
from events.log.migrate import Applied, DatabaseTooNew, Migration, MigrationError, pending
from services.registry.doctor.finding import Finding, failed, ok, warning

AREA: Final = "configuration"
OLDEST: Final = 15
TRIED: Final = 17
"""The oldest major version that the tests are run on."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The server, and its settings as they hold for the service."""

    version: str
    version_number: int
    fsync: str
    full_page_writes: str
    synchronous_commit: str
    encoding: str
    read_only: bool


def judge(server: Server) -> list[Finding]:
    """Say what is found of the server."""
    return [_version(server), _durability(server), _encoding(server), _writable(server)]


def schema(known: tuple[Migration, ...], applied: list[Applied]) -> Finding:
    """Say whether the tables are those of this program, naming both."""
    at = f"{applied[-1].version:04} ({applied[-1].name})" if applied else "no migration"
    needs = f"the database is at {at}; this program needs {known[-1].version:04} ({known[-1].name})"
    try:
        missing = pending(known, applied)
    except DatabaseTooNew:
        return failed(AREA, "schema", needs, "Run the version that migrated the database, or a newer one.")
    except MigrationError as error:
        return failed(AREA, "schema", error.detail, "Find out who changed it: an applied migration is never edited.")
    if missing:
        return failed(AREA, "schema", needs, "Run `registry migrate`.")
    return ok(AREA, "schema", needs)


def _version(server: Server) -> Finding:
    found, major = f"PostgreSQL {server.version}", server.version_number // 10_000
    if major < OLDEST:
        return failed(AREA, "version", found, f"Upgrade PostgreSQL: {OLDEST} is the oldest that can serve.")
    if major < TRIED:
        return warning(AREA, "version", found, f"Upgrade PostgreSQL: the tests are run on {TRIED} and newer.")
    return ok(AREA, "version", found)


def _durability(server: Server) -> Finding:
    settings = ("synchronous_commit", "fsync", "full_page_writes")
    found = ", ".join(f"{name} is {getattr(server, name)}" for name in settings)
    advice: list[str] = []
    if server.synchronous_commit not in DURABLE:
        advice.append(
            "Set synchronous_commit to on for the service's role and database: nothing is recorded meanwhile "
            "(pg_db_role_setting may hold another value)."
        )
    if off := [name for name in settings[1:] if getattr(server, name) != "on"]:
        advice.append(
            f"Set {' and '.join(off)} to on in postgresql.conf: a crash may lose or damage what was recorded."
        )
    return failed(AREA, "durability", found, " ".join(advice)) if advice else ok(AREA, "durability", found)


def _encoding(server: Server) -> Finding:
    if server.encoding == "UTF8":
        return ok(AREA, "encoding", "the database is encoded in UTF8")
    found = f"the database is encoded in {server.encoding}"
    return failed(
        AREA, "encoding", found, "Make a database in UTF8 (`registry provision` does) and move the log to it."
    )


def _writable(server: Server) -> Finding:
    if server.read_only:
        found = "the database is a standby, or read-only by default"
        return failed(AREA, "writable", found, "Name the primary in REGISTRY_DATABASE_URL.")
    return ok(AREA, "writable", "the database takes writes")
