"""What the log promises to those who append: everything or nothing, once, in order, and a name for every refusal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from uuid import uuid4

import msgspec
import pytest

from events.entry import MAX_ENTRY_BYTES
from events.errors import (
    AlreadyClaimed,
    AlreadyExists,
    CommandIdReused,
    EntryTooLarge,
    LogUnavailable,
    QueueFull,
    WrongExpectedVersion,
)
from events.log import Appended, Claim, Log, NewKey, NewSalt
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.recording import PATIENCE, command, connected, draft, hash_of, note, obstacle, open_log

TASKS = 32


@pytest.fixture
async def log(database: Database) -> AsyncGenerator[Log, None]:
    """An open log; the oracle looks at the database afterwards."""
    async with await open_log(database.service_dsn) as opened:
        yield opened
    await check_log(database.service_dsn)


async def keys(database: Database) -> set[str]:
    async with connected(database.service_dsn) as connection:
        return {owner for (owner,) in await connection.fetch("SELECT owner FROM vault.key")}


async def salts(database: Database) -> set[str]:
    async with connected(database.service_dsn) as connection:
        return {owner for (owner,) in await connection.fetch("SELECT owner FROM vault.command_salt")}


def key(owner: str) -> NewKey:
    return NewKey(owner=owner, wrapped=b"wrapped", key_id="master-1")


class TestTogether:
    async def test_thirty_two_tasks_at_once_lose_nothing_and_share_batches(self, log: Log) -> None:
        async def record(task: int) -> list[Appended]:
            return [await log.append(note(f"stream/{task}", nth - 1)) for nth in range(20)]

        answers = [answer for task in await asyncio.gather(*map(record, range(TASKS))) for answer in task]
        positions = [entry.position for answer in answers for entry in answer.entries]
        assert sorted(positions) == list(range(TASKS * 20))
        assert log.counts.commands == TASKS * 20
        assert log.counts.batches < TASKS * 20 / 4

    async def test_an_answer_gives_what_is_stored(self, log: Log) -> None:
        answer = await log.append(command(draft("a/1"), draft("a/2"), draft("a/1", text="more")))
        assert list(answer.entries) == await log.read_all()
        assert [(entry.stream, entry.revision) for entry in answer.entries] == [("a/1", 0), ("a/2", 0), ("a/1", 1)]
        assert answer.size == 3
        assert not answer.replayed

    async def test_commands_that_build_on_each_other_are_recorded_in_one_batch(
        self, log: Log, database: Database
    ) -> None:
        async with obstacle(database):
            ahead = asyncio.create_task(log.append(note("another/stream")))
            waiting = [asyncio.create_task(log.append(note("a/1", nth - 1))) for nth in range(10)]
            await asyncio.sleep(0)
        answers = await asyncio.gather(*waiting)
        await ahead
        assert [answer.entries[0].revision for answer in answers] == list(range(10))
        assert log.counts.batches <= 2

    async def test_one_commands_failure_touches_no_other(self, log: Log) -> None:
        await log.append(command(draft("a/1"), claims=(Claim("scope", "taken"),)))
        outcomes = await asyncio.gather(
            log.append(note("b/1")),
            log.append(note("a/1", 7)),
            log.append(command(draft("b/2"), claims=(Claim("scope", "taken"),))),
            log.append(note("b/3")),
            log.append(note("b/4", 0)),
            log.append(note("b/1", 0)),
            return_exceptions=True,
        )
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [
            Appended, WrongExpectedVersion, AlreadyClaimed, Appended, WrongExpectedVersion, Appended
        ]  # fmt: skip
        assert await log.read_stream("b/2") == []

    async def test_what_postgresql_refuses_fails_alone(self, log: Log) -> None:
        outcomes = await asyncio.gather(
            log.append(note("a/1")),
            log.append(note("nul/\0")),
            log.append(command(draft("a/2"), claims=(Claim("scope", token_hex(9000)),))),
            log.append(note("a/3")),
            return_exceptions=True,
        )
        assert [isinstance(outcome, Appended) for outcome in outcomes] == [True, False, False, True]
        assert [entry.stream for entry in await log.read_all()] == ["a/1", "a/3"]

    async def test_a_bulk_of_thousands_is_one_batch(self, log: Log) -> None:
        answer, other = await asyncio.gather(
            log.append(command(*(draft(f"stream/{nth % 700}") for nth in range(5000)))), log.append(note("other/1"))
        )
        assert [entry.position for entry in answer.entries] == list(range(5000))
        assert other.entries[0].position == 5000
        assert await log.stream_revision("stream/0", 5000) == 7

    async def test_two_writers_interleave_without_loss_or_gap(self, log: Log, database: Database) -> None:
        async def record(writer: Log, task: int) -> int:
            refused = 0
            for nth in range(15):
                await writer.append(note(f"own/{task}", nth - 1))
                for _attempt in range(500):
                    found = await writer.stream_revision("shared/1", 10**9)
                    try:
                        await writer.append(note("shared/1", found))
                        break
                    except WrongExpectedVersion:
                        refused += 1
                else:
                    raise AssertionError("never got through")
            return refused

        async with await open_log(database.service_dsn) as second:
            await asyncio.gather(*(record(writer, task) for task, writer in enumerate([log, second] * 4)))
            assert second.counts.commands + log.counts.commands == 8 * 15 * 2
            assert log.counts.rebuilt > 0
        summary = await check_log(database.service_dsn)
        assert summary.streams["shared/1"] == 8 * 15 - 1

    async def test_a_batch_notifies_once(self, log: Log, database: Database) -> None:
        async with connected(database.service_dsn) as connection:
            heard: asyncio.Queue[str] = asyncio.Queue()
            await connection.add_listener("registry_log", lambda *said: heard.put_nowait(said[2]))
            await asyncio.gather(*(log.append(note(f"a/{nth}")) for nth in range(10)))
            assert await heard.get() == "registry_log"
            await connection.fetchval("SELECT 1")
            assert 1 + heard.qsize() == log.counts.batches

    async def test_time_never_goes_back(self, database: Database) -> None:
        instants = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=nth) for nth in (5, 9, 2, 9, 30)]
        clock = iter(instants)
        async with await open_log(database.service_dsn, clock=lambda: next(clock)) as opened:
            answers = [await opened.append(note(f"a/{nth}")) for nth in range(5)]
        assert [answer.entries[0].recorded_at.second for answer in answers] == [5, 9, 9, 9, 30]
        await check_log(database.service_dsn)


class TestAgain:
    async def test_the_same_command_again_is_answered_as_it_was(self, log: Log) -> None:
        said = command(draft("a/1"), draft("a/2"), draft("a/1"), claims=(Claim("scope", "mine"),))
        first = await log.append(said)
        await log.append(note("a/1", 1))
        again = await log.append(said)
        assert again.replayed
        assert (again.entries, again.size) == (first.entries, first.size)
        assert (await log.head()).size == 4

    async def test_another_request_under_a_used_id_is_refused(self, log: Log) -> None:
        said = note("a/1")
        await log.append(said)
        with pytest.raises(CommandIdReused):
            await log.append(note("a/2", command_id=said.command_id, request="another request"))
        assert (await log.head()).size == 1

    async def test_the_same_command_twice_in_one_batch_is_recorded_once(self, log: Log) -> None:
        said = note("a/1")
        other = note("a/2", command_id=said.command_id, request="another request")
        outcomes = await asyncio.gather(*(log.append(one) for one in (said, said, other)), return_exceptions=True)
        first, second, third = outcomes
        assert isinstance(first, Appended)
        assert isinstance(second, Appended)
        assert (first.replayed, second.replayed) == (False, True)
        assert first.entries == second.entries
        assert isinstance(third, CommandIdReused)

    async def test_a_repetition_whose_stream_moved_on_within_its_batch_is_still_a_repetition(self, log: Log) -> None:
        said = note("a/1")
        await log.append(said)
        moved, again = await asyncio.gather(log.append(note("a/1", 0)), log.append(said))
        assert not moved.replayed
        assert again.replayed

    async def test_a_command_is_found_by_its_id(self, log: Log) -> None:
        said = command(draft("a/1"), draft("a/1"))
        answer = await log.append(said)
        found = await log.find_command(said.command_id)
        assert found is not None
        assert found.command_hash == hash_of("a request")
        assert found.appended == msgspec.structs.replace(answer, replayed=True)
        assert await log.find_command(uuid4()) is None


class TestExpectedRevision:
    async def test_every_stream_that_moved_is_named_with_what_was_expected_and_found(self, log: Log) -> None:
        await log.append(command(draft("a/1"), draft("a/1"), draft("a/2")))
        with pytest.raises(WrongExpectedVersion) as refused:
            await log.append(command(draft("a/1"), draft("a/2", 0), draft("a/3", 4)))
        assert refused.value.streams == {"a/1": (-1, 1), "a/3": (4, -1)}

    async def test_of_many_at_one_revision_one_gets_through(self, log: Log) -> None:
        await log.append(note("a/1"))
        outcomes = await asyncio.gather(*(log.append(note("a/1", 0)) for _ in range(20)), return_exceptions=True)
        refusals = [outcome.streams for outcome in outcomes if isinstance(outcome, WrongExpectedVersion)]
        assert len(refusals) == 19
        assert all(refusal == {"a/1": (0, 1)} for refusal in refusals)

    async def test_a_revision_below_that_of_no_stream_is_a_programming_error(self, log: Log) -> None:
        with pytest.raises(ValueError, match="-1"):
            await log.append(note("a/1", -2))


class TestClaims:
    async def test_every_claim_that_is_taken_is_pointed_at(self, log: Log) -> None:
        await log.append(command(draft("a/1"), claims=(Claim("lei", "1"), Claim("lei", "2"), Claim("rcs", "1"))))
        claims = (Claim("lei", "2", "/ids/0"), Claim("rcs", "2", "/ids/1"), Claim("rcs", "1", "/ids/2"))
        with pytest.raises(AlreadyClaimed) as refused:
            await log.append(command(draft("a/2"), claims=claims))
        assert [problem.pointer for problem in refused.value.problems] == ["/ids/0", "/ids/2"]
        await log.append(command(draft("a/2"), claims=(Claim("rcs", "2"),)))

    async def test_one_command_cannot_claim_a_value_twice(self, log: Log) -> None:
        with pytest.raises(AlreadyClaimed) as refused:
            await log.append(command(draft("a/1"), claims=(Claim("lei", "1", "/0"), Claim("lei", "1", "/1"))))
        assert [problem.pointer for problem in refused.value.problems] == ["/1"]

    async def test_of_two_in_one_batch_the_first_gets_it(self, log: Log) -> None:
        outcomes = await asyncio.gather(
            *(log.append(command(draft(f"a/{nth}"), claims=(Claim("lei", "1"),))) for nth in range(3)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [Appended, AlreadyClaimed, AlreadyClaimed]


class TestVault:
    async def test_keys_and_salts_come_and_go_with_the_entries(self, log: Log, database: Database) -> None:
        salt = NewSalt(owner="person/1", salt=b"salt")
        await log.append(command(draft("person/1"), keys=(key("person/1"), key("person/2")), salts=(salt,)))
        assert await keys(database) == {"person/1", "person/2"}
        assert await salts(database) == {"person/1"}
        await log.append(command(draft("person/1", 0), destroy=("person/1",)))
        assert await keys(database) == {"person/2"}
        assert await salts(database) == set()

    async def test_a_refused_command_neither_brings_a_key_nor_destroys_one(self, log: Log, database: Database) -> None:
        await log.append(command(draft("person/1"), keys=(key("person/1"),)))
        with pytest.raises(WrongExpectedVersion):
            await log.append(command(draft("person/1", 5), keys=(key("person/2"),), destroy=("person/1",)))
        assert await keys(database) == {"person/1"}

    async def test_a_key_is_never_replaced(self, log: Log) -> None:
        await log.append(command(draft("person/1"), keys=(key("person/1"),)))
        with pytest.raises(AlreadyExists):
            await log.append(command(draft("person/2"), keys=(key("person/1"),)))
        outcomes = await asyncio.gather(
            *(log.append(command(draft(f"a/{nth}"), keys=(key("person/3"),))) for nth in range(2)),
            return_exceptions=True,
        )
        assert [type(outcome) for outcome in outcomes] == [Appended, AlreadyExists]

    async def test_a_key_made_destroyed_and_made_again_at_once_is_there(self, log: Log, database: Database) -> None:
        await asyncio.gather(
            log.append(command(draft("person/1"), keys=(key("person/1"),))),
            log.append(command(draft("person/1", 0), destroy=("person/1",))),
            log.append(command(draft("person/1", 1), keys=(key("person/1"),))),
        )
        assert await keys(database) == {"person/1"}

    async def test_a_key_made_and_destroyed_at_once_is_gone(self, log: Log, database: Database) -> None:
        await asyncio.gather(
            log.append(command(draft("person/1"), keys=(key("person/1"),))),
            log.append(command(draft("person/1", 0), destroy=("person/1",))),
        )
        assert await keys(database) == set()

    @pytest.mark.parametrize("what", ["keys", "salts"])
    async def test_two_for_one_owner_are_a_programming_error(self, log: Log, what: str) -> None:
        twice = {"keys": (key("p"), key("p")), "salts": (NewSalt(owner="p", salt=b"1"), NewSalt(owner="p", salt=b"2"))}
        with pytest.raises(ValueError, match="for an owner"):
            await log.append(command(draft("a/1"), **{what: twice[what]}))


class TestBounds:
    async def test_an_entry_too_large_is_refused_before_it_is_queued(self, log: Log) -> None:
        await log.append(note("a/1"))
        overhead = len((await log.read_all())[0].bytes) - len("said")
        position = len("9" * 19) - len("0")  # room is kept for the longest position
        most = MAX_ENTRY_BYTES - overhead - position
        await log.append(command(draft("a/2", text="x" * most)))
        with pytest.raises(EntryTooLarge):
            await log.append(command(draft("a/3"), draft("a/4", text="x" * (most + 1))))
        assert (await log.head()).size == 2

    async def test_a_command_without_events_is_a_programming_error(self, log: Log) -> None:
        with pytest.raises(ValueError, match="at least one"):
            await log.append(command())

    async def test_a_full_queue_refuses_at_once(self, database: Database) -> None:
        async with await open_log(database.service_dsn, queue_commands=5) as log:
            async with obstacle(database) as held:
                sent = asyncio.create_task(log.append(note("a/0")))
                await held.waited_for()
                queued = [asyncio.create_task(log.append(note(f"a/{nth}"))) for nth in range(1, 6)]
                await asyncio.sleep(0)
                with pytest.raises(QueueFull):
                    await log.append(note("a/6"))
                queued[0].cancel()  # makes room
                await asyncio.sleep(0)
                late = asyncio.create_task(log.append(note("a/7")))
                await asyncio.sleep(0)
            await asyncio.gather(sent, late, *queued[1:])
        assert set((await check_log(database.service_dsn)).streams) == {f"a/{nth}" for nth in (0, 2, 3, 4, 5, 7)}

    async def test_bytes_that_wait_are_bounded_too(self, database: Database) -> None:
        async with await open_log(database.service_dsn, queue_bytes=10_000) as log:
            async with obstacle(database) as held:
                sent = asyncio.create_task(log.append(note("a/0")))
                await held.waited_for()
                large = asyncio.create_task(log.append(command(draft("a/1", text="x" * 20_000))))
                await asyncio.sleep(0)
                with pytest.raises(QueueFull):
                    await log.append(note("a/2"))
            await asyncio.gather(sent, large)

    async def test_closing_records_what_waits_and_refuses_what_comes(self, database: Database) -> None:
        log = await open_log(database.service_dsn)
        async with obstacle(database) as held:
            waiting = [asyncio.create_task(log.append(note("a/1", nth - 1))) for nth in range(3)]
            await held.waited_for()
            closing = asyncio.create_task(log.close())
            await asyncio.sleep(0)
            with pytest.raises(LogUnavailable):
                await log.append(note("a/2"))
        await closing
        assert [answer.size for answer in await asyncio.gather(*waiting)] == [1, 2, 3]


class TestGivingUp:
    async def test_a_command_cancelled_before_it_was_sent_is_dropped(self, log: Log, database: Database) -> None:
        async with obstacle(database) as held:
            sent = asyncio.create_task(log.append(note("a/1")))
            await held.waited_for()
            queued = asyncio.create_task(log.append(note("a/2")))
            await asyncio.sleep(0)
            queued.cancel()
        await sent
        await log.append(note("a/3"))
        assert [entry.stream for entry in await log.read_all()] == ["a/1", "a/3"]

    async def test_a_command_cancelled_after_it_was_sent_is_recorded_and_can_be_asked_for(
        self, log: Log, database: Database
    ) -> None:
        said = note("a/1")
        async with obstacle(database) as held:
            sent = asyncio.create_task(log.append(said))
            await held.waited_for()
            sent.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sent
        again = await log.append(said)
        assert again.replayed

    async def test_a_deadline_says_whether_the_outcome_is_known(self, database: Database) -> None:
        said, unsent = note("a/1"), note("a/2")
        async with await open_log(database.service_dsn, deadline=0.5) as log:
            async with obstacle(database) as held:
                sent = asyncio.create_task(log.append(said))
                await held.waited_for()
                with pytest.raises(LogUnavailable, match="Nothing was recorded"):
                    await log.append(unsent)
                with pytest.raises(LogUnavailable, match="not known"):
                    await sent
            assert (await log.append(said)).replayed
            assert await log.find_command(unsent.command_id) is None
        await check_log(database.service_dsn)


class TestReading:
    @pytest.fixture
    async def filled(self, log: Log) -> Log:
        """Sixty entries in three streams, of two types, a command of three at each instant."""
        for nth in range(20):
            drafts = [draft(f"a/{stream}", nth - 1) for stream in range(3)]
            drafts[2] = msgspec.structs.replace(drafts[2], event_type="registry.rare.v1")
            await log.append(command(*drafts))
        return log

    async def test_a_stream_is_read_from_a_revision_on(self, filled: Log) -> None:
        assert [entry.revision for entry in await filled.read_stream("a/1", 17)] == [17, 18, 19]
        assert await filled.read_stream("a/9") == []

    async def test_all_is_read_in_pages_and_below_a_size(self, filled: Log) -> None:
        async def positions(*arguments: int, **more: int) -> list[int]:
            return [entry.position for entry in await filled.read_all(*arguments, **more)]

        assert await positions(10, 5) == [10, 11, 12, 13, 14]
        assert await positions(10, 5, below=12) == [10, 11]
        assert await positions(10, 5, below=9) == []
        assert await positions(58, 5) == [58, 59]
        assert [entry.position async for entry in filled.iterate(7, page=10)] == list(range(7, 60))
        assert [entry.position async for entry in filled.iterate(7, page=10, below=30)] == list(range(7, 30))

    async def test_streams_and_types_are_picked_out(self, filled: Log, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("events.log.read.WINDOW", 7)
        all_entries = await filled.read_all()
        cases = [(["a/0", "a/2"], None), (None, ["registry.rare.v1"]), (["a/0", "a/2"], ["registry.rare.v1"])]
        for streams, types in cases:
            wanted = [
                entry
                for entry in all_entries
                if (streams is None or entry.stream in streams) and (types is None or entry.event_type in types)
            ]
            assert await filled.read_all(streams=streams, types=types) == wanted
            assert (
                await filled.read_all(20, 5, below=50, streams=streams, types=types)
                == [entry for entry in wanted if 20 <= entry.position < 50][:5]
            )

    async def test_a_size_is_found_for_an_instant(self, filled: Log) -> None:
        entries = await filled.read_all()
        instants = {entry.recorded_at for entry in entries}
        for instant in [
            *instants,
            *(at - timedelta(microseconds=1) for at in instants),
            datetime.max.replace(tzinfo=UTC),
        ]:
            assert await filled.size_at(instant) == sum(entry.recorded_at <= instant for entry in entries)

    async def test_a_streams_revision_is_found_for_a_size(self, filled: Log) -> None:
        for size in range(62):
            assert await filled.stream_revision("a/1", size) == len(range(1, size, 3)) - 1 if size <= 60 else 19
        assert await filled.stream_revision("a/9", 60) == -1

    async def test_the_head_is_what_the_oracle_finds(self, filled: Log, database: Database) -> None:
        head = await filled.head()
        summary = await check_log(database.service_dsn)
        assert (head.size, head.frontier.root(), head.last_recorded_at) == (
            summary.size, summary.root, summary.last_recorded_at
        )  # fmt: skip

    async def test_an_empty_log_has_a_head_and_no_entry(self, log: Log) -> None:
        head = await log.head()
        assert (head.size, head.last_recorded_at) == (0, None)
        assert await log.read_all() == []
        assert await log.size_at(datetime.now(UTC)) == 0  # noqa: TID251


async def test_a_caller_may_be_in_more_of_a_hurry_than_the_log_and_than_those_ahead(database: Database) -> None:
    loop = asyncio.get_running_loop()
    async with await open_log(database.service_dsn, deadline=30.0) as log:
        async with obstacle(database):
            patient = asyncio.create_task(log.append(note("a/1")))
            await asyncio.sleep(0)
            begun = loop.time()
            with pytest.raises(LogUnavailable, match="did not answer in time"):
                await log.append(note("a/2"), within=0.05)
            assert loop.time() - begun < 10
        assert (await patient).size == 1
    await check_log(database.service_dsn)


async def test_callers_whose_time_is_up_already_are_told_so_each(database: Database) -> None:
    async with await open_log(database.service_dsn, deadline=30.0) as log, obstacle(database):
        hurried = [asyncio.create_task(log.append(note(f"a/{number}"), within=-1.0)) for number in range(3)]
        for told in await asyncio.wait_for(asyncio.gather(*hurried, return_exceptions=True), PATIENCE):
            assert isinstance(told, LogUnavailable), told
    await check_log(database.service_dsn)
