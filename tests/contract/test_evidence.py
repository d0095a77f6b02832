"""Evidence packs: what is in one, and that it is checked without the registry, by the program in it and by hand."""

from __future__ import annotations

import ast
import hashlib
import html
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from events.entry import leaf_hash
from events.merkle.checkpoint import Checkpoint, ProofFile
from events.merkle.note import COSIGNATURE, Note, VerifierKey
from services.registry.access.record import runs
from services.registry.evidence import verify as program
from services.registry.evidence.contents import gather
from services.registry.evidence.pack import Packer, verifier
from services.registry.signing.keyring import KeyRing
from services.registry.verify.pack import verify_pack
from tests.support import service as services
from tests.support import world as worlds
from tests.support.check_log import check_log
from tests.support.cluster import Cluster
from tests.support.exporting import register, sign
from tests.support.refusals import refused
from tests.support.service import ORIGIN, Service
from tests.support.world import PERSON, TEXT, World, cite, meeting

pytestmark = pytest.mark.asyncio(loop_scope="module")

json_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
FIELDS = st.sampled_from([*program.FIELDS, *program.OF_DOCUMENT, *program.AIDS])
SECOND = "A second text. Nothing of it was true."


def json_nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(FIELDS | st.text(), inner, max_size=7)


async def build(service: Service) -> World:
    """A world, more parties than a tile has leaves, and a cooperation that names and cites some of everything."""
    world = await worlds.build(service)
    await register(service, 300)
    sha256 = await service.file(SECOND)
    await world.record("second", "/v1/sources", worlds.source(sha256, title="Second", size=len(SECOND)))
    cited = {"source": "$second", "start": 2, "end": 8}
    talks = {"topic": {"kind": "dialogue", "subject": "of the second source"}, "citations": [cited]}
    await world.record("cited", "/v1/cooperations/$cooperation/topics", talks)
    met = meeting(
        occasion="$occasion",
        participants=[{"party": "$ministry", "person": "$person"}, {"party": "$company"}],
        citations=[cite("they agreed on a roadmap")],
        classification="restricted",
    )
    await world.record("met", "/v1/cooperations/$cooperation/meetings", met)
    await sign(service)
    return world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    with cluster.database() as database:
        async with services.running(database, tmp_path_factory.mktemp("evidence")) as running:
            yield await build(running)
        await check_log(database.admin_dsn)


async def get(world: World, cooperation: str = "$cooperation") -> Any:
    answer = await world.service.client.get(world.fill(f"/v1/cooperations/{cooperation}/evidence"))
    assert answer.status_code == 200, answer.text
    return answer


def unpacked(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def laid_out(files: dict[str, bytes], folder: Path) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def verify(*arguments: str | Path, script: Path) -> subprocess.CompletedProcess[str]:
    """Run the program as a stranger does: no packages, no site, no environment."""
    command = [sys.executable, "-I", "-S", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env={})


async def test_a_pack_has_the_entries_of_a_cooperation_and_of_what_it_names_each_with_its_proof(world: World):
    answer = await get(world)
    files = unpacked(answer.content)

    assert answer.headers["content-type"] == "application/zip"
    evidence = json.loads(files["evidence.json"])
    checkpoint = await world.service.client.get("/log/checkpoint")
    assert files["checkpoint"] == checkpoint.content
    assert files["keys"] == (await world.service.client.get("/log/keys")).content
    size = Checkpoint.parse(checkpoint.text.rpartition("\n\n")[0] + "\n").size
    assert (evidence["cooperation"], evidence["size"], evidence["origin"]) == (world.ids["cooperation"], size, ORIGIN)
    assert answer.headers["registry-size"] == str(size)
    keys = [VerifierKey.parse(line) for line in files["keys"].decode().splitlines()]
    streams = set()
    for position in evidence["entries"]:
        entry = files[f"entries/{position}.json"]
        assert entry == (await world.service.client.get(f"/v1/log/entries/{position}")).content
        proof = ProofFile.parse(files[f"proofs/{position}.tlog-proof"])
        assert proof.index == position
        proof.verify(leaf_hash(entry), keys, origin=ORIGIN)
        streams.add(json.loads(entry)["subject"])
    named = ("party/$ministry", "party/$company", "person/$person", "occasion/$occasion", "source/$report")
    assert streams == {world.fill(one) for one in (*named, "source/$second", "cooperation/$cooperation")}


async def test_the_documents_that_are_cited_are_in_it_as_they_were_filed(world: World):
    files = unpacked((await get(world)).content)
    documents = {name: content for name, content in files.items() if name.startswith("documents/")}
    expected = {hashlib.sha256(text.encode()).hexdigest(): text.encode() for text in (TEXT, SECOND)}
    assert documents == {f"documents/{sha256}": text for sha256, text in expected.items()}
    listed = json.loads(files["evidence.json"])["documents"]
    assert {(one["sha256"], one["source"]) for one in listed} == {
        (hashlib.sha256(TEXT.encode()).hexdigest(), world.ids["report"]),
        (hashlib.sha256(SECOND.encode()).hexdigest(), world.ids["second"]),
    }
    assert not any(one["withdrawn"] for one in listed)


async def test_the_same_content_gives_the_same_bytes(world: World):
    assert (await get(world)).content == (await get(world)).content


async def test_no_name_of_a_person_is_in_it(world: World):
    content = (await get(world)).content
    assert [half for half in PERSON.split() if half.encode() in content] == []


async def test_who_got_one_is_on_record_with_the_entries_above_public(world: World):
    answer = await get(world)
    entries = {name: content for name, content in unpacked(answer.content).items() if name.startswith("entries/")}
    above = [int(json.loads(one)["sequence"]) for one in entries.values() if b'"classification":"public"' not in one]
    seen = (await world.service.get("/v1/access", min_size=0, what="evidence-pack", limit=1))["items"][0]
    assert seen["detail"] == {
        "subject": world.fill("cooperation/$cooperation"),
        "size": int(answer.headers["registry-size"]),
        "positions": runs(above),
    }


# Checked by the program in it


async def test_the_program_in_it_verifies_it_with_nothing_but_python(world: World, tmp_path: Path):
    answer = await get(world)
    files = unpacked(answer.content)
    folder = laid_out(files, tmp_path / "pack")
    (tmp_path / "pack.zip").write_bytes(answer.content)
    key = files["keys"].decode().splitlines()[0]

    for arguments in ([], [folder], [tmp_path / "pack.zip"], ["--key", key, folder]):
        done = verify(*arguments, script=folder / "verify.py")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "WRONG" not in done.stdout
        assert done.stdout.endswith("All of it is right.\n")
        assert ("Nobody said which key" in done.stdout) == ("--key" not in arguments)
    lines = done.stdout.splitlines()
    for name in files:
        if name.startswith(("entries/", "documents/")):
            assert sum(f" {name}:" in line for line in lines) == 1, name
    assert sum("a citation in entry" in line for line in lines) == 2


async def test_a_pack_that_is_signed_by_another_key_than_the_one_given_is_refused(world: World, tmp_path: Path):
    folder = laid_out(unpacked((await get(world)).content), tmp_path / "pack")
    other = KeyRing(tmp_path / "keys").create(ORIGIN).verifier.text
    done = verify("--key", other, script=folder / "verify.py")
    assert done.returncode == 1
    assert "WRONG  checkpoint: none of the keys signed it" in done.stdout

    misspelt = verify("--key", other[:-3] + "AAA", script=folder / "verify.py")
    assert (misspelt.returncode, misspelt.stdout) == (2, "")


async def test_what_is_there_besides_or_missing_is_told(world: World, tmp_path: Path):
    folder = laid_out(unpacked((await get(world)).content), tmp_path / "pack")
    (folder / "documents" / ("0" * 64)).write_bytes(b"planted")
    assert "documents/000" in verify(script=folder / "verify.py").stdout
    (folder / "documents" / ("0" * 64)).unlink()
    position = json.loads((folder / "evidence.json").read_bytes())["entries"][0]
    (folder / f"proofs/{position}.tlog-proof").unlink()
    done = verify(script=folder / "verify.py")
    assert done.returncode == 1
    assert f"WRONG  entries/{position}.json: proofs/{position}.tlog-proof cannot be read" in done.stdout


async def test_an_entry_that_was_left_out_leaves_a_gap(world: World, tmp_path: Path):
    folder = laid_out(unpacked((await get(world)).content), tmp_path / "pack")
    evidence = json.loads((folder / "evidence.json").read_bytes())
    said = {one: json.loads((folder / f"entries/{one}.json").read_bytes()) for one in evidence["entries"]}
    own = [one for one, entry in said.items() if entry["subject"] == world.fill("cooperation/$cooperation")]
    evidence["entries"].remove(own[1])
    (folder / "evidence.json").write_text(
        json.dumps(evidence, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    )
    (folder / f"entries/{own[1]}.json").unlink()
    (folder / f"proofs/{own[1]}.tlog-proof").unlink()
    done = verify(script=folder / "verify.py")
    assert done.returncode == 1
    assert f"WRONG  streams: entry {own[2]} does not follow" in done.stdout


async def test_what_is_no_pack_is_refused_without_a_traceback(tmp_path: Path):
    script = tmp_path / "verify.py"
    script.write_bytes(verifier())
    (tmp_path / "empty").mkdir()
    (tmp_path / "noise.zip").write_bytes(b"PK\x03\x04" + bytes(range(256)))
    assert verify(tmp_path / "nothing", script=script).returncode == 2
    for path in ("empty", "noise.zip"):
        done = verify(tmp_path / path, script=script)
        assert (done.returncode, done.stderr) == (1, ""), path


async def test_the_program_keeps_to_what_python_3_9_has():
    source = verifier().decode()
    ast.parse(source, feature_version=(3, 9))
    imported = re.findall(r"^(?:from|import) ([a-z0-9_]+)", source, re.MULTILINE)
    assert set(imported) <= sys.stdlib_module_names


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packed")


async def altered(world: World, packed: Path, data: st.DataObject) -> tuple[Path, bytes]:
    """Alter a byte of a file of the pack; returns the file, and what it was."""
    if not (packed / "pack").exists():
        laid_out(unpacked((await get(world)).content), packed / "pack")
        (packed / "pristine.py").write_bytes(verifier())
    names = sorted(str(one.relative_to(packed / "pack")) for one in (packed / "pack").rglob("*") if one.is_file())
    path = packed / "pack" / data.draw(st.sampled_from(names), "file")
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 1), "at")
    other = data.draw(st.integers(1, 255), "xor")
    path.write_bytes(content[:at] + bytes([content[at] ^ other]) + content[at + 1 :])
    return path, content


@given(data=st.data())
@settings(max_examples=20, deadline=None)
async def test_whatever_byte_of_whatever_file_is_altered_the_program_says_so(
    world: World, packed: Path, data: st.DataObject
):
    path, content = await altered(world, packed, data)
    try:
        done = verify(packed / "pack", script=packed / "pristine.py")
        assert (done.returncode, done.stderr) == (1, "")
        assert "WRONG" in done.stdout
    finally:
        path.write_bytes(content)


@given(data=st.data())
@settings(max_examples=300, deadline=None)
async def test_whatever_byte_of_whatever_file_is_altered_it_is_found(world: World, packed: Path, data: st.DataObject):
    path, content = await altered(world, packed, data)
    try:
        lines: list[str] = []
        check = program.Check(program.Pack(packed / "pack"), [], lines.append)
        check.run()
        assert check.wrong > 0, "\n".join(lines)
    finally:
        path.write_bytes(content)


@given(evidence=st.binary() | st.recursive(json_scalars, json_nested).map(lambda value: json.dumps(value).encode()))
async def test_whatever_a_pack_says_of_itself_the_program_answers(
    tmp_path_factory: pytest.TempPathFactory, evidence: bytes
):
    folder = tmp_path_factory.mktemp("said")
    (folder / "evidence.json").write_bytes(evidence)
    check = program.Check(program.Pack(folder), [], lambda _line: None)
    check.run()
    assert check.wrong > 0


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(), flip=st.none() | st.integers(0, 511))
@settings(max_examples=50, deadline=None)
async def test_the_program_knows_ed25519_as_others_do(seed: bytes, message: bytes, flip: int | None):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    signature = bytearray(key.sign(message))
    if flip is not None:
        signature[flip // 8] ^= 1 << flip % 8
    assert program.ed25519(key.public_key().public_bytes_raw(), message, bytes(signature)) == (flip is None)


async def test_a_witness_s_key_may_be_the_one_that_is_trusted(tmp_path: Path):
    key = KeyRing(tmp_path).create("witness.test/w1", COSIGNATURE)
    text = "registry.test/log\n1\nAAAA\n"
    raw = Note(text, (key.sign(text, 1_700_000_000),)).encode()
    trusted = program.key_of(key.verifier.text)
    assert program.verified_note(raw, [trusted]) == (text, [trusted])
    with pytest.raises(program.Wrong):
        program.verified_note(raw.replace(b"log", b"lag"), [trusted])


# Checked by hand, as the page says


async def test_the_page_asks_nothing_of_the_network_and_its_commands_verify_the_pack(world: World, tmp_path: Path):
    files = unpacked((await get(world)).content)
    page = files["README.html"].decode()
    assert "{{" not in page
    assert not re.search(r"(src|href)\s*=|@import|url\(|<script", page)
    assert world.ids["cooperation"] in page
    commands = [html.unescape(one) for one in re.findall(r'<pre class="run">(.*?)</pre>', page, re.DOTALL)]
    assert len(commands) == 3
    folder = laid_out(files, tmp_path / "pack")

    def by_hand(position: int) -> subprocess.CompletedProcess[str]:
        script = re.sub(r"(?m)^position=.*", f"position={position}", "\n".join(commands))
        return subprocess.run(["/bin/sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)

    position = -1
    for position in json.loads(files["evidence.json"])["entries"]:
        done = by_hand(position)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Signature Verified Successfully" in done.stdout
        assert f"Entry {position} is in the log." in done.stdout
        assert done.stdout.count("is what was filed.") == 2
    assert verify(script=folder / "verify.py").returncode == 0  # nothing was left in the pack
    (folder / f"entries/{position}.json").write_bytes(files[f"entries/{position}.json"].replace(b"1", b"2", 1))
    assert f"Entry {position}: WRONG" in by_hand(position).stdout
    document = next((folder / "documents").iterdir())
    document.write_bytes(document.read_bytes() + b".")
    assert f"{document.name}: WRONG" in by_hand(position).stdout
    (folder / "checkpoint").write_bytes(files["checkpoint"].replace(b"\n320\n", b"\n319\n"))
    assert "Signature Verified Successfully" not in by_hand(position).stdout


# What there is not


async def test_a_cooperation_that_there_is_not_has_no_evidence(world: World):
    for key in ("$no_cooperation", "$ministry", "x", "%00", "coop_%FF"):
        answer = await world.service.client.get(world.fill(f"/v1/cooperations/{key}/evidence"))
        refused(answer, 404, "not-found", "?id")


async def test_a_pack_takes_no_parameters(world: World):
    path = world.fill("/v1/cooperations/$cooperation/evidence?size=3&as_of=1")
    refused(await world.service.client.get(path), 422, "invalid-field", "?size", "?as_of")


async def test_what_no_checkpoint_covers_yet_has_to_be_waited_for(cluster: Cluster, tmp_path: Path):
    with cluster.database() as database:
        async with services.running(database, tmp_path) as service:
            world = World(service)
            await world.record("one", "/v1/parties", worlds.party("One"))
            await world.record("two", "/v1/parties", worlds.party("Two"))
            await world.record("cooperation", "/v1/cooperations", {"title": "New", "parties": ["$one", "$two"]})
            answer = await service.client.get(world.fill("/v1/cooperations/$cooperation/evidence"))
            assert (answer.status_code, answer.json()["code"]) == (503, "not-signed")
            await sign(service)
            assert (await get(world)).status_code == 200
            await world.record("later", "/v1/cooperations", {"title": "Later", "parties": ["$one", "$two"]})
            answer = await service.client.get(world.fill("/v1/cooperations/$later/evidence"))
            assert (answer.status_code, answer.json()["code"]) == (503, "not-signed")
            assert "retry-after" in answer.headers


# What was destroyed


async def test_a_pack_after_an_erasure_and_a_withdrawal_holds_neither_and_verifies(cluster: Cluster, tmp_path: Path):
    with cluster.database() as database:
        async with services.running(database, tmp_path) as service:
            world = await build(service)
            assert SECOND.encode() in (await get(world)).content
            why = {"authority": "the court", "reason": "asked"}
            await service.post(world.fill("/v1/people/$person/erase"), why)
            await service.post(world.fill("/v1/sources/$second/withdraw"), why)
            await sign(service)
            answer = await get(world)
            assert [half for half in PERSON.split() if half.encode() in answer.content] == []
            assert SECOND.encode() not in answer.content
            files = unpacked(answer.content)
            withdrawn = [one for one in json.loads(files["evidence.json"])["documents"] if one["withdrawn"]]
            assert [one["source"] for one in withdrawn] == [world.ids["second"]]
            done = verify(script=laid_out(files, tmp_path / "pack") / "verify.py")
            assert done.returncode == 0, done.stdout
            assert "cannot be read any more" in done.stdout
        await check_log(database.admin_dsn)


WHY = {"authority": "the court", "reason": "asked"}


async def withdraw(world: World, name: str) -> None:
    await world.service.post(world.fill(f"/v1/sources/${name}/withdraw"), WHY)


async def another_over_it(world: World) -> Any:
    """Record a source over the second document, which nothing of the cooperation names."""
    source = worlds.source(hashlib.sha256(SECOND.encode()).hexdigest(), title="Also", size=len(SECOND))
    return await world.record("also", "/v1/sources", source)


async def replaced(world: World, name: str, at: int) -> int:
    """Correct a source to the first document; returns the position of the correction."""
    replacement = worlds.source(hashlib.sha256(TEXT.encode()).hexdigest(), title=name)
    body = {"replacement": replacement, "reason": "the wrong one"}
    answer = await world.service.post(f"/v1/log/entries/{at}/correct", body)
    return int(answer["entries"][0]["position"])


async def first_of_others(world: World) -> None:
    """The cited source first, and one that nothing names last."""
    await another_over_it(world)
    await withdraw(world, "second")
    await withdraw(world, "also")


async def last_of_others(world: World) -> None:
    await another_over_it(world)
    await withdraw(world, "also")
    await withdraw(world, "second")


async def moved_away_after_a_withdrawal(world: World) -> None:
    """The other is withdrawn, and the source that is cited was over the document by mistake: that goes with it."""
    also = await another_over_it(world)
    await withdraw(world, "second")
    await replaced(world, "Also", also["entries"][0]["position"])


async def retracted_after_a_withdrawal(world: World) -> None:
    also = await another_over_it(world)
    await withdraw(world, "second")
    await world.service.post(f"/v1/log/entries/{also['entries'][0]['position']}/retract", {"reason": "never was"})


async def withdrawn_under_another(world: World) -> None:
    """What is cited is over the document no more; one that nothing names is, and is withdrawn."""
    third = TEXT[:2] + SECOND[2:8] + TEXT[8:]
    await world.service.file(third)
    await another_over_it(world)
    replacement = worlds.source(hashlib.sha256(third.encode()).hexdigest(), title="Second", size=len(third))
    at = (await world.service.parts.log.read_stream(world.fill("source/$second")))[0].position
    await world.service.post(f"/v1/log/entries/{at}/correct", {"replacement": replacement, "reason": "the wrong one"})
    await withdraw(world, "also")


WITHDRAWALS = (
    first_of_others,
    last_of_others,
    moved_away_after_a_withdrawal,
    retracted_after_a_withdrawal,
    withdrawn_under_another,
)


@pytest.mark.parametrize("destroy", WITHDRAWALS)
async def test_a_pack_shows_why_a_document_was_destroyed_whatever_sources_were_over_it(
    cluster: Cluster, tmp_path: Path, destroy: Callable[[World], Awaitable[None]]
):
    with cluster.database() as database:
        async with services.running(database, tmp_path, sign=False) as service:
            world = await build(service)
            await destroy(world)
            answer = await service.client.get(world.fill("/v1/cooperations/$cooperation/evidence"))
            assert (answer.status_code, answer.json()["code"]) == (503, "not-signed")
            await sign(service)
            answer = await get(world)
            files = unpacked(answer.content)
            sha256 = hashlib.sha256(SECOND.encode()).hexdigest()
            documents = json.loads(files["evidence.json"])["documents"]
            assert {one["withdrawn"] for one in documents if one["sha256"] == sha256} == {True}
            assert SECOND.encode() not in answer.content

            done = verify(script=laid_out(files, tmp_path / "pack") / "verify.py")
            assert done.returncode == 0, done.stdout
            (tmp_path / "pack.zip").write_bytes(answer.content)
            report = verify_pack(tmp_path / "pack.zip", ())
            assert [one.line for one in report.findings] == []
        await check_log(database.admin_dsn)


async def test_a_document_that_is_withdrawn_while_its_pack_is_made_is_not_taken_on_trust(
    cluster: Cluster, tmp_path: Path
):
    with cluster.database() as database:
        async with services.running(database, tmp_path, sign=False) as service:
            world = await build(service)
            parts, cooperation = service.parts, world.ids["cooperation"]
            signed = await parts.publication.checkpoint()
            contents = await gather(parts.log, parts.vault, cooperation, signed.checkpoint.size)
            await withdraw(world, "second")
            packer = Packer(parts.log, parts.tree, parts.vault)
            pack = b"".join([part async for part in packer.pack(contents, signed, await parts.publication.keys())])

            done = verify(script=laid_out(unpacked(pack), tmp_path / "pack") / "verify.py")
            assert done.returncode == 1
            assert "no entry withdraws a source that it was the document of" in done.stdout
            (tmp_path / "pack.zip").write_bytes(pack)
            report = verify_pack(tmp_path / "pack.zip", ())
            assert [one.code for one in report.findings] == ["document-not-withdrawn"]
        await check_log(database.admin_dsn)
