"""A log filled to a size with a made-up history, behind what it has, past commands and checks of references."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import count

import asyncpg
import uuid_utils

from bench.history import ORIGIN, History
from events.catalogue import Event
from events.entry import Envelope, canonical_bytes, time_text
from events.log.transfer import receive
from services.registry.provision import Access


def envelopes(told: Iterable[tuple[str, Event]], first: int, end: int, moment: str) -> Iterator[bytes]:
    """Yield what is told as entries from one position to before another, each a command of its own."""
    revisions: dict[str, count[int]] = {}
    for position, (stream, event) in zip(range(first, end), told, strict=False):
        yield canonical_bytes(
            Envelope(
                specversion="1.0",
                id=str(uuid_utils.uuid7()),
                source=ORIGIN,
                type=event.event_type,
                subject=stream,
                time=moment,
                datacontenttype="application/json",
                dataschema=f"{ORIGIN}/v1/schemas/{event.event_type}",
                sequence=str(position),
                revision=next(revisions.setdefault(stream, count())),
                commandid=str(uuid_utils.uuid7()),
                commandhash="00" * 32,
                actor="bench",
                classification="public",
                data=event,
            )
        )


async def fill(access: Access, size: int, told: Iterable[tuple[str, Event]] | None = None) -> None:
    """Record what is told, or else a history from its beginning, behind what the log has, until it has a size."""
    begun = time.perf_counter()
    connection = await asyncpg.connect(access.service)
    owner = await asyncpg.connect(access.owner)
    try:
        first: int = await owner.fetchval("SELECT size FROM log.head")
        moment = time_text(datetime.now(UTC))  # noqa: TID251 - the bench is its own service

        async def following() -> AsyncIterator[bytes]:
            for entry in envelopes(History() if told is None else told, first, size, moment):
                yield entry

        await receive(connection, following())
        await owner.execute("ANALYZE log.entry")
    finally:
        await connection.close()
        await owner.close()
    print(f"{size:,} entries are there after {time.perf_counter() - begun:.0f} s", file=sys.stderr)
