"""The access record over HTTP: who looked, for auditors."""

from __future__ import annotations

from datetime import datetime

import msgspec
from litestar import Response, get

from services.registry.access.record import Seen, list_seen
from services.registry.access.roles import AUDIT
from services.registry.api import lists, query, replies
from services.registry.api.cursors import Cursor, seal_cursor
from services.registry.api.query import Asking
from services.registry.parts import Parts


class SeenList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the access record, the newest first."""

    items: list[Seen]
    next: str | None


@get("/v1/access", opt=AUDIT, name="list-access")
async def list_access(request: Asking) -> Response[bytes]:
    """Who looked at what, the newest first. Pages do not shift: what comes to be recorded stands before the first.

    To look here is not recorded: what is shown is who saw what, and nothing of what they saw.
    """
    parts: Parts = request.app.state.parts
    key = lists.cursor_key(parts)
    asked = query.of_access(request, key)
    after = (datetime.fromisoformat(asked.cursor.sort), int(asked.cursor.id)) if asked.cursor else None
    seen = await list_seen(parts.pool, asked.wanted, asked.limit + 1, after=after)
    more, seen = len(seen) > asked.limit, seen[: asked.limit]
    head = (await parts.log.head()).size
    following = None
    if more:
        following = seal_cursor(Cursor(head, seen[-1].at.isoformat(), str(seen[-1].id)), asked.context, key)
    links = lists.next_link(request, following) if following else ""
    return replies.answer(request, msgspec.json.encode(SeenList(items=seen, next=following)), head, links=links)


HANDLERS = [list_access]
