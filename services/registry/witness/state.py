"""What a witness remembers, in a file of SQLite: nothing is cosigned that is not in it, durably, before the answer.

Any number of processes may use one file: whoever changes it is alone meanwhile (`BEGIN IMMEDIATE`), so that what was
checked still holds when it is written. Commits are on the disk when they return (`synchronous = EXTRA`). Triggers
refuse to go back on a checkpoint, whatever the program does.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from events import sql
from events.errors import RegistryError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import VerifierKey
from events.merkle.tree import EMPTY_ROOT

FILE: Final = "state.sqlite"
MAX_SIZE: Final = 2**63 - 1
"""The largest size that a row holds. No log comes near it."""

BUSY_SECONDS: Final = 5.0

_queries: Final = sql.load("services.registry.witness", "state.sql")
_SCHEMA: Final = tuple(_queries[name] for name in ("logs", "checkpoints", "forks", "never_back", "never_forgotten"))
_ADD_LOG: Final = _queries["add_log"]
_REMOVE_LOG: Final = _queries["remove_log"]
_KEYS: Final = _queries["keys"]
_ALL_LOGS: Final = _queries["all_logs"]
_LAST: Final = _queries["last"]
_COSIGNED: Final = _queries["cosigned"]
_FORKED: Final = _queries["forked"]


class StateUnusable(RegistryError):
    """The witness's state cannot be read or written."""

    code = "witness-state-unusable"


class Witnessed(msgspec.Struct, frozen=True):
    """A log and one of its keys; how far it was cosigned, and when it was seen to have two histories."""

    origin: str
    key: str
    size: int | None
    cosigned_at: str | None
    forked_at: str | None


class Last(msgspec.Struct, frozen=True):
    """The last checkpoint of a log that was cosigned; before the first, the empty tree without a note."""

    size: int = 0
    root: bytes = EMPTY_ROOT
    note: bytes = b""


class State:
    """The file in a folder, made by `create`. Every method raises `StateUnusable` where it cannot be used."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def create(self) -> None:
        """Make the file, unless it is there."""
        with self._transaction(create=True) as connection:
            for statement in _SCHEMA:
                connection.execute(statement)

    def add(self, origin: str, key: VerifierKey, now: datetime) -> bool:
        """Witness a log from now on, by this key too; False if it was so before."""
        with self._transaction() as connection:
            return connection.execute(_ADD_LOG, (origin, key.text, now.isoformat())).rowcount == 1

    def remove(self, origin: str, key: VerifierKey) -> bool:
        """Trust a log's key no more; False if it was not trusted. What was cosigned of the log stays known."""
        with self._transaction() as connection:
            return connection.execute(_REMOVE_LOG, (origin, key.text)).rowcount == 1

    def keys(self, origin: str) -> list[VerifierKey]:
        """Return a log's keys; none for one that is not witnessed."""
        with self._connection() as connection:
            return [VerifierKey.parse(row[0]) for row in connection.execute(_KEYS, (origin,))]

    def all(self) -> list[Witnessed]:
        """Return every log and key that is witnessed."""
        with self._connection() as connection:
            return [Witnessed(*row) for row in connection.execute(_ALL_LOGS)]

    @contextlib.contextmanager
    def alone(self, origin: str) -> Generator[tuple[Last, Step]]:
        """Keep everybody else out while a checkpoint is checked against the last one and, by the `Step`, succeeds it.

        It is durable once this is left. If it is left by an exception, nothing was written.
        """
        with self._transaction() as connection:
            row = connection.execute(_LAST, (origin,)).fetchone()
            yield Last(*row) if row else Last(), Step(connection)

    @contextlib.contextmanager
    def _transaction(self, *, create: bool = False) -> Generator[sqlite3.Connection]:
        with self._connection(create=create) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                if connection.in_transaction:  # some failures have ended it already
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    @contextlib.contextmanager
    def _connection(self, *, create: bool = False) -> Generator[sqlite3.Connection]:
        """Open the file for a while: connections are not shared, so nothing is between threads either."""
        try:
            connection = sqlite3.connect(
                f"{self._path.resolve().as_uri()}?mode={'rwc' if create else 'rw'}",
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
            )
            with contextlib.closing(connection):
                connection.execute("PRAGMA synchronous = EXTRA")
                yield connection
        except sqlite3.Error as error:
            raise StateUnusable(f"{self._path} cannot be used: {error}.") from error


class Step:
    """What may be written of one log while nobody else can."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def cosigned(self, checkpoint: Checkpoint, note: bytes, now: datetime) -> None:
        """Make this the last checkpoint of its log that was cosigned."""
        self._connection.execute(
            _COSIGNED, (checkpoint.origin, checkpoint.size, checkpoint.root, note, now.isoformat())
        )

    def forked(self, origin: str, one: bytes, other: bytes, now: datetime) -> None:
        """Keep two checkpoints that the log signed over one size, with two roots."""
        self._connection.execute(_FORKED, (origin, one, other, now.isoformat()))
