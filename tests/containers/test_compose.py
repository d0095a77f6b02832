"""The compose file from a clean checkout: it serves the story, shows nothing else, is watched and mended by nobody."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import re
from collections.abc import Awaitable, Callable
from textwrap import dedent
from typing import Any

import asyncpg
import httpx
import pytest
from docker.models.containers import Container

from services.registry.access.roles import Role
from services.registry.metrics.catalogue import REBUILD_PROGRESS
from tests.support import console
from tests.support.check_log import check_log
from tests.support.engine import ROOT, Compose, fetch
from tests.support.faults import BACK_SECONDS, back_in_time, loaded
from tests.support.watching import ALERTS, SHOWN
from tests.support.world import party

OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ONCE = ("secrets", "provision", "migrate", "key")
SECRET = re.compile(r"password=|://[^/@\s]+:[^/@\s]+@|[0-9a-f]{64}", re.IGNORECASE)
WATCHED_SECONDS = 90.0  # four intervals of Prometheus's, which reads and evaluates every 15 seconds, and room
HOLDER = """
SELECT DISTINCT host(a.client_addr) FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'registry-projector'
"""


@pytest.fixture(scope="module")
def stack(compose: Compose, prometheus: str) -> Compose:
    compose.up()
    compose.run("up", "--detach", "--no-deps", "prometheus")
    return compose


@pytest.fixture(scope="module")
def token(stack: Compose) -> str:
    return stack.registry("token", "create", "tests", *(f"--role={role}" for role in Role))


async def test_the_sample_is_recorded_read_back_through_the_proxy_and_verified_from_outside(stack: Compose, token: str):
    told = await asyncio.to_thread(stack.registry, "sample")
    assert "Paris Air Show 2019" in told

    size = (await check_log(stack.dsn())).size
    async with stack.client(token) as client:
        visits = await client.get(
            "/v1/visits", params={"window_from": "2019-07-10"}, headers={"Registry-Min-Size": str(size)}
        )
        assert visits.status_code == 200, visits.text
        assert [visit["window"] for visit in visits.json()["items"]] == ["2019-07"]
        ready = await client.get("/health/ready")
        assert ready.json() == {"status": "ready", "size": size, "position": size}
        async with asyncio.timeout(BACK_SECONDS):
            while int((await client.get("/log/checkpoint")).headers["Registry-Size"]) < size:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    arguments, settings = ("verify", stack.base_url), {"REGISTRY_TOKEN": token}
    verified = await asyncio.to_thread(console.registry, *arguments, settings=settings)
    assert verified.returncode == 0, f"{verified.stdout}{verified.stderr}"


async def test_both_replicas_answer_and_both_sign_with_the_one_key(stack: Compose, token: str):
    replicas = stack.containers("api", all=False)
    assert len(replicas) == 2
    async with stack.client(token) as client:
        for _ in range(8):
            assert (await client.get("/v1/parties")).status_code == 200
        keys = [line for line in (await client.get("/log/keys")).text.splitlines() if line]
    assert len(keys) == 1
    for replica in replicas:
        served = [json.loads(line) for line in replica.logs().decode().splitlines() if "/v1/parties" in line]
        assert served, f"{replica.name} was asked nothing"


async def test_nothing_but_the_proxy_is_published_and_that_on_loopback_only(stack: Compose):
    for container in stack.containers(all=False):
        bound = container.attrs["HostConfig"]["PortBindings"] or {}
        if container.labels["com.docker.compose.service"] == "proxy":
            assert [(at["HostIp"], port) for port, ats in bound.items() for at in ats] == [("127.0.0.1", "8000/tcp")]
        else:
            assert not bound, container.name


async def test_every_container_is_read_only_unprivileged_limited_and_told_no_secret(stack: Compose):
    seen: set[str] = set()
    for container in stack.containers():
        service, host = container.labels["com.docker.compose.service"], container.attrs["HostConfig"]
        seen.add(service)
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert host["CapAdd"] in (None, ["CHOWN"] if service == "secrets" else None), service
        assert "no-new-privileges:true" in host["SecurityOpt"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["RestartPolicy"]["Name"] == ("no" if service in ONCE else "unless-stopped"), service
        assert container.attrs["Config"]["User"] not in ("", "root", "0") or service == "secrets", service
        config = container.attrs["Config"]
        built_in = stack.docker.images.get(container.attrs["Image"]).attrs["Config"]["Env"]
        told = [*(config["Cmd"] or ()), *(set(config["Env"]) - set(built_in))]
        assert not [text for text in told if SECRET.search(text)], service
    assert seen == {*ONCE, "postgres", "api", "projector", "proxy", "prometheus"}


async def test_owner_service_projector_and_reader_are_different_roles_with_different_passwords(stack: Compose):
    found = {name: secret(stack, name) for name in ("admin", "owner", "service", "projector", "reader")}
    logins = {
        name: re.fullmatch(r"postgresql://(\w+):([\w-]{43})@postgres:5432/\w+", uri) for name, uri in found.items()
    }
    assert all(logins.values())
    assert len({match[1] for match in logins.values() if match}) == 5
    assert len({match[2] for match in logins.values() if match}) == 5
    serving = await fetch(
        stack.dsn(), "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE application_name LIKE 'registry%'"
    )
    assert {row[0] for row in serving} == {"registry_serve", "registry_project"}


def secret(stack: Compose, name: str) -> str:
    """Return the URI of a login."""
    return stack.run(
        "run", "--rm", "-T", "--no-deps", "--entrypoint", "cat", "provision", f"/run/secrets/{name}_url"
    ).strip()


async def test_whom_a_request_came_from_is_what_the_proxy_says_and_not_what_the_client_claims(
    stack: Compose, token: str
):
    async with stack.client(token) as client:
        await client.post(
            "/v1/parties", json={"name": "Kept", "kind": "company", "country": "FR", "classification": "restricted"}
        )
        read = await client.get("/v1/log/entries", params={"limit": 500}, headers={"X-Forwarded-For": "203.0.113.7"})
        assert read.status_code == 200, read.text
        rows = (await client.get("/v1/access", params={"limit": 5})).json()["items"]
    addresses = [row["from_address"] for row in rows if row["from_address"]]
    clients = stack.docker.networks.get(f"{stack.project}_clients").attrs["IPAM"]["Config"][0]["Gateway"]
    assert addresses
    assert set(addresses) == {clients}


async def test_the_doctor_finds_nothing_that_fails_but_maybe_this_machines_disk(stack: Compose):
    command = "registry doctor --json || true"
    told = await asyncio.to_thread(
        stack.run, "run", "--rm", "-T", "--no-deps", "--entrypoint", "sh", "registry", "-c", command
    )
    findings = json.loads(told)["findings"]
    assert {one["area"] for one in findings} > {"configuration", "grants", "clock", "key", "projector"}
    assert not [one for one in findings if one["verdict"] == "failed" and one["area"] != "disk"]


async def test_the_signing_key_is_rotated_while_it_serves_and_the_log_is_verified_with_both(stack: Compose, token: str):
    async with stack.client(token) as client:
        (before,) = (await client.get("/log/keys")).text.splitlines()
        await asyncio.to_thread(stack.registry, "key", "rotate")
        async with asyncio.timeout(BACK_SECONDS):
            while len(keys := (await client.get("/log/keys")).text.splitlines()) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert keys[1] == before
        recorded = await client.post("/v1/parties", json=party("Signed anew"))
        size = int(recorded.headers["Registry-Size"])
        async with asyncio.timeout(BACK_SECONDS):
            while signed(await client.get("/log/checkpoint"))[0] < size:  # noqa: ASYNC110 - published once a second
                await asyncio.sleep(0.05)
        _, by = signed(await client.get("/log/checkpoint"))
        assert by == {key.split("+")[1] for key in keys}  # the one before signs beside it until it is dropped
    arguments, settings = ("verify", stack.base_url), {"REGISTRY_TOKEN": token}
    verified = await asyncio.to_thread(console.registry, *arguments, settings=settings)
    assert verified.returncode == 0, f"{verified.stdout}{verified.stderr}"


def signed(note: httpx.Response) -> tuple[int, set[str]]:
    """Return the size that a checkpoint is over, and the hashes of the keys that signed it (C2SP signed-note)."""
    body, _, signatures = note.text.partition("\n\n")
    signers = {base64.b64decode(line.split()[-1])[:4].hex() for line in signatures.splitlines()}
    return int(body.splitlines()[1]), signers


async def test_a_password_is_changed_as_the_manual_says(stack: Compose, token: str):
    old = await asyncio.to_thread(secret, stack, "service")
    await asyncio.to_thread(
        stack.run,
        *("run", "--rm", "-T", "--no-deps", "--entrypoint", "rm", "secrets", "/secrets/passwords/registry_serve"),
    )
    await asyncio.to_thread(stack.run, "up", "--detach", "--wait", "--force-recreate")
    assert await asyncio.to_thread(secret, stack, "service") != old
    (postgres,) = stack.containers("postgres")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(old.replace("@postgres:", f"@{stack.address(postgres, 'back')}:"))
    async with stack.client(token) as client:
        recorded = await client.post("/v1/parties", json=party("With another password"))
        assert recorded.status_code == 201, recorded.text


async def test_the_master_key_is_replaced_as_the_manual_says(stack: Compose, token: str):
    section = OPERATIONS.partition("## Replace the master key\n")[2].partition("\n## ")[0]
    wrap, put_in_place = (
        dedent(block) for block in re.findall(r"^ *```sh\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    )
    key = stack.folder / "deploy" / "secrets" / "serve" / "master.key"
    old = key.read_text()
    async with stack.client(token) as client:
        before = (await client.get("/v1/people")).json()["items"]
    told = await asyncio.to_thread(stack.shell, wrap)
    assert re.search("[0-9]+ keys are wrapped by the master key [0-9a-f]{16} now", told), told
    await asyncio.to_thread(stack.shell, put_in_place)
    assert key.read_text() != old
    async with stack.client(token) as client:
        assert (await client.get("/v1/people")).json()["items"] == before
        found = (await client.get("/v1/search", params={"q": before[0]["name"]})).json()["items"]
        assert before[0]["id"] in {hit["id"] for hit in found}
        added = await client.post("/v1/people", json={"name": "Added After It"})
        assert added.status_code == 201, added.text
    verified = await asyncio.to_thread(stack.run, "run", "--rm", "-T", "registry", "verify")
    assert "Verified" in verified


async def test_prometheus_finds_every_replica_evaluates_every_alert_and_can_draw_the_dashboard(
    stack: Compose, token: str
):
    (prometheus,) = stack.containers("prometheus")
    url = f"http://{stack.address(prometheus, 'watch')}:9090"
    never = {expression for _, expression in SHOWN if REBUILD_PROGRESS.name in expression}  # as nothing is rebuilt
    assert len(never) == 1
    async with stack.client(token) as client, httpx.AsyncClient(base_url=url) as asked:
        async with asyncio.timeout(WATCHED_SECONDS):
            missing = {expression for _, expression in SHOWN} - never
            while missing:  # what is drawn as a rate is there once something was counted between two readings
                recorded = await client.post("/v1/parties", json=party("Watched"))
                assert recorded.status_code == 201, recorded.text
                missing = {one for one in missing if not await drawn(asked, one)}
            while not all((rules := await evaluated(asked)).values()):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.5)
            while await read(asked) != ["prometheus", *["registry-api"] * 2, *["registry-projector"] * 2]:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
    assert rules.keys() == {rule["alert"] for rule in ALERTS}
    assert {rule["health"] for rule in rules.values() if rule} == {"ok"}
    assert not [name for name, rule in rules.items() if rule and rule["state"] == "firing"]


async def drawn(prometheus: httpx.AsyncClient, expression: str) -> bool:
    """Tell whether a query of the dashboard's gives numbers."""
    answer = await prometheus.get("/api/v1/query", params={"query": expression})
    assert answer.status_code == 200, f"{expression}: {answer.text}"
    series = answer.json()["data"]["result"]
    return bool(series) and any(math.isfinite(float(one["value"][1])) for one in series)


async def read(prometheus: httpx.AsyncClient) -> list[str]:
    """Return the job of each process that answered when it was read last, in order."""
    answer = await prometheus.get("/api/v1/targets", params={"state": "active"})
    targets = answer.json()["data"]["activeTargets"]
    return sorted(target["labels"]["job"] for target in targets if target["health"] == "up")


async def evaluated(prometheus: httpx.AsyncClient) -> dict[str, Any]:
    """Return what became of each alert's last evaluation, by its name; None of one that was not evaluated yet."""
    groups = (await prometheus.get("/api/v1/rules", params={"type": "alert"})).json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    return {rule["name"]: None if rule["health"] == "unknown" else rule for rule in rules}


async def kill_an_api_replica(stack: Compose) -> None:
    await asyncio.to_thread(stack.containers("api", all=False)[0].kill)


async def kill_the_active_projector(stack: Compose) -> None:
    await asyncio.to_thread((await active_projector(stack)).kill)


async def kill_postgresql_and_start_it(stack: Compose) -> None:
    (postgres,) = stack.containers("postgres")
    await asyncio.to_thread(postgres.kill)
    await asyncio.to_thread(postgres.start)


async def pause_postgresql_for_ten_seconds(stack: Compose) -> None:
    (postgres,) = stack.containers("postgres")
    await asyncio.to_thread(postgres.pause)
    await asyncio.sleep(10)  # the fault's length
    await asyncio.to_thread(postgres.unpause)


async def crash_an_api_replica(stack: Compose) -> None:
    """Its worker dies, the process ends with it, and the engine starts it again, which it does not after a kill."""
    replica = stack.containers("api", all=False)[0]
    killed = await asyncio.to_thread(replica.exec_run, ["python3", "-c", "import os; os.kill(-1, 9)"])
    assert killed.exit_code != 2
    async with asyncio.timeout(BACK_SECONDS):
        while replica.attrs["RestartCount"] == 0 or replica.status != "running":
            await asyncio.to_thread(replica.reload)


async def cut_the_network_between_api_and_database_for_five_seconds(stack: Compose) -> None:
    back = stack.docker.networks.get(f"{stack.project}_back")
    replicas = stack.containers("api", all=False)
    for replica in replicas:
        await asyncio.to_thread(back.disconnect, replica)
    await asyncio.sleep(5)  # the fault's length
    # Each gets the other's address, so that no connection from before comes to life again.
    for replica in reversed(replicas):
        await asyncio.to_thread(back.connect, replica)


async def active_projector(stack: Compose) -> Container:
    ((address,),) = await fetch(stack.dsn(), HOLDER)
    return next(one for one in stack.containers("projector", all=False) if stack.address(one, "back") == address)


@pytest.mark.parametrize(
    "fault",
    [
        kill_an_api_replica,
        kill_the_active_projector,
        kill_postgresql_and_start_it,
        pause_postgresql_for_ten_seconds,
        crash_an_api_replica,
        cut_the_network_between_api_and_database_for_five_seconds,
    ],
    ids=lambda fault: fault.__name__,
)
async def test_under_load_nothing_acknowledged_is_lost_or_doubled_and_service_is_back_in_time(
    stack: Compose, fault: Callable[[Compose], Awaitable[Any]], record_property: Callable[[str, float], None]
):
    async with loaded(stack, fault.__name__) as load:
        await fault(stack)
        record_property("seconds_until_back", round(await back_in_time(stack, load), 1))
    await asyncio.to_thread(stack.up)  # an operator's `docker kill` is meant: the engine starts nothing again after it
