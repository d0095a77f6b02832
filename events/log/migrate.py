"""Brings a database to the form that this program needs; forward only, by plain SQL files.

A migration is a file `migrations/NNNN_name.sql`, numbered from 0001 without a gap. Each runs in a
transaction of its own, together with the row in `migration.applied` that remembers it and the SHA-256
of its text: a file that was applied is never edited. One whose first line is `-- migrate: no-transaction`
runs outside, for `CREATE INDEX CONCURRENTLY`; its statements are kept apart by lines `-- migrate: next`,
and since it may have stopped between them, it must be such that it can be run again.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from events import sql
from events.errors import RegistryError
from events.log.read import Connection, Pool
from events.log.servers import connect

FOLDER: Final = Path(__file__).with_name("migrations")
LOCK: Final = int.from_bytes(hashlib.sha256(b"cooperation-registry/migrate").digest()[:8], "big", signed=True)
POLL: Final = 0.05  # seconds
AT_ONCE: Final = 0.3  # seconds that a table's lock is waited for at a time
_NAME: Final = re.compile(r"([0-9]{4})_([a-z0-9]+(?:_[a-z0-9]+)*)\.sql")
_NO_TRANSACTION: Final = "-- migrate: no-transaction"
_NEXT: Final = re.compile(r"^-- migrate: next[ \t]*$", re.MULTILINE)
_SQL: Final = sql.load("events.log", "migrate.sql")


class MigrationError(RegistryError):
    """The database could not be brought to the form that this program needs."""

    code = "migration-error"


class InvalidMigrations(MigrationError):
    """The migration files of this program are not numbered and named as they must be."""

    code = "migrations-invalid"


class MigrationEdited(MigrationError):
    """A migration was changed after it had been applied to this database."""

    code = "migration-edited"


class MigrationFailed(MigrationError):
    """PostgreSQL refused a migration."""

    code = "migration-failed"


class MigrationLocked(MigrationError):
    """Somebody else is migrating this database."""

    code = "migration-locked"


class NotTheOwner(MigrationError):
    """Only the owner of a database migrates it."""

    code = "migration-not-owner"


class DatabaseTooNew(MigrationError):
    """The database was migrated by a newer version of this program."""

    code = "database-too-new"


class DatabaseNotMigrated(MigrationError):
    """The database has not been brought to the form that this program needs."""

    code = "database-not-migrated"


class Migration(msgspec.Struct, frozen=True):
    """One file: `text` has line ends LF, and `sha256` (hex) is of that, whatever a checkout made of it."""

    version: int
    name: str
    text: str
    sha256: str

    @property
    def file(self) -> str:
        """Its file's name."""
        return f"{self.version:04}_{self.name}.sql"

    @property
    def transactional(self) -> bool:
        """Whether it runs in a transaction, whole or not at all."""
        return self.text.split("\n", 1)[0].rstrip() != _NO_TRANSACTION


class Applied(msgspec.Struct, frozen=True):
    """What a database remembers of a migration."""

    version: int
    name: str
    sha256: str


def load(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Read a folder's migrations in order; raises InvalidMigrations. Only `.sql` files are looked at."""
    return parse({path.name: path.read_bytes() for path in folder.glob("*.sql")})


def parse(files: Mapping[str, bytes]) -> tuple[Migration, ...]:
    """Take migrations from file names and contents, in order; raises InvalidMigrations."""
    migrations = sorted((_parse(name, content) for name, content in files.items()), key=lambda each: each.version)
    for expected, migration in enumerate(migrations, start=1):
        if migration.version < expected:
            twice = " and ".join(each.file for each in migrations if each.version == migration.version)
            raise InvalidMigrations(f"{twice} have the same number.")
        if migration.version > expected:
            raise InvalidMigrations(f"There is a migration {migration.file}, but none numbered {expected:04}.")
    return tuple(migrations)


def _parse(file: str, content: bytes) -> Migration:
    named = _NAME.fullmatch(file)
    if named is None or int(named[1]) == 0:
        raise InvalidMigrations(
            f"{file} is no name for a migration: four digits from 0001, an underscore, "
            "words of a-z and 0-9 joined by underscores, .sql."
        )
    content = content.replace(b"\r\n", b"\n")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidMigrations(f"{file} is not UTF-8: {error}.") from error
    return Migration(int(named[1]), named[2], text, hashlib.sha256(content).hexdigest())


def pending(migrations: Sequence[Migration], applied: Iterable[Applied]) -> tuple[Migration, ...]:
    """Compare the program's migrations with a database's, and say which are still to be applied, in order.

    Raises DatabaseTooNew if the database has more, MigrationEdited if one that both have differs.
    """
    done = {each.version: each for each in applied}
    if done and (newest := max(done)) > len(migrations):
        raise DatabaseTooNew(
            f"The database is at migration {newest:04} ({done[newest].name}), and this program knows "
            f"{len(migrations)}. Run the version that migrated it, or a newer one."
        )
    for migration in migrations:
        if migration.version in done and done[migration.version].sha256 != migration.sha256:
            raise MigrationEdited(
                f"{migration.file} is not what was applied to the database as {migration.version:04} "
                f"({done[migration.version].name}). Restore the file, and make the change in a new migration."
            )
    return tuple(migration for migration in migrations if migration.version not in done)


async def migrate(
    dsn: str,
    migrations: Sequence[Migration] | None = None,
    *,
    patience: float = 60.0,
    table_patience: float = 5.0,
) -> tuple[Migration, ...]:
    """Apply what is pending, in order, and return it; nothing if the database is up to date.

    Runs as the owner of the database, of whom the DSN's user must be a member. One process at a time: another's
    end is waited for, up to `patience` seconds; a table in use, up to `table_patience` seconds. Raises a
    MigrationError; what was applied before the migration that fails stays.
    """
    migrations = load() if migrations is None else migrations
    connection = await connect(dsn, server_settings={"application_name": "registry migrate"})
    try:
        if await connection.fetchval(_SQL["become_owner"]) is None:
            raise NotTheOwner(
                "The user of the migration's DSN is not a member of the role that owns the database. "
                "Connect as one who is (roles.sql: registry_migrate)."
            )
        await _lock(connection, patience)
        await connection.execute(_SQL["prepare"])
        todo = pending(migrations, await _applied(connection))
        for migration in todo:
            await _apply(connection, migration, table_patience)
        return todo
    finally:
        await connection.close()  # lets go of the lock


async def check(dsn: str, migrations: Sequence[Migration] | None = None) -> None:
    """Return if the database is in the form that this program needs; changes nothing, and any role may ask.

    Raises DatabaseNotMigrated, DatabaseTooNew or MigrationEdited.
    """
    migrations = load() if migrations is None else migrations
    connection = await connect(dsn)
    try:
        todo = await missing(connection, migrations)
    finally:
        await connection.close()
    if todo:
        raise DatabaseNotMigrated(
            f"{len(todo)} of {len(migrations)} migrations are missing from the database, first {todo[0].file}. "
            "Run `registry migrate`."
        )


async def missing(source: Connection | Pool, migrations: Sequence[Migration]) -> tuple[Migration, ...]:
    """Return what of a program's migrations a database lacks. Raises DatabaseTooNew, MigrationEdited."""
    return pending(migrations, await applied(source))


async def applied(source: Connection | Pool) -> list[Applied]:
    """Return what was applied to a database, in order; nothing if it was never migrated. Any role may ask."""
    return await _applied(source) if await source.fetchval(_SQL["is_prepared"]) else []


async def _applied(connection: Connection | Pool) -> list[Applied]:
    return [Applied(*row) for row in await connection.fetch(_SQL["applied"])]


async def _lock(connection: asyncpg.Connection, patience: float) -> None:
    """Poll: a session that waits for a lock holds a snapshot, for whose end CREATE INDEX CONCURRENTLY waits."""
    deadline = asyncio.get_running_loop().time() + patience
    while not await connection.fetchval(_SQL["try_lock"], LOCK):
        if asyncio.get_running_loop().time() >= deadline:
            holder = await connection.fetchval(_SQL["lock_holder"], LOCK)
            raise MigrationLocked(
                f"Another migration of this database has not ended within {patience:g} s: {holder or 'it just did'}. "
                "Wait for it, or end it, and run this again; nothing was changed."
            )
        await asyncio.sleep(POLL)


async def _apply(connection: asyncpg.Connection, migration: Migration, table_patience: float) -> None:
    clock = asyncio.get_running_loop().time
    begun = clock()
    text = migration.text
    try:
        if not migration.transactional:
            for text in _NEXT.split(migration.text):
                await connection.execute(text)
            await _record(connection, migration, clock() - begun)
            return
        while not await _tried(connection, migration, begun, begun + table_patience):  # noqa: ASYNC110 - nobody tells when it is free
            await asyncio.sleep(POLL)
    except asyncpg.PostgresError as error:
        raise MigrationFailed(_complaint(migration, text, error)) from error


async def _tried(connection: asyncpg.Connection, migration: Migration, begun: float, deadline: float) -> bool:
    """Apply a migration as a whole, unless a table's lock does not come at once: then, before the deadline, nothing.

    Whoever comes after it waits with it, and may hold what it waits for, and wait for what it holds. It gives up
    sooner than PostgreSQL looks for a deadlock (`deadlock_timeout`, a second), whose victim others would be.
    """
    clock = asyncio.get_running_loop().time
    patience = max(min(AT_ONCE, deadline - clock()), 0.001)  # of 0 there would be no end
    try:
        async with connection.transaction():
            await connection.execute(_SQL["lock_timeout"], f"{round(patience * 1_000)}ms")
            await connection.execute(migration.text)
            await _record(connection, migration, clock() - begun)
    except asyncpg.LockNotAvailableError:
        if clock() >= deadline:
            raise
        return False
    return True


async def _record(connection: asyncpg.Connection, migration: Migration, seconds: float) -> None:
    await connection.execute(
        _SQL["record"], migration.version, migration.name, migration.sha256, round(seconds * 1_000)
    )


def _complaint(migration: Migration, text: str, error: asyncpg.PostgresError) -> str:
    """What PostgreSQL says, with the line it means, and what became of the migration."""
    where = ""
    if error.position is not None:  # sent for errors of syntax and names only; counts characters of what was sent
        offset = migration.text.index(text) + int(error.position) - 1
        where = f", line {1 + migration.text.count(chr(10), 0, offset)}"
    left = "Nothing of it was applied" if migration.transactional else "It may have been applied in part"
    return f"{migration.file}{where}: {error} ({error.sqlstate}). {left}; mend it and run the migration again."
