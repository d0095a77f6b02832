"""The bench from its command line: one work, quickly, as CI does."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from bench import database as databases
from bench.database import ROLES, Room
from services.registry.embedded import EmbeddedPostgres
from services.registry.provision import LOGINS, provision
from tests.support.cluster import Cluster, Database, scratch_folder


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


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_bench_that_is_told_to_end_leaves_no_process_and_no_folder(number: signal.Signals):
    with scratch_folder() as folder:
        folder.mkdir(mode=0o711)
        bench = subprocess.Popen(
            [sys.executable, "-m", "bench", "http", "--quick"],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert bench.stderr is not None
        deadline = threading.Timer(120, bench.kill)
        deadline.start()
        assert any(line.startswith("round ") for line in bench.stderr)  # so all that it needs is there
        deadline.cancel()
        assert any("bench.bare" in command for command in of_the_bench(folder).values())
        bench.send_signal(number)
        told = bench.communicate(timeout=60)
        assert bench.returncode == 128 + number, told
        assert told[0] == ""
        assert of_the_bench(folder) == {}
        assert not list(folder.iterdir())


def of_the_bench(folder: Path) -> dict[int, str]:
    """The command lines of processes that have a folder in their environment or among their arguments, by number."""
    found: dict[int, str] = {}
    for one in Path("/proc").iterdir():
        with suppress(OSError):
            if one.name.isdigit() and int(one.name) != os.getpid():
                command = (one / "cmdline").read_bytes()
                if bytes(folder) in command or bytes(folder) in (one / "environ").read_bytes():
                    found[int(one.name)] = command.replace(b"\0", b" ").decode()
    return found


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


async def test_a_server_that_has_a_registry_is_refused_and_left_as_it_is(cluster: Cluster, database: Database):
    with pytest.raises(SystemExit, match="registry_serve"):
        async with databases.claimed(cluster.admin_dsn):
            pass
    serving = await asyncpg.connect(database.service_dsn)
    await serving.close()


async def test_the_roles_of_a_run_are_its_own_and_are_gone_when_it_ends(clean: str):
    async def interrupted() -> None:
        async with databases.claimed(clean):
            await provision(clean, "bench_one", passwords=dict.fromkeys(LOGINS, "secret"))
            with pytest.raises(SystemExit, match="another bench"):
                async with databases.claimed(clean):
                    pass
            assert await roles(clean) == set(ROLES)
            await run(clean, "DROP DATABASE bench_one")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await interrupted()
    assert await roles(clean) == set()


async def test_of_two_runs_that_begin_at_once_one_is_refused(clean: str):
    async def claim() -> None:
        async with databases.claimed(clean):
            await asyncio.sleep(0.2)

    done = await asyncio.gather(*(asyncio.create_task(_refused(claim)) for _ in range(2)))
    assert sorted(done) == [False, True]
    assert await roles(clean) == set()


async def test_roles_that_a_registry_came_to_use_meanwhile_stay(clean: str, capsys: pytest.CaptureFixture[str]):
    async with databases.claimed(clean):
        await provision(clean, "registry")
    assert await roles(clean) == set(ROLES)
    assert "stay on the server" in capsys.readouterr().err


@pytest.fixture
def clean() -> Iterator[str]:
    """An administrator's connection string of a server that knows no registry."""
    with scratch_folder() as folder, EmbeddedPostgres(folder, settings={"fsync": "off"}) as server:
        yield server.dsn()


async def _refused(claim: Callable[[], Awaitable[None]]) -> bool:
    try:
        await claim()
    except SystemExit as refusal:
        return "passwords" in str(refusal)
    return False


async def roles(dsn: str) -> set[str]:
    admin = await asyncpg.connect(dsn)
    found = {name for (name,) in await admin.fetch("SELECT rolname FROM pg_roles WHERE rolname ~ '^registry_'")}
    await admin.close()
    return found


async def run(dsn: str, statement: str) -> None:
    admin = await asyncpg.connect(dsn)
    await admin.execute(statement)
    await admin.close()
