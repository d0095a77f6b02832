"""Reading the read models as of a log size, and waiting until they have come that far.

Versions at one size never change (other than that sealed values can no longer be opened), so an answer is the same
whenever it is asked for. A size that has not been projected yet is not answered: `wait_for` it first.

Where they are read from standbys (ADR 0029), what was projected is there a moment later, and on each at its own time:
every query sees on its own connection that its size is there. A standby tells nobody what it replays, so it is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import date, datetime
from typing import Any, Literal, TypeAlias

import asyncpg
import msgspec
from msgspec.structs import replace

from events.sql import load
from events.words import prefixes, whole
from projections.digest import digests
from projections.engine import QUERIES
from projections.following import NOT_BUILT, Following, ReadModelBehind, behind
from projections.model import ReadModel
from projections.names import NAMES
from projections.parties import PARTIES
from projections.search import SEARCH
from projections.sources import SOURCES
from projections.standby import replayed
from projections.topics import TOPICS

TIMELINE = load("projections", "timeline.sql")
STATISTICS = load("projections", "statistics.sql")
CALENDAR = load("projections", "calendar.sql")
CITED = load("projections", "cited.sql")

STANDBY_LAG_SECONDS = 2.0  # what one standby may be behind another that has shown a size already


class Found(msgspec.Struct, frozen=True):
    """An item as it is kept: its JSON object and the ids named in it. In a timeline it has a kind, too."""

    id: str
    sort: str
    refs: tuple[str, ...]
    body: bytes
    kind: str = ""


class Dated(msgspec.Struct, frozen=True):
    """What is or was in the calendar, as it last was there.

    `stands` says whether it is there still, `ended` whether its cooperation ended before it was held. `changes` counts
    what happened to it since it was first recorded, and never goes down; the last of these was recorded at `changed`.
    """

    found: Found
    stands: bool
    ended: bool
    changes: int
    changed: datetime


class Digested(msgspec.Struct, frozen=True):
    """What the read models show at a size, as a SHA-256 each (`projections.digest`), and which version they are of."""

    size: int
    digests: dict[str, str]
    version: str


class Label(msgspec.Struct, frozen=True):
    """What an id is called: in the clear, or sealed (a person's details)."""

    text: str | None
    sealed: str | None


FilterValue: TypeAlias = "str | Lies | Overdue"


class Lies(msgspec.Struct, frozen=True):
    """What a `dates` filter asks: days from and to (None: no bound), and whether the fact must lie there."""

    first: date | None = None
    last: date | None = None
    certain: bool = False


class Overdue(msgspec.Struct, frozen=True):
    """What an `overdue` filter asks: whether a thing has to be overdue (None: either), on which day.

    The day is None only until it is known what size the answer is as of.
    """

    wanted: bool | None
    on: date | None


class ReadModels:
    """The queries of all read models over one pool, and the position of the live generation as last heard of.

    `start` keeps the position by LISTEN on a connection of its own, which it makes anew when lost. `dsn` is to name
    the server that is projected on (a standby has no LISTEN). It is the one that the pool reads from, unless that is
    `standby`, and may read from any.
    """

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dsn: str, *, standby: bool = False) -> None:
        self._pool = pool
        self._standby = standby
        self._following = Following(dsn, self.live_position)

    async def start(self) -> None:
        """Begin to follow the position."""
        self._following.start()

    async def stop(self) -> None:
        """Stop following."""
        await self._following.stop()

    @property
    def heard(self) -> int:
        """How many entries the live read models show, as last heard of: nobody is asked."""
        return max(self._following.position, 0)

    async def hear_of(self, size: int, seconds: float) -> None:
        """Wait until the first `size` entries are projected, whether or not a standby that is read shows them yet.

        Raises `ReadModelBehind` after `seconds`.
        """
        await self._following.wait_for(size, seconds)

    async def position(self) -> int:
        """Return how many entries the live read models show, as the database says now.

        Raises `ReadModelBehind` while there are none.
        """
        position = await self.live_position()
        if position is None:
            raise ReadModelBehind(NOT_BUILT)
        await self._following.note(max(position, self._following.position))
        return position

    async def live_position(self) -> int | None:
        """Return how many entries the live read models show, or None while there are none."""
        position: int | None = await self._pool.fetchval(QUERIES["position"])
        return position

    async def shown(self, least: int, seconds: float) -> int:
        """Return how many entries the read models show, when it is at least so many. Raises `ReadModelBehind`."""
        if least:
            await self.wait_for(least, seconds)
        position = await self.position()
        if position < least and not self._standby:  # it was heard of on a primary that is none any more
            raise behind(position, least)
        return max(position, least)  # another standby may have told; each query sees to its own

    async def wait_for(self, size: int, seconds: float) -> None:
        """Wait until the read models show the first `size` entries. Raises `ReadModelBehind` after `seconds`."""
        begun = asyncio.get_running_loop().time()
        await self.hear_of(size, seconds)
        if self._standby:
            left = seconds - (asyncio.get_running_loop().time() - begun)
            if (at := await replayed(self.live_position, size, left)) < size:
                raise behind(at, size)

    async def page(
        self,
        model: ReadModel,
        size: int,
        filters: Mapping[str, FilterValue],
        *,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> list[Found]:
        """Return up to `limit` items as of `size` that match, in the model's order, after a (sort key, id)."""
        sort, key = after or (None, None)
        with _in_this_form(model):
            parameters = await self._parameters(model, filters, size)
            records = await self._fetch(size, model.queries["page"], size, sort, key, limit, *parameters)
        return [_found(record) for record in records]

    async def one(self, model: ReadModel, key: str, size: int) -> Found | None:
        """Return one item as of `size`, or None if there was none."""
        with _in_this_form(model):
            records = await self._fetch(size, model.queries["one"], key, size)
        return _found(records[0]) if records else None

    async def cited(self, sources: Collection[str], size: int) -> dict[str, Found]:
        """Return those of the sources that there were as of `size`, by id."""
        if not sources:
            return {}
        with _in_this_form(SOURCES):
            records = await self._fetch(size, CITED["sources"], sorted(sources), size)
        return {record["id"]: _found(record) for record in records}

    async def timeline(
        self, of: Literal["cooperation", "party"], key: str, size: int, *, after: tuple[str, str] | None, limit: int
    ) -> list[Found]:
        """Return up to `limit` things of a cooperation or party as of `size`, by date, each with its kind."""
        sort, last = after or (None, None)
        subject: str | list[str] = key if of == "cooperation" else await self.merged(key, size)
        with _in_this_form(TOPICS):
            records = await self._fetch(size, TIMELINE[f"of_{of}"], size, sort, last, limit, subject)
        return [replace(_found(record), kind=record["kind"]) for record in records]

    async def calendar(
        self, of: Literal["visits", "rounds"], size: int, filters: Mapping[str, FilterValue], *, after: str, limit: int
    ) -> list[Dated]:
        """Return up to `limit` visits or rounds that are or were in the calendar as of `size`, by id, after an id.

        The filters are by cooperation, party and country.
        """
        party = filters.get("party")
        same: list[list[Any] | None] = [None, None, None]
        if isinstance(party, str):
            ever = await self._fetch(size, PARTIES.queries["ever_merged"], party, size)
            same = [[one[column] for one in ever] for column in ("id", "since", "until")]
        others = filters.get("cooperation"), *same, filters.get("country")
        with _in_this_form(NAMES):
            records = await self._fetch(size, CALENDAR["of"], size, after, limit, *others, of)
        return [
            Dated(_found(one), one["stands"], one["ended"], one["changes"] - 1, one["recorded_at"]) for one in records
        ]

    async def statistics(self, by: str, size: int) -> list[dict[str, Any]]:
        """Return counts as of `size`, a row a country, field, stage or month (`by`); `statistics.sql` says of what."""
        return [dict(record) for record in await self._fetch(size, STATISTICS["counts"], size, by)]

    async def search(self, text: str, size: int, *, after: tuple[str, str] | None, limit: int) -> list[Found]:
        """Return up to `limit` things that have all the words of a text (as beginnings of words).

        The best match comes first. A text without letters and digits finds nothing.
        """
        asked = prefixes(text)
        if not asked:
            return []
        sort, key = after or (None, None)
        with _in_this_form(SEARCH):
            records = await self._fetch(size, SEARCH.queries["find"], size, sort, key, limit, whole(text), asked)
        return [_found(record) for record in records]

    async def labels(self, ids: Collection[str], size: int) -> dict[str, Label]:
        """Return the labels, as of `size`, of those of the ids that have one."""
        if not ids:
            return {}
        with _in_this_form(NAMES):
            records = await self._fetch(size, NAMES.queries["labels"], sorted(ids), size)
        return {record["id"]: Label(record["label"], record["sealed"]) for record in records}

    async def merged(self, party: str, size: int) -> list[str]:
        """Return a party and all that it was merged with, either way, as of `size`."""
        return [record["id"] for record in await self._fetch(size, PARTIES.queries["merged"], party, size)]

    async def survivors(self, parties: Collection[str], size: int) -> dict[str, str]:
        """Return what each of those parties that were merged lives on in, as of `size`."""
        if not parties:
            return {}
        with _in_this_form(PARTIES):
            records = await self._fetch(size, PARTIES.queries["survivors"], sorted(parties), size)
        return {record["id"]: record["survivor"] for record in records}

    async def digested(self, size: int) -> Digested:
        """Digest all read models as of `size`. Raises `ReadModelBehind` while there are none, or none of this form."""
        version = await self._version()
        while True:
            with _in_this_form(NAMES):
                async with self._at(size) as connection:
                    found = await digests(connection, size)
            was, version = version, await self._version()
            if version == was:
                return Digested(size, found, version)

    async def _version(self) -> str:
        live = await self._pool.fetchrow(QUERIES["live"])
        if live is None:
            raise ReadModelBehind(NOT_BUILT)
        return str(live["version"])

    async def _parameters(self, model: ReadModel, filters: Mapping[str, FilterValue], size: int) -> list[Any]:
        """Lay the filters out as the SQL of the model numbers them."""
        parameters: list[Any] = []
        for one in model.filters:
            given = filters.get(one.name)
            if one.form == "dates":
                lies = given if isinstance(given, Lies) else Lies()
                parameters += [lies.first, lies.last, lies.certain]
            elif one.form == "overdue":
                parameters += [given.wanted, given.on] if isinstance(given, Overdue) else [None, None]
            elif one.kind == "party" and isinstance(given, str):
                parameters.append(await self.merged(given, size))
            else:
                parameters.append(given)
        return parameters

    async def _fetch(self, size: int, query: str, *arguments: Any) -> list[asyncpg.Record]:
        if not self._standby:
            return await self._pool.fetch(query, *arguments)
        async with self._at(size) as connection:
            return await connection.fetch(query, *arguments)

    @asynccontextmanager
    async def _at(self, size: int) -> AsyncGenerator[Any]:
        """Read from a server that shows a size; that it was shown may have been by another one of the pool's."""
        async with self._pool.acquire() as connection:
            if self._standby:
                at = await replayed(lambda: connection.fetchval(QUERIES["position"]), size, STANDBY_LAG_SECONDS)
                if at < size:
                    raise behind(at, size)
            yield connection


@contextmanager
def _in_this_form(model: ReadModel) -> Generator[None]:
    """Say that the tables are not those of this program, rather than fail: they are while it waits to build its own."""
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as other:
        raise ReadModelBehind(
            f"The read model {model.name} is being built for a new version. Try again in a moment."
        ) from other


def _found(record: asyncpg.Record) -> Found:
    return Found(id=record["id"], sort=record["sort"], refs=tuple(record["refs"]), body=record["body"])
