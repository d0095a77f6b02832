"""What a doctor reads from PostgreSQL; every method raises what asyncpg raises, and changes nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from asyncpg import Record

from events import sql
from events.errors import Corrupt
from events.log.checkpoints import Checkpoints
from events.log.read import Pool
from projections.engine import VERSION
from projections.projector import OWN_LOCK
from services.registry.clock import Clock
from services.registry.doctor.backup import Archiving, Backlog
from services.registry.doctor.clocks import Reading
from services.registry.doctor.configuration import Server
from services.registry.doctor.disk import Space
from services.registry.doctor.grants import FUNCTIONS, Role, Table, Trigger
from services.registry.doctor.keys import OPENED, Published, Wrapped
from services.registry.doctor.projection import Projection, Unsigned
from services.registry.doctor.replication import Slot, Standby
from services.registry.signing.signer import current_origin

LOOKS: Final = 3  # at the clock: the one that took the least time tells the most
_SQL: Final = sql.load("services.registry.doctor", "reading.sql")


async def server(pool: Pool) -> Server:
    """Read what the server is."""
    return Server(**dict(await _row(pool, "server")))


async def role(pool: Pool) -> Role:
    """Read who the session is."""
    return Role(**dict(await _row(pool, "role")))


async def tables(pool: Pool) -> list[Table]:
    """Read what is granted on each table."""
    return [Table(**dict(row)) for row in await pool.fetch(_SQL["tables"])]


async def schemas(pool: Pool) -> tuple[list[str], list[str]]:
    """Read in which schemas things may be made, and which are closed."""
    row = await _row(pool, "schemas")
    return row["makes_in"] or [], row["closed"] or []


async def functions(pool: Pool) -> dict[str, bool]:
    """Read which of the functions that the service calls may be called."""
    return {row["name"]: row["callable"] for row in await pool.fetch(_SQL["functions"], FUNCTIONS)}


async def triggers(pool: Pool) -> list[Trigger]:
    """Read the triggers of the log and the access record."""
    return [Trigger(**dict(row)) for row in await pool.fetch(_SQL["triggers"])]


async def clocks(pool: Pool, clock: Clock) -> Reading:
    """Read both clocks."""
    async with pool.acquire() as connection:
        readings = [Reading(clock(), await connection.fetchval(_SQL["time"]), clock()) for _ in range(LOOKS)]
    return min(readings, key=lambda one: one.after - one.before)


async def last_entry(pool: Pool) -> datetime | None:
    """Read when the last entry says that it was recorded."""
    moment: datetime | None = await pool.fetchval(_SQL["last_entry"])
    return moment


async def published(pool: Pool, settings_origin: str) -> Published:
    """Read what the database knows of the signing keys. Raises `LogUnavailable` too."""
    checkpoints = Checkpoints(pool)
    origin = await current_origin(checkpoints, settings_origin)
    return Published(
        origin, await checkpoints.verifiers(), await checkpoints.latest(origin), await checkpoints.log_size()
    )


async def wrapped(pool: Pool) -> list[Wrapped]:
    """Read the newest wrapped keys of each master key."""
    return [Wrapped(**dict(row)) for row in await pool.fetch(_SQL["wrapped"], OPENED)]


async def space(pool: Pool) -> Space:
    """Read how large the database is and, as far as the role may know, where."""
    return Space(**dict(await _row(pool, "space")))


async def is_monitor(pool: Pool) -> bool:
    """Read whether the role sees what only monitors do."""
    return bool(await pool.fetchval(_SQL["monitor"]))


async def standbys(pool: Pool) -> list[Standby]:
    """Read which standbys there are, as a monitor."""
    return [Standby(**dict(row)) for row in await pool.fetch(_SQL["standbys"])]


async def wanted_standbys(pool: Pool) -> str:
    """Read synchronous_standby_names."""
    names: str = await pool.fetchval(_SQL["wanted_standbys"])
    return names


async def slots(pool: Pool) -> list[Slot]:
    """Read which replication slots there are."""
    return [Slot(**dict(row)) for row in await pool.fetch(_SQL["slots"])]


async def archiving(pool: Pool) -> Archiving:
    """Read how the archiver does."""
    return Archiving(**dict(await _row(pool, "archiving")))


async def backlog(pool: Pool) -> Backlog:
    """Read how much WAL there is, as a monitor."""
    return Backlog(**dict(await _row(pool, "unarchived")))


async def projection(pool: Pool) -> Projection:
    """Read how far the read models are."""
    return Projection(**dict(await _row(pool, "projection", OWN_LOCK, VERSION)))


async def unsigned(pool: Pool, known: Published) -> Unsigned:
    """Read since when an entry is without a checkpoint."""
    covered = known.latest.checkpoint.size if known.latest else None
    row = await _row(pool, "uncovered", covered or 0)
    signed_at = known.latest.signed_at if known.latest else None
    return Unsigned(covered=covered, signed_at=signed_at, size=known.size, since=row["since"], now=row["now"])


async def _row(pool: Pool, name: str, *arguments: object) -> Record:
    row = await pool.fetchrow(_SQL[name], *arguments)
    if row is None:
        raise Corrupt(f"the database has no answer to {name!r}: the one row of log.head is missing")
    return row
