"""Reading the read models: a list and a single thing of each, as of any log size."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from events.entry import canonical
from events.errors import FieldProblem, NotFound
from projections import LISTED, ReadModel
from projections.reader import Found
from services.registry.access.roles import READ
from services.registry.api import forms, query, render, streams
from services.registry.api.cursors import Cursor, seal_cursor
from services.registry.api.given import pairs
from services.registry.api.query import Asking
from services.registry.parts import Parts

CURSOR_PURPOSE = "cursor"
ANY_ID = re.compile("[a-z]{1,20}_[0-9a-z]{26}")

STREAM_KINDS = {"parties": "party", "people": "person", "occasions": "occasion", "sources": "source"}
"""The kind of the stream whose id an item of a list has; the other lists' items belong to a cooperation."""


class _Belongs(msgspec.Struct):
    """What of an item says which stream it belongs to."""

    id: str
    cooperation: str | None = None


def _list_handler(model: ReadModel) -> HTTPRouteHandler:
    async def list_items(request: Asking) -> Response[bytes] | Stream:
        parts: Parts = request.app.state.parts
        key = parts.master.derive(CURSOR_PURPOSE)
        asked = query.of_list(request, model, key)
        size = await query.resolve(parts, asked, asked.cursor)
        asked = await query.dated(parts, asked, size)
        form = forms.wanted(request, forms.NDJSON, forms.CSV)
        if form != forms.JSON and "limit" not in request.query_params:
            return await streams.stream(request, model, asked, size, form)
        after = (asked.cursor.sort, asked.cursor.id) if asked.cursor else None
        found = await parts.read_models.page(model, size, asked.filters, after=after, limit=asked.limit + 1)
        more, found = len(found) > asked.limit, found[: asked.limit]
        following = None
        if more:
            following = seal_cursor(Cursor(size, found[-1].sort, found[-1].id, asked.on), asked.context, key)
        found, survivors = await render.surviving(parts, found, size)
        items = await render.items(parts, found, size, asked.on)
        if form == forms.JSON:
            return await list_answer(request, items, (found, survivors), size, following)
        names = await render.names(parts, found, size)
        body = forms.written(form, model, found, items, names=names, survivors=survivors)
        links = next_link(request, following) if following else ""
        return render.answer(request, body, size, links=links, media_type=form)

    return get(f"/v1/{model.name}", opt=READ, name=f"list-{model.name}")(list_items)


async def list_answer(
    request: Asking,
    items: list[bytes],
    surviving: tuple[Sequence[Found], Mapping[str, str]],
    size: int,
    following: str | None,
) -> Response[bytes]:
    """Answer with a page of a list: the items, the next page's cursor, the names of all that they name.

    `surviving` is what `render.surviving` returned of the items.
    """
    parts: Parts = request.app.state.parts
    found, survivors = surviving
    body = b'{"items":[%b],"next":%b,"names":%b,"survivors":%b,"as_of":%b}' % (
        b",".join(items),
        msgspec.json.encode(following),
        msgspec.json.encode(await render.names(parts, found, size)),
        canonical.encode(survivors),
        msgspec.json.encode(await render.as_of(parts, size)),
    )
    return render.answer(request, body, size, links=next_link(request, following) if following else "")


def _item_handler(model: ReadModel) -> HTTPRouteHandler:
    async def get_item(request: Asking) -> Response[bytes]:
        parts: Parts = request.app.state.parts
        asked, on = query.of_one(request, model)
        size = await query.resolve(parts, asked)
        if query.can_be_overdue(model) and on is None:
            on = await query.day(parts, asked, size)
        key: str = request.path_params["id"]
        found = await parts.read_models.one(model, key, size) if ANY_ID.fullmatch(key) else None
        if found is None:
            there_is_none = f"There is no such item in {model.name} as of log size {size}."
            raise NotFound(there_is_none, [FieldProblem("names nothing here", parameter="id")])
        (found,), survivors = await render.surviving(parts, [found], size)
        item, *_ = await render.items(parts, [found], size, on)
        body = b'%b,"names":%b,"survivors":%b,"as_of":%b}' % (
            item[:-1],
            msgspec.json.encode(await render.names(parts, [found], size)),
            canonical.encode(survivors),
            msgspec.json.encode(await render.as_of(parts, size)),
        )
        revision = await parts.log.stream_revision(_stream(model, found), size)
        return render.answer(request, body, size, revision=revision)

    return get(f"/v1/{model.name}/{{id:str}}", opt=READ, name=f"get-{model.name}")(get_item)


def _stream(model: ReadModel, found: Found) -> str:
    if model.name in STREAM_KINDS:
        return f"{STREAM_KINDS[model.name]}/{found.id}"
    belongs = msgspec.json.decode(found.body, type=_Belongs)
    return f"cooperation/{belongs.cooperation or belongs.id}"


def next_link(request: Asking, cursor: str) -> str:
    """Write the header that leads to the next page (RFC 8288)."""
    kept = [(name, value) for name, value in pairs(request) if name != b"cursor"]
    return f'<{request.url.path}?{urlencode([*kept, (b"cursor", cursor)])}>; rel="next"'


HANDLERS = [handler for model in LISTED for handler in (_list_handler(model), _item_handler(model))]
