"""The whole log, read in pages of which the next is on its way while one is looked at."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

import asyncpg
import pytest

from events.catalogue import Entry, Event
from events.codec import decode_entry
from events.errors import Corrupt, LogUnavailable
from events.log import Reader
from tests.support.cluster import Database
from tests.support.projecting import Recorder, tamper

SIZE = 25


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    await Recorder(database).record(SIZE)
    async with asyncpg.create_pool(database.service_dsn, min_size=1, max_size=1) as made:
        yield made


@pytest.mark.parametrize("page", [1, 6, 24, 25, 26])
@pytest.mark.parametrize("part", [1, 4, 100])
async def test_entries_are_decoded_in_order_each_once(pool, page: int, part: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("events.log.read.PART", part)
    reader = Reader(pool)
    stored = [recorded.bytes async for recorded in reader.iterate(page=page)]
    assert len(stored) == SIZE
    for first, below in ((0, None), (0, SIZE), (3, 20), (7, 7), (20, 3), (SIZE, None), (SIZE + 5, None)):
        read = await collected(reader.iterate_decoded(first, below=below, page=page))
        assert read == [decode_entry(one) for one in stored[first:below]]


async def test_who_stops_reading_leaves_nothing_behind(pool, caplog: pytest.LogCaptureFixture):
    reader = Reader(pool)
    async with aclosing(reader.iterate_decoded(page=5)) as pages:
        async for entries in pages:
            assert len(entries) == 5
            break
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert pool.get_idle_size() == pool.get_size()
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_a_database_that_goes_away_between_pages_is_told(pool):
    pages = Reader(pool).iterate_decoded(page=5)
    assert len(await anext(pages)) == 5
    await pool.close()
    with pytest.raises(LogUnavailable):
        await collected(pages)


async def test_an_entry_that_is_none_ends_the_reading(pool, database: Database):
    await tamper(database, "UPDATE log.entry SET bytes = '{}' WHERE position = 20")
    pages = Reader(pool).iterate_decoded(page=5)
    assert [len(await anext(pages)) for _ in range(4)] == [5] * 4
    with pytest.raises(Corrupt):
        await anext(pages)


async def collected(pages: AsyncIterator[list[Entry[Event]]]) -> list[Entry[Event]]:
    return [one async for some in pages for one in some]
