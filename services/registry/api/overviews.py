"""What spans the lists: the timeline of a cooperation or a party, and statistics. Queries over the same rows."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from events.entry import canonical
from events.errors import FieldProblem, NotFound
from projections import LISTED
from projections.people import PEOPLE
from projections.reader import Found
from projections.search import Hit
from services.registry.access.roles import READ
from services.registry.api import query, reads, render
from services.registry.api.cursors import Cursor, seal_cursor
from services.registry.api.query import Asking
from services.registry.parts import Parts

BY = ("country", "field", "stage", "month")


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of one country, field, stage or month (YYYY-MM)."""

    key: str
    cooperations: int
    meetings: int
    negotiations: int
    roadmaps: int
    visits: int
    rounds: int
    agreements: int


def _timeline(collection: str, of: Literal["cooperation", "party"]) -> HTTPRouteHandler:
    model = next(one for one in LISTED if one.name == collection)

    async def timeline(request: Asking) -> Response[bytes]:
        parts: Parts = request.app.state.parts
        secret = parts.master.derive(reads.CURSOR_PURPOSE)
        key: str = request.path_params["id"]
        asked = query.of_page(request, f"timeline of {key}", secret)
        size = await query.resolve(parts, asked, asked.cursor)
        if not reads.ANY_ID.fullmatch(key) or await parts.read_models.one(model, key, size) is None:
            raise NotFound(
                f"There is no such {of} as of log size {size}.", [FieldProblem("names nothing here", parameter="id")]
            )
        after = (asked.cursor.sort, asked.cursor.id) if asked.cursor else None
        found = await parts.read_models.timeline(of, key, size, after=after, limit=asked.limit + 1)
        more, found = len(found) > asked.limit, found[: asked.limit]
        following = None
        if more:
            last = found[-1][1]
            following = seal_cursor(Cursor(size, last.sort, last.id), asked.context, secret)
        things = [one for _, one in found]
        items = [
            b'{"kind":%b,"item":%b}' % (msgspec.json.encode(kind), item)
            for (kind, _), item in zip(found, await render.items(parts, things, size), strict=True)
        ]
        return await reads.list_answer(request, items, things, size, following)

    return get(f"/v1/{collection}/{{id:str}}/timeline", opt=READ, name=f"timeline-{of}")(timeline)


@get("/v1/statistics", opt=READ, name="statistics")
async def statistics(request: Asking) -> Response[bytes]:
    """Count what there is, by country, field, stage or month."""
    parts: Parts = request.app.state.parts
    asked, by = query.of_statistics(request, BY)
    size = await query.resolve(parts, asked)
    found: list[Any] = await parts.read_models.statistics(by, size)
    items = msgspec.json.encode(msgspec.convert(found, list[Counts]))
    body = b'{"by":%b,"items":%b,"as_of":%b}' % (
        msgspec.json.encode(by),
        items,
        msgspec.json.encode(await render.as_of(parts, size)),
    )
    return render.answer(request, body, size)


@get("/v1/search", opt=READ, name="search")
async def search(request: Asking) -> Response[bytes]:
    """Find things by words: case and diacritics do not matter, and the beginning of a word is enough; people by all."""
    parts: Parts = request.app.state.parts
    secret = parts.master.derive(reads.CURSOR_PURPOSE)
    asked, text = query.of_search(request, secret)
    size = await query.resolve(parts, asked, asked.cursor)
    passed = int(asked.cursor.sort) if asked.cursor else 0
    people = await _people(parts, text, size)
    found = people[passed : passed + asked.limit + 1]
    rest = {"limit": asked.limit + 1 - len(found), "passed": max(0, passed - len(people))}
    found += await parts.read_models.search(text, size, **rest)
    following = None
    if len(found) > asked.limit:
        cursor = Cursor(size, str(passed + asked.limit), "")
        following = seal_cursor(cursor, asked.context, secret)
    found = found[: asked.limit]
    return await reads.list_answer(request, [one.body for one in found], found, size, following)


async def _people(parts: Parts, text: str, size: int) -> list[Found]:
    """Return the people who have all the words in their names: they come first, as there are few of a name."""
    hits: list[Found] = []
    for owner in await parts.vault.find(text):
        person = await parts.read_models.one(PEOPLE, owner.partition("/")[2], size)
        if person is not None:
            item, *_ = await render.items(parts, [person], size)
            hit = Hit(id=person.id, kind="person", title=msgspec.json.decode(item)["name"])
            hits.append(Found(id=person.id, sort="", refs=(person.id,), body=canonical.encode(hit)))
    return hits


HANDLERS = [_timeline("cooperations", "cooperation"), _timeline("parties", "party"), statistics, search]
