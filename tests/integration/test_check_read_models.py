"""The oracle finds whatever is not as it must be in the live read models, and names it."""

from __future__ import annotations

import re

import pytest

from projections import rebuild
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.projecting import Recorder, projecting, tamper
from tests.support.recording import connected

SIZE = 150


@pytest.fixture
async def projected(database: Database) -> Database:
    await Recorder(database).record(SIZE)
    async with projecting(database) as connection:
        await rebuild.ensure(connection)
    return database


async def test_read_models_that_are_what_they_must_be_are_let_pass(projected):
    assert (await check_log(projected.service_dsn)).size == SIZE


async def test_read_models_that_are_behind_are_held_to_what_they_show(database):
    await Recorder(database).record(SIZE)
    async with projecting(database) as connection:
        half = await rebuild.begin(connection)
        await half.catch_up(SIZE // 2)
        await half.show()
    await check_log(database.service_dsn)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE read_1.{} SET body = body || ' ' WHERE id = (SELECT min(id) FROM read_1.{})", "meetings"),
        ("UPDATE read_1.{} SET sort = sort || 'x' WHERE id = (SELECT min(id) FROM read_1.{})", "parties"),
        ("UPDATE read_1.{} SET host = 'party_x'", "visits"),
        ("UPDATE read_1.{} SET died = born + 1 WHERE died IS NULL", "cooperations"),
        ("UPDATE read_1.{} SET died = NULL WHERE id = (SELECT min(id) FROM read_1.{}) AND died > 0", "cooperations"),
        ("UPDATE read_1.{} SET title = 'x'", "topics"),
        ("DELETE FROM read_1.{} WHERE died IS NOT NULL", "cooperations"),
        ("DELETE FROM read_1.{}", "sources"),
        (
            "INSERT INTO read_1.{} (id, born, sort, body, parties, ever) VALUES ('a', 7, '', '', '{{}}', '{{}}')",
            "people",
        ),
    ],
)
async def test_a_row_that_was_altered_taken_away_or_put_in_is_found(projected, statement, named):
    async with connected(projected.admin_dsn) as administrator:
        await administrator.execute("DROP INDEX read_1.cooperations_current")
        done = await administrator.execute(statement.format(named, named))
        assert not done.endswith(" 0")
    with pytest.raises(AssertionError, match=rf"^{named}, \w+ born [0-9]+: live "):
        await check_log(projected.service_dsn)


async def test_a_position_beyond_the_log_is_found(projected):
    await tamper(projected, f"UPDATE projection.generation SET position = {SIZE + 1}")
    with pytest.raises(AssertionError, match=re.escape(f"show {SIZE + 1} entries of {SIZE}")):
        await check_log(projected.service_dsn)


async def test_a_position_that_moved_without_its_rows_is_found(database):
    recorder = Recorder(database)
    await recorder.record(SIZE)
    async with projecting(database) as connection:
        projection = await rebuild.begin(connection)
        await projection.catch_up(SIZE - 20)
        await projection.show()
        await connection.execute("UPDATE projection.generation SET position = $1", SIZE)
    with pytest.raises(AssertionError, match="live None, rebuilt"):
        await check_log(database.service_dsn)
