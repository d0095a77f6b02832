"""The log over HTTP: entries as they are stored, byte for byte.

Before entries above public leave, it is recorded who gets which; of a stream of lines, part by part as it is sent.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeAlias

import msgspec
from litestar import Response, get
from litestar.response import Stream
from litestar.status_codes import HTTP_304_NOT_MODIFIED

from events.errors import FieldProblem, NotFound
from services.registry.access.actions import Action
from services.registry.access.roles import AUDIT, FOLLOW
from services.registry.api import forms, looking, parameters, query, replies, sending
from services.registry.api.query import Asking, EntriesQuery
from services.registry.parts import Parts

PAGE = 500

Entries: TypeAlias = list[tuple[int, bytes]]
"""Positions and what is stored there."""


@get("/v1/log/entries", opt=FOLLOW, name="list-entries")
async def list_entries(request: Asking) -> Response[bytes] | Stream:
    """Entries from a position on: one object, or (`Accept: application/x-ndjson`) a line each to the log's end."""
    parts: Parts = request.app.state.parts
    asked = query.of_entries(request)
    last = await query.reached(parts, asked.least)
    head = last.size
    if forms.wanted(request, forms.NDJSON) == forms.NDJSON:
        tag = replies.tag_of_stream(request, head, last.frontier.root(), forms.NDJSON)
        headers = {"ETag": tag, "Registry-Size": str(head), "Cache-Control": "private, no-cache", "Vary": "Accept"}
        if answer := replies.unchanged(request, tag, headers):
            return answer
        pages = _pages(request, asked, head)
        first = await anext(pages, b"")  # while there is still an answer in which a refusal can be told
        return Stream(sending.streamed(request, _lines(first, pages)), media_type=forms.NDJSON, headers=headers)
    limit = asked.limit or parameters.DEFAULT_LIMIT
    entries = await _page(parts, asked, asked.first, limit, head)
    following = entries[-1][0] + 1 if len(entries) == limit else max(head, asked.first)
    body = b'{"items":[%b],"next":%d,"size":%d}' % (b",".join(stored for _, stored in entries), following, head)
    return await _answer(request, Action.READ_ENTRIES, entries, body, head)


@get("/v1/log/entries/{position:str}", opt=FOLLOW, name="get-entry")
async def get_entry(request: Asking) -> Response[bytes]:
    """One entry: the very bytes that are stored and hashed."""
    parts: Parts = request.app.state.parts
    least = query.of_entry(request)
    position: str = request.path_params["position"]
    head = (await query.reached(parts, least)).size
    found = await parts.log.read_all(int(position), 1) if parameters.POSITION.fullmatch(position) else []
    if not found:
        raise NotFound("The log has no such entry.", [FieldProblem("there is no entry here", parameter="position")])
    head = max(head, found[0].position + 1)
    entries = [(found[0].position, found[0].bytes)]
    return await _answer(request, Action.READ_ENTRY, entries, found[0].bytes, head)


async def _answer(request: Asking, what: Action, entries: Entries, body: bytes, head: int) -> Response[bytes]:
    """Answer when it is recorded who gets what; that the client has it already shows nothing, and is not recorded."""
    answer = replies.answer(request, body, head)
    if answer.status_code != HTTP_304_NOT_MODIFIED:
        await looking.record_entries(request, what, entries)
    return answer


@get("/v1/log/digest", opt=AUDIT, name="get-digest")
async def get_digest(request: Asking) -> Response[bytes]:
    """What each read model shows at a size, as one hash: an independent replay of the log gives the same."""
    parts: Parts = request.app.state.parts
    at = await query.resolve(parts, request, query.of_digest(request), parameter="size")
    return replies.answer(request, msgspec.json.encode(await parts.read_models.digested(at.size)), at.size)


async def _page(parts: Parts, asked: EntriesQuery, first: int, limit: int, head: int) -> Entries:
    if first >= head:
        return []
    entries = await parts.log.read_all(
        first,
        limit,
        below=head,
        streams=[asked.subject] if asked.subject else None,
        types=[asked.type] if asked.type else None,
    )
    return [(entry.position, entry.bytes) for entry in entries]


async def _pages(request: Asking, asked: EntriesQuery, head: int) -> AsyncGenerator[bytes]:
    """Yield the entries as lines, a page at a time, to the size that the log had when it was asked for.

    Each page is recorded just before it is yielded: a client that hangs up has had no more than is on record, but for
    what of the last page did not reach it. Raises `AccessNotRecorded`, which cuts a stream that has begun short.
    """
    parts: Parts = request.app.state.parts
    of_all = asked.subject is None and asked.type is None
    async with aclosing(_of_all(parts, asked, head) if of_all else _of_some(parts, asked, head)) as pages:
        async for entries in pages:
            await looking.record_entries(request, Action.STREAM_ENTRIES, entries)
            yield b"\n".join([*(stored for _, stored in entries), b""])


def _of_all(parts: Parts, asked: EntriesQuery, head: int) -> AsyncGenerator[Entries]:
    below = head if asked.limit is None else min(head, asked.first + asked.limit)
    return parts.log.iterate_stored(asked.first, below=below, page=PAGE)


async def _of_some(parts: Parts, asked: EntriesQuery, head: int) -> AsyncGenerator[Entries]:
    left = asked.limit
    first = asked.first
    while left is None or left > 0:
        limit = PAGE if left is None else min(PAGE, left)
        entries = await _page(parts, asked, first, limit, head)
        if entries:
            yield entries
        if len(entries) < limit:
            return
        first = entries[-1][0] + 1
        left = None if left is None else left - len(entries)


async def _lines(first: bytes, pages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    async with aclosing(pages):
        if first:
            yield first
        async for page in pages:
            yield page


HANDLERS = [list_entries, get_entry, get_digest]
