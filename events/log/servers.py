"""Connections to PostgreSQL where it may be any of several servers, one of them the primary (ADR 0029).

A connection URI may name several, `postgresql://user@one:5432,two:5432/database?target_session_attrs=read-write`, and
what the one that is connected to has to be (libpq, 34.1.2). Here a server that does not answer, that starts or that
refuses keeps nobody from the next, which asyncpg alone sees to for some of these only. With one server, all is as
asyncpg has it. On every connection a peer that has fallen silent is given up.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

from events.log.failure import FAILURES, TRANSIENT

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

SECONDS: Final = 60.0  # for all servers together, unless somebody says otherwise
NEXT_SECONDS: Final = 0.5  # a server that has not answered by then is waited for beside the next
LAST_SECONDS: Final = 2.0  # what those that have not answered yet are waited for when the last was asked
STANDBY_SECONDS: Final = 3.0  # how long a standby is looked for where one is preferred
SILENCE_SECONDS: Final = 4
TO_WRITE: Final = ("read-write", "primary")
PREFERRED: Final = "prefer-standby"


async def connect(dsn: str, *, timeout: float = SECONDS, **options: Any) -> Connection:  # noqa: ASYNC109 - asyncpg's
    """Connect to the server that the URI asks for, among those that it names; `options` are asyncpg's.

    Raises what the servers refused with; where one of them may only be away for now, that (`failure.TRANSIENT`). An
    error of the network is noted with where they were looked for, `host:port`, and nothing else of the URI.
    """
    try:
        connection = await _connected(dsn, timeout, options)
    except OSError as away:
        if not getattr(away, "__notes__", ()):
            away.add_note(urlsplit(dsn).netloc.rpartition("@")[2] or "the host that its URI names in its parameters")
        raise
    _notice_silence(connection)
    return connection


async def _connected(dsn: str, seconds: float, options: dict[str, Any]) -> Connection:
    servers, wanted = alone(dsn), sought(dsn)
    if len(servers) == 1:
        connection = await _only(dsn, seconds, options)
    elif wanted != PREFERRED:
        connection = await _first(servers, seconds, options)
    else:
        begun = asyncio.get_running_loop().time()
        try:
            connection = await _first(
                servers, min(seconds, STANDBY_SECONDS), {**options, "target_session_attrs": "standby"}
            )
        except FAILURES:
            left = seconds - (asyncio.get_running_loop().time() - begun)
            connection = await _first(servers, max(left, NEXT_SECONDS), {**options, "target_session_attrs": "any"})
    return connection


def create_pool(dsn: str, **options: Any) -> Pool:
    """Return a pool, not open yet, whose connections are made by `connect`; `options` are asyncpg's.

    What a connection was used for is not undone by a statement when it comes back: no user of a pool sets anything for
    longer than a transaction, and one that is open still is rolled back.

    Where the URI asks for a server to write to, a connection to one that has stopped being that is not handed out: it
    is closed, and who asked gets an `asyncpg.InterfaceError`.
    """
    setup = _still_to_write if sought(dsn) in TO_WRITE else None
    made: Any = connect  # asyncpg's protocol wants each of its options named
    return asyncpg.create_pool(dsn, connect=made, setup=setup, reset=_leave, **options)


def alone(dsn: str) -> list[str]:
    """Return a URI for each server that a URI names, in its order."""
    parts = urlsplit(dsn)
    who, at, where = parts.netloc.rpartition("@")
    return [urlunsplit(parts._replace(netloc=f"{who}{at}{one}")) for one in where.split(",")]


def sought(dsn: str) -> str:
    """Return what a URI wants its server to be (`target_session_attrs`)."""
    return parse_qs(urlsplit(dsn).query).get("target_session_attrs", ["any"])[-1]


async def _only(server: str, seconds: float, options: dict[str, Any]) -> Connection:
    """Connect to the only server there is. Its name is asked for once more if it was not answered for in time."""
    try:
        return await asyncpg.connect(server, timeout=seconds, **options)
    except socket.gaierror as unanswered:
        if unanswered.errno != socket.EAI_AGAIN:
            raise
    return await asyncpg.connect(server, timeout=seconds, **options)


async def _first(servers: Sequence[str], seconds: float, options: dict[str, Any]) -> Connection:
    """Connect to the first server that is as it should be, each asked when the one before failed or is slow."""
    coming = iter(servers)
    asked: set[asyncio.Task[Connection]] = set()
    failed: list[BaseException] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                server = next(coming, None)
                if server is not None:
                    asked.add(asyncio.create_task(asyncpg.connect(server, timeout=seconds, **options)))
                elif not asked:
                    raise _worst(failed)
                patience = LAST_SECONDS if server is None else NEXT_SECONDS
                done, _ = await asyncio.wait(asked, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
                if server is None and not done:
                    raise TimeoutError(f"{len(asked)} of {len(servers)} servers do not answer")
                for task in done:
                    asked.discard(task)
                    error = task.exception()
                    if error is None:
                        asked |= done
                        asked.discard(task)
                        return task.result()
                    if not isinstance(error, FAILURES):
                        raise error
                    failed.append(error)
    finally:
        for task in asked:
            task.cancel()
            task.add_done_callback(_drop)


def _worst(failed: Sequence[BaseException]) -> BaseException:
    """Return the last failure that may pass, as that server may have been the one; else the last."""
    return next((error for error in reversed(failed) if isinstance(error, TRANSIENT)), failed[-1])


def _drop(task: asyncio.Task[Connection]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()


async def _leave(_connection: Any) -> None:
    """Leave a connection as it is when it comes back (asyncpg would send four statements each time)."""


async def _still_to_write(connection: Any) -> None:
    """Look at what the server has told of itself (it reports changes): nobody is asked."""
    told = connection.get_settings()
    if "on" in (getattr(told, name, "off") for name in ("in_hot_standby", "default_transaction_read_only")):
        raise asyncpg.InterfaceError("the server does not take writes any more: it is not the primary now")


def _notice_silence(connection: Connection) -> None:
    """Have the kernel give a connection up whose other end acknowledges nothing, as when the network was cut.

    Otherwise a read on it waits for its own timeout, though the database is back. A slow statement is no silence.
    """
    if sys.platform != "linux":
        return
    # asyncpg takes no parameters for its socket, and gives it out nowhere else.
    transport = cast("asyncio.Transport", connection._transport)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue, reportUnknownMemberType]
    opened: socket.socket = transport.get_extra_info("socket")
    if opened.family == socket.AF_UNIX:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, SILENCE_SECONDS),
        (socket.TCP_KEEPINTVL, 1),
        (socket.TCP_USER_TIMEOUT, SILENCE_SECONDS * 1000),
    ):
        opened.setsockopt(socket.IPPROTO_TCP, option, value)
