"""What the log promises when the database goes away in the middle: never twice, and nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from itertools import count
from secrets import token_hex
from typing import Self

import asyncpg
import pytest
import uuid_utils

from events.errors import LogUnavailable
from events.log import Append, Appended, Log, NewToken
from events.log.migrate import migrate
from services.registry import provision
from services.registry.embedded import EmbeddedPostgres
from tests.support.check_log import check_log
from tests.support.cluster import Database, scratch_folder
from tests.support.recording import command, connected, draft, note, obstacle, open_log, until
from tests.support.wire import Wire, wire

TASKS = 16
WRITERS = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'registry-writer'"


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server of this module's own, for it is killed."""
    with scratch_folder() as home, EmbeddedPostgres(home / "postgres") as started:
        yield started


@pytest.fixture
async def killable(server: EmbeddedPostgres) -> Database:
    """A database on the server that may be killed."""
    server.start()
    name = f"killable_{token_hex(4)}"
    access = await provision.provision(server.dsn(), name)
    await migrate(access.owner)
    return Database(name, server.dsn(name), access.owner, access.service, access.projector, access.reader)


@pytest.fixture
async def cuttable(database: Database) -> AsyncGenerator[Wire, None]:
    async with wire(database.service_dsn) as made:
        yield made


async def backend(database: Database) -> int:
    """The process that serves the log's writer."""
    async with connected(database.admin_dsn) as connection:
        pid: int = await until(lambda: connection.fetchval(WRITERS))
        return pid


class Load:
    """Tasks that each record notes in a stream of their own, and send each until it is acknowledged."""

    def __init__(self, log: Log, tasks: int = TASKS) -> None:
        self._log = log
        self._tasks = tasks
        self.acknowledged: list[tuple[Append, Appended]] = []
        self._moved = asyncio.Condition()
        self._enough = False

    async def __aenter__(self) -> Self:
        self._running = asyncio.gather(*(self._record(task) for task in range(self._tasks)))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._enough = True
        await self._running

    async def _record(self, task: int) -> None:
        for nth in count():
            if self._enough:
                return
            said = command(draft(f"load/{task}", 2 * nth - 1), draft(f"load/{task}"))
            answer = await insist(self._log, said)
            async with self._moved:
                self.acknowledged.append((said, answer))
                self._moved.notify_all()

    async def more(self, commands: int) -> None:
        """Wait until so many more have been acknowledged."""
        goal = len(self.acknowledged) + commands
        async with self._moved:
            await self._moved.wait_for(lambda: len(self.acknowledged) >= goal)

    async def check(self, database: Database) -> None:
        """Everything that was acknowledged is there as it was said to be, and nothing else is."""
        summary = await check_log(database.service_dsn)
        assert summary.commands == len(self.acknowledged)
        async with await open_log(database.service_dsn) as log:
            entries = await log.read_all(limit=summary.size)
        for said, answer in self.acknowledged:
            assert entries[answer.entries[0].position : answer.size] == list(answer.entries)
            assert len(answer.entries) == len(said.drafts)


async def insist(log: Log, said: Append) -> Appended:
    while True:
        try:
            return await log.append(said)
        except LogUnavailable:
            await asyncio.sleep(0.05)  # as a client that was told to try again


class TestKilled:
    async def test_backends_that_are_terminated_during_load(self, database: Database) -> None:
        async with await open_log(database.service_dsn) as log, connected(database.admin_dsn) as connection:
            async with Load(log) as load:
                for _ in range(8):
                    await load.more(100)
                    await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({WRITERS}) AS writers")
                await load.more(100)
            assert log.counts.resent > 0
        await load.check(database)

    async def test_a_backend_that_is_killed_and_takes_the_others_with_it(self, killable: Database) -> None:
        async with await open_log(killable.service_dsn) as log, Load(log) as load:
            for _ in range(2):
                await load.more(100)
                os.kill(await backend(killable), signal.SIGKILL)
                await load.more(100)
        await load.check(killable)

    async def test_the_whole_server_is_killed_and_started_again(
        self, killable: Database, server: EmbeddedPostgres
    ) -> None:
        async with await open_log(killable.service_dsn) as log, Load(log) as load:
            for _ in range(2):
                await load.more(100)
                assert server.pid is not None
                os.kill(server.pid, signal.SIGKILL)
                await until(is_gone(server))
                await asyncio.to_thread(server.start)
                await load.more(100)
        await load.check(killable)

    async def test_two_processes_that_write_survive_it_together(self, database: Database) -> None:
        async with (
            await open_log(database.service_dsn) as first,
            await open_log(database.service_dsn) as second,
            connected(database.admin_dsn) as connection,
            Load(first, 4) as load,
        ):
            others = [asyncio.create_task(insist(second, note(f"other/{nth}"))) for nth in range(100)]
            for _ in range(4):
                await load.more(20)
                await connection.execute(f"SELECT pg_terminate_backend(pid) FROM ({WRITERS}) AS writers")
            load.acknowledged += [(note("other"), await other) for other in others]
        await load.check(database)


def is_gone(server: EmbeddedPostgres) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return server.pid is None

    return ask


def was_resent(log: Log, times: int) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return log.counts.resent >= times

    return ask


class TestCut:
    async def test_an_answer_that_is_lost_after_the_commit_is_found_out(
        self, cuttable: Wire, database: Database
    ) -> None:
        async with await open_log(cuttable.dsn) as log:
            await log.append(note("a/1"))
            cuttable.lose_answer()
            answer = await log.append(note("a/1", 0))
            assert cuttable.struck.is_set()
            assert not answer.replayed  # the caller sent it once
            assert answer.entries[0].position == 1
            assert (log.counts.resent, log.counts.replays) == (1, 0)
        assert (await check_log(database.service_dsn)).size == 2

    async def test_a_request_that_is_lost_is_sent_again(self, cuttable: Wire, database: Database) -> None:
        async with await open_log(cuttable.dsn) as log:
            await log.append(note("a/1"))
            cuttable.lose_request()
            answers = await asyncio.gather(*(log.append(note("a/1", nth)) for nth in range(5)))
            assert [answer.entries[0].position for answer in answers] == [1, 2, 3, 4, 5]
        await check_log(database.service_dsn)

    @pytest.mark.parametrize("fault", ["lose_answer", "lose_request"])
    async def test_refusals_and_repetitions_survive_it_too(
        self, cuttable: Wire, database: Database, fault: str
    ) -> None:
        async with await open_log(cuttable.dsn) as log:
            said = note("a/1")
            first = await log.append(said)
            getattr(cuttable, fault)()
            outcomes = await asyncio.gather(
                log.append(said), log.append(note("a/1")), log.append(note("a/2")), return_exceptions=True
            )
            assert [type(outcome).__name__ for outcome in outcomes] == ["Appended", "WrongExpectedVersion", "Appended"]
            again = outcomes[0]
            assert isinstance(again, Appended)
            assert again.replayed
            assert again.entries == first.entries
        assert (await check_log(database.service_dsn)).size == 2

    async def test_while_the_database_is_away_callers_are_told_in_time_and_nothing_is_recorded_late(
        self, cuttable: Wire, database: Database
    ) -> None:
        loop = asyncio.get_running_loop()
        async with await open_log(cuttable.dsn, deadline=0.6) as log:
            cuttable.down()
            begun = loop.time()
            outcomes = await asyncio.gather(*(log.append(note(f"a/{nth}")) for nth in range(5)), return_exceptions=True)
            assert loop.time() - begun < 3
            assert all(isinstance(outcome, LogUnavailable) for outcome in outcomes)
            with pytest.raises(LogUnavailable):
                await log.read_all()
            cuttable.up()
            assert (await insist(log, note("b/1"))).entries[0].position == 0
        assert set((await check_log(database.service_dsn)).streams) == {"b/1"}

    async def test_a_log_that_cannot_be_reached_is_not_opened(self, cuttable: Wire) -> None:
        cuttable.down()
        with pytest.raises(LogUnavailable):
            await open_log(cuttable.dsn)


class TestStuck:
    async def test_a_backend_that_hangs_is_left_and_writes_nothing_when_it_comes_back(self, killable: Database) -> None:
        async with await open_log(killable.service_dsn, statement=0.5) as log:
            await log.append(note("a/1"))
            stuck = await backend(killable)
            os.kill(stuck, signal.SIGSTOP)
            try:
                answer = await log.append(note("a/1", 0))
                assert answer.entries[0].position == 1
            finally:
                os.kill(stuck, signal.SIGCONT)
            async with connected(killable.admin_dsn) as connection:
                await until(lambda: connection.fetchval(f"SELECT NOT EXISTS ({WRITERS} AND pid = {stuck})"))
            await log.append(note("a/1", 1))
        assert (await check_log(killable.service_dsn)).size == 3

    async def test_a_lock_held_longer_than_a_statement_may_take_delays_and_harms_nothing(
        self, database: Database
    ) -> None:
        async with await open_log(database.service_dsn, statement=0.2) as log:
            async with obstacle(database) as held:
                waiting = [asyncio.create_task(log.append(note(f"a/{nth}"))) for nth in range(3)]
                await held.waited_for()
                await until(was_resent(log, times=2))
            assert sorted([answer.size for answer in await asyncio.gather(*waiting)]) == [1, 2, 3]
        assert (await check_log(database.service_dsn)).size == 3


class TestDurability:
    @pytest.mark.parametrize("lowered", ["off", "local", "remote_write"])
    async def test_a_log_whose_commits_would_not_be_durable_is_not_opened(
        self, database: Database, lowered: str
    ) -> None:
        async with connected(database.admin_dsn) as connection:
            await connection.execute(
                f'ALTER ROLE registry_serve IN DATABASE "{database.name}" SET synchronous_commit = {lowered}'
            )
        with pytest.raises(LogUnavailable, match=lowered):
            await open_log(database.service_dsn)

    async def test_the_function_that_appends_refuses_too(self, database: Database) -> None:
        nothing = ", ".join(["NULL"] * 18)
        async with connected(database.service_dsn) as connection:
            await connection.execute("SET synchronous_commit = off")
            with pytest.raises(asyncpg.ObjectNotInPrerequisiteStateError):
                await connection.execute(f"SELECT log.append({nothing})")

    async def test_another_isolation_by_default_does_not_matter(self, database: Database) -> None:
        async with connected(database.admin_dsn) as connection:
            await connection.execute(
                f"""ALTER ROLE registry_serve IN DATABASE "{database.name}"
                SET default_transaction_isolation = 'serializable'"""
            )
        async with (
            await open_log(database.service_dsn) as first,
            await open_log(database.service_dsn) as second,
        ):
            logs = [first, second] * 20
            await asyncio.gather(*(one.append(note(f"a/{nth}")) for nth, one in enumerate(logs)))
            assert (first.counts.resent, second.counts.resent) == (0, 0)
        assert (await check_log(database.service_dsn)).size == 40


async def test_a_log_that_contradicts_its_head_is_written_to_no_more(database: Database) -> None:
    """Its unique constraints refuse what no command is to blame for: that is told, and not tried again and again."""
    async with await open_log(database.service_dsn) as log:
        await log.append(note("a/1"))
        async with connected(database.admin_dsn) as connection:
            await connection.execute("UPDATE log.head SET size = 0, frontier = '{}'")
    async with await open_log(database.service_dsn) as log:
        with pytest.raises(asyncpg.UniqueViolationError, match="entry_position_key"):
            await log.append(note("a/2"))


async def test_an_id_that_an_entry_of_another_command_has_is_told_and_not_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is found then says why it was refused: the writer would hold the head's lock again and again."""
    identifier = uuid_utils.uuid7()
    monkeypatch.setattr(uuid_utils, "uuid7", lambda: identifier)
    async with await open_log(database.service_dsn, deadline=2.0) as log:
        await log.append(note("a/1"))
        with pytest.raises(asyncpg.UniqueViolationError, match="entry_id_key"):
            await log.append(note("a/2"))
        assert log.counts.rebuilt == 0
    assert (await check_log(database.service_dsn)).size == 1


async def test_what_a_command_that_cannot_be_recorded_said_is_in_no_line(
    database: Database, caplog: pytest.LogCaptureFixture
):
    """PostgreSQL quotes the values that it cannot take."""
    secret = "Zenobia-Quillfeather"
    async with await open_log(database.service_dsn) as log:
        owners = (NewToken(secret, b"a token of nobody's"),)
        answers = await asyncio.gather(
            log.append(note("a/1", tokens=owners)), log.append(note("a/2")), return_exceptions=True
        )
    assert isinstance(answers[0], asyncpg.ForeignKeyViolationError)
    assert not isinstance(answers[1], BaseException)
    said = [record.getMessage() for record in caplog.records]
    assert any("ForeignKeyViolationError" in line for line in said)
    assert not [line for line in said if secret in line]
    await check_log(database.service_dsn)
