"""Whose keys were destroyed, remembered outside the database, so that a restored one gives nobody back (ADR 0028).

A backup from before an erasure has the key that the erasure destroyed, and knows nothing of it. The key ring, which is
not restored together with the database, does: no checkpoint is signed over an erasure that it does not remember, and
what it remembers is destroyed again before anything is served.
"""

from __future__ import annotations

from asyncio import to_thread
from typing import Final

from events import sql
from events.catalogue.history import EntryCorrected, EntryRetracted
from events.catalogue.person import PersonErased
from events.catalogue.source import SourceWithdrawn
from events.log.read import Pool
from services.registry.signing.keyring import KeyRing

WINDOW: Final = 100_000  # positions looked at in one statement
_SQL: Final = sql.load("services.registry.signing", "erasures.sql")
_ERASE: Final = (PersonErased.event_type,)
_LEAVE: Final = (SourceWithdrawn.event_type, EntryCorrected.event_type, EntryRetracted.event_type)


class Erasures:
    """What was erased, in a database and in the key ring beside it."""

    def __init__(self, pool: Pool, ring: KeyRing) -> None:
        self._pool = pool
        self._ring = ring
        self._seen = ("", 0)  # what this process has looked at, which is not written down each time

    async def remember(self, origin: str, size: int) -> None:
        """Have the key ring remember, durably, what the first `size` entries erased.

        Under another name than before, the log is looked at anew. Raises `KeyRingUnusable`, and what asyncpg raises.
        """
        name, kept, known = await to_thread(self._ring.erased)
        first = max(seen for at, seen in ((name, kept), self._seen, (origin, 0)) if at == origin and seen <= size)
        owners: set[str] = set()
        for start in range(first, size, WINDOW):
            end = min(start + WINDOW, size)
            rows = await self._pool.fetch(_SQL["destroyed"], start, end, _ERASE, _LEAVE)
            owners.update(row["owner"] for row in rows)
        if owners - known or name != origin or size - kept >= WINDOW:
            await to_thread(self._ring.keep_erased, origin, size, owners)
        self._seen = (origin, size)

    async def apply(self) -> list[str]:
        """Destroy again what the key ring remembers and the database has, and return whose keys those were.

        Durable when this returns. Raises `KeyRingUnusable`, and what asyncpg raises.
        """
        _, _, known = await to_thread(self._ring.erased)
        if not known:
            return []
        owners = sorted(known)
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(_SQL["destroy"], owners)
            await connection.execute(_SQL["destroy_salts"], owners)
        return sorted(row["owner"] for row in rows)
