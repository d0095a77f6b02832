"""Reading the read models as of a log size, and waiting until they have come that far.

Versions at one size never change (other than that sealed values can no longer be opened), so an answer is the same
whenever it is asked for. A size that has not been projected yet is not answered: `wait_for` it first.

Where they are read from standbys (ADR 0029), what was projected is there a moment later, and on each at its own time:
every query sees on its own connection that its size is there. A standby tells nobody what it replays, so it is asked.

What is read is what a program with these read models has built, and nothing that another one has (ADR 0036): there are
no tables by the names in these statements but in the schema of this version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, TypeAlias

import asyncpg
import msgspec
from msgspec.structs import replace

from events.entry import canonical
from events.log.servers import Pool
from events.log.together import Ask, K, Together, V
from events.sql import load
from events.words import prefixes, titles
from projections import around, commitments
from projections.around import Around, Asked
from projections.digest import digests
from projections.engine import QUERIES, VERSION
from projections.following import NOT_BUILT, Following, ReadModelBehind, behind
from projections.model import Listed
from projections.parties import PARTIES
from projections.search import QUERIES as SEARCH
from projections.search import Hit
from projections.standby import replayed

TIMELINE = load("projections", "timeline.sql")
STATISTICS = load("projections", "statistics.sql")
CALENDAR = load("projections", "calendar.sql")

STANDBY_LAG_SECONDS = 2.0  # what one standby may be behind another that has shown a size already

PIECES = ("change", "post")  # kinds of things in a timeline that have no row of their own
MOST = 50  # who ask in one statement
LARGE = 500  # ids, beyond which nobody else has to wait for what is around them


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


class Live(NamedTuple):
    """The read models that are shown to this version: which generation, and how many entries they show."""

    generation: int
    position: int


class Digested(msgspec.Struct, frozen=True):
    """What the read models show at a size, as a SHA-256 each (`projections.digest`), and which version they are of."""

    size: int
    digests: dict[str, str]
    version: str


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


_Item: TypeAlias = tuple[str, str, int]
"""What is asked for of a single thing: the statement, its id, the size."""


class ReadModels:
    """The queries of all read models over one pool, and the position of what is shown as last heard of.

    Connections have to be set to what is `READING`.
    `start` keeps the position by LISTEN on a connection of its own, which it makes anew when lost. `dsn` is to name
    the server that is projected on (a standby has no LISTEN). It is the one that the pool reads from, unless that is
    `standby`, and may read from any. What is found by its key is asked for through `points`, where there are any.
    """

    def __init__(self, pool: Pool, dsn: str, *, points: Pool | None = None, standby: bool = False) -> None:
        self._pool = pool
        self._points = points or pool
        self._standby = standby
        self._following = Following(dsn, self.live_position)
        self._live = Together(self._points, self._ask_live, MOST)
        self._items = Together(self._points, self._ask_items, MOST)
        self._around = Together(self._points, self._ask_around, MOST)

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
        return (await self._now()).position

    async def _now(self) -> Live:
        live = await self._live.get(None)
        if live is None:
            raise ReadModelBehind(NOT_BUILT)
        await self._following.note(live.position)
        return live

    async def live_position(self) -> int | None:
        """Return how many entries the live read models show, or None while there are none."""
        live = await self._live.get(None)
        return None if live is None else live.position

    async def shown(self, least: int, seconds: float, told: Live | None) -> Live:
        """Return what is read, when it shows at least so many entries. Raises `ReadModelBehind`.

        `told` is what the server that is projected on has said since this was asked for (None: there is nothing). A
        standby may not show that yet, nor that generation.
        """
        if least > (told.position if told else 0):
            await self.wait_for(least, seconds)
        elif told is not None and not self._standby:
            await self._following.note(told.position)
            return told
        shown = await self._now()
        if shown.position < least and not self._standby:  # it was heard of on a primary that is none any more
            raise behind(shown.position, least)
        # Another standby may have told; each query sees to its own.
        return shown._replace(position=max(shown.position, least))

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
        model: Listed,
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

    async def one(self, model: Listed, key: str, size: int) -> Found | None:
        """Return one item as of `size`, or None if there was none."""
        with _in_this_form(model):
            return await self._shared(self._items, self._ask_items, (model.queries["items"], key, size))

    async def around(self, ids: Iterable[str], size: int, now: int, stream: str | None = None) -> Around:
        """Return what is around things that name these ids, as of `size`, the log having come to `now`."""
        with _in_this_form():
            asked = Asked(tuple(dict.fromkeys(ids)), size, now, stream)
            return await self._shared(self._around, self._ask_around, asked, alone=len(asked.ids) > LARGE)

    async def timeline(
        self, of: Literal["cooperation", "party"], key: str, size: int, *, after: tuple[str, str] | None, limit: int
    ) -> list[Found]:
        """Return up to `limit` things of a cooperation or party as of `size`, by date, each with its kind."""
        sort, last = after or (None, None)
        with _in_this_form():
            subject: str | list[str] = key if of == "cooperation" else await self.merged(key, size)
            records = await self._fetch(size, TIMELINE[f"of_{of}"], size, sort, last, limit, subject)
        return [_part(record) for record in records]

    async def calendar(
        self, of: Literal["visits", "rounds"], size: int, filters: Mapping[str, FilterValue], *, after: str, limit: int
    ) -> list[Dated]:
        """Return up to `limit` visits or rounds that are or were in the calendar as of `size`, by id, after an id.

        The filters are by cooperation, party and country.
        """
        party = filters.get("party")
        same: list[list[Any] | None] = [None, None, None]
        with _in_this_form():
            if isinstance(party, str):
                ever = await self._fetch(size, PARTIES.queries["ever_merged"], party, size)
                same = [[one[column] for one in ever] for column in ("id", "since", "until")]
            others = filters.get("cooperation"), *same, filters.get("country")
            records = await self._fetch(size, CALENDAR["of"], size, after, limit, *others, of)
        return [
            Dated(_found(one), one["stands"], one["ended"], one["changes"] - 1, one["recorded_at"]) for one in records
        ]

    async def statistics(self, by: str, size: int) -> list[dict[str, Any]]:
        """Return counts as of `size`, a row a country, field, stage or month (`by`); `statistics.sql` says of what."""
        with _in_this_form():
            return [dict(record) for record in await self._fetch(size, STATISTICS["counts"], size, by)]

    async def search(self, text: str, size: int, *, after: tuple[str, str] | None, limit: int) -> list[Found]:
        """Return up to `limit` things (`Hit`) that have all the words of a text (as beginnings of words).

        The best match comes first. A text without letters and digits finds nothing.
        """
        asked = prefixes(text)
        if not asked:
            return []
        sort, key = after or (None, None)
        with _in_this_form():
            records = await self._fetch(size, SEARCH["find"], size, sort, key, limit, asked, *titles(text))
        return [_hit(record) for record in records]

    async def merged(self, party: str, size: int) -> list[str]:
        """Return a party and all that it was merged with, either way, as of `size`."""
        with _in_this_form():
            return [record["id"] for record in await self._fetch(size, PARTIES.queries["merged"], party, size)]

    async def digested(self, size: int) -> Digested:
        """Digest all read models as of `size`. Raises `ReadModelBehind` while there are none."""
        with _in_this_form():
            async with self._pool.acquire() as connection:
                await self._see(connection, size)
                return Digested(size, await digests(connection, size), VERSION)

    async def _parameters(self, model: Listed, filters: Mapping[str, FilterValue], size: int) -> list[Any]:
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

    async def _shared(self, together: Together[K, V], ask: Ask[K, V], key: K, *, alone: bool = False) -> V:
        """Ask together with others, or alone for what they should not wait for.

        As of standbys: one may have to be waited for until it shows the size.
        """
        if not alone and not self._standby:
            return await together.get(key)
        async with self._points.acquire() as connection:
            return (await ask(connection, [key]))[key]

    async def _ask_items(self, connection: Any, keys: Collection[_Item]) -> dict[_Item, Found | None]:
        found: dict[_Item, Found | None] = dict.fromkeys(keys)
        for query, size in {(query, size) for query, _, size in keys}:
            ids = [key for asked, key, at in keys if (asked, at) == (query, size)]
            for record in await self._fetch_over(connection, size, query, ids, size):
                found[query, record["id"], size] = _found(record)
        return found

    async def _ask_around(self, connection: Any, asked: Collection[Asked]) -> dict[Asked, Around]:
        found: dict[Asked, Around] = {}
        for size, now in {(one.size, one.now) for one in asked}:
            those = [one for one in asked if (one.size, one.now) == (size, now)]
            given = around.arguments(those, size, now)
            records = await self._fetch_over(connection, now, around.QUERIES["around"], *given)
            found |= around.shared(records, those)
        return found

    @staticmethod
    async def _ask_live(connection: Any, keys: Collection[None]) -> dict[None, Live | None]:
        row = await connection.fetchrow(QUERIES["shown"], VERSION)
        return dict.fromkeys(keys, None if row is None else Live(row["id"], row["position"]))

    async def _fetch(self, size: int, query: str, *arguments: Any) -> list[asyncpg.Record]:
        if not self._standby:
            return await self._pool.fetch(query, *arguments)
        async with self._pool.acquire() as connection:
            return await self._fetch_over(connection, size, query, *arguments)

    async def _fetch_over(self, connection: Any, size: int, query: str, *arguments: Any) -> list[asyncpg.Record]:
        await self._see(connection, size)
        found: list[asyncpg.Record] = await connection.fetch(query, *arguments)
        return found

    async def _see(self, connection: Any, size: int) -> None:
        """See that a server shows a size; that it was shown may have been by another one of the pool's."""
        if self._standby:
            at = await replayed(lambda: connection.fetchval(QUERIES["position"], VERSION), size, STANDBY_LAG_SECONDS)
            if at < size:
                raise behind(at, size)


@contextmanager
def _in_this_form(model: Listed | None = None) -> Generator[None]:
    """Say that there are no tables of this version yet, or none any more, rather than fail.

    Of which read model is said where one alone is read.
    """
    try:
        yield
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as other:
        what = f"The read model {model.name} is" if model else "The read models are"
        raise ReadModelBehind(f"{what} being built for a new version. Try again in a moment.") from other


def _part(record: asyncpg.Record) -> Found:
    """Read a thing of a timeline. What was cut out of another's body is not canonical: it is made so."""
    found, kind = _found(record), record["kind"]
    body = canonical.encode(msgspec.json.decode(found.body)) if kind in PIECES else found.body
    return replace(found, body=body, kind=kind)


def _hit(record: asyncpg.Record) -> Found:
    hit = Hit(id=record["id"], kind=record["kind"], title=record["title"], cooperation=record["cooperation"])
    body = canonical.encode(hit)
    return Found(id=hit.id, sort=record["sort"], refs=around.refs_of(body), body=body)


def _found(record: asyncpg.Record) -> Found:
    body = record["body"]
    if (promised := record.get("promised")) is not None:
        body = commitments.of_row(record["kind"], body, record["parties"], promised)
    return Found(id=record["id"], sort=record["sort"], refs=around.refs_of(body), body=body)
