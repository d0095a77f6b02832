"""A key in the vault that cannot be opened is told as such: nothing of it reads as erased, and all else is served."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from events.errors import MasterKeyUnusable
from events.vault import MasterKey, Vault, document_owner, person_owner
from services.registry.doctor.examination import examine
from services.registry.doctor.finding import Verdict
from services.registry.verify.database import Database as Stored
from services.registry.verify.verification import Asked
from services.registry.verify.verification import verify as verify_log
from tests.support import service as services
from tests.support.cluster import Cluster
from tests.support.service import ORIGIN, Service
from tests.support.tampering import tamper
from tests.support.world import PERSON, TEXT, World, build, cite, meeting

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHA256 = hashlib.sha256(TEXT.encode()).hexdigest()
UNREADABLE = {"unreadable": "damaged"}
DAMAGES = {
    "altered": "UPDATE vault.key SET wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1) WHERE owner = ANY ($1)",
    "cut off": "UPDATE vault.key SET wrapped = substr(wrapped, 1, 5) WHERE owner = ANY ($1)",
    "empty": "UPDATE vault.key SET wrapped = '' WHERE owner = ANY ($1)",
    "of no master key": "UPDATE vault.key SET master_key_id = 'x' WHERE owner = ANY ($1)",
    "another's": "UPDATE vault.key SET wrapped = "
    "(SELECT other.wrapped FROM vault.key AS other WHERE other.owner <> ALL ($1) LIMIT 1) WHERE owner = ANY ($1)",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=DAMAGES)
async def world(request: pytest.FixtureRequest, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A world with a person and a document whose keys are damaged, and others beside them."""
    with cluster.database() as database:
        async with services.running(database, tmp_path_factory.mktemp("damaged-keys")) as service:
            world = await build(service)
            await world.record("other_person", "/v1/people", {"name": "Somebody Else", "contact": "at home"})
            sides = [{"party": "$ministry", "person": "$person"}, {"party": "$company", "person": "$other_person"}]
            met = meeting(participants=sides, citations=[cite("they agreed on a roadmap")])
            await world.record("met", "/v1/cooperations/$cooperation/meetings", met)
            await tamper(database.admin_dsn, DAMAGES[request.param], arguments=(_owners(world),))
            yield world


def _owners(world: World) -> list[str]:
    return [person_owner(world.ids["person"]), document_owner(SHA256)]


def _vault(service: Service, master: MasterKey | None = None) -> Vault:
    file = service.parts.settings.master_key_file
    assert file is not None
    return Vault(service.parts.pool, master or MasterKey.from_file(file))


async def test_a_person_reads_as_unreadable_and_not_as_erased(world: World) -> None:
    read = await world.service.get(world.fill("/v1/people/$person"))
    assert (read["name"], read["contact"]) == (UNREADABLE, UNREADABLE)
    assert read["names"][world.ids["person"]] == UNREADABLE
    listed = (await world.service.get("/v1/people"))["items"]
    assert [one["name"] for one in listed] == [UNREADABLE, "Somebody Else"]


async def test_what_names_them_is_served_with_all_other_names_and_without_the_words(world: World) -> None:
    for path in ("/v1/cooperations/$cooperation/timeline", "/v1/meetings", "/v1/parties/$ministry/timeline"):
        read = await world.service.get(world.fill(path))
        assert read["names"][world.ids["person"]] == UNREADABLE, path
        assert read["names"][world.ids["other_person"]] == "Somebody Else", path
        items = [one.get("item", one) for one in read["items"]]
        cited = [citation for item in items for citation in item.get("citations", ())]
        assert [(one["quotation"], one["unreadable"], one["withdrawn"]) for one in cited] == [(None, "damaged", False)]


async def test_searches_find_the_others(world: World) -> None:
    assert (await world.service.get("/v1/search", q="Somebody"))["items"][0]["title"] == "Somebody Else"
    assert (await world.service.get("/v1/search", q=PERSON))["items"] == []


async def test_verifying_the_database_names_the_keys(world: World) -> None:
    keys = tuple(await world.service.parts.publication.keys())
    pool = world.service.parts.pool
    report = await verify_log(Stored(pool, ORIGIN, _vault(world.service)), Asked(keys=keys, processes=0))
    found = [(one.code, one.file) for one in report.findings]
    assert found == [
        ("key-damaged", f"keys/{document_owner(SHA256)}"),
        ("key-damaged", f"keys/{person_owner(world.ids['person'])}"),
        ("document-damaged", f"documents/{SHA256}"),
    ]
    assert "every key in the vault" in report.checked
    without = await verify_log(Stored(pool, ORIGIN), Asked(keys=keys, processes=0))
    assert without.verified


async def test_the_doctor_names_the_keys(world: World) -> None:
    findings = (await examine(world.service.parts.settings)).findings
    (finding,) = (one for one in findings if (one.area, one.name) == ("key", "master"))
    assert finding.verdict is Verdict.FAILED
    assert all(owner in finding.found for owner in _owners(world))
    assert "registry verify" in finding.advice


async def test_another_master_key_is_still_no_damage(world: World, tmp_path: Path) -> None:
    vault = _vault(world.service, MasterKey.create_file(tmp_path / "another.key"))
    with pytest.raises(MasterKeyUnusable):
        await vault.keys(_owners(world))
