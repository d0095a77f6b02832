"""What PostgreSQL reads for a page, of tables with many rows: little more than what stands on it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from projections import rebuild
from projections.commitments import COMMITMENTS
from projections.reader import TIMELINE
from tests.support.cluster import Cluster
from tests.support.projecting import Recorder, projecting
from tests.support.recording import connected

ROWS = 2_000
LIMIT = 101
SIZE = 300
OF_A_COOPERATION = ("meetings", "negotiations", "roadmaps", "visits", "rounds", "agreements", "topics", "titles")
MANY = """INSERT INTO {0} SELECT (jsonb_populate_record(NULL::{0}, to_jsonb(one) || jsonb_build_object(
    'id', one.id || number, 'died', null, 'cooperation', 'coop_' || number,
    '{1}', to_char(date '2020-01-01' + number, 'YYYY-MM-DD'), 'promise', '{{}}'))).*
FROM (SELECT * FROM {0} LIMIT 1) AS one, generate_series(1, $1) AS number"""
ANYTHING = [None] * 8
"""What a page of commitments is filtered by."""


@pytest.fixture
async def connection(cluster: Cluster) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection to tables that have some thousand rows of each kind, one in each cooperation and due on each day."""
    with cluster.database() as database:
        await Recorder(database).record(SIZE)
        async with projecting(database) as projector:
            made = await rebuild.build(projector)
        async with connected(database.admin_dsn) as administrator:
            await administrator.execute(f"SET search_path = read_{made.generation}")
            for table in OF_A_COOPERATION:
                due = "due" if table in {"visits", "rounds"} else "sort"
                assert await administrator.execute(MANY.format(table, due), ROWS) == f"INSERT 0 {ROWS}"
                await administrator.execute(f"ANALYZE {table}")
            yield administrator


async def planned(connection: asyncpg.Connection[asyncpg.Record], query: str, *arguments: Any) -> list[dict[str, Any]]:
    """Return every node of the plan by which a query was run, what stands above others first."""
    (told,) = json.loads(await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments))
    return [*_nodes(told["Plan"])]


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)


def read(nodes: list[dict[str, Any]]) -> float:
    """Return how many rows were read of tables, those that were passed over among them."""
    tables = [one for one in nodes if "Relation Name" in one]
    return sum((one["Actual Rows"] + one.get("Rows Removed by Filter", 0)) * one["Actual Loops"] for one in tables)


async def test_the_timeline_of_a_cooperation_reads_what_is_in_it(connection: asyncpg.Connection[asyncpg.Record]):
    nodes = await planned(connection, TIMELINE["of_cooperation"], SIZE, None, None, LIMIT, f"coop_{ROWS // 2}")
    assert nodes[0]["Actual Rows"] == len(OF_A_COOPERATION) - 1
    assert read(nodes) <= 10 * len(OF_A_COOPERATION)


@pytest.mark.parametrize("after", [(None, None), ("2023-06-15", "visit_")], ids=["first", "in the middle"])
async def test_a_page_of_commitments_reads_no_more_than_a_page_of_each_kind(
    connection: asyncpg.Connection[asyncpg.Record], after: tuple[str | None, str | None]
):
    nodes = await planned(connection, COMMITMENTS.queries["page"], SIZE, *after, LIMIT, *ANYTHING)
    assert nodes[0]["Actual Rows"] == LIMIT
    assert read(nodes) <= 3 * LIMIT
    assert [one["Node Type"] for one in nodes[:2]] == ["Limit", "Merge Append"]


async def test_commitments_as_of_a_size_are_those_that_were_open_then(connection: asyncpg.Connection[asyncpg.Record]):
    """Whether they stand now or ended later, in one order."""
    await connection.execute(
        "UPDATE visits SET died = $1 WHERE id IN (SELECT id FROM visits ORDER BY id LIMIT 1000)", SIZE
    )
    for size in (SIZE, SIZE + 1):
        found = await connection.fetch(COMMITMENTS.queries["page"], size, None, None, 3 * ROWS, *ANYTHING)
        expected = await connection.fetch(
            """SELECT id FROM (
                SELECT id, due, born, died FROM visits UNION ALL SELECT id, due, born, died FROM rounds
                UNION ALL SELECT id, nullif(sort, ''), born, died FROM titles
            ) AS promised
            WHERE due IS NOT NULL AND born < $1 AND (died IS NULL OR died >= $1) ORDER BY due, id LIMIT $2""",
            size,
            3 * ROWS,
        )
        assert [one["id"] for one in found] == [one["id"] for one in expected]
