from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.registry.provision import dsn_for
from tests.support.check_log import check_log
from tests.support.cluster import scratch_folder
from tests.support.console import Up, environment, registry
from tests.support.folders import files_with

STORY = 50  # entries
PERSONAL = ("Vezirov", "Farrukh", "Lorne")


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder that does not exist yet, whose parent PostgreSQL's account can pass, whoever we are."""
    with scratch_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def told() -> Iterator[Up]:
    """One with the story in it, for the tests that leave it as it is."""
    with scratch_folder() as folder, Up(folder, "--sample") as up:
        yield up
        assert up.stop() == 0
        assert not (up.data / "env").exists()


def size(up: Up) -> int:
    shown: int = get(up, "/v1/parties")["as_of"]["size"]
    return shown


def get(up: Up, path: str, **query: str) -> Any:
    answer = httpx.get(up.url + path, params=query, headers={"Authorization": f"Bearer {up.token}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def register(up: Up, name: str, key: str, client: httpx.Client) -> httpx.Response:
    body = {"name": name, "kind": "company", "country": "FR"}
    headers = {"Authorization": f"Bearer {up.token}", "Idempotency-Key": key}
    return client.post(f"{up.url}/v1/parties", json=body, headers=headers)


def postmaster(up: Up) -> int:
    return int((up.data / "postgres" / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])


def test_the_story_is_served_and_what_is_printed_works(told: Up):
    assert size(told) == STORY
    shown = subprocess.run(["/bin/bash", "-c", told.curl()], check=True, capture_output=True, env=environment())
    (visit,) = json.loads(shown.stdout)["items"]
    assert visit["window"] == "2019-07"
    assert told.url in told.printed
    assert httpx.get(f"{told.url}/docs").status_code == 200
    assert httpx.get(f"{told.url}/health/ready").status_code == 200


def test_secrets_are_their_owners_and_are_not_printed(told: Up):
    for name in ("token", "master.key", "env"):
        assert stat.S_IMODE((told.data / name).stat().st_mode) == 0o600
    assert told.token not in told.printed + told.journal


def test_started_again_it_goes_on_with_its_data_and_the_story_is_not_told_twice(data: Path):
    with Up(data, "--sample") as up:
        token = up.token
        assert up.stop(signal.SIGINT) == 0
    with Up(data, "--sample") as up:
        assert "recorded before" in up.printed
        assert size(up) == STORY
        assert up.token == token
        with httpx.Client() as client:
            assert register(up, "One more", "1", client).status_code == 201
        assert up.stop() == 0
    with Up(data) as up:
        assert size(up) == STORY + 1
        assert up.stop() == 0


def test_the_story_is_not_mixed_into_a_log_of_somebody_elses(data: Path):
    with Up(data) as up:
        assert size(up) == 0
        with httpx.Client() as client:
            register(up, "Ours", "1", client)
        assert up.stop() == 0
    with Up(data, "--sample") as up:
        assert size(up) == 1
        assert "not recorded" in up.printed


def test_a_token_that_was_revoked_is_replaced_by_another(data: Path):
    with Up(data) as up:
        token = up.token
        listed = registry("token", "list", settings=up.variables)
        (token_id,) = re.findall("token_[a-z0-9]{26}", listed.stdout)
        assert registry("token", "revoke", token_id, settings=up.variables).returncode == 0
        assert up.stop() == 0
    with Up(data) as up:
        assert up.token != token
        assert size(up) == 0


def test_killed_it_takes_postgresql_with_it_and_starts_again_with_all_that_was_acknowledged(data: Path):
    with Up(data, "--sample") as up:
        with httpx.Client() as client:
            assert register(up, "Acknowledged", "1", client).status_code == 201
        up.kill()
    with Up(data, "--sample") as up:
        assert size(up) == STORY + 1
        with httpx.Client() as client:
            again = register(up, "Acknowledged", "1", client)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert up.stop() == 0


async def test_when_postgresql_is_killed_it_is_started_again_and_nothing_is_lost_or_doubled(data: Path):
    with Up(data) as up:
        kept = [str(uuid4()) for _ in range(40)]
        os.kill(postmaster(up), signal.SIGKILL)

        def record(key: str) -> None:
            with httpx.Client(timeout=30) as client:
                while register(up, f"Party {key}", key, client).status_code not in (200, 201):
                    pass

        with ThreadPoolExecutor(8) as clients:
            list(clients.map(record, kept))
        summary = await check_log(up.variables["REGISTRY_DATABASE_URL"])
        assert summary.size == len(kept)
        assert up.stop() == 0


def test_requests_under_way_are_finished_when_it_is_stopped(data: Path):
    with Up(data) as up:

        def record(number: int) -> int:
            """Return the last status of a client that goes on until it is turned away."""
            recorded = 0
            with httpx.Client() as client:
                while True:
                    try:
                        answer = register(up, f"Party {number}", f"{number}-{recorded}", client)
                    except httpx.TransportError:
                        return recorded
                    assert answer.status_code == 201, answer.text
                    recorded += 1
                    if number == 0 and recorded == 5:
                        up.process.send_signal(signal.SIGTERM)

        with ThreadPoolExecutor(4) as clients:
            recorded = sum(clients.map(record, range(4)))
        assert up.process.wait(60) == 0
    with Up(data) as up:
        assert size(up) == recorded


async def test_no_name_of_a_person_is_in_any_file(told: Up):
    assert {one["name"] for one in get(told, "/v1/people")["items"]} == {"Farrukh Vezirov", "Thomas Lorne"}
    admin = await asyncpg.connect(
        dsn_for(told.variables["REGISTRY_DATABASE_URL"], database="postgres", user="postgres")
    )
    try:
        await admin.execute("CHECKPOINT")
    finally:
        await admin.close()
    assert files_with(told.data, PERSONAL) == []
    assert not [name for name in PERSONAL if name in told.journal + told.printed]


def test_a_name_would_be_found_if_there_were_one(data: Path):
    with Up(data) as up, httpx.Client() as client:
        assert register(up, "Lorne and Sons", "1", client).status_code == 201
    assert files_with(data, PERSONAL)


def test_two_on_one_folder_are_refused_and_the_first_goes_on(told: Up):
    second = registry("up", "--data", str(told.data), "--port", str(told.port))
    assert second.returncode == 1
    assert f"running on {told.data} already (process {told.process.pid})" in second.stderr
    assert second.stderr.count("\n") == 1
    assert size(told) == STORY


def test_a_port_that_is_taken_is_told_before_anything_is_made(told: Up, tmp_path: Path):
    other = tmp_path / "other"
    second = registry("up", "--data", str(other), "--port", str(told.port))
    assert second.returncode == 1
    assert f"127.0.0.1:{told.port} cannot be listened on: address already in use" in second.stderr
    assert second.stderr.count("\n") == 1
    assert not (other / "postgres").exists()


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    refused = registry("up", "--data", str(tmp_path))
    assert refused.returncode == 1
    assert "no registry" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_without_its_master_key_it_does_not_start(data: Path):
    with Up(data) as up:
        assert up.stop() == 0
    (data / "master.key").unlink()
    refused = registry("up", "--data", str(data))
    assert refused.returncode == 1
    assert "master.key is gone" in refused.stderr
