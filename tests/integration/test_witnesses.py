"""A registry and its witnesses, over HTTP: what is published while they are there, away, lying, or silent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from litestar import Response

from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Note, Signature, SigningKey, VerifierKey
from events.merkle.witnessing import Submission, encode_signatures
from events.vault import MasterKey
from services.registry import main
from services.registry.signing.keyring import KeyRing
from services.registry.signing.policy import Policy, Witness
from services.registry.signing.signer import Signer
from services.registry.signing.witnesses import Mood, Patience, Witnesses
from services.registry.witness.state import State
from tests.support import console
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.service import ORIGIN, Service
from tests.support.witnessing import Log, Served, all_of, answering, leaves, witness, witness_key

KEYS = [witness_key(f"witness.test/w{number}", seed=number) for number in (1, 2, 3)]
IMPATIENT = Patience(request=0.5, first=0.05, most=0.1)
SECONDS = 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Witnesses are asked again at once, so that a test need not wait for them."""
    monkeypatch.setattr(main, "Witnesses", lambda *parts, **more: Witnesses(*parts, **more, patience=IMPATIENT))


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The journal's lines."""
    capture = structlog.testing.LogCapture()
    monkeypatch.setattr("services.registry.journal.logger", lambda: structlog.wrap_logger(None, [capture]))
    return capture.entries


@asynccontextmanager
async def registry(
    database: Database, folder: Path, served: Sequence[tuple[SigningKey, Served]], *, quorum: int
) -> AsyncIterator[Service]:
    file = folder / "witnesses"
    lines = [f"witness {key.verifier.text} {one.url}" for key, one in served]
    file.write_text("\n".join([*lines, f"quorum {quorum}", ""]))
    async with services.running(database, folder, project=False, witness_file=file, checkpoint_seconds=0.05) as service:
        yield service
    await check_log(database.admin_dsn)


def honest(folder: Path, number: int) -> tuple[SigningKey, Served]:
    """A witness that knows the key that `settings_for` has made, or is about to make."""
    ring = KeyRing(folder / "keys")
    log_key = next(iter(ring.keys(ORIGIN)), None) or ring.create(ORIGIN)
    key = KEYS[number - 1]
    return key, witness(folder / f"w{number}", key, origin=ORIGIN, log_keys=[log_key])


async def record(service: Service) -> int:
    await service.post("/v1/parties", {"name": "Yard", "kind": "company", "country": "NO"})
    return (await service.parts.log.head()).size


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await holds():  # noqa: ASYNC110 - told over HTTP, by which nobody is woken
            await asyncio.sleep(0.01)


async def published(service: Service) -> tuple[Checkpoint, set[str]] | None:
    """The published checkpoint, verified with the log's key, and which witnesses have cosigned it, verified too."""
    answer = await service.client.get("/log/checkpoint")
    if answer.status_code == 503:
        assert answer.json()["code"] == "not-signed"
        return None
    keys = (await service.client.get("/log/keys")).text.splitlines()
    note = Note.parse(answer.content)
    checkpoint = Checkpoint.verified(answer.content, [VerifierKey.parse(key) for key in keys])
    witnesses = [key.verifier for key in KEYS if any(one.is_of(key.verifier) for one in note.signatures)]
    return checkpoint, {key.name for key in note.verify(witnesses)} if witnesses else set()


async def published_with(service: Service, size: int, *numbers: int) -> None:
    """Wait until the checkpoint over so many entries is published with the cosignatures of exactly these witnesses."""
    names = {KEYS[number - 1].name for number in numbers}

    async def holds() -> bool:
        found = await published(service)
        return found is not None and found[0].size == size and found[1] == names

    await until(holds)


async def stands(service: Service, mood: Mood, number: int = 1) -> str:
    """Wait until a witness stands so to the log, and return why."""
    witnesses = service.parts.witnesses
    assert witnesses is not None

    async def holds() -> bool:
        return witnesses.standings[number - 1].mood is mood

    await until(holds)
    return witnesses.standings[number - 1].why


async def test_two_witnesses_cosign_every_newest_checkpoint(database: Database, tmp_path: Path):
    one, two = honest(tmp_path, 1), honest(tmp_path, 2)
    async with all_of(one[1], two[1]), registry(database, tmp_path, [one, two], quorum=2) as service:
        await published_with(service, 0, 1, 2)
        for _ in range(3):
            await published_with(service, await record(service), 1, 2)
        for folder in ("w1", "w2"):
            assert State(tmp_path / folder).all()[0].size == 3


async def test_without_enough_cosignatures_the_last_checkpoint_that_had_them_stands(
    database: Database, tmp_path: Path, told: list[Any]
):
    one, two = honest(tmp_path, 1), honest(tmp_path, 2)
    async with one[1], registry(database, tmp_path, [one, two], quorum=2) as service:
        async with all_of(two[1]):
            await published_with(service, await record(service), 1, 2)
        for size in (2, 3, 4):
            assert await record(service) == size
            assert service.parts.signer is not None
            assert (await service.parts.signer.sign()).checkpoint.size == size
            await until(lambda size=size: cosigned_by(service, 1, size))
        assert "it cannot be reached" in await stands(service, Mood.FAILS, 2)
        found = await published(service)
        assert found is not None
        assert found[0].size == 1
        assert (await service.client.get("/health/ready")).status_code in (200, 503)
        await two[1].__aenter__()
        await published_with(service, 4, 1, 2)
        await two[1].__aexit__()
    lines = [line for line in told if line.get("witness") == "witness.test/w2"]
    assert [line["event"] for line in lines] == ["witness_cosigns", "witness_fails", "witness_cosigns"]
    assert [line["event"] for line in told if line["event"].startswith("quorum")] == [
        "quorum_reached", "quorum_missed", "quorum_reached"
    ]  # fmt: skip


async def cosigned_by(service: Service, number: int, size: int) -> bool:
    keys = [KEYS[number - 1].verifier]
    found = await service.parts.checkpoints.published(ORIGIN, keys, 1)
    return found is not None and found.checkpoint.size == size


async def test_no_proof_shows_a_checkpoint_that_too_few_have_cosigned(database: Database, tmp_path: Path):
    one = honest(tmp_path, 1)
    async with registry(database, tmp_path, [one], quorum=1) as service:
        async with one[1]:
            await published_with(service, await record(service), 1)
        await record(service)
        assert service.parts.signer is not None
        assert (await service.parts.signer.sign()).checkpoint.size == 2

        assert await checkpoint_in_proof(service, 1) is not None
        assert await checkpoint_in_proof(service, 2) is None
        async with one[1]:
            await published_with(service, 2, 1)
        assert await checkpoint_in_proof(service, 2) is not None


async def checkpoint_in_proof(service: Service, size: int) -> str | None:
    """Return what a proof at a size gives as its checkpoint, as JSON; as a file it is given or refused alike."""
    path, query = "/v1/log/entries/0/proof", {"size": str(size)}
    found: str | None = (await service.client.get(path, params=query)).json()["checkpoint"]
    file = await service.client.get(path, params=query, headers={"Accept": "text/plain"})
    assert file.status_code == (422 if found is None else 200)
    assert found is None or file.text.endswith(found)
    return found


async def test_one_of_two_is_enough_for_a_quorum_of_one(database: Database, tmp_path: Path):
    one, two = honest(tmp_path, 1), honest(tmp_path, 2)
    async with one[1], registry(database, tmp_path, [one, two], quorum=1) as service:
        await published_with(service, await record(service), 1)


async def test_before_there_are_enough_cosignatures_nothing_is_published_and_after_a_restart_it_is_as_it_was(
    database: Database, tmp_path: Path
):
    one, two = honest(tmp_path, 1), honest(tmp_path, 2)
    async with registry(database, tmp_path, [one, two], quorum=1) as service:
        await record(service)
        await stands(service, Mood.FAILS)
        assert await published(service) is None
    async with one[1], registry(database, tmp_path, [one, two], quorum=1) as service:
        await published_with(service, 1, 1)
    async with registry(database, tmp_path, [one, two], quorum=1) as service:
        await record(service)
        await published_with(service, 1, 1)


async def test_without_a_quorum_cosignatures_are_published_when_they_come(database: Database, tmp_path: Path):
    one = honest(tmp_path, 1)
    async with registry(database, tmp_path, [one], quorum=0) as service:
        size = await record(service)
        await published_with(service, size)
        async with one[1]:
            await published_with(service, size, 1)


async def test_a_witness_that_has_cosigned_before_is_asked_from_there(database: Database, tmp_path: Path):
    one = honest(tmp_path, 1)
    async with one[1]:
        async with registry(database, tmp_path, [one], quorum=1) as service:
            await record(service)
            await published_with(service, await record(service), 1)
        async with registry(database, tmp_path, [one], quorum=1) as service:
            await record(service)
            await record(service)
            await published_with(service, await record(service), 1)


async def test_a_wrong_cosignature_is_not_kept(database: Database, tmp_path: Path, told: list[Any]):
    one = honest(tmp_path, 1)
    asked: list[bytes] = []

    async def lies(raw: bytes) -> Response[bytes]:
        asked.append(raw)
        text = Note.parse(Submission.parse(raw).note).text
        wrong = KEYS[1].sign(text, 1)
        return Response(encode_signatures([turned(wrong)]), status_code=200, media_type="text/plain")

    two = (KEYS[1], answering(lies))
    async with all_of(one[1], two[1]), registry(database, tmp_path, [one, two], quorum=1) as service:
        size = await record(service)
        assert "not one" in await stands(service, Mood.FAILS, 2)
        await published_with(service, size, 1)
        rows = await service.parts.pool.fetch("SELECT 1 FROM log.signature WHERE name = $1", KEYS[1].name)
        assert rows == []
        assert asked
    assert [line["event"] for line in told if line.get("witness") == KEYS[1].name] == ["witness_fails"]


def turned(signature: Signature) -> Signature:
    """The signature with its last byte turned."""
    return msgspec.structs.replace(signature, blob=signature.blob[:-1] + bytes([signature.blob[-1] ^ 1]))


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"", "not one"),
        (200, b"x" * 70_000, "more than 65536 bytes"),
        (409, b"many\n", "409, and not with a size"),
        (409, b"0\n", "409"),
        (404, b"", "does not know the log registry.test/log"),
        (403, b"", "does not know the key"),
        (422, b"", "422"),
        (500, b"", "500"),
        (307, b"", "307"),
    ],
)
async def test_a_witness_that_answers_amiss_fails_and_nothing_else_does(
    database: Database, tmp_path: Path, status: int, body: bytes, why: str
):
    async def amiss(_: bytes) -> Response[bytes]:
        return Response(body, status_code=status, media_type="text/plain")

    one = (KEYS[0], answering(amiss))
    async with one[1], registry(database, tmp_path, [one], quorum=0) as service:
        size = await record(service)
        assert why in await stands(service, Mood.FAILS)
        await published_with(service, size)


async def test_a_witness_that_hangs_delays_neither_signing_nor_the_others_beyond_its_time(
    database: Database, tmp_path: Path
):
    one = honest(tmp_path, 1)
    released = asyncio.Event()

    async def hangs(_: bytes) -> Response[bytes]:
        await released.wait()
        return Response(b"", media_type="text/plain")

    two = (KEYS[1], answering(hangs))
    async with all_of(one[1], two[1]), registry(database, tmp_path, [one, two], quorum=1) as service:
        for _ in range(3):
            size = await record(service)
            async with asyncio.timeout(SECONDS):
                assert service.parts.signer is not None
                assert (await service.parts.signer.sign()).checkpoint.size == size
            await published_with(service, size, 1)
        assert "does not answer within 0.5 s" in await stands(service, Mood.FAILS, 2)
        released.set()


async def conflicting(folder: Path, size: int) -> tuple[SigningKey, Served]:
    """A witness that has cosigned a checkpoint of the log over entries that are not this log's."""
    key, served = honest(folder, 1)
    (log_key,) = KeyRing(folder / "keys").keys(ORIGIN)
    log = Log(ORIGIN)
    log.key = log_key
    async with served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/add-checkpoint", content=log.submission(leaves("x", size), old=0))
        assert answer.status_code == 200
    return key, served


@pytest.mark.parametrize(
    ("size", "why"),
    [
        (9, "over 9 entries, and none was signed over more than"),
        (2, "it has cosigned another checkpoint over 2 entries"),
        (1, "it does not see that our 2 entries extend the 1 that it has cosigned"),
    ],
    ids=["larger", "the same size", "smaller"],
)
async def test_a_witness_that_saw_another_history_is_the_alarm(
    database: Database, tmp_path: Path, told: list[Any], size: int, why: str
):
    one, two = await conflicting(tmp_path, size), honest(tmp_path, 2)
    async with services.running(database, tmp_path, project=False) as service:
        await record(service)
        await record(service)
    async with all_of(one[1], two[1]), registry(database, tmp_path, [one, two], quorum=1) as service:
        assert why in await stands(service, Mood.CONFLICT)
        assert service.parts.witnesses is not None
        assert [other.witness.key for other in service.parts.witnesses.conflicts] == [KEYS[0].verifier]
        await published_with(service, 2, 2)
    alarms = [line for line in told if line["event"] == "witness_saw_another_history"]
    assert [(line["log_level"], line["witness"]) for line in alarms] == [("error", KEYS[0].name)]
    assert why in alarms[0]["why"]


async def test_a_checkpoint_that_another_process_overtook_is_no_alarm(database: Database, tmp_path: Path):
    """Two processes over one log: the one asks for what it signed when the other has had a later one cosigned."""
    key, served = honest(tmp_path, 1)
    policy = Policy((Witness(key.verifier, served.url),), 1)
    async with served, services.running(database, tmp_path, project=False, sign=False) as service:
        parts = service.parts
        ring = KeyRing(tmp_path / "keys")

        def another() -> tuple[Signer, Witnesses]:
            signer = Signer(parts.log, parts.tree, parts.checkpoints, ring, origin=ORIGIN, clock=parts.clock)
            return signer, Witnesses(
                policy, parts.tree, parts.checkpoints, clock=parts.clock, patience=Patience(first=0, most=0)
            )

        (slow, asks_late), (quick, asks_first) = another(), another()
        async with httpx.AsyncClient() as client:
            await record(service)
            early = await slow.sign()
            await record(service)
            await asks_first.ask(client, await quick.sign())
            await asks_late.ask(client, early)
            assert [one.standings[0].mood for one in (asks_first, asks_late)] == [Mood.COSIGNS, Mood.UNKNOWN]
            await asks_late.ask(client, await slow.sign())
            assert asks_late.standings[0].mood is Mood.COSIGNS
    await check_log(database.admin_dsn)


async def shown(service: Service, folder: Path) -> tuple[int, str]:
    """What `registry log witnesses` exits with and prints."""
    given = {
        "REGISTRY_DATABASE_URL": service.database.service_dsn,
        "REGISTRY_WITNESS_FILE": str(folder / "witnesses"),
        "REGISTRY_ORIGIN": ORIGIN,
    }
    done = await asyncio.to_thread(lambda: console.registry("log", "witnesses", settings=given))
    assert done.stderr == ""
    return done.returncode, done.stdout


async def test_the_operator_is_told_how_each_witness_stands_to_the_log(database: Database, tmp_path: Path):
    one, two = honest(tmp_path, 1), honest(tmp_path, 2)
    async with one[1], registry(database, tmp_path, [one, two], quorum=1) as service:
        await published_with(service, await record(service), 1)
        code, said = await shown(service, tmp_path)
        assert code == 0
        assert re.search(r"witness\.test/w1 +│ 1 +│ cosigns", said)
        assert re.search(r"witness\.test/w2 +│ none yet +│ does not cosign: it cannot be reached", said)
        assert "1 of 2 cosign, 1 have to. Signed are 1 entries; the checkpoint over 1 entries is published." in said
    async with registry(database, tmp_path, [one, two], quorum=1) as service:
        code, said = await shown(service, tmp_path)
        assert code == 1
        assert "0 of 2 cosign" in said


async def test_the_operator_is_told_of_another_history_with_exit_code_1(database: Database, tmp_path: Path):
    one, two = await conflicting(tmp_path, 9), honest(tmp_path, 2)
    async with all_of(one[1], two[1]), registry(database, tmp_path, [one, two], quorum=1) as service:
        await published_with(service, await record(service), 2)
        code, said = await shown(service, tmp_path)
        assert code == 1
        assert "SAW ANOTHER HISTORY: it has cosigned a checkpoint over 9 entries" in said


@pytest.mark.parametrize("command", [("log", "witnesses"), ("serve",)], ids=" ".join)
def test_a_wrong_policy_stops_the_start_with_its_line(tmp_path: Path, command: tuple[str, ...]):
    (tmp_path / "witnesses").write_text("quorum many\n")
    MasterKey.create_file(tmp_path / "master.key")
    given = {
        "REGISTRY_DATABASE_URL": "postgresql://nowhere.invalid/registry",
        "REGISTRY_MASTER_KEY_FILE": str(tmp_path / "master.key"),
        "REGISTRY_WITNESS_FILE": str(tmp_path / "witnesses"),
    }
    done = console.registry(*command, settings=given)
    assert done.returncode == 2
    assert "REGISTRY_WITNESS_FILE: line 1: the quorum is no number" in done.stderr
