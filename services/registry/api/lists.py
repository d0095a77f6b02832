"""Answering with a list: a page of it as JSON, NDJSON or CSV, or all of it as a stream (see `streams`)."""

from __future__ import annotations

from urllib.parse import urlencode

import msgspec
from litestar import Response
from litestar.response import Stream

from events.entry import canonical
from services.registry.api import forms, streams
from services.registry.api.cursors import Cursor, seal_cursor
from services.registry.api.given import pairs
from services.registry.api.query import Asking, AsOf, Page
from services.registry.api.render import Rendering
from services.registry.api.replies import Reply
from services.registry.api.streams import Listing
from services.registry.parts import Parts

CURSOR_PURPOSE = "cursor"


def cursor_key(parts: Parts) -> bytes:
    """Return the key that cursors are sealed under."""
    return parts.master.derive(CURSOR_PURPOSE)


async def answer(request: Asking, listing: Listing, asked: Page, at: AsOf) -> Response[bytes] | Stream:
    """Answer with the page that is asked for or, in a form of lines and without a `limit`, with everything."""
    parts: Parts = request.app.state.parts
    form = forms.wanted(request, forms.NDJSON, forms.CSV)
    after = (asked.cursor.sort, asked.cursor.id) if asked.cursor else None
    if form != forms.JSON and "limit" not in request.query_params:
        return await streams.stream(request, listing, at, form, after)
    reply = Reply(parts.answers, request, at, form, listing.on)
    if ready := reply.ready():
        return ready
    found = await listing.read(after, asked.limit + 1)
    more, found = len(found) > asked.limit, found[: asked.limit]
    links = following = None
    if more:
        following = seal_cursor(
            Cursor(at.size, found[-1].sort, found[-1].id, listing.on), asked.context, cursor_key(parts)
        )
        links = next_link(request, following)
    rendering = await Rendering.of(parts, found, at)
    items = await listing.items(rendering)
    if form != forms.JSON:
        body = forms.head(form, listing.columns) + forms.lines(form, listing.columns, rendering, items)
        return reply.made(body, links=links or "", media_type=form, keep=not rendering.open)
    body = b'{"items":[%b],"next":%b,"names":%b,"survivors":%b,"as_of":%b}' % (
        b",".join(items),
        msgspec.json.encode(following),
        msgspec.json.encode(rendering.names()),
        canonical.encode(rendering.survivors),
        msgspec.json.encode(rendering.as_of(at.size)),
    )
    return reply.made(body, links=links or "", keep=not rendering.open)


def next_link(request: Asking, cursor: str) -> str:
    """Write the header that leads to the next page (RFC 8288)."""
    kept = [(name, value) for name, value in pairs(request) if name != b"cursor"]
    return f'<{request.url.path}?{urlencode([*kept, (b"cursor", cursor)])}>; rel="next"'
