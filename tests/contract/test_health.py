"""Ready means: migrated, with the right key, the read models within bounds. Live means no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.log.migrate import load
from events.vault import MasterKey
from services.registry.api import health
from tests.support.cluster import Cluster
from tests.support.recording import until
from tests.support.refusals import refused
from tests.support.service import Service, execute, running
from tests.support.world import party

NEWEST = load()[-1]
NEWER = "INSERT INTO migration.applied (version, name, sha256, milliseconds) VALUES ($1, 'of_tomorrow', $2, 1)"


async def unready(service: Service, said: str) -> None:
    async with service.anonymous() as stranger:
        answer = await stranger.get("/health/ready")
        assert said in refused(answer, 503, "not-ready")["detail"]
        assert answer.headers["retry-after"] == "1"
        assert NEWEST.name not in answer.text
        assert (await stranger.get("/health/live")).json()["status"] == "live"


async def is_ready(service: Service) -> bool:
    async with service.anonymous() as stranger:
        return (await stranger.get("/health/ready")).status_code == 200


async def test_a_service_whose_database_lacks_a_migration_is_not_ready(service: Service):
    assert await is_ready(service)
    owner = service.database.owner_dsn
    await execute(owner, "DELETE FROM migration.applied WHERE version = $1", NEWEST.version)
    await unready(service, "lacks 1 migrations")
    await execute(owner, NEWER, NEWEST.version, NEWEST.sha256)
    assert await is_ready(service)


async def test_a_service_whose_database_is_another_programs_is_not_ready(service: Service):
    statement = "UPDATE migration.applied SET sha256 = $2 WHERE version = $1"
    await execute(service.database.owner_dsn, statement, NEWEST.version, "0" * 64)
    await unready(service, "not this one")


async def test_a_service_goes_on_while_its_database_is_ahead_of_it(service: Service):
    await execute(service.database.owner_dsn, NEWER, NEWEST.version + 1, "0" * 64)
    assert await is_ready(service)


async def test_a_service_with_another_master_key_is_not_ready(cluster: Cluster, tmp_path: Path):
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.mkdir()
    wrong.mkdir()
    MasterKey.create_file(wrong / "master.key")
    with cluster.database() as database:
        async with running(database, wrong) as service:
            assert await is_ready(service)  # there is nothing yet that it could not open
        async with running(database, right) as service:
            await service.post("/v1/people", {"name": "Ada Example"})
            assert await is_ready(service)
        async with running(database, wrong) as service:
            await unready(service, "master key")


async def test_a_service_whose_read_models_are_far_behind_is_not_ready_until_they_are_not(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(health, "MAX_LAG", 1)
    with cluster.database() as database:
        async with running(database, tmp_path) as service:
            await service.get("/v1/parties")
        async with running(database, tmp_path, project=False) as service:
            await service.post("/v1/parties", party("Nexter"))
            assert await is_ready(service)
            await service.post("/v1/parties", party("Safran"))
            await unready(service, "show 0 of 2 entries")
        async with running(database, tmp_path) as service:
            await until(lambda: is_ready(service))
