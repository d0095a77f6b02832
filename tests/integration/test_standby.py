"""A primary with a hot standby: reading from the one, and what is durable only when it is on both (ADR 0029)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from events.errors import LogUnavailable
from events.log.servers import alone, connect, create_pool
from projections import reader
from projections.following import ReadModelBehind
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.console import registry
from tests.support.recording import PATIENCE, connected, note, open_log, until
from tests.support.service import Service, running
from tests.support.standby import ABSENT, STANDBY, Pair, database_of, paired, wait_for

SHORT = 0.3  # seconds
IN_WAIT = """
SELECT pid FROM pg_stat_activity
WHERE wait_event = 'SyncRep' AND application_name = $1 AND datname = current_database()
"""


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with paired() as made:
        yield made


@pytest.fixture
def database(pair: Pair) -> Iterator[Database]:
    with database_of(pair) as made:
        yield made


def party(name: str) -> dict[str, Any]:
    return {"name": name, "kind": "company", "country": "FR"}


def reads(pair: Pair, database: Database) -> dict[str, Any]:
    """What makes a service read from the standby."""
    return {
        "read_database_url": pair.on_either(database.service_dsn, "prefer-standby"),
        "min_size_wait": SHORT,
        "checkpoint_seconds": 3600.0,
    }


async def names(service: Service, size: int | None = None) -> tuple[int, set[str], str]:
    headers = {} if size is None else {"Registry-Min-Size": str(size)}
    answer = await service.client.get("/v1/parties", headers=headers)
    shown = {one["name"] for one in answer.json().get("items", ())}
    return answer.status_code, shown, answer.headers["Registry-Size"]


async def test_a_read_waits_for_the_standby_is_refused_in_time_and_answered_when_it_has_come_that_far(
    pair: Pair, database: Database, tmp_path: Path
):
    async with running(database, tmp_path, **reads(pair, database)) as service:
        first = (await service.post("/v1/parties", party("Shown")))["size"]
        assert await until(lambda: shows(service, first)) == {"Shown"}

        async with pair.paused():
            second = (await service.post("/v1/parties", party("Held up")))["size"]
            await until(lambda: projected(database, second))
            status, _, _ = await names(service, second)
            assert status == 503
            refused = await service.client.get("/v1/parties", headers={"Registry-Min-Size": str(second)})
            assert refused.json()["code"] == "read-model-behind"
            assert refused.headers["Retry-After"]
            # Without a size, an answer is of the size that it says it is of; nothing is missing at that.
            assert await names(service) == (200, {"Shown"}, str(first))
            beyond = await service.client.get("/v1/parties", params={"as_of": second})
            assert beyond.status_code in (422, 503)
            # What is not read from there does not wait for it.
            assert (await service.client.get(f"/v1/log/entries/{second - 1}")).status_code == 200

        assert await until(lambda: shows(service, second)) == {"Shown", "Held up"}
    await check_log(database.admin_dsn)


async def test_whether_a_source_was_withdrawn_by_now_is_not_read_from_a_standby_that_has_not_come_that_far(
    pair: Pair, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """How far the log has come may have been told by another one."""
    monkeypatch.setattr(reader, "STANDBY_LAG_SECONDS", SHORT)
    async with running(database, tmp_path, **reads(pair, database)) as service:
        first = (await service.post("/v1/parties", party("Shown")))["size"]
        await until(lambda: shows(service, first))
        async with pair.paused():
            second = (await service.post("/v1/parties", party("Held up")))["size"]
            with pytest.raises(ReadModelBehind):
                await service.parts.read_models.around([], first, second)


async def test_no_tag_hides_that_a_standby_comes_to_show_read_models_that_were_built_anew(
    pair: Pair, database: Database, tmp_path: Path
):
    async with running(database, tmp_path, **reads(pair, database)) as service:
        size = (await service.post("/v1/parties", party("Shown")))["size"]
        await until(lambda: shows(service, size))
        environment = {
            "REGISTRY_DATABASE_URL": database.service_dsn,
            "REGISTRY_PROJECTOR_DATABASE_URL": database.projector_dsn,
        }
        async with pair.paused():
            done = await asyncio.to_thread(registry, "rebuild", settings=environment)
            assert "is live now" in done.stdout, done.stderr
            of_before = await service.client.get("/v1/parties")
            assert of_before.status_code == 200
        await pair.caught_up()
        again = {"If-None-Match": of_before.headers["etag"]}
        assert (await service.client.get("/v1/parties", headers=again)).status_code == 200


async def shows(service: Service, size: int) -> set[str] | None:
    status, shown, _ = await names(service, size)
    assert status in (200, 503)
    return shown if status == 200 else None


async def projected(database: Database, size: int) -> bool:
    async with connected(database.admin_dsn) as connection:
        position = await connection.fetchval("SELECT position FROM projection.generation WHERE state = 'live'")
    return (position or 0) >= size


async def test_a_read_that_waits_is_answered_as_soon_as_the_standby_goes_on(
    pair: Pair, database: Database, tmp_path: Path
):
    async with running(database, tmp_path, **{**reads(pair, database), "min_size_wait": PATIENCE}) as service:
        async with pair.paused():
            size = (await service.post("/v1/parties", party("Held up")))["size"]
            reading = asyncio.create_task(names(service, size))
            await until(lambda: projected(database, size))
            assert not reading.done()
        status, shown, _ = await asyncio.wait_for(reading, PATIENCE)
        assert (status, shown) == (200, {"Held up"})


async def test_a_commit_that_was_answered_without_its_standby_is_not_acknowledged(pair: Pair, database: Database):
    log = await open_log(database.service_dsn, deadline=PATIENCE)
    async with log, pair.waiting_for(ABSENT), connected(database.admin_dsn) as administrator:
        appending = asyncio.create_task(log.append(note("thing/a")))
        first = await until(lambda: administrator.fetchval(IN_WAIT, "registry-writer"))
        await administrator.execute("SELECT pg_cancel_backend($1)", first)
        # It is recorded, and can be read; the writer has been told so, and asks again on another connection.
        await until(lambda: administrator.fetchval("SELECT count(*) = 1 FROM log.entry"))
        again = await until(lambda: administrator.fetchval(f"{IN_WAIT} AND pid <> $2", "registry-writer", first))
        assert again != first
        assert not appending.done()

        await wait_for(administrator, STANDBY)
        assert (await asyncio.wait_for(appending, PATIENCE)).size == 1
        assert log.counts.entries + log.counts.replays <= 1
    await check_log(database.admin_dsn)


async def test_a_repetition_of_what_only_one_machine_has_is_not_acknowledged_and_no_checkpoint_is_signed_over_it(
    pair: Pair, database: Database, tmp_path: Path
):
    key = {"Idempotency-Key": "once"}
    async with running(database, tmp_path, command_timeout=PATIENCE, sign=False) as service:
        client = service.client
        signer = service.parts.signer
        assert signer is not None
        async with pair.waiting_for(ABSENT), connected(database.admin_dsn) as administrator:
            first = asyncio.create_task(client.post("/v1/parties", json=party("Once"), headers=key))
            writer = await until(lambda: administrator.fetchval(IN_WAIT, "registry-writer"))
            await administrator.execute("SELECT pg_cancel_backend($1)", writer)
            await until(lambda: administrator.fetchval("SELECT count(*) = 1 FROM log.entry"))
            second = asyncio.create_task(client.post("/v1/parties", json=party("Once"), headers=key))
            signing = asyncio.create_task(signer.sign())
            await until(lambda: administrator.fetchval(f"SELECT count(*) = 2 FROM ({IN_WAIT}) AS x", "registry-reads"))
            assert not any(task.done() for task in (first, second, signing))

            await wait_for(administrator, STANDBY)
            answers = await asyncio.wait_for(asyncio.gather(first, second), PATIENCE)
            assert {answer.status_code for answer in answers} <= {200, 201}
            assert {answer.json()["size"] for answer in answers} == {1}
            assert (await asyncio.wait_for(signing, PATIENCE)).checkpoint.size == 1
    await check_log(database.admin_dsn)


async def test_what_cannot_be_settled_is_said_to_be_unavailable(pair: Pair, database: Database):
    log = await open_log(database.service_dsn)
    async with log, pair.waiting_for(ABSENT), connected(database.admin_dsn) as administrator:
        settling = asyncio.create_task(log.settle())
        pid = await until(lambda: administrator.fetchval(IN_WAIT, "registry-reader"))
        await administrator.execute("SELECT pg_cancel_backend($1)", pid)
        with pytest.raises(LogUnavailable):
            await settling


async def test_of_several_servers_the_one_that_is_wanted_is_connected_to(pair: Pair, database: Database):
    for wanted, in_recovery in {"read-write": False, "primary": False, "standby": True, "prefer-standby": True}.items():
        connection = await connect(pair.on_either(database.service_dsn, wanted))
        assert await connection.fetchval("SELECT pg_is_in_recovery()") is in_recovery, wanted
        await connection.close()


async def test_a_name_that_was_not_answered_for_in_time_is_asked_for_once_more(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    really, late = asyncpg.connect, [socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")]

    async def connecting(*where: Any, **options: Any) -> Any:
        if late:
            raise late.pop()
        return await really(*where, **options)

    monkeypatch.setattr(asyncpg, "connect", connecting)
    connection = await connect(database.service_dsn)
    await connection.close()
    late += [socket.gaierror(socket.EAI_AGAIN, "again"), socket.gaierror(socket.EAI_AGAIN, "once")]
    with pytest.raises(socket.gaierror, match="again"):
        await connect(database.service_dsn)
    late += [socket.gaierror(socket.EAI_NONAME, "there is none")]
    with pytest.raises(socket.gaierror, match="there is none"):
        await connect(database.service_dsn)


async def test_a_server_that_is_gone_silent_or_does_not_know_the_database_keeps_nobody_from_the_next(
    pair: Pair, database: Database
):
    with silent() as server:
        port = server.getsockname()[1]
        dsn = database.service_dsn.replace("@127.0.0.1:", f"@127.0.0.1:1,gone.invalid:5432,127.0.0.1:{port},127.0.0.1:")
        assert len(alone(dsn)) == 4
        async with asyncio.timeout(PATIENCE):
            for wanted in ("read-write", "prefer-standby"):
                connection = await connect(f"{dsn}?target_session_attrs={wanted}", timeout=10)
                assert await connection.fetchval("SELECT 1") == 1
                await connection.close()


async def test_when_no_server_is_as_wanted_it_is_said_in_time(pair: Pair, database: Database):
    with silent() as server:
        port = server.getsockname()[1]
        dsn = pair.on_standby(database.service_dsn).replace("@127.0.0.1:", f"@127.0.0.1:{port},127.0.0.1:")
        async with asyncio.timeout(PATIENCE):
            with pytest.raises((TimeoutError, asyncpg.InternalClientError)):
                await connect(f"{dsn}?target_session_attrs=read-write", timeout=PATIENCE * 2)


def silent() -> socket.socket:
    """A server that lets connections come in and says nothing."""
    return socket.create_server(("127.0.0.1", 0))


async def test_a_server_that_stopped_taking_writes_is_not_used_for_them_any_more(pair: Pair, database: Database):
    async with create_pool(pair.on_either(database.service_dsn, "read-write"), min_size=1, max_size=1) as pool:
        assert await pool.fetchval("SELECT 1") == 1
        async with demoted(pair.cluster.admin_dsn):
            await until(lambda: refuses(pool))
        await until(lambda: answers(pool))


async def refuses(pool: asyncpg.Pool[asyncpg.Record]) -> bool:
    return not await answers(pool)


async def answers(pool: asyncpg.Pool[asyncpg.Record]) -> bool:
    try:
        return await pool.fetchval("SELECT 1") == 1
    except (asyncpg.InterfaceError, asyncpg.InternalClientError):
        return False


async def test_a_service_goes_on_with_the_standby_that_was_promoted_when_the_primary_takes_no_more_writes(
    tmp_path: Path,
):
    with paired() as pair, database_of(pair) as made:
        database = replace(made, service_dsn=pair.on_either(made.service_dsn, "read-write"))
        async with running(database, tmp_path, project=False) as service:
            assert (await service.post("/v1/parties", party("Before")))["size"] == 1
            await pair.caught_up()
            async with demoted(pair.cluster.admin_dsn):
                async with connected(pair.on_standby(pair.cluster.admin_dsn)) as administrator:
                    assert await administrator.fetchval("SELECT pg_promote()")
                key = {"Idempotency-Key": "after"}
                answer = await until(lambda: recorded(service, party("After"), key))
                assert answer["size"] == 2
        await check_log(pair.on_standby(made.admin_dsn))
        async with connected(made.admin_dsn) as old:
            assert await old.fetchval("SELECT count(*) FROM log.entry") == 1


@asynccontextmanager
async def demoted(dsn: str) -> AsyncGenerator[None]:
    """A primary that takes no writes, though it stays up and keeps its connections."""
    async with connected(dsn) as administrator:
        try:
            await administrator.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            await administrator.execute("SELECT pg_reload_conf()")
            await until(
                lambda: administrator.fetchval("SELECT current_setting('default_transaction_read_only') = 'on'")
            )
            yield
        finally:
            await administrator.execute("SET default_transaction_read_only = off")
            await administrator.execute("ALTER SYSTEM RESET default_transaction_read_only")
            await administrator.execute("SELECT pg_reload_conf()")


async def recorded(service: Service, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any] | None:
    """What a client gets that tries again where it is told to."""
    answer = await service.client.post("/v1/parties", json=body, headers=headers)
    if answer.status_code == 503:
        assert answer.headers["Retry-After"]
        return None
    assert answer.status_code in (200, 201), answer.text
    return answer.json()
