"""Whether what was committed is where commits have to be: on disk, and at the standbys that must have it.

PostgreSQL answers a commit as done, with no more than a warning, when somebody cancels the wait for its standbys
(ADR 0029). And what it had committed when it crashed it shows afterwards, whether the standbys got it or not.
"""

from __future__ import annotations

from typing import Any, Final

import asyncpg

from events import sql

SECONDS: Final = 5.0
WAITING: Final = "SyncRepWaitForLSN"
"""The function of PostgreSQL that warns. Its words are in the server's language; this is not."""

_BARRIER: Final = sql.load("events.log", "queries.sql")["barrier"]


class Unconfirmed(asyncpg.InterfaceError):
    """The commit is on disk here, and may not be at the standbys."""


class Confirmation:
    """What a connection was told of its commits: hand `hear` to its `add_log_listener`."""

    def __init__(self) -> None:
        self._doubted = False

    def hear(self, _connection: object, message: Any) -> None:
        """Take note of a message of the server. It comes ahead of the answer that it is about."""
        self._doubted = self._doubted or getattr(message, "server_source_function", None) == WAITING

    def check(self) -> None:
        """Raise `Unconfirmed` if a commit was answered without its standbys. The connection is not to be used again."""
        if self._doubted:
            raise Unconfirmed("the wait for the standbys was cancelled: the commit may be on one machine only")


async def settle(connection: Any) -> None:
    """Return when whatever this connection can read is where commits have to be.

    Something is committed, which says nothing: WAL is sent in order, so what was committed before is there before it.
    Raises `Unconfirmed`, or what the database raises.
    """
    confirmation = Confirmation()
    connection.add_log_listener(confirmation.hear)
    try:
        await connection.execute(_BARRIER, timeout=SECONDS)
    finally:
        connection.remove_log_listener(confirmation.hear)
    confirmation.check()
