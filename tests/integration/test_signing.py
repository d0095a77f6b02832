"""Checkpoints: signed for what was recorded, one a size, and never for a log that is not what was vouched for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from events.log import Log
from events.log.checkpoints import Checkpoints, Origin, Signed
from events.log.tree import Tree
from events.merkle.adoption import Adoption
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import NoteError, SigningKey
from events.merkle.proofs import verify_consistency, verify_inclusion
from events.merkle.tree import EMPTY_ROOT, root_of
from services.registry.clock import now
from services.registry.signing.adoptions import sign
from services.registry.signing.keyring import KeyRing, KeyRingUnusable
from services.registry.signing.publication import Publication
from services.registry.signing.signer import LogRewritten, LogRolledBack, NotSigned, Signer
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.recording import ORIGIN, note, open_log
from tests.support.tampering import tamper


class Signing:
    """A log with a signer, and the key ring that it signs with."""

    def __init__(self, log: Log, pool: asyncpg.Pool[asyncpg.Record], ring: KeyRing) -> None:
        self.log = log
        self.pool = pool
        self.ring = ring
        self.tree = Tree(pool)
        self.checkpoints = Checkpoints(pool)
        self.signer = Signer(log, self.tree, self.checkpoints, ring, origin=ORIGIN, clock=now)

    async def record(self, entries: int) -> None:
        await asyncio.gather(*(self.log.append(note(f"a/{uuid4()}")) for _ in range(entries)))

    async def leaves(self) -> list[bytes]:
        return [row["leaf"] for row in await self.pool.fetch("SELECT leaf FROM log.entry ORDER BY position")]

    async def verified(self, signed: Signed) -> Checkpoint:
        return Checkpoint.verified(signed.note.encode(), await self.checkpoints.verifiers(), origin=ORIGIN)


@asynccontextmanager
async def opened(database: Database, folder: Path, *, publish: bool = True) -> AsyncIterator[Signing]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(database.service_dsn, min_size=1, max_size=4))
        log = await stack.enter_async_context(await open_log(database.service_dsn))
        signing = Signing(log, pool, KeyRing(folder))
        if publish:
            await hold_key(signing)
        yield signing


async def hold_key(signing: Signing) -> SigningKey:
    keys = signing.ring.keys(ORIGIN)
    key = keys[0] if keys else signing.ring.create(ORIGIN)
    await signing.checkpoints.add_verifier(key.verifier, now())
    return key


@pytest.fixture
async def signing(database: Database, tmp_path: Path) -> AsyncIterator[Signing]:
    async with opened(database, tmp_path / "keys") as signing:
        yield signing


async def test_an_empty_log_has_a_checkpoint_too(signing: Signing, database: Database):
    checkpoint = await signing.verified(await signing.signer.sign())

    assert (checkpoint.size, checkpoint.root) == (0, EMPTY_ROOT)
    await check_log(database.admin_dsn)


async def test_each_checkpoint_is_of_the_log_as_it_is_then_and_extends_the_one_before(
    signing: Signing, database: Database
):
    before: Checkpoint | None = None
    for entries in (1, 2, 253, 1, 300, 0, 17):
        await signing.record(entries)
        checkpoint = await signing.verified(await signing.signer.sign())
        leaves = await signing.leaves()
        assert checkpoint.size == len(leaves)
        assert checkpoint.root == root_of(leaves)
        if before is not None:
            verify_consistency(
                first_size=before.size,
                first_root=before.root,
                second_size=checkpoint.size,
                second_root=checkpoint.root,
                path=await signing.tree.consistency(before.size, checkpoint.size),
            )
        before = checkpoint
    assert await signing.pool.fetchval("SELECT count(*) FROM log.checkpoint") == 6
    await check_log(database.admin_dsn)


async def test_roots_and_proofs_are_the_same_before_and_after_tiles_are_stored(signing: Signing):
    await signing.record(600)
    leaves = await signing.leaves()
    sizes = [1, 255, 256, 257, 511, 512, 513, 600]

    async def everything() -> list[object]:
        return [
            *[await signing.tree.root(size) for size in sizes],
            *[await signing.tree.inclusion(size - 1, 600) for size in sizes],
            *[await signing.tree.consistency(size, 600) for size in sizes],
        ]

    unstored = await everything()
    assert await signing.tree.integrate(600) == 2
    assert await signing.tree.integrate(600) == 0
    assert await everything() == unstored
    for size in sizes:
        assert await signing.tree.root(size) == root_of(leaves[:size])
        verify_inclusion(
            leaf=leaves[size - 1],
            index=size - 1,
            size=600,
            root=root_of(leaves),
            path=await signing.tree.inclusion(size - 1, 600),
        )


async def test_two_signers_at_once_sign_one_checkpoint_a_size(database: Database, tmp_path: Path):
    async with opened(database, tmp_path / "keys") as one, opened(database, tmp_path / "keys") as other:
        await one.record(5)

        async def keep_signing(signing: Signing) -> None:
            for _ in range(15):
                await signing.record(3)
                await signing.verified(await signing.signer.sign())

        await asyncio.gather(keep_signing(one), keep_signing(other))
        last = await one.signer.sign()
        assert last.checkpoint.size == 95
        remembered = one.ring.remembered()
        assert remembered is not None
        assert remembered[0] == last.checkpoint
    await check_log(database.admin_dsn)


async def test_without_a_key_nothing_is_signed(database: Database, tmp_path: Path):
    async with opened(database, tmp_path / "none", publish=False) as signing:
        with pytest.raises(NotSigned, match="registry key create"):
            await signing.signer.sign()
        assert await signing.pool.fetchval("SELECT count(*) FROM log.checkpoint") == 0


async def test_a_rotated_key_signs_beside_the_old_one_and_old_checkpoints_keep_verifying(
    signing: Signing, database: Database
):
    await signing.record(2)
    old = signing.ring.keys(ORIGIN)[0]
    first = await signing.signer.sign()

    new = signing.ring.create(ORIGIN)
    await signing.checkpoints.add_verifier(new.verifier, now())
    both = await signing.signer.sign()

    assert signing.ring.keys(ORIGIN) == (new, old)
    assert await signing.checkpoints.verifiers() == [new.verifier, old.verifier]
    assert both.checkpoint == first.checkpoint
    for key in (old, new):
        assert Checkpoint.verified(both.note.encode(), [key.verifier]) == first.checkpoint

    assert signing.ring.forget_older(ORIGIN) == 1
    await signing.record(1)
    latest = await signing.signer.sign()
    assert Checkpoint.verified(latest.note.encode(), [new.verifier]).size == 3
    with pytest.raises(NoteError):
        Checkpoint.verified(latest.note.encode(), [old.verifier])
    assert (await signing.verified(first)).size == 2
    await check_log(database.admin_dsn)


async def test_a_truncated_log_is_not_signed_whoever_says_it_was_longer(signing: Signing, database: Database):
    await signing.record(3)
    root = await signing.tree.root(2)
    assert root
    await signing.record(1)
    frontier = (await signing.log.head()).frontier
    await signing.record(1)
    await signing.signer.sign()

    await tamper(
        database.admin_dsn,
        "DELETE FROM log.entry WHERE position = 4",
        "DELETE FROM log.signature",
        "DELETE FROM log.checkpoint",
    )
    await tamper(
        database.admin_dsn,
        "UPDATE log.head SET size = 4, frontier = $1",
        arguments=(list(frontier.roots),),
    )

    with pytest.raises(LogRolledBack, match="has 4 entries, but a checkpoint over 5"):
        await signing.signer.sign()
    assert await signing.pool.fetchval("SELECT count(*) FROM log.checkpoint") == 0


async def test_a_database_restored_from_an_old_backup_is_not_signed_before_or_after_it_has_grown_again(
    cluster: Cluster, database: Database, tmp_path: Path
):
    async with opened(database, tmp_path / "keys") as signing:
        await signing.record(3)
        await signing.signer.sign()
    admin = await asyncpg.connect(cluster.admin_dsn)
    backup = f"{database.name}_backup"
    restored = Database(
        backup, *(dsn.replace(database.name, backup) for dsn in (
            database.admin_dsn, database.owner_dsn, database.service_dsn, database.projector_dsn, database.reader_dsn
        ))
    )  # fmt: skip
    try:
        await admin.execute(f'CREATE DATABASE "{backup}" TEMPLATE "{database.name}" OWNER registry_owner')
        await admin.execute(f'GRANT CONNECT ON DATABASE "{backup}" TO registry_service, registry_projector')
        async with opened(database, tmp_path / "keys") as signing:
            await signing.record(2)
            lost = await signing.signer.sign()

        async with opened(restored, tmp_path / "keys") as signing:
            with pytest.raises(LogRolledBack, match="has 3 entries, but a checkpoint over 5"):
                await signing.signer.sign()
            await signing.record(4)
            with pytest.raises(LogRewritten, match="first 5 entries"):
                await signing.signer.sign()

            # The operator's explicit way out: another name, the old one named.
            await signing.checkpoints.adopt(
                Origin("registry.test/log-2", 7, ORIGIN, lost.note.encode().decode(), "the disk was lost", now())
            )
            with pytest.raises(NotSigned, match=r"no key of registry\.test/log-2"):
                await signing.signer.sign()
            key = signing.ring.create("registry.test/log-2")
            await signing.checkpoints.add_verifier(key.verifier, now())
            signed = await signing.signer.sign()
            assert (signed.checkpoint.origin, signed.checkpoint.size) == ("registry.test/log-2", 7)
            publication = Publication(signing.checkpoints, signing.signer, origin=ORIGIN)
            assert [one.name for one in await publication.keys()] == ["registry.test/log-2", ORIGIN]
            assert (await publication.checkpoint()).checkpoint == signed.checkpoint
        await check_log(restored.admin_dsn)
    finally:
        await admin.execute(f'DROP DATABASE IF EXISTS "{backup}" WITH (FORCE)')
        await admin.close()


async def adopt(signing: Signing, origin: str, *, altered: bool = False) -> str:
    """Take another name as the operator does, but for the key ring's remembering it."""
    head, key, at = await signing.log.head(), signing.ring.create(origin), now()
    adoption = Adoption(
        origin=origin,
        key=key.verifier,
        replaces=ORIGIN,
        size=head.size,
        root=head.frontier.root(),
        last=None,
        adopted_at=at.isoformat(),
        reason="the disk was lost",
    )
    statement = sign(adoption, [key]).replace("lost" if altered else "", "found" if altered else "")
    await signing.checkpoints.add_verifier(key.verifier, now())
    await signing.checkpoints.adopt(Origin(origin, head.size, ORIGIN, None, adoption.reason, at, statement))
    return statement


async def test_a_database_from_before_a_name_was_taken_is_not_signed_under_the_one_before(
    database: Database, cluster: Cluster, tmp_path: Path
):
    async with opened(database, tmp_path / "keys") as signing:
        await signing.record(3)
        await adopt(signing, "registry.test/log-2")
        signed = await signing.signer.sign()
        assert (signed.checkpoint.origin, signed.checkpoint.size) == ("registry.test/log-2", 3)
    with cluster.database() as before:
        async with opened(before, tmp_path / "keys") as restored:
            await restored.record(4)
            with pytest.raises(LogRolledBack, match=rf"{ORIGIN} was given up for registry\.test/log-2 at 3 entries"):
                await restored.signer.sign()
            assert await restored.pool.fetchval("SELECT count(*) FROM log.checkpoint") == 0
        await check_log(before.admin_dsn)
    await check_log(database.admin_dsn)


async def test_the_first_checkpoint_under_a_name_extends_the_log_that_took_it(
    signing: Signing, database: Database, cluster: Cluster
):
    await signing.record(3)
    signing.ring.keep_adoption(await adopt(signing, "registry.test/log-2"))
    rows = await signing.pool.fetch("SELECT * FROM log.origin")
    with cluster.database() as other:
        async with opened(other, signing.ring.folder) as replaced:
            for row in rows:
                await replaced.checkpoints.adopt(Origin(**{name: row[name] for name in Origin.__struct_fields__}))
            await replaced.record(2)
            with pytest.raises(LogRolledBack, match="has 2 entries, but "):
                await replaced.signer.sign()
            await replaced.record(2)
            with pytest.raises(LogRewritten, match="first 3 entries"):
                await replaced.signer.sign()
    assert (await signing.signer.sign()).checkpoint.size == 3
    await check_log(database.admin_dsn)


async def test_a_name_is_not_signed_under_when_what_is_said_of_it_was_altered(signing: Signing, database: Database):
    await signing.record(3)
    await adopt(signing, "registry.test/log-2", altered=True)

    with pytest.raises(LogRewritten, match=r"how the log came to the name registry\.test/log-2 was altered"):
        await signing.signer.sign()
    assert signing.ring.adoptions() == ()
    await check_log(database.admin_dsn)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE log.entry SET leaf = sha256('another') WHERE position = 1",
        "UPDATE log.tile SET hashes = overlay(hashes PLACING '\\x00' FROM 100), root = sha256('another')",
    ],
)
async def test_a_log_with_other_leaves_or_tiles_than_its_head_was_written_with_is_not_signed(
    signing: Signing, database: Database, statement: str
):
    await signing.record(257)
    await signing.tree.integrate(257 if "tile" in statement else 0)
    await tamper(database.admin_dsn, statement)

    with pytest.raises(LogRewritten, match="registry verify"):
        await signing.signer.sign()


async def test_a_checkpoint_that_somebody_put_into_the_database_stops_the_signing(signing: Signing, database: Database):
    await signing.record(3)
    await signing.signer.sign()
    await tamper(
        database.admin_dsn,
        "UPDATE log.checkpoint SET root = sha256('forged')",
    )
    await signing.record(1)

    with pytest.raises(LogRewritten):
        await signing.signer.sign()


async def test_a_checkpoint_that_nobody_signed_is_not_taken_for_what_was(signing: Signing, database: Database):
    await signing.record(2)
    await signing.signer.sign()
    await tamper(
        database.admin_dsn,
        "INSERT INTO log.checkpoint SELECT origin, 5000, root, signed_at FROM log.checkpoint WHERE size = 2;"
        "INSERT INTO log.signature SELECT origin, 5000, name, key_id, blob, added_at FROM log.signature WHERE size = 2",
    )

    with pytest.raises(LogRewritten, match="over 5000 entries is stored that the log never signed"):
        await signing.signer.sign()


async def test_the_signer_says_why_it_stopped_goes_on_when_it_can_and_publishes_nothing_meanwhile(
    signing: Signing, database: Database
):
    publication = Publication(signing.checkpoints, signing.signer, origin=ORIGIN)
    await signing.record(3)
    await signing.signer.sign()
    leaf = (await signing.leaves())[1]
    await tamper(database.admin_dsn, "UPDATE log.entry SET leaf = sha256('another') WHERE position = 1")
    task = asyncio.create_task(signing.signer.run(0.01))
    try:
        async with asyncio.timeout(10):
            while signing.signer.stopped is None:  # noqa: ASYNC110 - nothing tells of it but this
                await asyncio.sleep(0.005)
        with pytest.raises(LogRewritten):
            await publication.checkpoint()
        await tamper(database.admin_dsn, "UPDATE log.entry SET leaf = $1 WHERE position = 1", arguments=(leaf,))
        async with asyncio.timeout(10):
            while signing.signer.stopped is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        assert (await publication.checkpoint()).checkpoint.size == 3
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


# The key ring


def test_a_key_is_readable_by_its_owner_only_and_shown_by_nothing(tmp_path: Path):
    ring = KeyRing(tmp_path / "keys")
    key = ring.create(ORIGIN)

    (file,) = [path for path in ring.folder.iterdir() if path.suffix == ".key"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert ring.folder.stat().st_mode & 0o777 == 0o700
    assert file.read_text().strip() == key.text
    assert key.text not in repr(key)


def test_what_is_remembered_never_goes_back_but_for_another_name(tmp_path: Path):
    ring = KeyRing(tmp_path)
    key = ring.create(ORIGIN)

    def remember(origin: str, size: int) -> None:
        checkpoint = Checkpoint(origin, size, root_of([b"\x00" * 32] * size))
        ring.remember(checkpoint, f"{checkpoint.text}\n{key.sign(checkpoint.text).line}\n".encode())

    assert ring.remembered() is None
    for origin, size, expected in ((ORIGIN, 3, 3), (ORIGIN, 2, 3), (ORIGIN, 4, 4), ("other", 1, 1)):
        remember(origin, size)
        remembered = ring.remembered()
        assert remembered is not None
        assert remembered[0].size == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0002-00000000.key", "no key"),
        ("signed", "no checkpoint"),
        ("0002-00000000.key", "\u00e4"),
        ("signed", "a\n\n"),
    ],
)
def test_a_damaged_key_ring_is_named_and_not_passed_over(tmp_path: Path, name: str, content: str):
    ring = KeyRing(tmp_path)
    ring.create(ORIGIN)
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(KeyRingUnusable, match=name):
        ring.keys(ORIGIN) if name.endswith(".key") else ring.remembered()


def test_a_key_ring_that_cannot_be_written_says_so(tmp_path: Path):
    (tmp_path / "file").write_text("")

    with pytest.raises(KeyRingUnusable, match="file"):
        KeyRing(tmp_path / "file" / "keys").create(ORIGIN)


@pytest.mark.parametrize(
    ("away", "back"),
    [
        ("ALTER TABLE log.checkpoint RENAME TO away", "ALTER TABLE log.away RENAME TO checkpoint"),
        ("REVOKE SELECT ON log.head FROM registry_service", "GRANT SELECT ON log.head TO registry_service"),
    ],
)
async def test_signing_goes_on_whatever_the_database_refused_meanwhile(
    signing: Signing, database: Database, away: str, back: str
):
    admin = await asyncpg.connect(database.admin_dsn)
    refused = asyncio.Event()

    async def noticed(*what: object) -> Signed:
        try:
            return await Signer.sign(signing.signer, *what)
        except Exception:
            refused.set()
            raise

    signing.signer.sign = noticed
    running = asyncio.create_task(signing.signer.run(0.01))
    try:
        async with asyncio.timeout(20):
            first = await signing.signer.after(None)
            await admin.execute(away)
            await refused.wait()
            await admin.execute(back)
            await signing.record(1)
            assert (await signing.signer.after(first.checkpoint)).checkpoint.size == 1
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await admin.close()


async def test_nobody_waits_for_who_holds_the_key_rings_lock_but_the_signer(
    signing: Signing, monkeypatch: pytest.MonkeyPatch
):
    await signing.signer.sign()
    await signing.record(1)
    remember, asked = signing.ring.remember, threading.Event()

    def told(*what: Any) -> None:
        asked.set()
        remember(*what)

    monkeypatch.setattr(signing.ring, "remember", told)
    with held(signing.ring.folder):
        signed = asyncio.create_task(signing.signer.sign())
        assert await asyncio.to_thread(asked.wait, 20)
        await signing.pool.fetchval("SELECT 1")  # whoever is not signing goes on
        assert not signed.done()
    assert (await signed).checkpoint.size == 1


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold the lock of a key ring, as another process does."""
    lock = f"fcntl.flock(os.open({str(folder)!r}, os.O_RDONLY), fcntl.LOCK_EX)"
    command = f"import fcntl, os, sys; {lock}; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline()
        try:
            yield
        finally:
            holder.stdin.close()
