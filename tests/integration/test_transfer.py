"""Entries put into another log: the same bytes and the same root, or nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import asyncpg
import pytest

from events.errors import Corrupt, EntryTooNew
from events.log import transfer
from events.log.transfer import receive
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.projecting import Recorder
from tests.support.recording import connected, note, open_log

SIZE = 120


@pytest.fixture
def other(cluster: Cluster) -> Iterator[Database]:
    with cluster.database() as made:
        yield made


@pytest.fixture
async def recorded(database: Database) -> list[bytes]:
    await Recorder(database).record(SIZE)
    return await stored(database)


async def stored(database: Database) -> list[bytes]:
    async with connected(database.service_dsn) as connection:
        return [row["bytes"] for row in await connection.fetch("SELECT bytes FROM log.entry ORDER BY position")]


async def each(entries: Sequence[bytes], *, fail_at: int | None = None) -> AsyncIterator[bytes]:
    for number, one in enumerate(entries):
        if number == fail_at:
            raise ConnectionResetError
        yield one


async def tables(database: Database) -> tuple[list[asyncpg.Record], ...]:
    async with connected(database.service_dsn) as connection:
        return (
            await connection.fetch("SELECT * FROM log.entry ORDER BY position"),
            await connection.fetch("SELECT * FROM log.head"),
        )


@pytest.mark.parametrize("role", ["service", "owner"])
async def test_a_copy_is_the_same_log_in_every_column(database, other, recorded, monkeypatch, role):
    monkeypatch.setattr(transfer, "BATCH", 7)  # which parts commands
    told: list[int] = []
    async with connected(other.service_dsn if role == "service" else other.owner_dsn) as connection:
        head = await receive(connection, each(recorded), told.append)
    assert (head.size, told[0], told[-1]) == (SIZE, 7, SIZE)
    assert told == sorted(told)
    assert await tables(other) == await tables(database)
    assert (await check_log(other.admin_dsn)).root == head.frontier.root()


async def test_a_copy_that_was_interrupted_is_gone_on_with_at_its_size(database, other, recorded, monkeypatch):
    monkeypatch.setattr(transfer, "BATCH", 10)
    async with connected(other.service_dsn) as connection:
        with pytest.raises(ConnectionResetError):
            await receive(connection, each(recorded, fail_at=55))
        there = (await check_log(other.admin_dsn)).size
        assert there == 50
        await receive(connection, each(recorded[there:]))
    assert await tables(other) == await tables(database)


async def test_a_copy_can_be_gone_on_with_by_recording_in_it(database, other, recorded):
    async with connected(other.service_dsn) as connection:
        await receive(connection, each(recorded))
        assert (await receive(connection, each([]))).size == SIZE
    async with await open_log(other.service_dsn) as log:
        assert (await log.append(note("a/1"))).size == SIZE + 1
    await check_log(other.admin_dsn)


def swapped(entries: list[bytes]) -> list[bytes]:
    entries[7], entries[8] = entries[8], entries[7]
    return entries


def edited(old: bytes, new: bytes) -> Callable[[list[bytes]], list[bytes]]:
    def edit(entries: list[bytes]) -> list[bytes]:
        assert old in entries[20]
        entries[20] = entries[20].replace(old, new, 1)
        return entries

    return edit


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda entries: entries[1:], "position 0: this is entry 1"),
        (lambda entries: [*entries[:5], *entries[6:]], "position 5: this is entry 6"),
        (swapped, "position 7: this is entry 8"),
        (lambda entries: [*entries[:5], b"{}", *entries[6:]], "position 5: .*missing required field"),
        (lambda entries: [*entries[:5], b"\xff{", *entries[6:]], "position 5: "),
        (edited(b"{", b"{ "), "position 20: the bytes are not those of an entry in canonical form"),
        (edited(b'{"actor"', b'{"aaa":1,"actor"'), "position 20: the bytes are not those of an entry"),
        (edited(b'"time":"2', b'"time":"1'), "position 20: recorded at 1.*before the entry ahead"),
        (edited(b'"id":"', b'"id":"x'), "position 20: badly formed"),
        (edited(b'"subject":"', b'"subject":"no'), "position 20: no.* is no stream of a known kind"),
    ],
    ids=["late", "gap", "swapped", "no entry", "no text", "spaces", "unknown", "time", "id", "kind"],
)
async def test_what_is_no_entry_of_its_place_is_refused_and_leaves_nothing(other, recorded, spoil, what):
    async with connected(other.service_dsn) as connection:
        with pytest.raises(Corrupt, match=what):
            await receive(connection, each(spoil(recorded)))
    assert (await check_log(other.admin_dsn)).size == 0


async def test_an_entry_of_a_newer_program_is_refused_as_such(other, recorded):
    recorded[3] = recorded[3].replace(b".v1", b".v9")
    async with connected(other.service_dsn) as connection:
        with pytest.raises(EntryTooNew):
            await receive(connection, each(recorded))


@pytest.mark.parametrize("batch", [1, 500])
async def test_a_revision_that_does_not_follow_is_refused(other, recorded, monkeypatch, batch):
    monkeypatch.setattr(transfer, "BATCH", batch)
    at = next(number for number, one in enumerate(recorded) if b'"revision":1,' in one)
    recorded[at] = recorded[at].replace(b'"revision":1,', b'"revision":2,')
    async with connected(other.service_dsn) as connection:
        with pytest.raises(Corrupt, match=f"position {at}.*revision 2 of .*"):
            await receive(connection, each(recorded))


async def test_an_id_that_stands_twice_is_refused(other, recorded):
    ids = [one.partition(b'"id":"0')[2][:35] for one in recorded[:2]]
    recorded[1] = recorded[1].replace(ids[1], ids[0])
    async with connected(other.service_dsn) as connection:
        with pytest.raises(Corrupt, match=r"entries from position 0 on: .*entry_id_key"):
            await receive(connection, each(recorded))
