"""A batch sent behind one that is still on its way: it is recorded after that one, or anew, and never on a guess."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from events.errors import CommandIdReused, LogUnavailable, WrongExpectedVersion
from events.log import Append, Appended, Log, migrate
from events.log.append import BEHIND
from events.log.connection import Found, Unreachable
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.recording import command, connected, draft, note, obstacle, open_log, until

WAITING = """SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'registry-writer' AND wait_event_type = 'Lock'
ORDER BY state_change"""
MIGRATION = Path(migrate.__file__).parent / "migrations" / "0013_append_at_once.sql"
GIVING_WAY = """SELECT count(*) > 0 FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'registry-writer' AND wait_event = 'PgSleep'"""


@pytest.fixture
async def log(database: Database) -> AsyncGenerator[Log, None]:
    async with await open_log(database.service_dsn) as opened:
        yield opened
    await check_log(database.service_dsn)


def notes(kind: str, many: int = 2 * BEHIND) -> list[Append]:
    return [note(f"{kind}/{nth}") for nth in range(many)]


def sent(log: Log, commands: list[Append]) -> list[asyncio.Task[Appended]]:
    return [asyncio.create_task(log.append(one)) for one in commands]


async def backends_in_wait(database: Database, many: int) -> list[int]:
    """Wait until so many batches are before the lock; the processes that serve them, as they came."""
    async with connected(database.admin_dsn) as connection:

        async def found() -> list[int] | None:
            pids = [row["pid"] for row in await connection.fetch(WAITING)]
            return pids if len(pids) == many else None

        pids: list[int] = await until(found)
        return pids


async def test_two_batches_are_on_their_way_at_once_and_recorded_in_order(database: Database, log: Log) -> None:
    async with obstacle(database):
        answers = sent(log, notes("one"))
        await backends_in_wait(database, 2)
    positions = [answer.entries[0].position for answer in await asyncio.gather(*answers)]
    assert positions == list(range(2 * BEHIND))
    assert (log.counts.batches, log.counts.rebuilt) == (2, 0)


async def test_a_batch_that_comes_before_the_one_ahead_gives_way(
    database: Database, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, early = log._writer._connection, asyncio.Event()
    send = first.append

    async def late(arguments: Sequence[object]) -> Found | None:
        await early.wait()
        return await send(arguments)

    monkeypatch.setattr(first, "append", late)
    answers = sent(log, notes("early"))
    async with connected(database.admin_dsn) as connection:
        await until(lambda: connection.fetchval(GIVING_WAY))
        early.set()
        positions = [answer.entries[0].position for answer in await asyncio.gather(*answers)]
    assert positions == list(range(2 * BEHIND))
    assert (log.counts.batches, log.counts.rebuilt) == (2, 0)


async def test_a_batch_whose_one_ahead_never_comes_is_recorded_after_all(
    database: Database, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost(_arguments: Sequence[object]) -> Found | None:
        async with connected(database.admin_dsn) as connection:
            await until(lambda: connection.fetchval(GIVING_WAY))
        monkeypatch.undo()
        raise Unreachable("it was never sent")

    monkeypatch.setattr(log._writer._connection, "append", lost)
    answers = await asyncio.gather(*sent(log, notes("never")))
    assert sorted(answer.entries[0].position for answer in answers) == list(range(2 * BEHIND))


async def test_nobody_who_may_only_read_can_keep_others_from_appending(database: Database, log: Log) -> None:
    """The mark of whoever appends is an advisory lock, which any login may take."""
    (mark,) = {int(one) for one in re.findall(r"append CONSTANT bigint := ([0-9]+)", MIGRATION.read_text())}
    async with connected(database.reader_dsn) as reader:
        assert await reader.fetchval("SELECT pg_try_advisory_lock($1)", mark)
        answers = await asyncio.gather(*sent(log, notes("held")), *sent(log, [note("held/one")]))
    assert sorted(answer.entries[0].position for answer in answers) == list(range(2 * BEHIND + 1))


async def test_the_other_half_is_sent_behind_also_when_both_batches_ahead_were_answered_at_once(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = log._writer._connection, log._writer._second
    send, send_behind = first.append, second.append
    behind: list[int] = []
    answered = asyncio.Event()

    async def told_late(arguments: Sequence[object]) -> Found | None:
        found = await send(arguments)
        await answered.wait()
        return found

    async def told(arguments: Sequence[object]) -> Found | None:
        found = await send_behind(arguments)
        behind.append(log.waiting)
        asyncio.get_running_loop().call_soon(answered.set)  # once this one is seen to
        return found

    monkeypatch.setattr(first, "append", told_late)
    monkeypatch.setattr(second, "append", told)
    ahead = sent(log, notes("ahead"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.gather(*ahead, *sent(log, notes("more", 4 * BEHIND)))
    assert behind == [4 * BEHIND, 0]


async def test_a_few_commands_are_not_split(database: Database, log: Log) -> None:
    await asyncio.gather(*sent(log, notes("few", 2 * BEHIND - 1)))
    assert log.counts.batches == 1


async def test_another_writers_batch_of_the_same_length_is_not_taken_for_the_one_ahead(
    database: Database, log: Log
) -> None:
    async with await open_log(database.service_dsn) as other:
        async with obstacle(database):
            theirs = sent(other, notes("theirs", BEHIND))
            await backends_in_wait(database, 1)
            ours = sent(log, notes("ours"))
            await backends_in_wait(database, 3)
        await asyncio.gather(*theirs, *ours)
    summary = await check_log(database.service_dsn)
    assert summary.size == 3 * BEHIND
    assert log.counts.rebuilt > 0
    batches = log.counts.batches
    await asyncio.gather(*sent(log, notes("after")))
    assert log.counts.batches == batches + 1  # with another writer about, none is sent on a guess for a while


@pytest.mark.parametrize("cut", [(0,), (1,), (0, 1)], ids=["the first", "the second", "both"])
async def test_what_was_on_its_way_when_a_connection_broke_is_recorded_once(
    database: Database, log: Log, cut: tuple[int, ...]
) -> None:
    async with obstacle(database):
        answers = sent(log, notes("cut"))
        backends = await backends_in_wait(database, 2)
        async with connected(database.admin_dsn) as connection:
            for nth in cut:
                await connection.execute("SELECT pg_terminate_backend($1)", backends[nth])
    recorded = await asyncio.gather(*answers)
    assert sorted(answer.entries[0].stream for answer in recorded) == sorted(f"cut/{n}" for n in range(2 * BEHIND))
    assert log.counts.resent > 0
    assert (await check_log(database.service_dsn)).size == 2 * BEHIND


async def test_a_refused_command_ahead_takes_nobody_with_it(database: Database, log: Log) -> None:
    await log.append(note("taken/1"))
    commands = [note("taken/1"), *notes("good", 2 * BEHIND - 1)]
    outcomes = await asyncio.gather(*sent(log, commands), return_exceptions=True)
    assert isinstance(outcomes[0], WrongExpectedVersion)
    assert all(isinstance(outcome, Appended) for outcome in outcomes[1:])


async def test_a_command_that_rests_on_one_of_the_batch_ahead_is_recorded_after_it(
    database: Database, log: Log
) -> None:
    commands = notes("chain")
    commands[-1] = command(draft("chain/0", 0))
    answers = await asyncio.gather(*sent(log, commands))
    assert answers[-1].entries[0].revision == 1


async def test_the_same_command_in_both_batches_is_recorded_once(database: Database, log: Log) -> None:
    commands = notes("twice")
    commands[-1] = commands[0]
    answers = await asyncio.gather(*sent(log, commands))
    assert answers[-1].entries == answers[0].entries
    assert (answers[0].replayed, answers[-1].replayed) == (False, True)
    assert (await log.head()).size == 2 * BEHIND - 1


async def test_another_request_under_an_id_of_the_batch_ahead_is_refused(database: Database, log: Log) -> None:
    commands = notes("id")
    commands[-1] = command(draft("id/other"), command_id=commands[0].command_id, request="another")
    outcomes = await asyncio.gather(*sent(log, commands), return_exceptions=True)
    assert isinstance(outcomes[-1], CommandIdReused)
    assert sum(isinstance(outcome, Appended) for outcome in outcomes) == 2 * BEHIND - 1


async def test_of_both_batches_nobody_is_kept_waiting_beyond_the_deadline(database: Database) -> None:
    async with await open_log(database.service_dsn, deadline=0.3) as log:
        async with obstacle(database):
            outcomes = await asyncio.gather(*sent(log, notes("late")), return_exceptions=True)
        assert all(isinstance(outcome, LogUnavailable) for outcome in outcomes)
        assert all("not known" in str(outcome) for outcome in outcomes)
    await check_log(database.service_dsn)


async def test_without_a_second_connection_everything_is_recorded_over_the_first(database: Database, log: Log) -> None:
    await log.head()
    async with connected(database.admin_dsn) as connection:
        await connection.execute(f'ALTER DATABASE "{database.name}" CONNECTION LIMIT 2')  # a reader, a writer
    answers = await asyncio.gather(*sent(log, notes("alone", 4 * BEHIND)))
    assert len({answer.entries[0].position for answer in answers}) == 4 * BEHIND
    assert log.counts.resent > 0
    async with connected(database.admin_dsn) as connection:
        await connection.execute(f'ALTER DATABASE "{database.name}" CONNECTION LIMIT -1')
