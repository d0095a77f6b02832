"""The projector: one process at a time keeps the read models of its version up with the log; others stand by.

Which one is decided by an advisory lock that its connection holds, so it passes on when that process or its
connection dies. A new entry wakes it by NOTIFY, which carries no data: what there is to do is in the log. Where a
rebuild has switched to another generation it goes on with that, and it removes what interrupted rebuilds left.

Where the live read models are of another version, its own are kept up beside them, for readers of its version, until
nobody of another version reads or projects any more (ADR 0036).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog

from events.log.failure import TRANSIENT
from events.log.servers import connect
from projections import MODELS
from projections.engine import (
    QUERIES,
    SESSION,
    VERSION,
    Connection,
    Moved,
    Progress,
    Projection,
    reader_of,
    version_of,
)
from projections.model import ReadModel
from projections.observer import CHANNEL, Observer
from projections.rebuild import ensure, tidy
from projections.shares import Helpers

LOCK = int.from_bytes(b"registry", "big") >> 1  # held by who keeps up the live generation, of whatever version
STANDBY_SECONDS = 1.0  # a lock waited for inside PostgreSQL would hold a snapshot, so standing by means asking again
HEARTBEAT_SECONDS = 5.0  # so that a connection that died in silence is noticed
TIMEOUT_SECONDS = 60.0
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)
LOOKS = 3  # a heartbeat apart, at which nobody of another version reads: one may be connecting again

log = structlog.get_logger("projector")


class Elsewhere(ConnectionError):
    """Two connections have come to two servers, of which one is not the primary any more."""


class Replaced(Moved):
    """The generation of another version of the program took over: the one that this was following is over."""


def lock_of(version: str) -> int:
    """Return the number of the lock that is held by who keeps up the read models of a version."""
    return int.from_bytes(hashlib.sha256(f"projector {version}".encode()).digest()[:8], "big", signed=True)


OWN_LOCK = lock_of(VERSION)


class Projector:
    """Follows the log until it is cancelled, through lost connections and restarts of PostgreSQL."""

    def __init__(
        self,
        dsn: str,
        progress: Progress = lambda _position: None,
        models: Sequence[ReadModel] = MODELS,
        *,
        observer: Observer | None = None,
    ) -> None:
        """Take the database to follow; `progress` is told how far the live read models are, after each commit."""
        self._dsn = dsn
        self._progress = progress
        self._models = models
        self._version = version_of(models)
        self._observer = observer
        self._woken = asyncio.Event()
        self._failures = 0  # in a row
        self._was_shown = False  # whether it ever saw readers depend on read models of its own version
        self._first = False  # whether it keeps up the live generation, and has the lock that says so
        self._alone = 0  # looks in a row at which nobody of another version read
        self.active = False  # whether it is the one that projects; else it stands by, or the database is away
        self.interruptions = 0  # how often it lost the database, or its place to another program

    async def run(self) -> None:
        """Project until cancelled. Raises `Corrupt` if the log is not as it must be: that is not tried again."""
        while True:
            try:
                async with self._connected() as connection:
                    await self._stand_by(connection)
                    async with self._reading(connection) as reading:
                        self.active, self._first, self._alone = True, False, 0
                        try:
                            await self._project(connection, reading)
                        finally:
                            self.active = False
            except Replaced:
                self.interruptions += 1
                log.warning("projector_replaced", retry_in_seconds=HEARTBEAT_SECONDS)
                await asyncio.sleep(HEARTBEAT_SECONDS)
            except (*TRANSIENT, Moved) as lost:
                if isinstance(lost, ValueError):  # asyncpg's for what cannot be encoded: a mistake of ours
                    raise
                wait = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
                self._failures += 1
                self.interruptions += 1
                log.warning("projector_lost_database", error=type(lost).__name__, retry_in_seconds=wait)
                await asyncio.sleep(wait)

    @asynccontextmanager
    async def _connected(self) -> AsyncGenerator[Connection]:
        connection = await connect(self._dsn, timeout=5, command_timeout=TIMEOUT_SECONDS, server_settings=dict(SESSION))
        try:
            connection.add_termination_listener(self._wake)
            yield connection
        finally:
            await _close(connection)

    @asynccontextmanager
    async def _reading(self, connection: Connection) -> AsyncGenerator[Connection]:
        """What the log is read over, and heard of: the other connection hears of nothing within a transaction.

        It is to the same server: one that was primary once may have entries that the other has not.
        """
        session = {**SESSION, "application_name": "registry-projector-log"}
        reading = await connect(self._dsn, timeout=5, command_timeout=TIMEOUT_SECONDS, server_settings=session)
        try:
            if await reading.fetchval(QUERIES["to_read"]) != await connection.fetchval(QUERIES["server"]):
                raise Elsewhere("the log is read from another server than is written to")
            reading.add_termination_listener(self._wake)
            await reading.add_listener("registry_log", self._wake)
            if self._observer is not None:
                await reading.add_listener(CHANNEL, self._hear)
            yield reading
        finally:
            await _close(reading)

    def _wake(self, *_what: object) -> None:
        """Whatever it was, the log tells what there is to do."""
        self._woken.set()

    def _hear(self, *told: object) -> None:
        if self._observer is not None:
            self._observer.heard(str(told[-1]))

    async def _stand_by(self, connection: Connection) -> None:
        while not await connection.fetchval(QUERIES["lock"], lock_of(self._version)):
            await self._shown(connection)
            await asyncio.sleep(STANDBY_SECONDS)

    async def _shown(self, connection: Connection) -> asyncpg.Record | None:
        """Return the generation that readers of this version see, and remember that there was one."""
        shown = await connection.fetchrow(QUERIES["shown"], self._version)
        self._was_shown = self._was_shown or shown is not None
        return shown

    async def _project(self, connection: Connection, reading: Connection) -> None:
        """Follow the generation that is shown, and the one that takes its place, and so on."""
        projection = await self._begin(connection, reading)
        while True:
            try:
                await self._follow(connection, projection)
            except Moved:
                left, projection = projection.generation, await self._begin(connection, reading)
                if projection.generation == left:  # it is no rebuild but another projector that has moved it on
                    raise

    async def _begin(self, connection: Connection, reading: Connection) -> Projection:
        """Return our generation, built first if need be; not, though, once that of another version took over.

        Nobody of ours read any more then; should we build it anew, it would be for nobody. Raises `Replaced`.
        """
        live = await connection.fetchrow(QUERIES["live"])
        if await self._shown(connection) is None and self._was_shown and live is not None:
            raise Replaced(f"generation {live['id']} is of version {live['version'][:12]}")
        helpers = Helpers(self._dsn) if self._models is MODELS else None
        projection = await ensure(connection, self._models, helpers)
        projection.log, projection.observer = reading, self._observer
        shown = await self._shown(connection)
        if shown is not None and shown["state"] == "live":
            self._first = self._first or await connection.fetchval(QUERIES["lock"], LOCK)
        return projection

    async def _follow(self, connection: Connection, projection: Projection) -> None:
        log.info("projector_following", generation=projection.generation, position=projection.position)
        self._progress(projection.position)
        await projection.catch_up(progress=self._progress)
        while True:
            self._failures = 0
            await projection.follow(self._woken, HEARTBEAT_SECONDS, self._progress)
            await self._look_after(connection, projection)

    async def _look_after(self, connection: Connection, projection: Projection) -> None:
        """Remove what nobody needs any more, and see that what is followed is still shown. Raises `Moved`.

        Shown beside the live one it takes over, once nobody of another version is there.
        """
        await tidy(connection)
        shown = await self._shown(connection)
        if shown is None or shown["id"] != projection.generation:
            raise Moved(f"generation {projection.generation} is not shown any more")
        if shown["state"] == "beside":
            others = await connection.fetchval(QUERIES["others"], reader_of(self._version))
            self._alone = 0 if others else self._alone + 1
            if self._alone < LOOKS:
                return
        elif self._first:
            return
        self._first = self._first or await connection.fetchval(QUERIES["lock"], LOCK)
        if self._first and shown["state"] == "beside":
            await self._take_over(projection)

    async def _take_over(self, projection: Projection) -> None:
        await projection.catch_up(progress=self._progress)  # as far as the live one, which nobody moves on any more
        try:
            await projection.take_over()
            log.info("projector_took_over", generation=projection.generation)
        except asyncpg.LockNotAvailableError:
            log.info("switch_waits_for_readers", generation=projection.generation)


async def _close(connection: Connection) -> None:
    """Close at once; a connection that is gone already has nothing to say goodbye to."""
    try:
        await connection.close(timeout=2)
    except TRANSIENT:
        connection.terminate()
