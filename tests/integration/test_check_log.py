"""The oracle itself: it finds whatever somebody with an administrator's rights may have done to the log."""

from __future__ import annotations

import pytest

from tests.support.check_log import Connection, Summary, check_log
from tests.support.cluster import Database
from tests.support.recording import command, connected, draft, note, open_log

REPLACE = "convert_to(replace(convert_from(bytes, 'UTF8'), {!r}, {!r}), 'UTF8')"
HASHED = "leaf = sha256('\\x00'::bytea || bytes)"

TAMPERINGS = {
    "an entry removed": ("DELETE FROM log.entry WHERE position = 2", "position 3: expected 2"),
    "the last entry removed": ("DELETE FROM log.entry WHERE position = 4", "5 entries, there are 4"),
    "bytes changed": (
        f"UPDATE log.entry SET bytes = {REPLACE.format('said', 'sait')} WHERE position = 2",
        "position 2",
    ),
    "bytes and leaf changed": (
        f"""UPDATE log.entry SET bytes = {REPLACE.format("said", "sait")} WHERE position = 2;
        UPDATE log.entry SET {HASHED} WHERE position = 2""",
        "frontier",
    ),
    "bytes not canonical": (
        f"UPDATE log.entry SET bytes = {REPLACE.format(':', ': ')} WHERE position = 2",
        "position 2: the bytes are not canonical",
    ),
    "another stream": ("UPDATE log.entry SET stream = 'a/9' WHERE position = 3", "position 3: subject"),
    "another revision": ("UPDATE log.entry SET revision = 7 WHERE position = 4", "position 4: revision"),
    "another id": ("UPDATE log.entry SET id = gen_random_uuid() WHERE position = 1", "position 1: id"),
    "another type": ("UPDATE log.entry SET type = 'another' WHERE position = 1", "position 1: type"),
    "another command": (
        "UPDATE log.entry SET command_id = gen_random_uuid() WHERE position = 1",
        "position 1: commandid",
    ),
    "another ordinal": ("UPDATE log.entry SET ordinal = 5 WHERE position = 1", "position 1: ordinal 5, not 1"),
    "another classification": (
        "UPDATE log.entry SET classification = 'internal' WHERE position = 1",
        "position 1: classification",
    ),
    "another time": (
        "UPDATE log.entry SET recorded_at = recorded_at - interval '1 day' WHERE position = 4",
        "position 4: time",
    ),
    "another leaf": ("UPDATE log.entry SET leaf = sha256('') WHERE position = 0", "position 0: the leaf"),
    "another size": ("UPDATE log.head SET size = 6", "the head says 6"),
    "another frontier": ("UPDATE log.head SET frontier[1] = sha256('')", "frontier"),
    "another last time": ("UPDATE log.head SET last_recorded_at = now() + interval '1 day'", "another time"),
    "a claim of nobody": ("INSERT INTO log.claim VALUES ('scope', 'value', 1)", "claims that rest on no command"),
}


@pytest.fixture
async def recorded(database: Database) -> Database:
    """Five entries: a command of three in two streams, and two of one."""
    async with await open_log(database.service_dsn) as log:
        await log.append(command(draft("a/1"), draft("a/2"), draft("a/1")))
        await log.append(note("a/2", 0))
        await log.append(note("a/2", 1))
    return database


async def test_an_honest_log_is_summed_up(recorded: Database) -> None:
    summary = await check_log(recorded.service_dsn)
    assert (summary.size, summary.commands, summary.streams) == (5, 3, {"a/1": 1, "a/2": 2})
    assert "5 entries, 3 commands, 2 streams" in str(summary)


@pytest.mark.parametrize("tampering", TAMPERINGS)
async def test_tampering_is_found_where_it_is(recorded: Database, tampering: str) -> None:
    statements, said = TAMPERINGS[tampering]
    async with connected(recorded.admin_dsn) as connection:
        await connection.execute(f"ALTER TABLE log.entry DISABLE TRIGGER ALL; {statements}")
    with pytest.raises(AssertionError, match=said):
        await check_log(recorded.service_dsn)


async def test_others_add_their_checks(recorded: Database) -> None:
    async def no_more_than_four(connection: Connection, summary: Summary) -> None:
        assert await connection.fetchval("SELECT count(*) FROM log.entry") == summary.size
        assert summary.size <= 4, "too many"

    with pytest.raises(AssertionError, match="too many"):
        await check_log(recorded.service_dsn, [no_more_than_four])
