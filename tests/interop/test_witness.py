"""Another implementation of witnesses (aics-witness, aics-tlog): it cosigns for us, and verifies what we cosign.

It is run, never imported: in processes of its own, from a folder that it is installed into by its hashes. It says that
it needs Python 3.12, and runs on 3.11.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Note, VerifierKey
from events.merkle.proofs import consistency_path
from services.registry.signing.keyring import KeyRing
from services.registry.witness.state import State
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.console import PATIENCE, free_port
from tests.support.service import ORIGIN
from tests.support.witnessing import Log, leaves, witness, witness_key

THEIR_NAME = "witness.other/w1"
FEEDS = """
import json, sys
from pathlib import Path
from aics_witness.feeder import submit_checkpoint

url, key = sys.argv[1:]
proofs = json.loads(Path("proofs").read_text())
for note in sorted(Path().glob("*.note")):
    proof = lambda old, new: [bytes.fromhex(one) for one in proofs[f"{old} {new}"]]
    sys.stdout.write(submit_checkpoint(url, note.read_bytes(), proof, witness_vkey=key))
"""


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the other implementation is installed into."""
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not there, which installs the other implementation")
    folder = tmp_path_factory.mktemp("theirs")
    wanted = Path(__file__).with_name("witness.txt")
    done = subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:",
         "--python", sys.executable, "--python-version", "3.12", "--target", str(folder), "-r", str(wanted)],
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"the other implementation cannot be installed: {done.stderr.strip()}")
    return folder


def run(theirs: Path, *arguments: str, cwd: Path) -> str:
    """Run one of their commands and return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(theirs)},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def their_witness(theirs: Path, folder: Path, log_key: VerifierKey) -> Iterator[tuple[VerifierKey, str]]:
    """Their witness over HTTP, knowing our log; its key, and where it is."""
    port = free_port()
    listen = f"127.0.0.1:{port}"
    module = ("-m", "aics_witness")
    made = run(theirs, *module, "init", "-c", "w.json", "--name", THEIR_NAME, "--listen", listen, cwd=folder)
    added = ("add-log", "-c", "w.json", "--origin", log_key.name, "--vkey", log_key.text)
    run(theirs, *module, *added, cwd=folder)
    with (folder / "journal").open("wb") as journal:
        process = subprocess.Popen(
            [sys.executable, *module, "serve", "-c", "w.json"],
            env={**os.environ, "PYTHONPATH": str(theirs)},
            cwd=folder,
            stdout=journal,
            stderr=journal,
        )
    try:
        yield VerifierKey.parse(made.strip().splitlines()[-1]), f"http://{listen}"
    finally:
        process.terminate()
        process.wait(PATIENCE)


async def test_their_witness_cosigns_our_log_and_their_verifier_accepts_what_we_publish(
    theirs: Path, database: Database, tmp_path: Path
):
    log_key = KeyRing(tmp_path / "keys").create(ORIGIN).verifier
    with their_witness(theirs, tmp_path, log_key) as (key, url):
        (tmp_path / "witnesses").write_text(f"witness {key.text} {url}\nquorum 1\n")
        more = {"witness_file": tmp_path / "witnesses", "checkpoint_seconds": 0.05, "project": False}
        async with services.running(database, tmp_path, **more) as service:
            for size in (1, 2, 3, 4):
                await service.post("/v1/parties", {"name": "Yard", "kind": "company", "country": "NO"})
                async with asyncio.timeout(PATIENCE):
                    answer = await service.client.get("/log/checkpoint")
                    while answer.headers.get("registry-size") != str(size) or answer.status_code != 200:
                        await asyncio.sleep(0.05)  # another process, which takes its time to start
                        answer = await service.client.get("/log/checkpoint")
            assert Checkpoint.verified(answer.content, [log_key], origin=ORIGIN).size == 4
            assert Note.parse(answer.content).verify([key]) == (key,)
    (tmp_path / "note").write_bytes(answer.content)
    await asyncio.to_thread(
        lambda: run(
            theirs, "-m", "aics_tlog", "verify-checkpoint", "--note", "note", "--log-key", log_key.text,
            "--witness-key", key.text, "--quorum", "1", "--max-age", "600", "--origin", ORIGIN, cwd=tmp_path,
        )
    )  # fmt: skip
    await check_log(database.admin_dsn)


async def test_their_client_has_our_witness_cosign_a_log_that_grows_and_verifies_what_it_gets(
    theirs: Path, tmp_path: Path
):
    log, hashes, key, sizes = Log(), leaves("main", 40), witness_key(), (3, 8, 40)
    proofs = {
        f"{old} {new}": [one.hex() for one in consistency_path(hashes, old, new)] if old else []
        for old in (0, *sizes)
        for new in sizes
        if old <= new
    }
    (tmp_path / "proofs").write_text(json.dumps(proofs))
    (tmp_path / "feed.py").write_text(FEEDS)
    for size in sizes:
        (tmp_path / f"{size:02}.note").write_bytes(log.note(log.checkpoint(hashes, size)))
    served = witness(tmp_path / "w", key, origin=log.origin, log_keys=[log.key])
    async with served:
        given = await asyncio.to_thread(lambda: run(theirs, "feed.py", served.url, key.verifier.text, cwd=tmp_path))
    assert given.count(f"\u2014 {key.name} ") == len(sizes)
    assert State(tmp_path / "w").all()[0].size == sizes[-1]
