"""The projector: one process at a time keeps the read models up with the log; others stand by.

Which one is decided by an advisory lock that its connection holds, so it passes on when that process or its
connection dies. A new entry wakes it by NOTIFY, which carries no data: what there is to do is in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg
import structlog

from projections.engine import QUERIES, Connection, Moved, Projection
from projections.rebuild import ensure

LOCK = int.from_bytes(b"registry", "big") >> 1
STANDBY_SECONDS = 1.0  # a lock waited for inside PostgreSQL would hold a snapshot, so standing by means asking again
HEARTBEAT_SECONDS = 5.0  # so that a connection that died in silence is noticed
TIMEOUT_SECONDS = 60.0
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)

LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    TimeoutError,
)

log = structlog.get_logger("projector")


class Projector:
    """Follows the log until it is cancelled, through lost connections and restarts of PostgreSQL."""

    def __init__(self, dsn: str, progress: Callable[[int], None] = lambda _position: None) -> None:
        """Take the database to follow; `progress` is told every position that has been committed."""
        self._dsn = dsn
        self._progress = progress
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Project until cancelled. Raises `Corrupt` if the log is not as it must be: that is not tried again."""
        failures = 0
        while True:
            try:
                connection = await self._connect()
                try:
                    await self._stand_by(connection)
                    failures = 0
                    await self._follow(await ensure(connection))
                finally:
                    await _close(connection)
            except (*LOST, Moved) as lost:
                wait = RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)]
                failures += 1
                log.warning("projector_lost_database", error=type(lost).__name__, retry_in_seconds=wait)
                await asyncio.sleep(wait)

    async def _connect(self) -> Connection:
        """Connect as the group role, so that whoever projects owns the same tables."""
        connection = await asyncpg.connect(
            self._dsn,
            timeout=10,
            command_timeout=TIMEOUT_SECONDS,
            server_settings={"application_name": "registry-projector", "role": "registry_projector"},
        )
        connection.add_termination_listener(self._wake)
        await connection.add_listener("registry_log", self._wake)
        return connection

    def _wake(self, *_what: object) -> None:
        """Whatever it was, the log tells what there is to do."""
        self._woken.set()

    @staticmethod
    async def _stand_by(connection: Connection) -> None:
        while not await connection.fetchval(QUERIES["lock"], LOCK):  # noqa: ASYNC110 - see STANDBY_SECONDS
            await asyncio.sleep(STANDBY_SECONDS)

    async def _follow(self, projection: Projection) -> None:
        log.info("projector_following", generation=projection.generation, position=projection.position)
        while True:
            self._woken.clear()
            await projection.catch_up()
            self._progress(projection.position)
            try:
                await asyncio.wait_for(self._woken.wait(), HEARTBEAT_SECONDS)
            except TimeoutError:
                continue


async def _close(connection: Connection) -> None:
    """Close at once; a connection that is gone already has nothing to say goodbye to."""
    try:
        await connection.close(timeout=2)
    except LOST:
        connection.terminate()
