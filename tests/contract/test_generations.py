"""Rebuilding while clients read and record, and digests over HTTP: nobody notices, and nothing changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from projections import projector, rebuild
from projections.digest import digests
from projections.meetings import MEETINGS
from projections.renewal import renew
from projections.titles import TITLES
from tests.support.projecting import projecting
from tests.support.recording import until
from tests.support.refusals import refused
from tests.support.service import Service, running
from tests.support.world import party


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "RETRY_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(rebuild, "SWITCH_SECONDS", 0.02)


class Clients:
    """Clients who record, and read what they recorded, until they are told to stop."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._enough = asyncio.Event()
        self._renamed = 0
        self.reads = 0

    async def go_on(self, number: int) -> None:
        client = self._service.client
        made = await client.post("/v1/parties", json=party(f"Client {number}"))
        path = f"/v1/parties/{made.json()['id']}"
        while not self._enough.is_set():
            name = f"Client {number} for the {self.reads}th time"
            answer = await client.post(f"{path}/rename", json={"name": name})
            assert answer.status_code == 201, answer.text
            size = answer.headers["Registry-Size"]
            for address in (path, f"{path}/timeline", "/v1/parties?limit=500", "/v1/statistics?by=country"):
                read = await client.get(address, headers={"Registry-Min-Size": size})
                assert read.status_code == 200, read.text
                assert int(read.headers["Registry-Size"]) >= int(size), "stale"
                if address == path:
                    assert read.json()["name"] == name, "stale"
                    assert read.json()["names"][made.json()["id"]] == name, "stale"
                if address.endswith("500"):
                    assert name in [one["name"] for one in read.json()["items"]], "stale"
                self.reads += 1

    async def go_on_reading(self, times: int) -> None:
        """Return when they have read so many times more."""
        target = self.reads + times

        async def reached() -> bool:
            return self.reads >= target

        await until(reached)

    def stop(self) -> None:
        self._enough.set()


async def test_clients_who_read_and_record_notice_nothing_of_rebuilds_that_switch(service: Service):
    clients = Clients(service)
    async with asyncio.TaskGroup() as group, projecting(service.database) as connection:
        for number in range(4):
            group.create_task(clients.go_on(number))
        switched: list[int | None] = []
        for alone in (None, MEETINGS, None, TITLES, None, TITLES):
            switched.append((await renew(connection, alone)).generation)
            await clients.go_on_reading(20)
        clients.stop()
    assert None not in switched
    assert len(set(switched)) == 6
    found = await service.get("/v1/log/digest")
    assert found["size"] == (await service.parts.log.head()).size


async def test_digests_are_told_as_of_any_size_with_the_version_that_they_are_of(service: Service):
    for number in range(3):
        await service.post("/v1/parties", party(f"Party {number}"))
    now = await service.get("/v1/log/digest")
    then = await service.get("/v1/log/digest", size=2)
    assert (now["size"], then["size"]) == (3, 2)
    assert now["version"] == then["version"]
    assert now["digests"]["parties"] != then["digests"]["parties"]
    assert now["digests"]["meetings"] == then["digests"]["meetings"]
    async with projecting(service.database) as connection:
        assert await digests(connection, 2) == then["digests"]
    answer = await service.client.get("/v1/log/digest?size=2")
    assert answer.headers["Registry-Size"] == "2"
    again = await service.client.get("/v1/log/digest?size=2", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [("size=4", "size"), ("size=-1", "size"), ("size=x", "size"), ("size=1&size=2", "size"), ("as_of=1", "as_of")],
)
async def test_a_digest_of_what_is_not_there_is_refused_with_the_parameter(
    service: Service, asked: str, parameter: str
):
    await service.post("/v1/parties", party("Party"))
    await service.get("/v1/parties")
    refused(await service.client.get(f"/v1/log/digest?{asked}"), 422, "invalid-field", f"?{parameter}")


async def test_a_digest_waits_for_the_read_models_like_any_read(database, tmp_path: Path):
    async with running(database, tmp_path, project=False, min_size_wait=0.01) as service:
        await service.post("/v1/parties", party("Party"))
        refused(await service.client.get("/v1/log/digest?size=1"), 503, "read-model-behind")
        async with projecting(database) as connection:
            await rebuild.ensure(connection)
            assert (await service.get("/v1/log/digest", size=1))["size"] == 1
        await service.post("/v1/parties", party("Another"))
        refused(await service.client.get("/v1/log/digest?size=2"), 503, "read-model-behind")


async def test_erasing_somebody_changes_no_digest_of_the_time_before(service: Service):
    person = await service.post("/v1/people", {"name": "Ada Example"})
    before = await service.get("/v1/log/digest", size=1)
    shown = await service.get(f"/v1/people/{person['id']}")
    assert shown["name"] == "Ada Example"
    await service.post(f"/v1/people/{person['id']}/erase", {"authority": "Court", "reason": "asked"})
    shown = await service.get(f"/v1/people/{person['id']}", as_of=1)
    assert shown["name"] == {"erased": True}
    assert await service.get("/v1/log/digest", size=1) == before
    async with projecting(service.database) as connection:
        assert (await renew(connection)).differing == []
    assert await service.get("/v1/log/digest", size=1) == before
