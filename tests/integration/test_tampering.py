"""What a superuser does behind the service's back, and what `registry verify` says of it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from events.entry import leaf_hash
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import ED25519, Note, SigningKey, VerifierKey
from events.merkle.tree import root_of
from services.registry.provision import dsn_for
from services.registry.signing.keyring import KeyRing
from services.registry.signing.signer import LogRolledBack
from services.registry.verify import database
from services.registry.verify.database import Database as Stored
from services.registry.verify.earlier import Earlier
from services.registry.verify.findings import Findings
from services.registry.verify.report import Report
from services.registry.verify.verification import Asked, verify
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import registry
from tests.support.exported import note_of
from tests.support.service import ORIGIN, Service
from tests.support.verifying import lines

ENTRIES = 600
TABLES = ("entry", "head", "tile", "checkpoint", "signature", "verifier", "origin")


class Recorded:
    """A registry's log with checkpoints over 200, 400 and 600 entries, and what was kept outside of it."""

    def __init__(self, database: Database, keys: Sequence[VerifierKey], notes: dict[int, bytes], ring: Path) -> None:
        self.database = database
        self.keys = keys
        self.notes = notes
        self.ring = ring


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    notes: dict[int, bytes] = {}
    folder = tmp_path_factory.mktemp("tampering")
    with cluster.database() as database:
        async with services.running(database, folder, project=False, sign=False) as running:
            for first in range(0, ENTRIES, 100):
                await record(running, first, 100)
                if (size := first + 100) % 200 == 0:
                    notes[size] = await sign(running)
            keys = await running.parts.publication.keys()
        await check_log(database.admin_dsn)
        yield Recorded(database, keys, notes, folder / "keys")


async def record(service: Service, first: int, count: int) -> None:
    commands = [
        {
            "command": "register-party",
            "data": {
                "name": f"Yard {number}",
                "kind": "company",
                "country": "NO",
                "identifiers": [{"scheme": "XI-LEI", "value": str(number)}] if number in (10, 110) else [],
            },
        }
        for number in range(first, first + count)
    ]
    await service.post("/v1/batch", {"commands": commands})


async def sign(service: Service) -> bytes:
    assert service.parts.signer is not None
    return (await service.parts.signer.sign()).note.encode()


@asynccontextmanager
async def tampered(recorded: Recorded) -> AsyncGenerator[tuple[asyncpg.Connection[asyncpg.Record], str]]:
    """A copy of the log, and a superuser's connection to it, with every trigger and constraint out of the way."""
    name = f"{recorded.database.name}_tampered"
    admin = await asyncpg.connect(dsn_for(recorded.database.admin_dsn, database="postgres"))
    await admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{recorded.database.name}"')
    dsn = dsn_for(recorded.database.admin_dsn, database=name)
    connection = await asyncpg.connect(dsn)
    try:
        for table in TABLES:
            await connection.execute(f"ALTER TABLE log.{table} DISABLE TRIGGER ALL")
        yield connection, dsn
    finally:
        await connection.close()
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


async def verified(dsn: str, recorded: Recorded, **asked: Any) -> Report:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        return await verify(Stored(pool, ORIGIN), Asked(**{"keys": tuple(recorded.keys), "processes": 0, **asked}))


async def held_by_ring(dsn: str, recorded: Recorded, ring: Path | None = None) -> Report:
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
        source = Stored(pool, ORIGIN, None, KeyRing(ring or recorded.ring))
        return await verify(source, Asked(keys=tuple(recorded.keys), processes=0))


async def rehash(connection: asyncpg.Connection[asyncpg.Record], position: int, content: bytes) -> None:
    """Change an entry and, so that it agrees with itself, its leaf."""
    await connection.execute(
        "UPDATE log.entry SET bytes = $2, leaf = $3 WHERE position = $1", position, content, leaf_hash(content)
    )


async def bytes_of(connection: asyncpg.Connection[asyncpg.Record], position: int) -> bytes:
    return await connection.fetchval("SELECT bytes FROM log.entry WHERE position = $1", position)


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_nobody_tampered_with_is_verified(recorded: Recorded):
    report = await verified(recorded.database.service_dsn, recorded)

    assert lines(report) == []
    assert (report.size, report.origin) == (ENTRIES, ORIGIN)
    assert report.checkpoints >= len(recorded.notes)  # the service may have signed one as it started
    assert [one.partition(":")[0] for one in report.not_checked] == [
        "read models",
        "what is sealed of people",
        "when checkpoints were signed, and the words that people are found by",
        "documents",
    ]


@pytest.mark.parametrize("position", [0, 255, 300, 599])
async def test_one_byte_of_an_entry_is_named(recorded: Recorded, position: int):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute(
            "UPDATE log.entry SET bytes = convert_to(replace(convert_from(bytes, 'UTF8'), 'Yard', 'Card'), 'UTF8') "
            "WHERE position = $1",
            position,
        )
        report = await verified(dsn, recorded)

    assert lines(report)[0] == f"position {position}: the entry's bytes are not those that its leaf is the hash of"


@pytest.mark.parametrize("position", [0, 255, 300])
async def test_one_byte_of_an_entry_is_named_though_the_column_leaf_was_made_to_agree(
    recorded: Recorded, position: int
):
    async with tampered(recorded) as (connection, dsn):
        await rehash(connection, position, (await bytes_of(connection, position)).replace(b"Yard", b"Card"))
        found = lines(await verified(dsn, recorded))

    assert f"position {position}: the entry's bytes are not those that its leaf is the hash of" in found


async def test_an_entry_beyond_the_last_full_tile_is_narrowed_down_by_the_checkpoints_and_the_head(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await rehash(connection, 590, (await bytes_of(connection, 590)).replace(b"Yard", b"Card"))
        found = lines(await verified(dsn, recorded))

    assert found == [
        "size 600: the first 600 entries do not have the root that was signed; up to position 399 they are as signed",
        "size 600: the head was written over others of the entries from position 576 to 591",
    ]


async def test_an_entry_that_was_changed_with_all_that_is_made_of_it_contradicts_what_was_signed(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await rehash(connection, 300, (await bytes_of(connection, 300)).replace(b"Yard", b"Card"))
        leaves = [row["leaf"] for row in await connection.fetch("SELECT leaf FROM log.entry ORDER BY position")]
        await connection.execute(
            "UPDATE log.tile SET hashes = $1, root = $2 WHERE level = 0 AND index = 1",
            b"".join(leaves[256:512]),
            root_of(leaves[256:512]),
        )
        found = lines(await verified(dsn, recorded))

    assert found[:2] == [
        "size 400: the first 400 entries do not have the root that was signed; up to position 199 they are as signed",
        "size 600: the first 600 entries do not have the root that was signed; up to position 199 they are as signed",
    ]


async def test_a_swapped_pair_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("UPDATE log.entry SET position = -1 WHERE position = 41")
        await connection.execute("UPDATE log.entry SET position = 41 WHERE position = 44")
        await connection.execute("UPDATE log.entry SET position = 44 WHERE position = -1")
        found = lines(await verified(dsn, recorded))

    assert "position 41: the entry says that it is number 44" in found
    assert "position 44: the entry says that it is number 41" in found
    assert "position 41: the entry's bytes are not those that its leaf is the hash of" in found
    assert "position 44: the entry's bytes are not those that its leaf is the hash of" in found


async def test_a_deleted_last_entry_is_named_though_the_head_was_moved_back(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        rows = await connection.fetch("SELECT leaf, recorded_at FROM log.entry ORDER BY position")
        leaves = [row["leaf"] for row in rows[:-1]]
        frontier = [root_of(leaves[:512]), root_of(leaves[512:576]), root_of(leaves[576:592])]
        frontier += [root_of(leaves[592:596]), root_of(leaves[596:598]), leaves[598]]
        await connection.execute("DELETE FROM log.entry WHERE position = 599")
        await connection.execute(
            "UPDATE log.head SET size = 599, frontier = $1, last_recorded_at = $2", frontier, rows[-2]["recorded_at"]
        )
        (found,) = (await verified(dsn, recorded)).findings

    assert (found.code, found.size) == ("rolled-back", 600)
    assert "the log has 599 entries, and the last checkpoint vouches for 600: it was truncated, or rolled" in found.line
    assert "The entries from position 599 to 599 are gone." in found.line


async def test_a_deleted_entry_in_the_middle_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("DELETE FROM log.entry WHERE position = 300")
        report = await verified(dsn, recorded)

    assert lines(report) == ["position 300: there is no entry"]


async def test_an_entry_beyond_the_head_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await insert_copy(connection, 599, 600)
        found = lines(await verified(dsn, recorded))

    assert found == ["position 600: there is an entry, and the head says that there are 600 only"]


async def test_an_entry_that_was_inserted_between_others_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("UPDATE log.entry SET position = -position - 1 WHERE position >= 300")
        await connection.execute("UPDATE log.entry SET position = -position WHERE position < 0")
        await insert_copy(connection, 299, 300)
        found = await verified(dsn, recorded)

    assert "position 300: the entry says that it is number 299" in lines(found)
    assert "position 300: the entry's bytes are not those that its leaf is the hash of" in lines(found)
    assert found.found > ENTRIES - 300


async def insert_copy(connection: asyncpg.Connection[asyncpg.Record], of: int, position: int) -> None:
    await connection.execute(
        "INSERT INTO log.entry SELECT $2::bigint, recorded_at, 999, ordinal, gen_random_uuid(), gen_random_uuid(), "
        "stream, type, classification, leaf, bytes FROM log.entry WHERE position = $1",
        of,
        position,
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "recorded_at = '2001-01-01T00:00:00Z'",
            "position 7: the column recorded_at says 2001-01-01T00:00:00.000000Z,",
        ),
        ("recorded_at = 'infinity'", "position 7: the column recorded_at says "),
        ("revision = 5", "position 7: the column revision says 5, the entry 0"),
        ("stream = 'party/x'", "position 7: the column stream says party/x,"),
        ("type = 'x'", "position 7: the column type says x, the entry registry.party-registered.v1"),
        ("classification = 'secret'", "position 7: the column classification says secret, the entry internal"),
        ("id = gen_random_uuid()", "position 7: the column id says "),
        ("command_id = gen_random_uuid()", "position 7: the column command_id says "),
        ("ordinal = 999", "position 7: the column ordinal says 999, and it is number 7 of its command"),
        ("leaf = sha256('')", "position 7: the column leaf is not the hash of the entry's bytes"),
    ],
)
async def test_a_changed_column_is_named_with_what_it_says(recorded: Recorded, change: str, line: str):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute(f"UPDATE log.entry SET {change} WHERE position = 7")
        found = lines(await verified(dsn, recorded))

    assert any(one.startswith(line) for one in found), found


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("hashes = overlay(hashes PLACING sha256('') FROM 33)", "tile 0/001: its hash 1 is not that of the entry at position 257"),  # noqa: E501
        ("root = sha256('')", "tile 0/001: its root is not that of its hashes"),
    ],
)  # fmt: skip
async def test_a_changed_tile_is_named(recorded: Recorded, change: str, line: str):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute(f"UPDATE log.tile SET {change} WHERE level = 0 AND index = 1")
        found = lines(await verified(dsn, recorded))

    assert line in found


async def test_a_tile_that_the_log_is_too_small_for_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("INSERT INTO log.tile SELECT 0, 2, root, hashes FROM log.tile WHERE index = 1")
        found = lines(await verified(dsn, recorded))

    assert found == ["tile 0/002: the log is too small for it"]


@pytest.mark.parametrize(
    ("which", "missing"),
    [
        ("index = 0", ["tile 0/000: it is not there"]),
        ("index = 1", ["tile 0/001: it is not there"]),
        ("true", ["tile 0/000: it is not there", "tile 0/001: it is not there"]),
    ],
)
async def test_a_tile_that_was_deleted_is_named(recorded: Recorded, which: str, missing: list[str]):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute(f"DELETE FROM log.tile WHERE {which}")
        found = await verified(dsn, recorded)

    assert lines(found) == missing
    assert {one.code for one in found.findings} == {"tile-missing"}


async def test_a_tile_is_missing_as_far_as_there_are_tiles_or_a_checkpoint_and_no_further(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        for table in ("signature", "checkpoint"):
            await connection.execute(f"DELETE FROM log.{table} WHERE size > 200")
        assert (await verified(dsn, recorded)).verified
        await connection.execute("DELETE FROM log.tile WHERE index = 1")
        assert lines(await verified(dsn, recorded)) == []  # nobody can tell that it was made
        await connection.execute("INSERT INTO log.checkpoint SELECT origin, 512, root, signed_at FROM log.checkpoint")
        assert "tile 0/001: it is not there" in lines(await verified(dsn, recorded))


async def test_a_tile_of_a_level_above_that_was_deleted_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        for table in ("head", "checkpoint", "signature"):
            await connection.execute(f"UPDATE log.{table} SET size = 65536 * 257 WHERE size = 600")
        await connection.execute(
            "INSERT INTO log.tile SELECT 1, n, root, hashes FROM log.tile, generate_series(1, 255) AS n WHERE index = 0"
        )
        findings = Findings()
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            await Stored(pool, ORIGIN).more(65536 * 257, findings)

    assert [one.tile for one in findings.kept if one.code == "tile-missing"][:2] == ["0/002", "0/003"]
    assert {one.code for one in findings.kept} == {"tile-missing"}
    assert findings.count == 100 + 2 + 1  # of a level a hundred at the most; above are 1/000, 1/256 and 2/000


async def test_a_forged_checkpoint_is_named_by_its_size(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("UPDATE log.checkpoint SET root = sha256('') WHERE size = 400")
        found = lines(await verified(dsn, recorded))

    assert found == [
        "size 400: the checkpoint is not vouched for: the signature is not that of the text",
        "size 400: the first 400 entries do not have the root that was signed; up to position 199 they are as signed",
    ]


async def test_a_checkpoint_that_another_key_signed_is_forged_though_that_key_was_published(recorded: Recorded):
    forger = SigningKey(ORIGIN, ED25519, bytes(32))
    async with tampered(recorded) as (connection, dsn):
        rows = await connection.fetch("SELECT bytes FROM log.entry ORDER BY position")
        note = note_of([row["bytes"] for row in rows], forger)
        blob = forger.sign(note.decode().partition("\n\n")[0] + "\n").blob
        await connection.execute(
            "UPDATE log.signature SET key_id = $1, blob = $2 WHERE size = 600", forger.verifier.key_id, blob
        )
        await connection.execute(
            "INSERT INTO log.verifier (key, added_at) VALUES ($1, clock_timestamp())", forger.verifier.text
        )
        given = await verified(dsn, recorded)
        own_word = await verified(dsn, recorded, keys=())

    assert [one.line for one in given.findings] == [
        "file checkpoint: the checkpoint over 600 entries is not vouched for: none of the known keys signed this"
    ]
    assert own_word.verified
    assert any("they are the log's own word" in text for text in own_word.not_checked)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("last_recorded_at = '2001-01-01'", "size 600: the head has another time than the last entry"),
        ("frontier = frontier[1:2]", "size 600: the head contradicts itself: "),
    ],
)
async def test_a_changed_head_is_named(recorded: Recorded, change: str, line: str):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute(f"UPDATE log.head SET {change}")
        (found,) = lines(await verified(dsn, recorded))

    assert found.startswith(line)


@pytest.mark.parametrize(
    ("table", "change", "where"),
    [
        ("entry", "ordinal = NULL WHERE position = 300", "position 300: "),
        ("head", "frontier = NULL", "size 600: "),
        ("head", "last_recorded_at = '0044-03-15 BC'", "size 600: "),
        ("tile", "index = 9223372036854775807 WHERE level = 0 AND index = 1", "tile 0/x009/"),
        ("tile", "hashes = NULL WHERE level = 0 AND index = 1", "tile 0/001: "),
        ("tile", "root = NULL WHERE level = 0 AND index = 0", "tile 0/000: "),
        ("entry", "leaf = NULL WHERE position = 599", "position 599: "),
        ("head", "frontier[1] = NULL", "size 600: "),
        ("tile", "index = -1 WHERE level = 0 AND index = 1", "there is a tile -1 of level 0"),
        ("checkpoint", "root = NULL WHERE size = 400", "size 400: "),
        ("checkpoint", "root = NULL WHERE size = 600", "file checkpoint: "),
        ("checkpoint", "size = -5 WHERE size = 200", "size -5: a checkpoint is stored over so many entries"),
        ("signature", "blob = NULL WHERE size = 400", "size 400: "),
        ("signature", "blob = NULL WHERE size = 600", "file checkpoint: "),
        ("signature", "key_id = NULL WHERE size = 600", "file checkpoint: "),
        ("signature", "size = 300 WHERE size = 200", "size 300: a signature is stored of a checkpoint that is not"),
    ],
)
async def test_what_a_column_cannot_say_is_named_too(recorded: Recorded, table: str, change: str, where: str):
    found = await found_after(recorded, table, f"UPDATE log.{table} SET {change}")
    assert any(line.startswith(where) for line in found), found


async def found_after(recorded: Recorded, table: str, statement: str) -> list[str]:
    """What is found of a log in which something was done to a table that holds its rows to nothing any more."""
    async with tampered(recorded) as (connection, dsn):
        await without_constraints(connection, table)
        await connection.execute(statement)
        return lines(await verified(dsn, recorded))


async def without_constraints(connection: asyncpg.Connection[asyncpg.Record], table: str) -> None:
    named = "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype <> 'n'"
    for row in await connection.fetch(named, f"log.{table}"):
        await connection.execute(f'ALTER TABLE log.{table} DROP CONSTRAINT "{row["conname"]}" CASCADE')
    columns = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND attidentity = ''"
    for row in await connection.fetch(columns, f"log.{table}"):
        await connection.execute(f"ALTER TABLE log.{table} ALTER {row['attname']} DROP NOT NULL")


@pytest.mark.parametrize(
    ("table", "copied", "line"),
    [
        ("head", "SELECT * FROM log.head", "size 600: there are 2 heads, not one"),
        ("entry", "SELECT * FROM log.entry WHERE position = 7", "position 7: the entry is there 2 times"),
    ],
)
async def test_what_is_there_twice_is_named(recorded: Recorded, table: str, copied: str, line: str):
    found = await found_after(recorded, table, f"INSERT INTO log.{table} {copied}")
    assert line in found, found


async def test_a_log_of_which_nothing_is_signed_is_not_verified_where_there_are_keys(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("DELETE FROM log.signature; DELETE FROM log.checkpoint")
        given, published = await verified(dsn, recorded), await verified(dsn, recorded, keys=())
        await connection.execute("DELETE FROM log.verifier")
        neither = await verified(dsn, recorded, keys=())

    missing = ["there are keys, and no checkpoint that they signed: it was deleted, or none was signed yet"]
    assert (lines(given), lines(published)) == (missing, missing)
    assert neither.verified
    assert "a signed checkpoint: there is none that could be believed" in neither.not_checked


async def test_a_head_that_says_more_entries_than_anybody_could_look_for_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("UPDATE log.head SET size = 9000000000000000000")
        report = await asyncio.wait_for(verified(dsn, recorded), timeout=60)

    assert "position 600: there is no entry" in lines(report)


async def test_a_claim_that_rests_on_nothing_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("INSERT INTO log.claim VALUES ('party-identifier', 'x', 7)")
        found = lines(await verified(dsn, recorded))

    assert found == ["position 7: a claim (party-identifier) rests on this position, where no command begins"]


async def test_a_claim_that_is_gone_or_came_after_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute("DELETE FROM log.claim WHERE value = 'XI-LEI:110'")
        await connection.execute("UPDATE log.claim SET position = 200 WHERE value = 'XI-LEI:10'")
        report = await verified(dsn, recorded)

    words = "what the entry claims (party-identifier) is not claimed, and could be taken again"
    assert lines(report) == [
        f"position 10: {words}",
        f"position 110: {words}",
        "position 200: a claim (party-identifier) rests on this position, whose command does not make it",
    ]
    assert [one.code for one in report.findings] == ["claim-missing", "claim-missing", "claim-stray"]


async def test_a_claim_that_nobody_made_is_named(recorded: Recorded, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(database, "CLAIMS", 2)
    async with tampered(recorded) as (connection, dsn):
        await connection.execute(
            "INSERT INTO log.claim SELECT 'party-identifier', n::text, 100 FROM generate_series(1, 3) AS n"
        )
        await connection.execute("INSERT INTO log.claim VALUES ('id', 'topic_x', 0)")
        found = lines(await verified(dsn, recorded))

    made = "rests on this position, whose command does not make it"
    assert found == [f"position 0: a claim (id) {made}", *[f"position 100: a claim (party-identifier) {made}"] * 3]


async def test_a_log_that_was_rewritten_from_the_start_is_caught_by_a_checkpoint_that_was_kept(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        for table in ("signature", "checkpoint", "tile"):
            await connection.execute(f"DELETE FROM log.{table}")
        await rehash(connection, 7, (await bytes_of(connection, 7)).replace(b"Yard", b"Card"))
        leaves = [row["leaf"] for row in await connection.fetch("SELECT leaf FROM log.entry ORDER BY position")]
        frontier = [root_of(leaves[:512]), root_of(leaves[512:576]), root_of(leaves[576:592]), root_of(leaves[592:])]
        await connection.execute("UPDATE log.head SET frontier = $1", frontier)

        (alone,) = (await verified(dsn, recorded)).findings
        (found,) = (await verified(dsn, recorded, against=Earlier(recorded.notes[400], "yesterday"))).findings

    assert alone.code == "checkpoint-missing"
    assert (found.code, found.size) == ("rewritten", 400)
    assert "the first 400 entries are not those that yesterday vouches for: the log was rewritten" in found.line


async def test_yesterdays_backup_is_told_by_todays_checkpoint_and_is_not_signed(cluster: Cluster, tmp_path: Path):
    with cluster.database() as database:
        yesterday = f"{database.name}_yesterday"
        admin = await asyncpg.connect(dsn_for(database.admin_dsn, database="postgres"))
        async with services.running(database, tmp_path, project=False, sign=False) as running:
            await record(running, 0, 100)
            await sign(running)
        await admin.execute(f'CREATE DATABASE "{yesterday}" TEMPLATE "{database.name}"')
        try:
            async with services.running(database, tmp_path, project=False, sign=False) as running:
                await record(running, 100, 10)
                today = Earlier(await sign(running), "today's checkpoint")
                keys = tuple(await running.parts.publication.keys())
            theirs = (database.admin_dsn, database.owner_dsn, database.service_dsn)
            theirs = (*theirs, database.projector_dsn, database.reader_dsn)
            restored = Database(yesterday, *(dsn_for(dsn, database=yesterday) for dsn in theirs))
            known = Recorded(restored, keys, {}, tmp_path / "keys")
            alone = await verified(restored.admin_dsn, known)
            (found,) = (await verified(restored.admin_dsn, known, against=today)).findings
            async with services.running(
                Database(yesterday, *[restored.admin_dsn] * 5), tmp_path, project=False, sign=False
            ) as running:
                with pytest.raises(LogRolledBack):
                    await sign(running)
        finally:
            await admin.execute(f'DROP DATABASE "{yesterday}" WITH (FORCE)')
            await admin.close()

    assert alone.verified
    assert (found.code, found.size) == ("rolled-back", 110)
    assert "the log has 100 entries, and today's checkpoint vouches for 110" in found.line


async def test_checkpoints_that_were_deleted_are_missed_by_what_the_key_ring_remembers(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        assert (await held_by_ring(dsn, recorded)).verified
        await connection.execute(
            "DELETE FROM log.signature WHERE size = 400; DELETE FROM log.checkpoint WHERE size = 400"
        )
        assert (await held_by_ring(dsn, recorded)).verified  # nothing outside says that there was one
        await connection.execute("DELETE FROM log.signature; DELETE FROM log.checkpoint")
        (found,) = (await held_by_ring(dsn, recorded)).findings
        settings = {"REGISTRY_DATABASE_URL": dsn, "REGISTRY_KEY_DIR": str(recorded.ring), "REGISTRY_ORIGIN": ORIGIN}
        said = registry("verify", settings=settings)

    assert (said.returncode, found.line in said.stdout) == (1, True), said.stdout + said.stderr
    assert (found.code, found.size) == ("checkpoint-missing", ENTRIES)
    assert "the key ring remembers that this checkpoint was signed" in found.line


async def test_a_log_that_was_cut_short_with_its_checkpoints_is_told_by_what_the_key_ring_remembers(recorded: Recorded):
    short = 400
    async with tampered(recorded) as (connection, dsn):
        for table in ("signature", "checkpoint"):
            await connection.execute(f"DELETE FROM log.{table} WHERE size > $1", short)
        await connection.execute("DELETE FROM log.claim WHERE position >= $1", short)
        await connection.execute("DELETE FROM log.entry WHERE position >= $1", short)
        await connection.execute("DELETE FROM log.tile WHERE index > 0")
        leaves = [row["leaf"] for row in await connection.fetch("SELECT leaf FROM log.entry ORDER BY position")]
        await connection.execute(
            "UPDATE log.head SET size = $1, frontier = $2, last_recorded_at = "
            "(SELECT recorded_at FROM log.entry ORDER BY position DESC LIMIT 1)",
            short,
            [root_of(leaves[:256]), root_of(leaves[256:384]), root_of(leaves[384:])],
        )
        assert (await verified(dsn, recorded)).verified
        (found,) = (await held_by_ring(dsn, recorded)).findings

    assert (found.code, found.size) == ("rolled-back", ENTRIES)
    assert "the checkpoint that the key ring remembers vouches for 600" in found.line


async def test_a_key_ring_that_cannot_be_read_or_is_of_another_log_is_no_reason_to_accuse_one(
    recorded: Recorded, tmp_path: Path
):
    shutil.copytree(recorded.ring, tmp_path / "ring")
    (tmp_path / "ring" / "signed").write_text("nothing of the kind")
    unread = await held_by_ring(recorded.database.service_dsn, recorded, tmp_path / "ring")
    assert unread.verified
    assert any("the checkpoint that the key ring remembers: " in one for one in unread.not_checked)

    KeyRing(tmp_path / "another").create("log.example/another")
    note = SigningKey("log.example/another", ED25519, bytes(32))
    other = Checkpoint("log.example/another", 10_000, bytes(32))
    KeyRing(tmp_path / "another").remember(other, Note(other.text, (note.sign(other.text),)).encode())
    assert (await held_by_ring(recorded.database.service_dsn, recorded, tmp_path / "another")).verified
    assert (await held_by_ring(recorded.database.service_dsn, recorded, tmp_path / "none")).verified


async def test_a_forged_checkpoint_of_a_name_that_was_given_up_is_named_beyond_the_logs_end_too(
    recorded: Recorded, tmp_path: Path
):
    shutil.copytree(recorded.ring, tmp_path / "keys")
    async with tampered(recorded) as (connection, dsn):
        settings = {"REGISTRY_DATABASE_URL": dsn, "REGISTRY_KEY_DIR": str(tmp_path / "keys"), "REGISTRY_ORIGIN": ORIGIN}
        done = registry("log", "adopt", f"{ORIGIN}-2", "--reason", "the disk was lost", settings=settings)
        assert done.returncode == 0, done.stderr
        await connection.execute(
            "INSERT INTO log.checkpoint SELECT origin, 1000, root, signed_at FROM log.checkpoint LIMIT 1"
        )
        found = lines(await verified(dsn, recorded, keys=()))

    assert found == ["size 1000: the checkpoint is not vouched for: none of the known keys signed this"]


async def test_a_checkpoint_of_a_name_that_the_log_never_had_is_named(recorded: Recorded):
    async with tampered(recorded) as (connection, dsn):
        await connection.execute(
            "DELETE FROM log.checkpoint WHERE size < 600; DELETE FROM log.signature WHERE size < 600"
        )
        async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
            report = await verify(Stored(pool, f"{ORIGIN}-2"), Asked(processes=0))

    (found,) = report.findings
    assert found.code == "name-unknown"
    assert found.line.startswith(f"size 600: the checkpoint is of {ORIGIN}, and the log is {ORIGIN}-2 (")


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (
            "UPDATE log.origin SET reason = 'a drill'",
            "the reason that was signed is 'the disk was lost', not 'a drill'",
        ),
        ("UPDATE log.origin SET adopted_at = adopted_at - interval '1 day'", "the date that was signed is "),
        (
            "ALTER TABLE log.origin ALTER adopted_at DROP NOT NULL; UPDATE log.origin SET adopted_at = NULL",
            "the date that was signed is ",
        ),
        ("UPDATE log.origin SET size = size - 1", "the size that was signed is 600, not 599"),
        ("UPDATE log.origin SET statement = null", "nobody signed it"),
        ("UPDATE log.origin SET statement = replace(statement, 'lost', 'sold'), reason = 'the disk was sold'", "text"),
    ],
)
async def test_what_is_altered_of_the_reason_for_another_name_is_named(
    recorded: Recorded, tmp_path: Path, statement: str, why: str
):
    shutil.copytree(recorded.ring, tmp_path / "keys")
    async with tampered(recorded) as (connection, dsn):
        settings = {"REGISTRY_DATABASE_URL": dsn, "REGISTRY_KEY_DIR": str(tmp_path / "keys"), "REGISTRY_ORIGIN": ORIGIN}
        done = registry("log", "adopt", f"{ORIGIN}-2", "--reason", "the disk was lost", settings=settings)
        assert done.returncode == 0, done.stderr
        keys = (VerifierKey.parse(done.stdout.strip()),)
        before = await verified(dsn, recorded, keys=keys)
        await connection.execute(statement)
        after = await verified(dsn, recorded, keys=keys)

    assert lines(before) == []
    (found,) = [one for one in after.findings if one.code == "adoption-forged"]
    assert f"that {ORIGIN}-2 took the place of {ORIGIN}, when and why, is not vouched for" in found.line
    assert why in found.line
