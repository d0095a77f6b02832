"""`registry verify` of a running service, of an export of it and of its database, by the command and by its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
import pytest_asyncio

from services.registry.cli.app import main
from services.registry.verify import remote
from services.registry.verify.export import Export
from services.registry.verify.remote import Service as Remote
from services.registry.verify.report import Report
from services.registry.verify.source import Unreadable
from services.registry.verify.verification import Asked, verify
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster
from tests.support.exported import KEY, entries, export, export_database, note_of
from tests.support.folders import web_server
from tests.support.packing import contents, pack
from tests.support.service import ORIGIN, Service
from tests.support.verifying import lines

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENTRIES = 300


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorded(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    with cluster.database() as database:
        async with services.running(database, tmp_path_factory.mktemp("verify"), project=False) as running:
            for first in range(0, ENTRIES, 100):
                commands = [
                    {"command": "register-party", "data": {"name": f"Yard {n}", "kind": "company", "country": "NO"}}
                    for n in range(first, first + 100)
                ]
                await running.post("/v1/batch", {"commands": commands})
            assert running.parts.signer is not None
            await running.parts.signer.sign()
            yield running
        await check_log(database.admin_dsn)


class Altering(httpx.AsyncBaseTransport):
    """A service that answers something else in one place."""

    def __init__(self, service: Service, path: str = "", answer: httpx.Response | None = None) -> None:
        self._inner = httpx.ASGITransport(service.app)  # type: ignore[arg-type]
        self._path = path
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._answer is not None and request.url.raw_path.decode().startswith(self._path):
            return self._answer
        return await self._inner.handle_async_request(request)


async def over_http(service: Service, transport: httpx.AsyncBaseTransport, *roles: str) -> Report:
    token, _ = await service.token(*(roles or ("auditor",)))
    return await verify(Remote("http://registry.test", token, transport), Asked(processes=0))


async def test_a_running_service_is_verified_over_http(recorded: Service):
    report = await over_http(recorded, Altering(recorded))

    assert lines(report) == []
    assert (report.origin, report.size) == (ORIGIN, ENTRIES)
    assert "some of the proofs that the service makes" in report.checked


@pytest.mark.parametrize(
    ("path", "code", "line"),
    [
        ("/log/checkpoint", "checkpoint-malformed", "file checkpoint: the checkpoint cannot be read: "),
        ("/log/keys", "key-malformed", "file keys: line 1 is no verifier key"),
        ("/log/origins", "origins-malformed", "file origins: it cannot be read"),
        ("/log/tile/0/000", "tile-malformed", "tile 0/000: it has 7 bytes, not 8192"),
        ("/log/tile/1/000", "tile-malformed", "tile 1/000.p/1: a tile of 7 bytes is not made of"),
        ("/log/tile/entries/001", "bundle-malformed", "position 256: the entries from here to 299 cannot be read"),
        ("/v1/log/entries/0/proof", "proof-wrong", "position 0: its proof does not hold: "),
        ("/v1/log/consistency", "proof-wrong", "size 75: the proof that 300 entries extend these does not hold: "),
    ],
)
async def test_what_a_service_answers_wrongly_is_named(recorded: Service, path: str, code: str, line: str):
    report = await over_http(recorded, Altering(recorded, path, httpx.Response(200, content=b"nothing")))

    assert code in [one.code for one in report.findings]
    assert any(one.startswith(line) for one in lines(report)), lines(report)


async def test_a_service_that_denies_the_entries_or_is_not_there_cannot_be_verified(recorded: Service):
    with pytest.raises(Unreadable, match="a token with the role auditor"):
        await over_http(recorded, Altering(recorded), "reader")
    with pytest.raises(Unreadable, match="answers 503: It rests"):
        await over_http(recorded, Altering(recorded, "/log/keys", httpx.Response(503, json={"detail": "It rests."})))
    with pytest.raises(Unreadable, match="answers 503: \N{REPLACEMENT CHARACTER}"):
        await over_http(recorded, Altering(recorded, "/log/keys", httpx.Response(503, json={"detail": "\x1b[2J"})))
    for malformed in (b"[" * 100_000, b'{"more":' + b"[" * 100_000, b'{"detail":7}', b"\xff", b""):
        with pytest.raises(Unreadable, match="answers 503: and does not say why"):
            await over_http(recorded, Altering(recorded, "/log/keys", httpx.Response(503, content=malformed)))
    with pytest.raises(Unreadable, match="serves no log"):
        await over_http(recorded, Altering(recorded, "/log/checkpoint", httpx.Response(404)))
    with pytest.raises(Unreadable, match="cannot be reached"):
        await verify(Remote("http://127.0.0.1:1", None), Asked())


async def test_an_answer_that_never_ends_is_not_waited_for(recorded: Service, monkeypatch: pytest.MonkeyPatch):
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.01)

    monkeypatch.setattr(remote, "LONGEST", 0.1)
    with pytest.raises(Unreadable, match="/log/checkpoint: the answer does not end"):
        await over_http(recorded, Altering(recorded, "/log/checkpoint", httpx.Response(200, content=trickle())))


async def test_an_export_of_the_database_is_verified(recorded: Service, tmp_path: Path):
    folder = await export_database(recorded.database.service_dsn, ORIGIN, tmp_path)

    report = await verify(Export(folder), Asked(keys=tuple(await recorded.parts.publication.keys())))

    assert lines(report) == []
    assert report.size == ENTRIES


async def test_the_command_verifies_the_database_and_says_what_and_how(
    recorded: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("REGISTRY_DATABASE_URL", recorded.database.service_dsn)
    monkeypatch.setenv("REGISTRY_ORIGIN", ORIGIN)

    assert await asyncio.to_thread(main, ["verify"]) == 0
    said = capsys.readouterr().out
    assert said.endswith("\nVerified.\n")
    assert f"log          {ORIGIN}\nsize         300 entries\n" in said
    assert "not checked  whose the keys are" in said

    assert await asyncio.to_thread(main, ["verify", "--json"]) == 0
    report = msgspec.json.decode(capsys.readouterr().out, type=Report)
    assert (report.verified, report.size, report.found) == (True, ENTRIES, 0)


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["verify", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


async def test_the_command_verifies_over_a_socket(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    export(entries(300), tmp_path / "log")
    (tmp_path / "token").write_text("a-token\n")

    with web_server(tmp_path) as url:
        code, out, _ = await asyncio.to_thread(command, url, "--token-file", str(tmp_path / "token"), capsys=capsys)

    assert code == 0, out
    assert "not checked  proofs that are made when they are asked for: here there are files only" in out
    assert "some of the proofs that the service makes" not in out


async def test_a_service_that_makes_no_proofs_is_not_taken_for_a_folder_of_files(recorded: Service):
    report = await over_http(recorded, Altering(recorded, "/v1/log/consistency", httpx.Response(404)))

    assert {one.code for one in report.findings} == {"proof-wrong"}


async def test_the_command_names_what_is_wrong_and_how_many_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    log = entries(300)
    export([*log[:100], *log[101:]], tmp_path)

    code, out, _ = await asyncio.to_thread(command, str(tmp_path), capsys=capsys)

    assert code == 1
    found = out.partition("\n\n")[0].splitlines()
    assert found[0] == "position 100: the entry says that it is number 101"
    assert found[-1].startswith("… and ")
    assert len(found) == 21
    assert out.rstrip().splitlines()[-1].endswith("things are wrong.")


async def test_the_command_takes_keys_a_checkpoint_and_a_state(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = str(export(entries(300), tmp_path / "log"))
    (tmp_path / "yesterday").write_bytes(note_of(entries(200)))
    asked = ["--key", KEY.verifier.text, "--against", str(tmp_path / "yesterday"), "--state", str(tmp_path / "state")]

    for _ in range(2):
        code, out, _ = await asyncio.to_thread(command, folder, *asked, capsys=capsys)
        assert (code, out.endswith("Verified.\n")) == (0, True)
        assert "given by you; signed the checkpoint" in out
        assert "whose the keys are" not in out
    (tmp_path / "yesterday").write_bytes(note_of(entries(400)))
    code, out, _ = await asyncio.to_thread(command, folder, *asked, capsys=capsys)
    assert code == 1
    assert "rolled back to an old backup" in out


async def test_the_command_verifies_a_pack(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = pack(contents(entries(300), [0, 1], []), tmp_path / "evidence.zip")

    code, out, _ = await asyncio.to_thread(command, str(path), capsys=capsys)
    assert (code, out.endswith("Verified.\n")) == (0, True)

    path = pack(contents(entries(300), [0, 2], []), tmp_path / "evidence.zip")
    code, out, _ = await asyncio.to_thread(command, str(path), capsys=capsys)
    assert code == 1
    assert out.startswith("position 2: the entry has revision 2 of ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "There is no nowhere."),
        (["."], "is no export of a log"),
        (["pyproject.toml"], "is no evidence pack"),
        (["pyproject.toml", "--state", "x"], "A pack is verified as a whole"),
        ([".", "--key", "x"], "--key x: the verifier key has no key."),
        ([".", "--against", "nowhere"], "nowhere: No such file"),
        (["http://127.0.0.1:1"], "cannot be reached"),
        (["http://127.0.0.1:99999"], "registry: "),
        (["http://[::1"], "http://[::1 is no address"),
        (["http://xn--/"], "failed with "),
        ([], "REGISTRY_DATABASE_URL is not set"),
        (["--nonsense"], "Unknown option"),
    ],
)
async def test_what_cannot_be_verified_is_told_with_another_exit_code(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
):
    code, out, err = await asyncio.to_thread(command, *arguments, capsys=capsys)

    assert (code, out) == (2, "")
    assert says in err
