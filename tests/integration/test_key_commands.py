"""`registry key` and `registry log adopt`, as an operator types them."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from events.merkle.adoption import Adoption
from events.merkle.note import VerifierKey
from events.merkle.tree import EMPTY_ROOT
from services.registry.signing.keyring import KeyRing
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import registry
from tests.support.recording import ORIGIN

OTHER = "registry.test/log-2"


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> dict[str, str]:
    return {
        "REGISTRY_DATABASE_URL": database.service_dsn,
        "REGISTRY_KEY_DIR": str(tmp_path / "keys"),
        "REGISTRY_ORIGIN": ORIGIN,
    }


def test_a_key_that_was_made_and_not_published_is_published_by_making_it_again(
    settings: dict[str, str], tmp_path: Path
):
    unpublished = KeyRing(tmp_path / "keys").create(ORIGIN)

    assert registry("key", "create", settings=settings).stdout.strip() == unpublished.verifier.text
    assert len(KeyRing(tmp_path / "keys").keys(ORIGIN)) == 1


async def published(database: Database) -> list[str]:
    connection = await asyncpg.connect(database.service_dsn)
    try:
        return [row["key"] for row in await connection.fetch("SELECT key FROM log.verifier ORDER BY number DESC")]
    finally:
        await connection.close()


async def test_a_key_is_made_once_published_listed_and_replaced(
    settings: dict[str, str], database: Database, tmp_path: Path
):
    assert "no key yet" in registry("key", "list", settings=settings).stdout
    nothing = registry("key", "rotate", settings=settings)
    assert (nothing.returncode, "registry key create" in nothing.stderr) == (1, True)

    made = registry("key", "create", settings=settings)
    assert made.returncode == 0, made.stderr
    first = VerifierKey.parse(made.stdout.strip())
    assert first.name == ORIGIN
    assert "PRIVATE" not in made.stdout + made.stderr

    again = registry("key", "create", settings=settings)
    assert (again.returncode, "registry key rotate" in again.stderr) == (1, True)
    once = registry("key", "create", "--once", settings=settings)
    assert (once.returncode, once.stdout) == (0, made.stdout)
    assert len(KeyRing(tmp_path / "keys").keys(ORIGIN)) == 1

    second = VerifierKey.parse(registry("key", "rotate", settings=settings).stdout.strip())
    assert await published(database) == [second.text, first.text]
    assert [key.verifier for key in KeyRing(tmp_path / "keys").keys(ORIGIN)] == [second, first]
    listed = registry("key", "list", settings=settings).stdout
    assert listed.index(second.text) < listed.index(first.text)
    assert "signs, current" in listed

    dropped = registry("key", "rotate", "--drop", settings=settings)
    assert "2 private keys were removed" in dropped.stderr
    assert len(KeyRing(tmp_path / "keys").keys(ORIGIN)) == 1
    assert len(await published(database)) == 3
    assert "verifies what it signed" in registry("key", "list", settings=settings).stdout


async def test_another_name_is_adopted_once_and_names_the_one_before(
    settings: dict[str, str], database: Database, tmp_path: Path
):
    registry("key", "create", settings=settings)

    done = registry("log", "adopt", OTHER, "--reason", "the disk was lost", settings=settings)
    assert done.returncode == 0, done.stderr
    key = VerifierKey.parse(done.stdout.strip())
    assert key.name == OTHER
    assert f"no longer as {ORIGIN}" in done.stderr

    connection = await asyncpg.connect(database.service_dsn)
    rows = await connection.fetch("SELECT origin, replaces, size, reason FROM log.origin")
    statement = await connection.fetchval("SELECT statement FROM log.origin")
    adopted_at = await connection.fetchval("SELECT adopted_at FROM log.origin")
    done = await connection.fetch("SELECT what, detail->>'origin' FROM access.record ORDER BY id")
    await connection.close()
    assert [tuple(row) for row in rows] == [(OTHER, ORIGIN, 0, "the disk was lost")]
    assert [tuple(row) for row in done] == [("create-key", ORIGIN), ("adopt-log", OTHER)]
    ring = KeyRing(tmp_path / "keys")
    adoption, signers = Adoption.verified(statement.encode(), [one.verifier for one in ring.keys(ORIGIN)] + [key])
    assert [one.name for one in signers] == [ORIGIN, OTHER]
    assert (adoption.key, adoption.replaces, adoption.reason) == (key, ORIGIN, "the disk was lost")
    assert (adoption.size, adoption.root, adoption.last) == (0, EMPTY_ROOT, None)
    assert adoption.adopted_at == adopted_at.isoformat()
    assert ring.adoptions() == ((adoption, statement),)
    for taken in (OTHER, ORIGIN):
        refused = registry("log", "adopt", taken, "--reason", "again", settings=settings)
        assert (refused.returncode, "take another" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("log", "adopt", "https://registry.test/", "--reason", "x"), "cannot be the log's name"),
        (("log", "adopt", "with space", "--reason", "x"), "cannot be the log's name"),
        (("log", "adopt", OTHER, "--reason", " "), "1 to 500 characters"),
        (("log", "adopt", OTHER, "--reason", "two\nlines"), "one line of 1 to 500 characters"),
    ],
)
def test_a_name_or_reason_that_cannot_be_is_refused(settings: dict[str, str], arguments: tuple[str, ...], says: str):
    refused = registry(*arguments, settings=settings)
    assert refused.returncode == 1
    assert says in refused.stderr


async def test_a_database_from_before_a_name_was_taken_gets_it_back_when_the_next_one_is_taken(
    settings: dict[str, str], database: Database, cluster: Cluster, tmp_path: Path
):
    registry("key", "create", settings=settings)
    second = VerifierKey.parse(registry("log", "adopt", OTHER, "--reason", "a drill", settings=settings).stdout.strip())
    with cluster.database() as before:
        restored = settings | {"REGISTRY_DATABASE_URL": before.service_dsn}
        again = registry("log", "adopt", OTHER, "--reason", "again", settings=restored)
        assert (again.returncode, "take another" in again.stderr) == (1, True)
        done = registry("log", "adopt", "registry.test/log-3", "--reason", "the disk was lost", settings=restored)
        assert done.returncode == 0, done.stderr
        assert f"no longer as {OTHER}" in done.stderr

        connection = await asyncpg.connect(before.service_dsn)
        rows = await connection.fetch("SELECT origin, replaces, reason FROM log.origin ORDER BY number")
        await connection.close()
        assert [tuple(row) for row in rows] == [
            (OTHER, ORIGIN, "a drill"),
            ("registry.test/log-3", OTHER, "the disk was lost"),
        ]
        assert second.text in await published(before)
        await check_log(before.admin_dsn)
    assert [one.origin for one, _ in KeyRing(tmp_path / "keys").adoptions()] == [OTHER, "registry.test/log-3"]


def test_a_damaged_statement_is_named(settings: dict[str, str], tmp_path: Path):
    registry("key", "create", settings=settings)
    (tmp_path / "keys" / "0001.adopted").write_text("nonsense")

    refused = registry("log", "adopt", OTHER, "--reason", "x", settings=settings)
    assert refused.returncode == 1
    assert "0001.adopted is damaged" in refused.stderr


@pytest.mark.parametrize("arguments", [("key", "create"), ("key", "list"), ("log", "adopt", OTHER, "--reason", "x")])
def test_what_a_command_needs_is_named_when_it_is_missing(arguments: tuple[str, ...]):
    refused = registry(*arguments)
    assert refused.returncode == 2
    assert "REGISTRY_DATABASE_URL" in refused.stderr
    assert "REGISTRY_KEY_DIR" in refused.stderr


def test_a_damaged_key_is_named(settings: dict[str, str], tmp_path: Path):
    registry("key", "create", settings=settings)
    (tmp_path / "keys" / "0002-00000000.key").write_text("nonsense")

    refused = registry("key", "rotate", settings=settings)
    assert refused.returncode == 1
    assert "0002-00000000.key" in refused.stderr
