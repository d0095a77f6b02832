"""Peers as they take part: each with a database of its own in the server that the registry is measured in."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import as_file, files
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import asyncpg
import msgspec
import uuid_utils

from bench.database import Room
from bench.measure import Silent
from bench.peers import installing
from bench.peers.installing import Missing
from events import sql
from events.catalogue import Event
from events.entry import to_builtins

STREAM_LENGTH = 10
PAGE = 1_000
CONNECTIONS = 32
_SQL = sql.load("bench.peers", "message_db.sql")


class Peer(Protocol):
    """What every peer can do; rates are entries a second. Whatever it does, `Silent` is raised if it fails."""

    async def append(self, tasks: int, entries: int, batch: int = 1) -> float:
        """Record so many, from several tasks at once."""
        ...

    async def read(self) -> float:
        """Read and decode all there is."""
        ...


class MessageDb:
    """message-db's own functions, called by asyncpg from prepared statements."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], events: Sequence[Event]) -> None:
        self._pool = pool
        self._events = events
        self._streams = count()

    async def append(self, tasks: int, entries: int, batch: int = 1) -> float:
        """Record so many, one a call: it has no batches."""
        if batch != 1:
            raise ValueError("message-db records one message a call")
        begun = time.perf_counter()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(tasks):
                    group.create_task(self._task(entries // tasks))
        except ExceptionGroup as failed:
            raise Silent(f"{failed.exceptions[0]!r}") from failed
        return entries / (time.perf_counter() - begun)

    async def _task(self, entries: int) -> None:
        async with self._pool.acquire() as connection:
            write = await connection.prepare(_SQL["write"])
            stream = ""
            for nth in range(entries):
                revision = nth % STREAM_LENGTH
                if revision == 0:
                    stream = f"cooperation-coop_{next(self._streams):026}"
                event = self._events[revision]
                data = msgspec.json.encode(to_builtins(event)).decode()
                await write.fetchval(str(uuid_utils.uuid7()), stream, event.event_type, data, revision - 1)

    async def read(self) -> float:
        """Read all messages of the category by its function, as subscribers do."""
        begun, position, number = time.perf_counter(), 1, 0
        try:
            async with self._pool.acquire() as connection:
                while page := await connection.fetch(_SQL["read"], position, PAGE):
                    for record in page:
                        msgspec.json.decode(record["data"])
                    number += len(page)
                    position = page[-1]["global_position"] + 1
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as failed:
            raise Silent(f"{failed!r}") from failed
        return number / (time.perf_counter() - begun)


SECONDS = 120.0  # that a peer may take over a round


class Child:
    """A peer in a process with its own client, which is asked by a line of JSON and answers with one."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def append(self, tasks: int, entries: int, batch: int = 1) -> float:
        """Record so many, from several tasks at once."""
        return await self._ask({"do": "append", "tasks": tasks, "entries": entries, "batch": batch})

    async def read(self) -> float:
        """Read and decode all there is."""
        return await self._ask({"do": "read"})

    async def _ask(self, what: dict[str, Any]) -> float:
        assert self._process.stdin is not None  # noqa: S101 - both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        try:
            async with asyncio.timeout(SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError:
            self._process.kill()
            raise Silent(f"no answer within {SECONDS:g} s to {what}") from None
        if not line:
            raise Silent(f"it ended with {await self._process.wait()} instead of: {what}")
        rate: float = json.loads(line)["rate"]
        return rate


@asynccontextmanager
async def peers(room: Room, events: Sequence[Event], *, wanted: bool = True) -> AsyncGenerator[dict[str, Peer], None]:
    """Make all peers ready that can be; those that cannot are named on standard error, and are missing."""
    if not wanted:
        print("without peers", file=sys.stderr)
        yield {}
        return
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-peers-")))
        told = folder / "events.json"
        said = [{"type": event.event_type, "data": to_builtins(event)} for event in events]
        await asyncio.to_thread(told.write_text, json.dumps(said))
        ready: dict[str, Peer] = {}
        makers = {
            "message_db": lambda: _message_db(room, events),
            "eventsourcing_locked": lambda: _eventsourcing(room, told, "locked"),
            "eventsourcing_functions": lambda: _eventsourcing(room, told, "functions"),
            "emmett": lambda: _emmett(room, told),
        }
        for name, make in makers.items():
            try:
                ready[name] = await stack.enter_async_context(make())
            except (Missing, OSError, asyncpg.PostgresError) as why:
                print(f"{name} is missing: {why}", file=sys.stderr)
        yield ready


@asynccontextmanager
async def _message_db(room: Room, events: Sequence[Event]) -> AsyncGenerator[Peer, None]:
    folder, programs = await asyncio.to_thread(installing.node), installing.psql()
    async with room.beside("message_db") as dsn:
        place = place_of(dsn)
        environ = {
            **os.environ,
            **{f"PG{name.upper()}": value for name, value in place.items() if name != "database"},
            "DATABASE_NAME": place["database"],
            "CREATE_DATABASE": "off",
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        with tempfile.TemporaryDirectory(prefix="bench-message-db-") as copied:
            scripts = await asyncio.to_thread(
                shutil.copytree, folder / "node_modules/@eventide/message-db/database", Path(copied) / "database"
            )
            if not await _has_pgcrypto(dsn):
                # It wants it for gen_random_uuid alone, which PostgreSQL has had of its own since 13.
                print("message_db is installed without the extension pgcrypto, which is not there", file=sys.stderr)
                (scripts / "extensions" / "pgcrypto.sql").write_text("")
            install = await asyncio.create_subprocess_exec(
                "bash", str(scripts / "install.sh"), env=environ, stdout=sys.stderr
            )
            if status := await install.wait():
                raise Missing(f"its install script ended with {status}")
        settings = {"search_path": "message_store"}
        async with asyncpg.create_pool(
            dsn, min_size=CONNECTIONS, max_size=CONNECTIONS, server_settings=settings
        ) as pool:
            yield MessageDb(pool, events)


async def _has_pgcrypto(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval(_SQL["has_pgcrypto"]))
    finally:
        await connection.close()


@asynccontextmanager
async def _eventsourcing(room: Room, told: Path, mode: str) -> AsyncGenerator[Peer, None]:
    python = await asyncio.to_thread(installing.eventsourcing)
    async with room.beside(f"eventsourcing_{mode}") as dsn:
        place = place_of(dsn)
        environ = {
            "POSTGRES_DBNAME": place["database"],
            "POSTGRES_HOST": place["host"],
            "POSTGRES_PORT": place["port"],
            "POSTGRES_USER": place["user"],
            "POSTGRES_PASSWORD": place.get("password", "unused"),
        }
        with as_file(files("bench.peers").joinpath("eventsourcing_store.py")) as script:
            async with _child(str(python), str(script), mode, str(told), environ=environ) as child:
                yield child


@asynccontextmanager
async def _emmett(room: Room, told: Path) -> AsyncGenerator[Peer, None]:
    folder = await asyncio.to_thread(installing.node)
    async with room.beside("emmett") as dsn:
        environ = {"BENCH_DSN": dsn, "BENCH_NODE_FOLDER": str(folder)}
        with as_file(files("bench.peers").joinpath("emmett_store.mjs")) as script:
            async with _child("node", str(script), str(told), environ=environ) as child:
                yield child


@asynccontextmanager
async def _child(*command: str, environ: dict[str, str]) -> AsyncGenerator[Child, None]:
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def place_of(dsn: str) -> dict[str, str]:
    """Take a connection URI apart: host, port, user, password if it has one, database."""
    parts = urlsplit(dsn)
    query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    found = {
        "host": query.get("host") or parts.hostname or "127.0.0.1",
        "port": query.get("port") or str(parts.port or 5432),
        "user": unquote(parts.username or query.get("user", "postgres")),
        "database": unquote(parts.path.lstrip("/")),
    }
    if password := parts.password or query.get("password"):
        found["password"] = unquote(password)
    return found
