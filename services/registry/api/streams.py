"""Lists as CSV and NDJSON from the first item to the last, however many there are, in constant memory.

All of a stream is as of one log size, which is told in `Registry-Size`. Who asks for a `limit` gets pages instead.

Its entity tag is weak, of what it is made of: the query, the size, the day that is asked about, how far the read models
have come, since what a withdrawal takes out of older sizes too is taken out there, and the present (ADR 0030).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import date
from typing import NamedTuple

from litestar import Response
from litestar.response import Stream

from projections.reader import Found
from services.registry.api import forms, replies, sending
from services.registry.api.given import present
from services.registry.api.query import Asking, AsOf
from services.registry.api.render import Rendering
from services.registry.parts import Parts

PAGE = 500  # items read at a time

After = tuple[str, str] | None
"""The sort key and id of the item after which to go on; None from the start."""


class Listing(NamedTuple):
    """A list as of one size, to be read page by page.

    `read` returns up to so many items after one, and `items` writes them as they are served. `on` is the day as of
    which something in it is overdue, if that matters.
    """

    name: str
    columns: Sequence[str]
    read: Callable[[After, int], Awaitable[list[Found]]]
    items: Callable[[Rendering], Awaitable[list[bytes]]]
    on: date | None = None


async def stream(
    request: Asking, listing: Listing, at: AsOf, form: str, after: After = None
) -> Response[bytes] | Stream:
    """Answer with everything that matches."""
    parts: Parts = request.app.state.parts
    tag = replies.tag_of_stream(request, at.size, at, present(request), form, listing.on)
    headers = {"ETag": tag, "Registry-Size": str(at.size), "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if form == forms.CSV:
        headers["Content-Disposition"] = f'attachment; filename="{listing.name}.csv"'
    if answer := replies.unchanged(request, tag, headers):
        return answer
    body = pieces(parts, listing, at, form, after)
    return Stream(sending.streamed(request, body), media_type=form, headers=headers)


async def pieces(parts: Parts, listing: Listing, at: AsOf, form: str, after: After) -> AsyncGenerator[bytes]:
    """Yield a list from its first line to its last: a page of it at a time, when the one ahead was taken."""
    yield forms.head(form, listing.columns)
    while True:
        found = await listing.read(after, PAGE)
        if found:
            rendering = await Rendering.of(parts, found, at)
            yield forms.lines(form, listing.columns, rendering, await listing.items(rendering))
        if len(found) < PAGE:
            return
        after = (found[-1].sort, found[-1].id)
