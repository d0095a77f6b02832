"""Lists as CSV and NDJSON from the first item to the last, however many there are, in constant memory.

All of a stream is as of one log size, which is told in `Registry-Size`. Who asks for a `limit` gets pages instead.

Its entity tag is weak, of what it is made of: the query, the size, the day that is asked about, and how far the log has
come, since what an erasure or a withdrawal takes out of older sizes too is taken out by an entry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from litestar import Response
from litestar.response import Stream

from projections import ReadModel
from services.registry.api import forms, render, sending
from services.registry.api.query import Asking, Query
from services.registry.parts import Parts

PAGE = 500  # items read at a time


async def stream(request: Asking, model: ReadModel, asked: Query, size: int, form: str) -> Response[bytes] | Stream:
    """Answer with everything that matches."""
    parts: Parts = request.app.state.parts
    tag = render.tag_of_stream(request, size, form, asked.on, (await parts.log.head()).size)
    headers = {"ETag": tag, "Registry-Size": str(size), "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if form == forms.CSV:
        headers["Content-Disposition"] = f'attachment; filename="{model.name}.csv"'
    if answer := render.unchanged(request, tag, headers):
        return answer
    lines = _lines(parts, model, asked, size, form)
    return Stream(sending.streamed(request, lines), media_type=form, headers=headers)


async def _lines(parts: Parts, model: ReadModel, asked: Query, size: int, form: str) -> AsyncIterator[bytes]:
    yield forms.head(form, model)
    after = (asked.cursor.sort, asked.cursor.id) if asked.cursor else None
    while True:
        found = await parts.read_models.page(model, size, asked.filters, after=after, limit=PAGE)
        if found:
            found, survivors = await render.surviving(parts, found, size)
            items = await render.items(parts, found, size, asked.on)
            names = await render.names(parts, found, size)
            yield forms.lines(form, model, found, items, names=names, survivors=survivors)
        if len(found) < PAGE:
            return
        after = (found[-1].sort, found[-1].id)
