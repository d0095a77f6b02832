"""`registry log export`: the log as files that any web server serves, whole at every moment."""

from __future__ import annotations

import asyncio
import errno
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from events.errors import Corrupt
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import VerifierKey
from events.merkle.tiles import tiles_of
from services.registry.archive.folder import ArchiveUnusable, Folder
from services.registry.archive.reading import Export
from services.registry.signing.keyring import KeyRing
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import PATIENCE, command, environment, registry
from tests.support.exporting import export, files_of, register, settings_of, sign
from tests.support.folders import web_server
from tests.support.recording import until
from tests.support.service import ORIGIN, Service
from tests.support.tampering import tamper


@pytest.fixture
async def service(database: Database, tmp_path: Path) -> AsyncIterator[Service]:
    """A registry that signs when it is told to: beside, it would write down what a test has removed."""
    async with services.running(database, tmp_path, project=False, sign=False) as running:
        yield running
    await check_log(database.admin_dsn)


def read(folder: Path) -> list[bytes]:
    """Read all of an export, each entry proved by its checkpoint."""
    source = Export(Folder(folder))
    return list(source.entries(source.manifest().checkpoint))


async def entries(service: Service, size: int) -> list[bytes]:
    rows = await service.parts.pool.fetch("SELECT bytes FROM log.entry WHERE position < $1 ORDER BY position", size)
    return [row["bytes"] for row in rows]


async def test_a_plain_web_server_serves_an_export_as_the_service_serves_the_log(service: Service, tmp_path: Path):
    await register(service, 600)
    checkpoint = await sign(service)
    done = registry("log", "export", str(tmp_path / "export"), settings=settings_of(service))
    assert done.returncode == 0, done.stderr
    assert checkpoint.root.hex() in done.stdout

    files = files_of(tmp_path / "export")
    tiles = list(tiles_of(checkpoint.size))
    expected = {"checkpoint", "keys", "origins", *(tile.path for tile in tiles)}
    assert files.keys() == expected | {tile.bundle_path for tile in tiles if tile.level == 0}
    with web_server(tmp_path / "export") as url:
        async with httpx.AsyncClient() as anybody:
            for path in files:
                served = await service.client.get(f"/log/{path}")
                assert served.status_code == 200, path
                assert (await anybody.get(f"{url}/{path}")).content == served.content, path
    assert read(tmp_path / "export") == await entries(service, 600)


async def test_it_is_on_record_who_exported_before_anything_is_written(service: Service, tmp_path: Path):
    await register(service, 3)
    await sign(service)
    assert registry("log", "export", str(tmp_path / "export"), settings=settings_of(service)).returncode == 0

    seen = (await service.get("/v1/access", min_size=0, what="export-log"))["items"]
    assert [one["detail"] for one in seen] == [{"size": 3}]
    assert "@" in seen[0]["who"]


async def test_an_empty_log_is_exported_too(service: Service, tmp_path: Path):
    await sign(service)
    await export(service, tmp_path / "export")
    assert files_of(tmp_path / "export").keys() == {"checkpoint", "keys", "origins"}
    assert read(tmp_path / "export") == []


async def test_without_a_checkpoint_there_is_nothing_to_export(service: Service, tmp_path: Path):
    refused = registry("log", "export", str(tmp_path / "export"), settings=settings_of(service))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "No checkpoint" in refused.stderr
    assert not (tmp_path / "export").exists()


async def test_an_export_grows_with_the_log_and_what_is_there_is_not_written_again(service: Service, tmp_path: Path):
    await register(service, 300)
    await sign(service)
    await export(service, tmp_path / "export")
    times = {path: (tmp_path / "export" / path).stat().st_mtime_ns for path in files_of(tmp_path / "export")}
    again = await export(service, tmp_path / "export")
    assert (again.written, again.kept) == (0, len(times))

    await register(service, 300, first=300)
    await sign(service)
    grown = await export(service, tmp_path / "export")
    files = files_of(tmp_path / "export")
    assert read(tmp_path / "export") == await entries(service, 600)
    for path in ("tile/0/000", "tile/entries/000", "keys", "origins"):
        assert (tmp_path / "export" / path).stat().st_mtime_ns == times[path], path
    assert grown.written == len(files.keys() - times.keys()) + 1  # and the checkpoint
    assert not any(path.startswith(("tile/0/001.p", "tile/entries/001.p")) for path in files)
    assert "tile/1/000.p/1" in files  # that of an older checkpoint, until the full one is there


async def test_what_was_altered_in_an_export_is_written_again(service: Service, tmp_path: Path):
    await register(service, 300)
    await sign(service)
    await export(service, tmp_path / "export")
    right = files_of(tmp_path / "export")
    for path in ("tile/0/000", "tile/entries/000", "tile/1/000.p/1", "tile/entries/001.p/44", "keys", "origins"):
        (tmp_path / "export" / path).write_bytes(right[path][:-1] + b"!")
    (tmp_path / "export" / "tile/0/001.p/44").unlink()

    assert (await export(service, tmp_path / "export")).written == 7
    assert files_of(tmp_path / "export") == right


class Full(Folder):
    """A folder on a disk that is full after some writes."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path)
        self.room = room

    def write(self, name: str, content: bytes) -> None:
        if self.room == 0:
            with self._told(self.path / name, "written"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= 1
        super().write(name, content)


async def test_whenever_the_disk_is_full_the_folder_can_be_served_and_the_next_export_completes_it(
    service: Service, tmp_path: Path
):
    path = tmp_path / "export"
    await register(service, 250)
    first = await sign(service)
    for _ in range(4):  # each has room for one more file; the checkpoint is the fifth
        with pytest.raises(ArchiveUnusable, match="No space left on device"):
            await export(service, path, Full(path, 1))
        assert not (path / "checkpoint").exists()
    await export(service, path)
    assert read(path) == await entries(service, first.size)

    await register(service, 300, first=250)
    await sign(service)
    failed = 0
    while True:
        try:
            await export(service, path, Full(path, 1))
        except ArchiveUnusable:
            failed += 1
            assert read(path) == await entries(service, first.size)
        else:
            break
    assert failed > 5
    assert read(path) == await entries(service, 550)


async def test_an_export_that_is_killed_is_completed_by_the_next(service: Service, tmp_path: Path):
    path = tmp_path / "export"
    await register(service, 600)
    await sign(service)
    stop = path / "tile/entries/.001.unfinished"
    stop.parent.mkdir(parents=True)
    os.mkfifo(stop)  # whoever opens it waits for a reader: the export stands still in its midst
    process = subprocess.Popen(command("log", "export", str(path)), env=environment(settings_of(service)))
    try:

        async def half_way() -> bool:
            return (path / "tile/0/000").exists()

        await until(half_way, PATIENCE)
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)
    stop.unlink()
    assert not (path / "checkpoint").exists()

    done = registry("log", "export", str(path), settings=settings_of(service))
    assert done.returncode == 0, done.stderr
    assert "There already: 2" in done.stdout
    assert read(path) == await entries(service, 600)


async def test_two_exports_do_not_write_to_one_folder(service: Service, tmp_path: Path):
    await sign(service)
    with Folder(tmp_path / "export").locked(), pytest.raises(ArchiveUnusable, match="Somebody else is writing"):
        await export(service, tmp_path / "export")


# Another log


async def test_a_folder_with_something_else_is_refused(service: Service, tmp_path: Path):
    await sign(service)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "photographs").mkdir()
    with pytest.raises(ArchiveUnusable, match="photographs"):
        await export(service, tmp_path / "export")
    assert [one.name for one in (tmp_path / "export").iterdir()] == ["photographs"]


async def test_a_folder_with_the_log_of_another_name_is_refused(service: Service, cluster: Cluster, tmp_path: Path):
    await register(service, 2)
    await sign(service)
    await export(service, tmp_path / "export")
    there = files_of(tmp_path / "export")
    with cluster.database() as other:
        key = KeyRing(tmp_path / "others").create("other.test/log")
        async with services.running(
            other, tmp_path, project=False, origin="other.test/log", key_dir=tmp_path / "others"
        ) as another:
            await another.parts.checkpoints.add_verifier(key.verifier, another.parts.clock())
            await sign(another)
            with pytest.raises(ArchiveUnusable, match=f"holds the log {ORIGIN}, not other.test/log"):
                await export(another, tmp_path / "export")
            (tmp_path / "export" / "checkpoint").unlink()  # as an export that was interrupted
            with pytest.raises(ArchiveUnusable, match=f"holds the log {ORIGIN}, not other.test/log"):
                await export(another, tmp_path / "export")
    assert files_of(tmp_path / "export").items() <= there.items()


async def test_a_folder_with_another_log_of_the_same_name_is_refused(
    service: Service, cluster: Cluster, tmp_path: Path
):
    await register(service, 2)
    await sign(service)
    await export(service, tmp_path / "export")
    with cluster.database() as other:
        (tmp_path / "other").mkdir()
        async with services.running(other, tmp_path / "other", project=False) as another:
            await register(another, 2)
            await sign(another)
            with pytest.raises(ArchiveUnusable, match="another log of the name"):
                await export(another, tmp_path / "export")
        (tmp_path / "other" / "keys" / "signed").unlink()
        async with services.running(other, tmp_path, project=False) as same_key:
            with pytest.raises(ArchiveUnusable, match="the histories differ"):
                await export(same_key, tmp_path / "export")


async def test_a_log_that_is_behind_its_export_is_refused(service: Service, cluster: Cluster, tmp_path: Path):
    await register(service, 2)
    await sign(service)
    with cluster.database() as behind:
        async with services.running(behind, tmp_path, project=False, sign=False) as restored:
            await sign(service)
            await export(service, tmp_path / "export")
            (tmp_path / "keys" / "signed").unlink()
            await sign(restored)
            with pytest.raises(ArchiveUnusable, match="holds 2 entries, but this log's published checkpoint has 0"):
                await export(restored, tmp_path / "export")


async def test_an_entry_that_was_altered_is_not_exported(database: Database, tmp_path: Path):
    async with services.running(database, tmp_path, project=False) as service:
        await register(service, 3)
        await sign(service)
        await tamper(
            database.admin_dsn, "UPDATE log.entry SET bytes = overlay(bytes PLACING '\\x00' FROM 9) WHERE position = 1"
        )
        with pytest.raises(Corrupt, match="position 1"):
            await export(service, tmp_path / "export")
    assert not (tmp_path / "export" / "checkpoint").exists()


async def test_the_export_verifies_with_the_keys_in_it(service: Service, tmp_path: Path):
    await register(service, 5)
    await sign(service)
    await export(service, tmp_path / "export")
    files = files_of(tmp_path / "export")
    keys = [VerifierKey.parse(line) for line in files["keys"].decode().splitlines()]
    assert Checkpoint.verified(files["checkpoint"], keys, origin=ORIGIN).size == 5
