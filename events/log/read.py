"""Reading the log: by position, by stream, by command, and as it was at a size or an instant.

Entries become visible in the order of their positions, so whoever has read up to a position has everything before it.
What the log's head says is there and is not was deleted behind the log's back: whoever reads over it in order is told
so (`Corrupt`), and never given the entries around it as if there were no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing, contextmanager
from datetime import datetime
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from events import sql
from events.catalogue import Entry, Event
from events.codec import decode_entries
from events.entry import leaf_hash
from events.errors import Corrupt, LogUnavailable
from events.log.command import Appended, Head, Recorded
from events.log.confirmation import settle
from events.log.failure import TRANSIENT
from events.merkle.tree import Frontier

PAGE: Final = 1000  # entries a page, when all are read
PART: Final = 250  # entries decoded at a time: a socket holds about as many, which come in meanwhile
WINDOW: Final = 20_000  # positions looked at in one statement for entries of some types

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

_queries: Final = sql.load("events.log", "queries.sql")
_HEAD: Final = _queries["head"]
_COMMANDS: Final = _queries["commands"]
_STREAM: Final = _queries["stream"]
_STREAMS_AFTER: Final = _queries["streams_after"]
_PAGE: Final = _queries["page"]
_PAGE_OF_BYTES: Final = _queries["page_of_bytes"]
_PAGE_WITH_LEAVES: Final = _queries["page_with_leaves"]
_PAGE_OF_TYPES: Final = _queries["page_of_types"]
_PAGE_OF_STREAMS: Final = _queries["page_of_streams"]
_PAGE_OF_STREAM: Final = _queries["page_of_stream"]
_COUNTED: Final = _queries["counted"]
_GAP: Final = _queries["gap"]
_BROKEN: Final = _queries["broken"]
_MENTIONS: Final = _queries["mentions"]
_CLAIMED: Final = _queries["claimed"]
_SIZE_AT: Final = _queries["size_at"]
_STREAM_REVISION: Final = _queries["stream_revision"]


class RecordedCommand(msgspec.Struct, frozen=True):
    """What a command recorded, as it was answered then (but `replayed`), and the hash of its request."""

    appended: Appended
    command_hash: bytes


class _Hash(msgspec.Struct):
    commandhash: str


_hash: Final = msgspec.json.Decoder(_Hash)


def lacking(position: int) -> Corrupt:
    """Say that an entry is not there which must be."""
    return Corrupt(f"the log lacks the entry at position {position}", place=f"position {position}")


def head_of(row: asyncpg.Record | None) -> Head:
    """Make a head of a row that has its columns. Raises `Corrupt` when there is none, or it contradicts itself."""
    if row is None:
        raise Corrupt("the log has no head")
    try:
        frontier = Frontier(row["size"], tuple(row["frontier"]))
    except ValueError as error:
        raise Corrupt(f"the log's head: {error}") from error
    return Head(row["size"], frontier, row["last_recorded_at"])


async def recorded_commands(connection: Connection, command_ids: Sequence[UUID]) -> dict[UUID, RecordedCommand]:
    """Read what commands recorded, by command id; those that are not recorded are not in it."""
    entries: dict[UUID, list[Recorded]] = {}
    for command_id, *columns in await connection.fetch(_COMMANDS, command_ids):
        entries.setdefault(command_id, []).append(Recorded(*columns))
    return {
        command_id: RecordedCommand(
            Appended(tuple(recorded), recorded[-1].position + 1, replayed=True),
            bytes.fromhex(_hash.decode(recorded[0].bytes).commandhash),
        )
        for command_id, recorded in entries.items()
    }


async def stream_entries(connection: Connection | Pool, stream: str) -> list[Recorded]:
    """Read a stream's entries, in order, where there is no `Reader`; raises what the database raises."""
    return [Recorded(*columns) for columns in await connection.fetch(_STREAM, stream, 0)]


class Reader:
    """The log as a pool of connections reads it.

    Each method is one short statement, or one or two a page, and raises `LogUnavailable` when the database cannot be
    used. Where entries are read in order, `Corrupt` names the first that is missing, by its position or by its revision
    in its stream; that the last of a stream are missing does not show in the stream.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._seen = 0

    async def head(self) -> Head:
        """Return how far the log has come."""
        with reachable():
            head = head_of(await self._pool.fetchrow(_HEAD))
        self._seen = max(self._seen, head.size)
        return head

    async def read_stream(self, stream: str, from_revision: int = 0) -> list[Recorded]:
        """Return a stream's entries, in order; none if there is no such stream."""
        found = await self._fetch(_STREAM, stream, from_revision)
        _must_go_on(found, {stream: from_revision - 1})
        return found

    async def read_on(self, known: Mapping[str, int]) -> list[Recorded]:
        """Return the entries of several streams beyond the revision that is known of each (-1: none), in order."""
        if not known:
            return []
        found = await self._fetch(_STREAMS_AFTER, list(known), list(known.values()))
        _must_go_on(found, known)
        return found

    async def read_all(
        self,
        from_position: int = 0,
        limit: int = PAGE,
        *,
        below: int | None = None,
        streams: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
    ) -> list[Recorded]:
        """Return up to `limit` entries from a position on, in order, before the position `below` if it is given.

        `streams` and `types` leave only entries of these; an answer shorter than `limit` means that there is no more
        of them for now. Raises `Corrupt` for an entry that is missing from the range that was looked at; of streams for
        one that is missing between those that are returned, or ahead of them. Of streams and types at once nothing
        tells of one.
        """
        if streams is None and types is None:
            count = limit if below is None else min(limit, below - from_position)
            return [Recorded(*row) for row in await self._range(_PAGE, from_position, max(count, 0))]
        if below is None:
            below = (await self.head()).size
        if streams is not None:
            found = await self._fetch(_PAGE_OF_STREAMS, from_position, limit, streams, types, below)
            if types is None:
                await self._must_be_unbroken(found, from_position)
            return found
        found: list[Recorded] = []
        while from_position < below and len(found) < limit:
            end = min(from_position + WINDOW, below)
            found += await self._fetch(_PAGE_OF_TYPES, from_position, limit - len(found), types, end)
            await self._must_be_whole(from_position, found[-1].position + 1 if len(found) == limit else end)
            from_position = end
        return found

    async def is_claimed(self, scope: str, value: str) -> bool:
        """Tell whether a value was ever claimed."""
        with reachable():
            return bool(await self._pool.fetchval(_CLAIMED, scope, value))

    async def mentions(
        self, text: str, from_position: int, below: int, *, types: Sequence[str] | None = None
    ) -> AsyncIterator[tuple[int, str]]:
        """Yield, in order, the position and the stream of each entry in a range that has a text in its bytes.

        Every entry of the range is looked into, a window at a time: for what is rarely asked.
        """
        while from_position < below:
            end = min(from_position + WINDOW, below)
            with reachable():
                found = await self._pool.fetch(_MENTIONS, text, from_position, end, types)
            await self._must_be_whole(from_position, end)
            for record in found:
                yield record["position"], record["stream"]
            from_position = end

    async def iterate(
        self, from_position: int = 0, *, below: int | None = None, page: int = PAGE
    ) -> AsyncGenerator[Recorded]:
        """Yield every entry from a position on, in order, up to where the log ends when the last page is read.

        Pages are read each on its own, one ahead of what is needed, so that a slow consumer holds up nobody. Raises
        `Corrupt`, naming the position, for a page in which an entry is missing, and for an entry that is not the one
        whose hash is stored beside it.
        """
        async with aclosing(self._pages(_PAGE_WITH_LEAVES, from_position, below, page)) as pages:
            async for rows in pages:
                for row in rows:
                    yield _hashed(row)

    async def iterate_stream(self, stream: str, *, below: int, page: int = PAGE) -> AsyncGenerator[Recorded]:
        """Yield a stream's entries before the position `below`, in order. Raises `Corrupt` as `iterate` does."""
        revision = 0
        while rows := await self._fetch_rows(_PAGE_OF_STREAM, stream, revision, page, below):
            for row in rows:
                recorded = _hashed(row)
                _must_go_on([recorded], {stream: revision - 1})
                yield recorded
                revision += 1

    async def iterate_decoded(
        self, from_position: int = 0, *, below: int | None = None, page: int = PAGE
    ) -> AsyncGenerator[list[Entry[Event]]]:
        """Yield every entry as `iterate` does, but decoded and some hundred together, which costs the least for each.

        Raises `EntryTooNew` and `Corrupt` for entries that cannot be read, `Corrupt` for one that is missing.
        """
        async with aclosing(self._pages(_PAGE_OF_BYTES, from_position, below, page)) as pages:
            async for rows in pages:
                for first in range(0, len(rows), PART):
                    yield decode_entries([row[0] for row in rows[first : first + PART]])
                    await asyncio.sleep(0)  # for the next page to come in

    async def iterate_stored(
        self, from_position: int = 0, *, below: int | None = None, page: int = PAGE
    ) -> AsyncGenerator[list[tuple[int, bytes]]]:
        """Yield every entry as `iterate` does, a page at a time, as its position and what is stored there.

        Raises `Corrupt` in place of a page in which an entry is missing.
        """
        async with aclosing(self._pages(_PAGE_OF_BYTES, from_position, below, page)) as pages:
            async for rows in pages:
                yield [(position, stored) for stored, position in rows]

    async def _pages(
        self, statement: str, from_position: int, below: int | None, page: int
    ) -> AsyncGenerator[list[asyncpg.Record]]:
        """Yield pages that are not empty, up to one that is not full. The next is on its way while one is looked at."""

        def fetch(first: int) -> asyncio.Task[list[asyncpg.Record]]:
            count = page if below is None else min(page, max(below - first, 0))
            return asyncio.create_task(self._range(statement, first, count))

        following = fetch(from_position)
        try:
            while rows := await following:
                from_position += len(rows)
                if len(rows) == page:
                    following = fetch(from_position)
                    await asyncio.sleep(0)  # so that it is asked for before the consumer is busy
                yield rows
                if len(rows) < page:
                    return
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)  # nobody is told any more

    async def find_command(self, command_id: UUID) -> RecordedCommand | None:
        """Return what a command recorded, or None if it is not recorded."""
        with reachable():
            async with self._pool.acquire() as connection:
                return (await recorded_commands(connection, [command_id])).get(command_id)

    async def settle(self) -> None:
        """Return when all that can be read now is durable as what was answered is: no failover takes it back."""
        with reachable():
            async with self._pool.acquire() as connection:
                await settle(connection)

    async def size_at(self, instant: datetime) -> int:
        """Return the size that the log had at an instant: the number of entries recorded then or before.

        A command's entries share their time, so no size that this returns parts them. Raises `Corrupt` where an entry
        is missing that would tell.
        """
        low, high = await self._search(_SIZE_AT, instant)
        if low != high:
            raise lacking(low + (high - low) // 2)
        return low

    async def stream_revision(self, stream: str, size: int) -> int:
        """Return the revision that a stream had when the log had a size, or -1 if it had no entry then.

        Raises `Corrupt` where an entry is missing that would tell.
        """
        low, high = await self._search(_STREAM_REVISION, stream, size)
        if low != high:
            raise _lacking_of(stream, low + (high - low) // 2)
        return low - 1

    async def _range(self, statement: str, first: int, count: int) -> list[asyncpg.Record]:
        """Return the rows of so many positions, or of as many of them as there are already.

        Raises `Corrupt` if one is missing. Positions are unique and in order, so that the last one tells.
        """
        rows = await self._fetch_rows(statement, first, count)
        if rows and (last := rows[-1]["position"]) != first + len(rows) - 1:
            raise lacking(next(n for n, row in zip(range(first, last), rows, strict=False) if row["position"] != n))
        if len(rows) < count:
            await self._look_for_gap(first + len(rows), first + count)
        return rows

    async def _must_be_whole(self, first: int, end: int) -> None:
        """Raise `Corrupt` if an entry of a range is missing that was read but in part."""
        if await self._fetchval(_COUNTED, first, end) != end - first:
            await self._look_for_gap(first, end)

    async def _look_for_gap(self, first: int, end: int) -> None:
        """Raise `Corrupt` if an entry of a range is missing, rather than not there yet.

        That is told by the head that the same server has, be it behind others or not; it is read ahead of what it says
        is there.
        """
        with reachable():
            async with self._pool.acquire() as connection:
                end = min(end, head_of(await connection.fetchrow(_HEAD)).size)
                gap = await connection.fetchval(_GAP, first, end) if first < end else None
        if gap is not None:
            raise lacking(gap)

    async def _must_be_unbroken(self, found: Sequence[Recorded], from_position: int) -> None:
        """Raise `Corrupt` if an entry of a stream is missing between those that were found, or just ahead of them."""
        before: dict[str, int] = {}
        for one in found:
            before.setdefault(one.stream, one.revision - 1 if from_position else -1)
        _must_go_on(found, before)
        begun = {stream: revision for stream, revision in before.items() if revision >= 0}
        if begun:
            with reachable():
                broken = await self._pool.fetchrow(_BROKEN, list(begun), list(begun.values()))
            if broken is not None:
                raise _lacking_of(broken["stream"], broken["revision"])

    async def _fetch(self, statement: str, *arguments: object) -> list[Recorded]:
        return [Recorded(*row) for row in await self._fetch_rows(statement, *arguments)]

    async def _fetch_rows(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        with reachable():
            return await self._pool.fetch(statement, *arguments)

    async def _search(self, statement: str, *arguments: object) -> tuple[int, int]:
        """Return what a binary search has come to: twice the same, or between what it found nothing to go on by."""
        with reachable():
            low, high = await self._pool.fetchrow(statement, *arguments) or (0, 0)
        return low, high

    async def _fetchval(self, statement: str, *arguments: object) -> Any:
        with reachable():
            return await self._pool.fetchval(statement, *arguments)


def _hashed(row: asyncpg.Record) -> Recorded:
    """Return the entry of a row that ends with its leaf. Raises `Corrupt` if that is the leaf of other bytes."""
    *columns, leaf = row
    recorded = Recorded(*columns)
    if leaf_hash(recorded.bytes) != leaf:
        place = f"position {recorded.position}"
        raise Corrupt(f"{place}: the entry's bytes are not those that its leaf is the hash of", place=place)
    return recorded


def _must_go_on(found: Iterable[Recorded], known: Mapping[str, int]) -> None:
    """Raise `Corrupt` unless each stream goes on from the revision that is known of it, without a gap."""
    reached = dict(known)
    for one in found:
        following = reached[one.stream] + 1
        if one.revision != following:
            raise _lacking_of(one.stream, following)
        reached[one.stream] = following


def _lacking_of(stream: str, revision: int) -> Corrupt:
    place = f"revision {revision} of {stream}"
    return Corrupt(f"the log lacks the entry of {place}", place=place)


@contextmanager
def reachable() -> Generator[None, None, None]:
    """Turn what says that PostgreSQL cannot be used now into `LogUnavailable`."""
    try:
        yield
    except TRANSIENT as error:
        if isinstance(error, ValueError):  # an argument that cannot be sent
            raise
        raise LogUnavailable("The log cannot be read now; try again later.") from error
