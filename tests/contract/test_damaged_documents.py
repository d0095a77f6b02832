"""A document that was damaged in the database, or deleted from it, is told by name, and takes nothing else with it."""

from __future__ import annotations

import hashlib
import json
import secrets
from pathlib import Path

import asyncpg
import pytest

from events.vault import KEY_BYTES, MasterKey, Vault, person_owner
from services.registry.evidence.manifest import MISSING
from services.registry.verify.database import Database as Stored
from services.registry.verify.pack import verify_pack
from services.registry.verify.verification import Asked
from services.registry.verify.verification import verify as verify_log
from tests.contract.test_evidence import SECOND, build, get, laid_out, unpacked, verify
from tests.support.console import registry
from tests.support.service import ORIGIN, Service
from tests.support.tampering import tamper
from tests.support.world import TEXT, World

SHA256 = hashlib.sha256(SECOND.encode()).hexdigest()
OTHER = hashlib.sha256(TEXT.encode()).hexdigest()
OWNER = f"document/{SHA256}"
DAMAGES = {
    "altered": ("damaged", "UPDATE log.document SET sealed = set_byte(sealed, 20, get_byte(sealed, 20) # 1) {}"),
    "cut off": ("damaged", "UPDATE log.document SET sealed = substr(sealed, 1, 20) {}"),
    "another's": (
        "damaged",
        "UPDATE log.document SET sealed = (SELECT sealed FROM log.document AS d WHERE d.size > 60 LIMIT 1) {}",
    ),
    "deleted": ("gone", "DELETE FROM log.document {}"),
}


@pytest.fixture(params=DAMAGES)
async def damaged(request: pytest.FixtureRequest, service: Service) -> tuple[World, str]:
    world = await build(service)
    lack, statement = DAMAGES[request.param]
    await tamper(service.database.admin_dsn, statement.format(f"WHERE sha256 = '\\x{SHA256}'"))
    return world, lack


async def test_what_cites_it_is_served_without_its_words_and_says_why(damaged: tuple[World, str]) -> None:
    world, lack = damaged
    timeline = await world.service.get(world.fill("/v1/cooperations/$cooperation/timeline"))
    citations = [one for item in timeline["items"] for one in item["item"].get("citations", ())]
    mine = [one for one in citations if one["source"] == world.ids["second"]]
    assert [(one["quotation"], one["unreadable"], one["withdrawn"]) for one in mine] == [(None, lack, False)]
    others = [one for one in citations if one["source"] != world.ids["second"]]
    assert others
    assert all(one["quotation"] and "unreadable" not in one for one in others)


async def test_a_pack_is_whole_and_says_what_is_missing_and_why(damaged: tuple[World, str], tmp_path: Path) -> None:
    world, lack = damaged
    files = unpacked((await get(world)).content)
    listed = {one["sha256"]: one for one in json.loads(files["evidence.json"])["documents"]}
    assert listed[SHA256]["missing"] == lack
    assert "missing" not in listed[OTHER]
    assert f"documents/{OTHER}" in files
    assert f"documents/{SHA256}" not in files
    page = files["README.html"].decode()
    assert f"Missing: <code>{SHA256}</code>" in page
    assert world.ids["second"] in page
    done = verify(script=laid_out(files, tmp_path / "pack") / "verify.py")
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG")]
    assert (done.returncode, len(wrong)) == (1, 1), done.stdout
    assert wrong[0].startswith(f"WRONG  documents/{SHA256}: it is missing: {MISSING[lack]};")
    (tmp_path / "pack.zip").write_bytes((await get(world)).content)
    report = verify_pack(tmp_path / "pack.zip", tuple(await world.service.parts.publication.keys()))
    assert [(one.code, one.file) for one in report.findings] == [(f"document-{lack}", f"documents/{SHA256}")]
    (folder := laid_out(files, tmp_path / "put back")).joinpath(f"documents/{SHA256}").write_bytes(SECOND.encode())
    assert verify(script=folder / "verify.py").returncode == 1  # it is said to be missing


async def test_verifying_the_database_names_it(damaged: tuple[World, str]) -> None:
    world, lack = damaged
    service = world.service
    file = service.parts.settings.master_key_file
    assert file is not None
    async with asyncpg.create_pool(service.database.service_dsn, min_size=1, max_size=2) as pool:
        keys = tuple(await service.parts.publication.keys())
        vault = Vault(pool, MasterKey.from_file(file))
        report = await verify_log(Stored(pool, ORIGIN, vault), Asked(keys=keys, processes=0))
        without = await verify_log(Stored(pool, ORIGIN), Asked(keys=keys, processes=0))
    assert [(one.code, one.file) for one in report.findings] == [(f"document-{lack}", f"documents/{SHA256}")]
    assert "every document that there is a key of, and the columns beside it" in report.checked
    assert without.verified
    assert any(one.startswith("documents: that needs the master key") for one in without.not_checked)
    settings = {"REGISTRY_DATABASE_URL": service.database.service_dsn, "REGISTRY_ORIGIN": ORIGIN}
    done = registry("verify", settings={**settings, "REGISTRY_MASTER_KEY_FILE": str(file)})
    assert done.returncode == 1
    assert f"file documents/{SHA256}: " in done.stdout


async def test_a_key_that_was_altered_is_told_by_its_document(service: Service) -> None:
    world = await build(service)
    await tamper(service.database.admin_dsn, f"UPDATE vault.key SET wrapped = sha256('') WHERE owner = '{OWNER}'")
    listed = {
        one["sha256"]: one for one in json.loads(unpacked((await get(world)).content)["evidence.json"])["documents"]
    }
    assert [listed[one].get("missing") for one in (SHA256, OTHER)] == ["damaged", None]


async def test_a_name_that_its_key_does_not_open_reads_as_unreadable_and_not_as_erased(service: Service) -> None:
    world = await build(service)
    assert service.parts.settings.master_key_file is not None
    master = MasterKey.from_file(service.parts.settings.master_key_file)
    owner = person_owner(world.ids["person"])
    other = master.wrap(owner, secrets.token_bytes(KEY_BYTES))
    statement = "UPDATE vault.key SET wrapped = $2 WHERE owner = $1"
    await tamper(service.database.admin_dsn, statement, arguments=(owner, other))
    read = await service.get(world.fill("/v1/people/$person"))
    assert read["name"] == read["contact"] == {"unreadable": "damaged"}


@pytest.mark.parametrize(
    ("statement", "code", "file", "words"),
    [
        (
            f"UPDATE log.document SET media_type = 'text/html' WHERE sha256 = '\\x{SHA256}'",
            "column-altered",
            SHA256,
            "the column media_type says text/html, and by its content it is text/plain",
        ),
        (
            f"UPDATE log.document SET size = 7 WHERE sha256 = '\\x{SHA256}'",
            "column-altered",
            SHA256,
            f"the column size says 7, and by its content it is {len(SECOND.encode())}",
        ),
        (
            f"UPDATE log.document SET characters = NULL WHERE sha256 = '\\x{SHA256}'",
            "column-altered",
            SHA256,
            f"the column characters says None, and by its content it is {len(SECOND)}",
        ),
        (
            f"INSERT INTO vault.key SELECT 'document/zz', wrapped, 'x' FROM vault.key WHERE owner = '{OWNER}'",
            "document-stray",
            "zz",
            "there is a key of it, and its name is no SHA-256",
        ),
    ],
)
async def test_what_stands_beside_a_document_is_held_against_its_content(
    service: Service, statement: str, code: str, file: str, words: str
) -> None:
    await build(service)
    await tamper(service.database.admin_dsn, statement)
    master = service.parts.settings.master_key_file
    assert master is not None
    async with asyncpg.create_pool(service.database.service_dsn, min_size=1, max_size=2) as pool:
        vault = Vault(pool, MasterKey.from_file(master))
        report = await verify_log(Stored(pool, ORIGIN, vault), Asked(processes=0))

    strays = [("key-damaged", f"file keys/document/{file}: it cannot be opened")] if file == "zz" else []
    assert [(one.code, one.line) for one in report.findings] == [*strays, (code, f"file documents/{file}: {words}")]
