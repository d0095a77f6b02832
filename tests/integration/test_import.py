"""`registry log import`: an export taken over into an empty database, and what is refused of one that was altered."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from events.log.transfer import receive
from events.merkle.adoption import Adoption
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import VerifierKey
from services.registry.archive.folder import ArchiveUnusable, Folder
from services.registry.archive.reading import Export
from services.registry.signing.keyring import KeyRing
from tests.support import service as services
from tests.support import world as worlds
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import registry
from tests.support.exporting import export, files_of, register, settings_of, sign
from tests.support.service import ORIGIN, Service

pytestmark = pytest.mark.asyncio(loop_scope="module")

ENTRIES = 700


class Exported:
    """A registry, its export, and the folder with its keys."""

    def __init__(self, service: Service, folder: Path, checkpoint: Checkpoint) -> None:
        self.service = service
        self.folder = folder
        self.path = folder / "export"
        self.checkpoint = checkpoint
        self.files = files_of(self.path)
        self.keys = self.files["keys"].decode().splitlines()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exported(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Exported]:
    folder = tmp_path_factory.mktemp("exported")
    with cluster.database() as database:
        async with services.running(database, folder) as service:
            world = await worlds.build(service)
            await service.post(world.fill("/v1/people/$person/erase"), {"authority": "Court", "reason": "asked"})
            await service.post("/v1/people", {"name": "Bob Example"})
            await register(service, ENTRIES - (await service.parts.log.head()).size)
            checkpoint = await sign(service)
            await export(service, folder / "export")
            yield Exported(service, folder, checkpoint)


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    with cluster.database() as made:
        yield made


def import_(database: Database, folder: Path, *arguments: str) -> tuple[int, str, str]:
    settings = {"REGISTRY_DATABASE_URL": database.service_dsn, "REGISTRY_ORIGIN": ORIGIN}
    done = registry("log", "import", str(folder), *arguments, settings=settings)
    return done.returncode, done.stdout, done.stderr


async def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(dsn)
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_an_import_gives_the_same_log_the_same_root_and_the_same_checkpoint(exported: Exported, empty: Database):
    code, said, told = import_(empty, exported.path, "--key", exported.keys[0])

    assert (code, told) == (0, "")
    assert exported.checkpoint.root.hex() in said
    summary = await check_log(empty.admin_dsn)
    assert (summary.size, summary.root) == (ENTRIES, exported.checkpoint.root)
    before = exported.service.database.admin_dsn
    for query in (
        "SELECT * FROM log.entry ORDER BY position",
        "SELECT * FROM log.head",
        "SELECT * FROM log.claim ORDER BY scope, value",
        "SELECT key FROM log.verifier ORDER BY number",
        "SELECT name, key_id, blob FROM log.signature WHERE size = 700",
        "SELECT * FROM log.tile ORDER BY level, index",
    ):
        assert await rows(empty.admin_dsn, query) == await rows(before, query), query


async def test_the_log_goes_on_where_it_was_and_checkpoints_go_on_verifying(
    exported: Exported, empty: Database, tmp_path: Path
):
    assert import_(empty, exported.path)[0] == 0
    shutil.copytree(exported.folder / "keys", tmp_path / "keys")
    async with services.running(empty, tmp_path) as service:
        assert (await service.client.get("/log/checkpoint")).content == exported.files["checkpoint"]
        keys = [VerifierKey.parse(line) for line in (await service.client.get("/log/keys")).text.splitlines()]
        assert Checkpoint.verified(exported.files["checkpoint"], keys) == exported.checkpoint
        taken = {"name": "Another", "kind": "company", "country": "NO"}
        taken["identifiers"] = [{"scheme": "NO-BRC", "value": "3"}]  # type: ignore[assignment]
        assert (await service.post("/v1/parties", taken, status=409))["code"] == "already-claimed"
        await service.post("/v1/parties", worlds.party("Another"))
        assert (await sign(service)).size == ENTRIES + 1
        people = (await service.get("/v1/people"))["items"]
        assert {str(one["name"]) for one in people} == {"{'erased': True}"}  # sealed, and the vault was not restored
    await check_log(empty.admin_dsn)


async def test_what_was_imported_is_exported_the_same(exported: Exported, empty: Database, tmp_path: Path):
    assert import_(empty, exported.path)[0] == 0
    settings = {"REGISTRY_DATABASE_URL": empty.service_dsn, "REGISTRY_ORIGIN": ORIGIN}
    assert registry("log", "export", str(tmp_path / "again"), settings=settings).returncode == 0
    assert files_of(tmp_path / "again") == exported.files


async def test_without_a_key_the_export_is_believed_with_a_warning(exported: Exported, empty: Database):
    code, _, told = import_(empty, exported.path)
    assert code == 0
    assert "Warning: nobody gave the log's key" in told
    assert exported.keys[0] in told


async def test_another_key_than_the_one_given_is_refused(exported: Exported, empty: Database, tmp_path: Path):
    other = KeyRing(tmp_path).create(ORIGIN).verifier.text
    code, _, told = import_(empty, exported.path, "--key", other)
    assert (code, "none of the known keys signed this" in told) == (1, True)
    code, _, told = import_(empty, exported.path, "--key", "nonsense")
    assert (code, "--key" in told) == (2, True)
    assert await rows(empty.admin_dsn, "SELECT size FROM log.head") == [(0,)]


async def test_an_import_that_was_interrupted_is_completed_by_the_next(
    exported: Exported, empty: Database, tmp_path: Path
):
    """A bundle that is missing stops it where a crash might."""
    path = tmp_path / "export"
    shutil.copytree(exported.path, path)
    (path / "tile/entries/001").rename(path / "aside")
    code, _, told = import_(empty, path)
    assert (code, "tile/entries/001 is missing" in told) == (1, True)
    connection = await asyncpg.connect(empty.service_dsn)
    try:  # what a batch that was committed leaves
        async with connection.transaction():
            await _first(connection, exported, 100)
    finally:
        await connection.close()
    (path / "aside").rename(path / "tile/entries/001")

    code, said, _ = import_(empty, path)
    assert (code, "100 of them before" in said) == (0, True)
    assert (await check_log(empty.admin_dsn)).root == exported.checkpoint.root
    code, said, _ = import_(empty, path)
    assert (code, "700 of them before" in said) == (0, True)
    await check_log(empty.admin_dsn)


async def _first(connection: asyncpg.Connection[asyncpg.Record], exported: Exported, count: int) -> None:
    async def first() -> AsyncIterator[bytes]:
        for number, entry in enumerate(Export(Folder(exported.path)).entries(exported.checkpoint)):
            if number < count:
                yield entry

    await receive(connection, first())


async def test_a_database_with_other_entries_is_refused(exported: Exported, empty: Database, tmp_path: Path):
    async with services.running(empty, tmp_path, project=False) as service:
        await register(service, 1)
    code, _, told = import_(empty, exported.path)
    assert (code, "not the first of this export" in told) == (1, True)
    assert await rows(empty.admin_dsn, "SELECT size FROM log.head") == [(1,)]
    assert await rows(empty.admin_dsn, "SELECT count(*) FROM log.checkpoint WHERE size > 1") == [(0,)]


async def test_a_database_that_is_ahead_of_the_export_is_refused(exported: Exported, empty: Database, tmp_path: Path):
    async with services.running(empty, tmp_path, project=False) as service:
        await register(service, ENTRIES + 1)
    code, _, told = import_(empty, exported.path)
    assert (code, "has 701 entries already, more than the 700" in told) == (1, True)


async def test_a_name_that_was_adopted_is_taken_over(
    exported: Exported, empty: Database, cluster: Cluster, tmp_path: Path
):
    with cluster.database() as database:
        async with services.running(database, tmp_path, project=False) as service:
            await register(service, 3)
            await sign(service)
            settings = {**settings_of(service), "REGISTRY_KEY_DIR": str(tmp_path / "keys")}
            adopted = registry("log", "adopt", "registry.test/log-2", "--reason", "a drill", settings=settings)
            assert adopted.returncode == 0, adopted.stderr
            await sign(service)
            await export(service, tmp_path / "export")
            served = (await service.anonymous().get("/log/origins")).json()
    origins = tmp_path / "export" / "origins"
    whole = origins.read_bytes()
    origins.write_bytes(whole.replace(b'"reason":"a drill"', b'"reason":"a fire!"'))
    code, _, told = import_(empty, tmp_path / "export", "--key", adopted.stdout.strip())
    assert (code, "the reason that was signed is 'a drill', not 'a fire!'" in told) == (1, True), told
    origins.write_bytes(whole)
    code, said, told = import_(empty, tmp_path / "export", "--key", adopted.stdout.strip())
    assert (code, "of registry.test/log-2" in said) == (0, True)
    assert "published as the log's from now on, on the word of the export alone" in told  # the key of the name before
    ((*row, statement),) = await rows(
        empty.admin_dsn, "SELECT origin, replaces, reason, size, statement FROM log.origin"
    )
    assert row == ["registry.test/log-2", ORIGIN, "a drill", 3]
    assert Adoption.read(str(statement).encode()).last is not None
    assert served["adopted"][0]["statement"] == statement
    assert Export(Folder(tmp_path / "export")).manifest().origins.adopted[0].statement == statement
    await check_log(empty.admin_dsn)


# Altered exports


def read(path: Path) -> int:
    source = Export(Folder(path))
    return sum(1 for _ in source.entries(source.manifest().checkpoint))


async def test_an_altered_entry_is_refused_and_nothing_of_it_is_recorded(
    exported: Exported, empty: Database, tmp_path: Path
):
    path = tmp_path / "export"
    shutil.copytree(exported.path, path)
    bundle = bytearray((path / "tile/entries/001").read_bytes())
    bundle[5000] ^= 1
    (path / "tile/entries/001").write_bytes(bundle)
    code, _, told = import_(empty, path)
    assert (code, "tile/entries/001: the entry at position 2" in told) == (1, True)
    assert await rows(empty.admin_dsn, "SELECT count(*) FROM log.entry WHERE position >= 256") == [(0,)]
    assert await rows(empty.admin_dsn, "SELECT count(*) FROM log.checkpoint") == [(0,)]


async def test_an_export_that_is_whole_reads_to_its_end(exported: Exported):
    assert read(exported.path) == ENTRIES


@given(data=st.data())
async def test_whatever_byte_of_whatever_file_is_altered_it_is_refused(exported: Exported, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(exported.files)), "file")
    content = exported.files[name]
    at = data.draw(st.integers(0, len(content) - 1), "at")
    other = data.draw(st.integers(1, 255), "xor")
    try:
        (exported.path / name).write_bytes(content[:at] + bytes([content[at] ^ other]) + content[at + 1 :])
        with pytest.raises(ArchiveUnusable):
            read(exported.path)
    finally:
        (exported.path / name).write_bytes(content)


@given(data=st.data())
async def test_whatever_file_is_cut_short_or_missing_it_is_refused(exported: Exported, data: st.DataObject):
    name = data.draw(st.sampled_from(sorted(exported.files)), "file")
    content = exported.files[name]
    at = data.draw(st.none() | st.integers(0, len(content) - 1), "at")
    try:
        if at is None:
            (exported.path / name).unlink()
        else:
            (exported.path / name).write_bytes(content[:at])
        with pytest.raises(ArchiveUnusable):
            read(exported.path)
    finally:
        (exported.path / name).write_bytes(content)


async def test_nobody_is_waited_for_where_a_pipe_stands_in_place_of_a_file(exported: Exported, tmp_path: Path):
    path = tmp_path / "export"
    shutil.copytree(exported.path, path)
    for name in exported.files:
        (path / name).rename(path / "aside")
        os.mkfifo(path / name)
        with pytest.raises(ArchiveUnusable, match="is missing"):
            read(path)
        (path / "aside").rename(path / name)


async def test_no_name_of_a_person_is_in_an_export(exported: Exported):
    assert not any(b"Ada" in content or b"Bob" in content for content in exported.files.values())
