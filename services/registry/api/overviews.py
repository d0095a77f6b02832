"""What spans the lists: the timeline of a cooperation or a party, and statistics. Queries over the same rows."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from events.entry import canonical
from events.errors import FieldProblem, NotFound
from events.vault import person_owner
from events.words import readings, words
from projections import LISTED
from projections.people import PEOPLE
from projections.reader import Found
from projections.search import Hit
from services.registry.access.roles import READ
from services.registry.api import forms, lists, query, reads
from services.registry.api.query import Asking, AsOf
from services.registry.api.render import Rendering
from services.registry.api.replies import Reply
from services.registry.api.streams import After, Listing
from services.registry.parts import Parts

PEOPLE_FIRST = ""
"""The sort key of people in what was found: before that of all things."""

NAMESAKES = 50
"""How many who ever had a name are looked at together at the least: of many, few may have had it then."""

PARTS_OF_TIMELINE = ("kind", "item")
"""The columns of a timeline, whose items have as many forms as there are kinds."""

BY = ("country", "field", "stage", "month")


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of one country, field, stage or month (YYYY-MM).

    What happened counts, and what is still to happen: not what was cancelled, and not what was scheduled still when its
    cooperation ended.
    """

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

    async def timeline(request: Asking) -> Response[bytes] | Stream:
        parts: Parts = request.app.state.parts
        key: str = request.path_params["id"]
        asked = query.of_page(request, f"timeline of {key}", lists.cursor_key(parts))
        at = await query.resolve(parts, request, asked, asked.cursor)
        if not reads.ANY_ID.fullmatch(key) or await parts.read_models.one(model, key, at.size) is None:
            raise NotFound(
                f"There is no such {of} as of log size {at.size}.", [FieldProblem("names nothing here", parameter="id")]
            )

        async def read(after: After, limit: int) -> list[Found]:
            return await parts.read_models.timeline(of, key, at.size, after=after, limit=limit)

        async def items(rendering: Rendering) -> list[bytes]:
            return [
                b'{"kind":%b,"item":%b}' % (msgspec.json.encode(one.kind), item)
                for one, item in zip(rendering.found, await rendering.items(), strict=True)
            ]

        return await lists.answer(request, Listing(f"timeline-of-{key}", PARTS_OF_TIMELINE, read, items), asked, at)

    return get(f"/v1/{collection}/{{id:str}}/timeline", opt=READ, name=f"timeline-{of}")(timeline)


@get("/v1/statistics", opt=READ, name="statistics")
async def statistics(request: Asking) -> Response[bytes]:
    """Count what there is, by country, field, stage or month."""
    parts: Parts = request.app.state.parts
    asked, by = query.of_statistics(request, BY)
    at = await query.resolve(parts, request, asked)
    reply = Reply(parts.answers, request, at)
    if ready := reply.ready():
        return ready
    found: list[Any] = await parts.read_models.statistics(by, at.size)
    rendering = await Rendering.of(parts, [], at)
    items = msgspec.json.encode(msgspec.convert(found, list[Counts]))
    body = b'{"by":%b,"items":%b,"as_of":%b}' % (
        msgspec.json.encode(by),
        items,
        msgspec.json.encode(rendering.as_of(at.size)),
    )
    return reply.made(body, keep=True)


@get("/v1/search", opt=READ, name="search")
async def search(request: Asking) -> Response[bytes] | Stream:
    """Find things by words: case and diacritics do not matter, and the beginning of a word is enough; people by all."""
    parts: Parts = request.app.state.parts
    asked, text = query.of_search(request, lists.cursor_key(parts))
    at = await query.resolve(parts, request, asked, asked.cursor)

    async def read(after: After, limit: int) -> list[Found]:
        found: list[Found] = []
        if after is None or after[0] == PEOPLE_FIRST:
            found = await _people(parts, text, at, after=after[1] if after else "", limit=limit)
            after = None
        if len(found) < limit:
            found += await parts.read_models.search(text, at.size, after=after, limit=limit - len(found))
        return found

    async def items(rendering: Rendering) -> list[bytes]:
        return [one.body for one in rendering.found]

    return await lists.answer(request, Listing("search", forms.fields_of(Hit), read, items), asked, at)


async def _people(parts: Parts, text: str, at: AsOf, *, after: str, limit: int) -> list[Found]:
    """Return the people after an id who have all the words in the name that they had then, as few have one name.

    Tokens tell which names somebody ever had; which was theirs as of the size is in the read model.
    """
    asked = readings(text)
    hits: list[Found] = []
    last: str | None = person_owner(after)
    while last is not None and len(hits) < limit:
        many = max(limit - len(hits), NAMESAKES)
        owners = await parts.vault.find(text, after=last, limit=many)
        last = owners[-1] if len(owners) == many else None
        # Asked about at once, they are looked for in one statement.
        found = await asyncio.gather(
            *(parts.read_models.one(PEOPLE, owner.partition("/")[2], at.size) for owner in owners)
        )
        there = [person for person in found if person is not None]
        names = (await Rendering.of(parts, there, at)).names() if there else {}
        for person in there:
            # Not a text if it was erased, or cannot be read.
            name: object = names[person.id]
            if isinstance(name, str) and _meets(words(name), asked):
                hit = Hit(id=person.id, kind="person", title=name)
                hits.append(Found(id=person.id, sort=PEOPLE_FIRST, refs=(person.id,), body=canonical.encode(hit)))
    return hits[:limit]


def _meets(name: list[str], asked: list[list[list[str]]]) -> bool:
    return all(any(set(one) <= set(name) for one in either) for either in asked)


HANDLERS = [_timeline("cooperations", "cooperation"), _timeline("parties", "party"), statistics, search]
