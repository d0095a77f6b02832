"""Checkpoints as PostgreSQL keeps them: insert-only, one a size and name, with the signatures that they gathered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import asyncpg
import msgspec

from events import sql
from events.log.read import Connection, Pool, reachable
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Note, Signature, VerifierKey

LOCK: Final = int.from_bytes(b"checkpts", "big") >> 1

_queries: Final = sql.load("events.log", "checkpoints.sql")
_LOCK: Final = _queries["lock"]
_LATEST: Final = _queries["latest"]
_AT: Final = _queries["at"]
_COSIGNED: Final = _queries["cosigned"]
_SIGNATURES: Final = _queries["signatures"]
_ADD: Final = _queries["add"]
_SIGN: Final = _queries["sign"]
_VERIFIERS: Final = _queries["verifiers"]
_ADD_VERIFIER: Final = _queries["add_verifier"]
_ORIGINS: Final = _queries["origins"]
_ADOPT: Final = _queries["adopt"]
_SIZE: Final = _queries["size"]


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint, when it was signed, and its signatures, the log's own first."""

    checkpoint: Checkpoint
    signed_at: datetime
    signatures: tuple[Signature, ...]

    @property
    def note(self) -> Note:
        """Return it as it is published."""
        return Note(self.checkpoint.text, self.signatures)


class Origin(msgspec.Struct, frozen=True):
    """A name that checkpoints are signed under, taken in place of another when the log had `size` entries.

    `statement` is the signed note that says so; None for a name that was taken before these were made.
    """

    origin: str
    size: int
    replaces: str | None
    last_checkpoint: str | None
    reason: str
    adopted_at: datetime
    statement: str | None = None


class Checkpoints:
    """The log's checkpoints. Each method raises `LogUnavailable` when the database cannot be used."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def latest(self, origin: str) -> Signed | None:
        """Return the last checkpoint that was signed under a name."""
        return await self._one(_LATEST, origin)

    async def covering(self, origin: str, size: int) -> Signed | None:
        """Return the first checkpoint under a name that has so many entries or more."""
        return await self._one(_AT, origin, size)

    async def published(self, origin: str, witnesses: Sequence[VerifierKey], quorum: int) -> Signed | None:
        """Return the last checkpoint that at least `quorum` of the witnesses have cosigned."""
        if quorum == 0:
            return await self.latest(origin)
        names, ids = [key.name for key in witnesses], [key.key_id for key in witnesses]
        return await self._one(_COSIGNED, origin, names, ids, quorum)

    async def verifiers(self) -> list[VerifierKey]:
        """Return the keys that checkpoints are or were signed with, the newest first."""
        with reachable():
            return [VerifierKey.parse(row["key"]) for row in await self._pool.fetch(_VERIFIERS)]

    async def add_verifier(self, key: VerifierKey, now: datetime) -> None:
        """Publish a key; one that is published stays as it is."""
        with reachable():
            await self._pool.execute(_ADD_VERIFIER, key.text, now)

    async def origins(self) -> list[Origin]:
        """Return the names that were taken in place of the settings' own, the newest first."""
        with reachable():
            return [Origin(**dict(row)) for row in await self._pool.fetch(_ORIGINS)]

    async def log_size(self) -> int:
        """Return how many entries the log has."""
        with reachable():
            size: int = await self._pool.fetchval(_SIZE)
            return size

    async def adopt(self, origin: Origin) -> None:
        """Take another name from now on. Raises `asyncpg.UniqueViolationError` for one that was taken before."""
        with reachable():
            await self._pool.execute(_ADOPT, *msgspec.structs.astuple(origin))

    @asynccontextmanager
    async def signing(self) -> AsyncGenerator[Connection]:
        """Keep other signers out; what is added is committed on the way out."""
        with reachable():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_LOCK, LOCK)
                yield connection

    async def add(self, connection: Connection, checkpoint: Checkpoint, signature: Signature, now: datetime) -> None:
        """Keep a checkpoint and a signature of it; both stay as they are if they are there."""
        await connection.execute(_ADD, checkpoint.origin, checkpoint.size, checkpoint.root, now)
        await self.sign(checkpoint, signature, now, connection=connection)

    async def sign(
        self, checkpoint: Checkpoint, signature: Signature, now: datetime, *, connection: Connection | None = None
    ) -> None:
        """Keep another signature of a checkpoint that is kept."""
        with reachable():
            await (connection or self._pool).execute(
                _SIGN, checkpoint.origin, checkpoint.size, signature.name, signature.key_id, signature.blob, now
            )

    async def _one(self, statement: str, *arguments: object) -> Signed | None:
        with reachable():
            row = await self._pool.fetchrow(statement, *arguments)
            if row is None:
                return None
            signatures = await self._pool.fetch(_SIGNATURES, row["origin"], row["size"])
        return _signed(row, signatures)


def _signed(row: asyncpg.Record, signatures: Sequence[asyncpg.Record]) -> Signed:
    return Signed(
        Checkpoint(row["origin"], row["size"], row["root"]),
        row["signed_at"],
        tuple(Signature(one["name"], one["key_id"], one["blob"]) for one in signatures),
    )
