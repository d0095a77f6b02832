"""Lists as CSV and NDJSON from the first item to the last, however many there are, in constant memory.

All of a stream is as of one log size, which is told in `Registry-Size`. Who asks for a `limit` gets pages instead.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from litestar.response import Stream

from projections import ReadModel
from services.registry.api import forms, render, sending
from services.registry.api.query import Asking, Query
from services.registry.parts import Parts

PAGE = 500  # items read at a time


def stream(request: Asking, model: ReadModel, asked: Query, size: int, form: str) -> Stream:
    """Answer with everything that matches."""
    headers = {"Registry-Size": str(size), "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if form == forms.CSV:
        headers["Content-Disposition"] = f'attachment; filename="{model.name}.csv"'
    parts: Parts = request.app.state.parts
    lines = _lines(parts, model, asked, size, form)
    return Stream(sending.streamed(request, lines), media_type=form, headers=headers)


async def _lines(parts: Parts, model: ReadModel, asked: Query, size: int, form: str) -> AsyncIterator[bytes]:
    yield forms.head(form, model)
    after = (asked.cursor.sort, asked.cursor.id) if asked.cursor else None
    while True:
        found = await parts.read_models.page(model, size, asked.filters, after=after, limit=PAGE)
        if found:
            items = await render.items(parts, found, size, asked.on)
            yield forms.lines(form, model, found, items, await render.names(parts, found, size))
        if len(found) < PAGE:
            return
        after = (found[-1].sort, found[-1].id)
