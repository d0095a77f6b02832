"""Taking an export over into a database that has none of its entries yet, or the first of them.

Entries are copied byte for byte once they are proved; columns, leaves, head and claims are worked out of them. At the
end the database has the root, the keys, the names and the checkpoint, so that what verified the log before goes on.
Keys of sealed data and documents are no part of an export.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime

import asyncpg
import msgspec

from events.entry import leaf_hash
from events.errors import Corrupt
from events.log import Reader
from events.log.checkpoints import Checkpoints, Origin
from events.log.command import Head
from events.log.read import Pool
from events.log.transfer import receive
from events.log.tree import Tree
from events.merkle.note import Signature, VerifierKey
from events.merkle.tree import extend, root_of_frontier
from services.registry.archive.folder import ArchiveUnusable
from services.registry.archive.reading import Export, Manifest
from services.registry.clock import Clock


class Taken(msgspec.Struct, frozen=True):
    """What the database has now; `found` entries were there before. `dropped` signatures are of keys nobody gave."""

    size: int
    root: bytes
    found: int
    dropped: tuple[str, ...]


class Intake:
    """Takes exports over into one database, as the service's role."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._reader = Reader(pool)
        self._checkpoints = Checkpoints(pool)
        self._clock = clock

    async def take(
        self, export: Export, manifest: Manifest, trusted: Sequence[VerifierKey], progress: Callable[[int], None]
    ) -> Taken:
        """Take over what an export has beyond what the database has, and then what vouches for it.

        What was interrupted is gone on with by doing it again. Raises `ArchiveUnusable` for entries that are not those
        of the checkpoint, and for a database with other entries; `Corrupt` for entries that could never follow.
        """
        checkpoint = manifest.checkpoint
        before = await self._reader.head()
        if before.size > checkpoint.size:
            raise ArchiveUnusable(
                f"The database has {before.size} entries already, more than the {checkpoint.size} of the export."
            )
        async with self._pool.acquire() as connection:
            head = await receive(connection, _beyond(export.entries(checkpoint), before), progress)
        if (head.size, head.frontier.root()) != (checkpoint.size, checkpoint.root):
            raise Corrupt("the database has not the root of the export's checkpoint; somebody else writes to it")
        await Tree(self._pool).integrate(checkpoint.size)  # a checkpoint that is there has its tiles
        try:
            await self._take_names(manifest)
            dropped = await self._take_checkpoint(manifest, trusted)
        except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError) as refused:
            raise ArchiveUnusable(f"What the export says of the log's names cannot be kept: {refused}.") from None
        return Taken(checkpoint.size, checkpoint.root, before.size, dropped)

    async def _take_names(self, manifest: Manifest) -> None:
        for key in reversed(manifest.keys):  # the newest comes first, and the last one added is the newest
            await self._checkpoints.add_verifier(key, self._clock())
        known = {one.origin for one in await self._checkpoints.origins()}
        for one in reversed(manifest.origins.adopted):
            if one.origin not in known:
                await self._checkpoints.adopt(
                    Origin(
                        origin=one.origin,
                        size=one.size,
                        replaces=one.replaces,
                        last_checkpoint=one.last_checkpoint,
                        reason=one.reason,
                        adopted_at=datetime.fromisoformat(one.adopted_at),
                        statement=one.statement,
                    )
                )

    async def _take_checkpoint(self, manifest: Manifest, trusted: Sequence[VerifierKey]) -> tuple[str, ...]:
        """Keep the checkpoint with the signatures that were verified; return who else is said to have signed."""
        checkpoint, note = manifest.checkpoint, manifest.note
        kept, dropped = list[Signature](), list[str]()
        for signature in note.signatures:
            if any(signature.is_of(key) for key in (*manifest.keys, *trusted)):
                kept.append(signature)
            else:
                dropped.append(signature.name)
        async with self._checkpoints.signing() as connection:
            standing = await self._checkpoints.covering(checkpoint.origin, checkpoint.size)
            if standing and standing.checkpoint.size == checkpoint.size and standing.checkpoint != checkpoint:
                raise Corrupt(f"the database has another checkpoint over {checkpoint.size} entries")
            for signature in kept:
                await self._checkpoints.add(connection, checkpoint, signature, self._clock())
        return tuple(dropped)


async def _beyond(entries: Iterator[bytes], there: Head) -> AsyncIterator[bytes]:
    """Yield the entries that are not there yet, once those before were found to be the same.

    Raises `ArchiveUnusable`.
    """
    roots: list[bytes] = []
    for position in range(there.size):
        extend(position, roots, leaf_hash(next(entries)))
    if root_of_frontier(roots) != there.frontier.root():
        raise ArchiveUnusable("The database holds entries that are not the first of this export. Name an empty one.")
    for entry in entries:
        yield entry
