"""A command is recorded only while what it rests on holds: looked at under the lock, whoever else appends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from events.log import Absent, Append, Appended, Log, NewKey, Overtaken, Read
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.recording import command, draft, note, obstacle, open_log, until

TASKS = 32


@pytest.fixture
async def log(database: Database) -> AsyncGenerator[Log, None]:
    async with await open_log(database.service_dsn) as opened:
        yield opened
    await check_log(database.service_dsn)


async def both_wait(log: Log) -> bool:
    return log.waiting == 2


def resting(stream: str, *reads: tuple[str, int]) -> Append:
    return note(stream, reads=tuple(Read(*one) for one in reads))


async def test_a_stream_that_was_read_has_to_be_as_it_was(log: Log) -> None:
    await log.append(note("party/1"))
    await log.append(resting("visit/1", ("party/1", 0), ("party/2", -1)))
    await log.append(note("party/1", 0))
    with pytest.raises(Overtaken):
        await log.append(resting("visit/2", ("party/1", 0)))
    await log.append(note("party/2"))
    with pytest.raises(Overtaken):
        await log.append(resting("visit/3", ("party/2", -1)))
    assert (await log.head()).size == 4
    assert (await log.append(resting("visit/4", ("party/1", 1), ("party/2", 0)))).size == 5


async def test_what_nobody_may_mention_is_looked_for_in_all_that_is_newer(log: Log) -> None:
    await log.append(command(draft("visit/1", text="with party_1")))
    await log.append(note("party_2"))
    await log.append(note("party_1", absent=(Absent("party_1", 1), Absent("party_3", 0))))
    with pytest.raises(Overtaken):
        await log.append(note("party_1", 0, absent=(Absent("party_1", 0),)))
    with pytest.raises(Overtaken):
        await log.append(note("party_1", 0, absent=(Absent("party_2", 1),)))  # a stream's name is in its entries
    assert (await log.head()).size == 3


async def test_an_owner_that_is_needed_has_to_have_a_key(log: Log) -> None:
    made = NewKey(owner="person/1", wrapped=b"wrapped", key_id="test")
    await log.append(note("person/1", keys=(made,)))
    await log.append(note("visit/1", needed=("person/1",)))
    await log.append(note("person/1", 0, destroy=("person/1",)))
    with pytest.raises(Overtaken):
        await log.append(note("visit/2", needed=("person/1",)))
    assert (await log.head()).size == 3


@pytest.mark.parametrize("reader_first", [True, False])
async def test_of_commands_in_one_batch_a_reader_is_recorded_before_what_it_read_moves_or_not_at_all(
    database: Database, log: Log, reader_first: bool
) -> None:
    await log.append(note("party/1"))
    reads, moves = resting("visit/1", ("party/1", 0)), note("party/1", 0)
    async with obstacle(database):  # so that both wait, and go in one batch
        first = asyncio.create_task(log.append(note("in/the-way")))
        await asyncio.sleep(0)
        both = [asyncio.create_task(log.append(one)) for one in ((reads, moves) if reader_first else (moves, reads))]
        await until(lambda: both_wait(log))
    await first
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    if reader_first:
        assert all(isinstance(one, Appended) for one in outcomes)
    else:
        assert isinstance(outcomes[0], Appended)
        assert isinstance(outcomes[1], Overtaken)


async def test_of_commands_in_one_batch_none_mentions_what_one_behind_it_needs_to_be_unmentioned(
    database: Database, log: Log
) -> None:
    await log.append(note("party_1"))
    size = (await log.head()).size
    mentions = command(draft("visit/1", text="with party_1"))
    takes_back = note("party_1", 0, absent=(Absent("party_1", size),))
    async with obstacle(database):
        first = asyncio.create_task(log.append(note("in/the-way")))
        await asyncio.sleep(0)
        both = [asyncio.create_task(log.append(one)) for one in (mentions, takes_back)]
        await until(lambda: both_wait(log))
    await first
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(outcomes[0], Appended)
    assert isinstance(outcomes[1], Overtaken)


async def test_of_many_who_read_each_other_and_then_write_one_in_each_pair_is_recorded(database: Database) -> None:
    async with await open_log(database.service_dsn) as one, await open_log(database.service_dsn) as other:
        for nth in range(TASKS):
            await one.append(note(f"left/{nth}"))
            await one.append(note(f"right/{nth}"))
        outcomes = await asyncio.gather(
            *(
                log.append(note(f"{mine}/{nth}", 0, reads=(Read(f"{its}/{nth}", 0),)))
                for nth in range(TASKS)
                for log, mine, its in ((one, "left", "right"), (other, "right", "left"))
            ),
            return_exceptions=True,
        )
    for left, right in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert {type(left), type(right)} == {Appended, Overtaken}
    await check_log(database.service_dsn)
