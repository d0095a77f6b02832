"""The bench from its command line: one work, quickly, as CI does."""

from __future__ import annotations

import json
import subprocess
import sys

import asyncpg
import pytest

from bench.database import Room
from tests.support.cluster import Cluster, Database


@pytest.mark.long
def test_the_bench_measures_a_work_draws_it_and_says_so_in_json(tmp_path):
    chart = tmp_path / "chart.svg"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "bulk", "--quick", "--json", "--chart", str(chart)],
        capture_output=True,
        check=False,
        timeout=300,
        text=True,
    )
    assert done.stdout, done.stderr
    (work,) = json.loads(done.stdout).items()
    assert work[0] == "bulk"
    assert set(work[1]) == {"figures", "ratios", "targets"}
    assert work[1]["ratios"]["copy"] > 0
    assert "bulk: copy" in chart.read_text()
    missed = work[1]["ratios"]["copy"] < work[1]["targets"]["copy"] / 2
    assert done.returncode == int(missed), done.stderr


async def test_only_what_the_bench_made_is_settled(cluster: Cluster, database: Database):
    roles = database.owner_dsn, database.service_dsn, database.projector_dsn, database.reader_dsn
    room = Room(*roles, admin=database.admin_dsn, databases={database.name})
    with cluster.unmigrated_database() as strange:
        async with room.beside("peer") as peer:
            await room.settle()
            assert await vacuumed(database.admin_dsn)
            assert await vacuumed(peer)
            assert not await vacuumed(strange.admin_dsn)
    assert room.databases == {database.name}


async def vacuumed(dsn: str) -> bool:
    inside = await asyncpg.connect(dsn)
    found: bool = await inside.fetchval(
        "SELECT last_vacuum IS NOT NULL FROM pg_stat_all_tables WHERE relname = 'pg_class'"
    )
    await inside.close()
    return found
