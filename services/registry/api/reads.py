"""Reading the read models: a list and a single thing of each, as of any log size."""

from __future__ import annotations

import re

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from events.entry import canonical
from events.errors import FieldProblem, NotFound
from projections import LISTED, Listed
from projections.reader import Found
from services.registry.access.roles import READ
from services.registry.api import forms, lists, query
from services.registry.api.query import Asking
from services.registry.api.render import Rendering
from services.registry.api.replies import Reply
from services.registry.api.streams import After, Listing
from services.registry.parts import Parts

ANY_ID = re.compile("[a-z]{1,20}_[0-9a-z]{26}")

STREAM_KINDS = {"parties": "party", "people": "person", "occasions": "occasion", "sources": "source"}
"""The kind of the stream whose id an item of a list has; the other lists' items belong to a cooperation."""


class _Belongs(msgspec.Struct):
    """What of an item says which stream it belongs to."""

    id: str
    cooperation: str | None = None


def _list_handler(model: Listed) -> HTTPRouteHandler:
    columns = forms.columns_of(model)

    async def list_items(request: Asking) -> Response[bytes] | Stream:
        parts: Parts = request.app.state.parts
        asked = query.of_list(request, model, lists.cursor_key(parts))
        at = await query.resolve(parts, request, asked, asked.cursor)
        asked = await query.dated(parts, asked, at.size)

        async def read(after: After, limit: int) -> list[Found]:
            return await parts.read_models.page(model, at.size, asked.filters, after=after, limit=limit)

        async def items(rendering: Rendering) -> list[bytes]:
            return await rendering.items(asked.on)

        return await lists.answer(request, Listing(model.name, columns, read, items, asked.on), asked, at)

    return get(f"/v1/{model.name}", opt=READ, name=f"list-{model.name}")(list_items)


def _item_handler(model: Listed) -> HTTPRouteHandler:
    can_be_overdue = query.can_be_overdue(model)

    async def get_item(request: Asking) -> Response[bytes]:
        parts: Parts = request.app.state.parts
        asked, on = query.of_one(request, can_be_overdue=can_be_overdue)
        at = await query.resolve(parts, request, asked)
        if can_be_overdue and on is None:
            on = await query.day(parts, asked, at.size)
        reply = Reply(parts.answers, request, at, on)
        if ready := reply.ready():
            return ready
        key: str = request.path_params["id"]
        found = await parts.read_models.one(model, key, at.size) if ANY_ID.fullmatch(key) else None
        if found is None:
            there_is_none = f"There is no such item in {model.name} as of log size {at.size}."
            raise NotFound(there_is_none, [FieldProblem("names nothing here", parameter="id")])
        stream = _stream(model, found)
        rendering = await Rendering.of(parts, [found], at, stream)
        (item,) = await rendering.items(on)
        body = b'%b,"names":%b,"survivors":%b,"as_of":%b}' % (
            item[:-1],
            msgspec.json.encode(rendering.names()),
            canonical.encode(rendering.survivors),
            msgspec.json.encode(rendering.as_of(at.size)),
        )
        revision = rendering.revision
        if revision is None:
            revision = await parts.log.stream_revision(stream, at.size)
        return reply.made(body, revision=revision, keep=not rendering.open)

    return get(f"/v1/{model.name}/{{id:str}}", opt=READ, name=f"get-{model.name}")(get_item)


def _stream(model: Listed, found: Found) -> str:
    if model.name in STREAM_KINDS:
        return f"{STREAM_KINDS[model.name]}/{found.id}"
    belongs = msgspec.json.decode(found.body, type=_Belongs)
    return f"cooperation/{belongs.cooperation or belongs.id}"


HANDLERS = [handler for model in LISTED for handler in (_list_handler(model), _item_handler(model))]
