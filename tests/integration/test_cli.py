from __future__ import annotations

import asyncio
import hashlib
import json
import os
import pwd
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from events.entry import canonical
from events.vault import MasterKey, Vault
from services.registry.ids import command_id, new_id
from services.registry.sample import report, story
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import PATIENCE, command, environment, free_port, registry
from tests.support.raw import exchange
from tests.support.recording import connected


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> dict[str, str]:
    """The settings of all commands, for a fresh and migrated database."""
    MasterKey.create_file(tmp_path / "master.key")
    return {
        "REGISTRY_DATABASE_URL": database.service_dsn,
        "REGISTRY_OWNER_DATABASE_URL": database.owner_dsn,
        "REGISTRY_PROJECTOR_DATABASE_URL": database.projector_dsn,
        "REGISTRY_MASTER_KEY_FILE": str(tmp_path / "master.key"),
    }


@pytest.fixture
def unmigrated(cluster: Cluster, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The same for a database in which no migration has run."""
    MasterKey.create_file(tmp_path / "master.key")
    with cluster.unmigrated_database() as database:
        yield {
            "REGISTRY_DATABASE_URL": database.service_dsn,
            "REGISTRY_OWNER_DATABASE_URL": database.owner_dsn,
            "REGISTRY_PROJECTOR_DATABASE_URL": database.projector_dsn,
            "REGISTRY_MASTER_KEY_FILE": str(tmp_path / "master.key"),
        }


def party(name: str, **fields: Any) -> dict[str, Any]:
    return {"command": "register-party", "data": {"name": name, "kind": "company", "country": "FR", **fields}}


def ndjson(*lines: Mapping[str, Any]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


async def names(database: Database) -> list[str]:
    """Return the names of the parties that were registered, in order."""
    connection = await asyncpg.connect(database.admin_dsn)
    try:
        entries = await connection.fetch("SELECT bytes FROM log.entry ORDER BY position")
        return [json.loads(entry["bytes"])["data"]["name"] for entry in entries]
    finally:
        await connection.close()


def test_migrate_says_what_it_did_and_does_it_once(unmigrated: dict[str, str]):
    missing = registry("migrate", "--check", settings=unmigrated)
    assert missing.returncode == 1
    assert "Run `registry migrate`" in missing.stderr
    done = registry("migrate", settings=unmigrated)
    assert done.returncode == 0
    assert "applied 0001_" in done.stdout
    assert registry("migrate", "--check", settings=unmigrated).returncode == 0
    assert registry("migrate", settings=unmigrated).stdout == "The database was up to date.\n"


@pytest.mark.parametrize("arguments", [("serve",), ("project",), ("import", "-"), ("token", "list")], ids=" ".join)
def test_nothing_runs_on_a_database_that_is_not_migrated(arguments: tuple[str, ...], unmigrated: dict[str, str]):
    refused = registry(*arguments, settings=unmigrated, given=b"")
    assert refused.returncode == 1
    assert re.fullmatch(r"registry: \d+ of \d+ migrations are missing .* Run `registry migrate`\.\n", refused.stderr)


@pytest.mark.parametrize("arguments", [("serve",), ("project",), ("migrate",), ("token", "list")], ids=" ".join)
def test_a_database_that_is_not_there_is_told_in_one_line(arguments: tuple[str, ...], settings: dict[str, str]):
    nowhere = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    refused = registry(*arguments, settings={**settings, **dict.fromkeys(list(settings)[:3], nowhere)})
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"registry: the database cannot be reached at {nowhere[20:-8]}: ")
    assert refused.stderr.count("\n") == 1


def test_a_master_key_that_is_none_is_told(settings: dict[str, str]):
    Path(settings["REGISTRY_MASTER_KEY_FILE"]).write_text("secret, but not a key", encoding="utf-8")
    refused = registry("serve", settings=settings)
    assert refused.returncode == 1
    assert "64 hexadecimal digits" in refused.stderr
    assert "secret" not in refused.stderr


@pytest.mark.parametrize("arguments", [("serve",), ("import", "-")], ids=" ".join)
def test_a_master_key_file_that_cannot_be_read_is_named_with_the_reason_in_words(
    arguments: tuple[str, ...], settings: dict[str, str], tmp_path: Path
):
    for path, why in ((tmp_path / "nope", "there is no such file"), (tmp_path, "it is a folder")):
        refused = registry(*arguments, settings={**settings, "REGISTRY_MASTER_KEY_FILE": str(path)}, given=b"")
        said = f"registry: The master key file {path} cannot be used: {why}.\n"
        assert (refused.returncode, refused.stderr) == (1, said)


def test_a_key_ring_that_cannot_be_used_ends_serve_in_one_line_before_it_serves(
    settings: dict[str, str], tmp_path: Path
):
    file, folder = tmp_path / "file", tmp_path / "keys"
    file.write_text("x")
    folder.mkdir()
    (folder / "erased").write_text("what is this\n")
    for where in (file, folder):
        refused = registry("serve", settings={**settings, "REGISTRY_KEY_DIR": str(where)})
        assert refused.returncode == 1
        assert re.fullmatch(rf"registry: {where}/erased (is damaged|cannot be read: .*)\.\n", refused.stderr)


@pytest.mark.parametrize("arguments", [("settings",), ("token", "list")], ids=" ".join)
def test_a_full_disk_is_no_fault_of_the_database(arguments: tuple[str, ...], settings: dict[str, str]):
    if arguments != ("settings",):
        assert registry("token", "create", "a", "--role", "reader", settings=settings).returncode == 0
    with Path("/dev/full").open("wb") as full:
        refused = subprocess.run(
            command(*arguments), stdout=full, stderr=subprocess.PIPE, env=environment(settings), check=False
        )
    said = b"registry: the output cannot be written: No space left on device\n"
    assert (refused.returncode, refused.stderr) == (1, said)


def test_a_token_is_printed_alone_once_listed_without_itself_and_revoked(settings: dict[str, str]):
    made = registry("token", "create", "ministry", "--role", "reader", "--role", "recorder", settings=settings)
    assert made.returncode == 0
    assert re.fullmatch(r"reg_[A-Za-z0-9_-]{43}\n", made.stdout)
    (token_id,) = re.findall("token_[a-z0-9]{26}", made.stderr)
    listed = registry("token", "list", settings=settings)
    assert all(said in listed.stdout for said in (token_id, "ministry", "reader, recorder", "holds"))
    assert made.stdout.strip() not in listed.stdout
    revoked = registry("token", "revoke", token_id, settings=settings)
    assert revoked.returncode == 0
    assert "revoked" in registry("token", "list", settings=settings).stdout


def test_what_was_done_with_tokens_is_listed_with_who_did_it(settings: dict[str, str]):
    made = registry("token", "create", "ministry", "--role", "reader", settings=settings)
    (token_id,) = re.findall("token_[a-z0-9]{26}", made.stderr)
    registry("token", "revoke", token_id, settings=settings)
    operator = f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"

    listed = registry("access", "list", settings=settings)
    assert listed.returncode == 0
    rows = [line for line in listed.stdout.splitlines() if operator in line]
    assert len(rows) == 2
    assert all(said in rows[0] for said in ("revoke-token", token_id))
    assert all(said in rows[1] for said in ("create-token", token_id, '"roles":["reader"]'))

    narrowed = registry("access", "list", "--who", operator, "--since", "2001-01-01", "--limit", "1", settings=settings)
    assert "revoke-token" in narrowed.stdout
    assert "create-token" not in narrowed.stdout
    assert narrowed.stderr == "There is more than is shown here; see --limit.\n"
    narrowed = registry("access", "list", "--who", "ministry", "--what", "create-token", settings=settings)
    assert operator not in narrowed.stdout


def test_a_token_that_is_not_allowed_is_told_with_everything_that_is_wrong(settings: dict[str, str]):
    arguments = ("--role", "reader", "--party", "acme", "--expires", "2001-01-01")
    refused = registry("token", "create", "", *arguments, settings=settings)
    assert refused.returncode == 1
    assert [said for said in ("/name", "/party", "/expires_at") if said not in refused.stderr] == []
    unknown = registry("token", "revoke", "token_00000000000000000000000000", settings=settings)
    assert unknown.returncode == 1
    assert "no token with this id" in unknown.stderr


async def test_an_import_records_each_line_once_however_often_it_is_started(
    database: Database, settings: dict[str, str], tmp_path: Path
):
    lines = [party("A"), party("A"), {"commands": [party("B"), party("C")]}, party("D") | {"key": "mine"}]
    file = tmp_path / "parties.ndjson"
    file.write_bytes(ndjson(*lines[:2]) + b"\n" + ndjson(*lines[2:]).rstrip())
    first = registry("import", str(file), settings=settings)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == "Lines recorded: 4. New entries: 5.\n"
    again = registry("import", "-", settings=settings, given=file.read_bytes())
    assert again.stdout == "Lines recorded: 4, 4 of them before. New entries: 0.\n"
    assert await names(database) == ["A", "A", "B", "C", "D"]
    digest = hashlib.sha256(canonical.encode(lines[0])).hexdigest()[:32]
    guessed = command_id("import", None, f"line/{digest}/1")  # what whoever guesses a line could look for
    async with connected(database.admin_dsn) as connection:
        assert not await connection.fetchval("SELECT count(*) FROM log.entry WHERE command_id = $1", guessed)
    await check_log(database.admin_dsn)


async def test_a_refused_line_stops_an_import_with_its_number_and_all_that_is_wrong(
    database: Database, settings: dict[str, str]
):
    good, bad = party("A"), party("", kind="shop", country="ZZ")
    refused = registry("import", "-", settings=settings, given=ndjson(good, {"commands": [good, bad]}, party("C")))
    assert refused.returncode == 1
    told, *problems, stopped = refused.stderr.splitlines()
    assert told.startswith("registry: line 2: ")
    assert [problem.split(":")[0].strip() for problem in problems] == [
        f"/commands/1/data/{field}" for field in ("name", "kind", "country")
    ]
    assert stopped.startswith("Stopped. Lines recorded: 1. New entries: 1.")
    assert await names(database) == ["A"]
    mended = registry(
        "import", "-", settings=settings, given=ndjson(good, {"commands": [good, party("B")]}, party("C"))
    )
    assert mended.stdout == "Lines recorded: 3, 1 of them before. New entries: 3.\n"
    assert await names(database) == ["A", "A", "B", "C"]


async def test_an_import_stops_at_an_erasure_until_it_says_what_becomes_of_documents_that_name_the_person(
    database: Database, settings: dict[str, str]
):
    text, person, report = b"Zenobia Quillfeather was there.", new_id("person"), new_id("src")
    async with asyncpg.create_pool(database.service_dsn, min_size=1, max_size=1) as pool:
        vault = Vault(pool, MasterKey.from_file(Path(settings["REGISTRY_MASTER_KEY_FILE"])))
        document, _ = await vault.file(text, "text/plain", len(text))
    filed = {"title": "Report", "publisher": "Paper", "published": "2019-06", "language": "en", "size": len(text)}
    filed |= {"id": report, "sha256": document.sha256, "media_type": "text/plain"}
    order = {"authority": "the court", "reason": "asked"}
    erase = {"command": "erase-person", "subject": f"person/{person}", "data": order}
    named = {"command": "register-person", "data": {"id": person, "name": "Zenobia Quillfeather"}}
    source = {"command": "file-source", "data": filed}
    refused = registry("import", "-", settings=settings, given=ndjson(named, source, erase))
    assert refused.returncode == 1
    assert refused.stderr.startswith("registry: line 3: ")
    assert f"/data/documents: {report} (Report) names them" in refused.stderr
    mended = erase | {"data": order | {"documents": "withdraw"}}
    done = registry("import", "-", settings=settings, given=ndjson(named, source, mended))
    assert done.stdout == "Lines recorded: 3, 2 of them before. New entries: 2.\n"
    again = registry("import", "-", settings=settings, given=ndjson(source, mended))
    assert again.stdout == "Lines recorded: 2, 2 of them before. New entries: 0.\n"
    await check_log(database.admin_dsn)


async def test_a_line_that_is_wrong_in_every_way_is_refused_as_over_http(settings: dict[str, str]):
    line = {"commands": [party("\ud800", country="ZZ"), {"command": "register-shop"}], "key": "", "more": 1}
    refused = registry("import", "-", settings=settings, given=ndjson(line))
    assert refused.returncode == 1
    told, *problems, stopped = refused.stderr.splitlines()
    assert told.startswith("registry: line 1: ")
    assert {problem.split(":")[0].strip() for problem in problems} == {
        *("/commands/0/data/name", "/commands/0/data/country", "/commands/1/command", "/key", "/more")
    }
    assert stopped.startswith("Stopped. Lines recorded: 0. New entries: 0.")


async def test_an_import_that_was_killed_is_resumed_by_importing_again(database: Database, settings: dict[str, str]):
    lines = ndjson(*(party(f"Party {number}") for number in range(200)))
    half = b"".join(lines.splitlines(keepends=True)[:100])
    noticed = asyncio.Event()
    listener = await asyncpg.connect(database.admin_dsn)
    await listener.add_listener("registry_log", lambda *_: noticed.set())
    with subprocess.Popen(
        command("import", "-"), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment(settings)
    ) as importing:
        assert importing.stdin is not None
        importing.stdin.write(half)
        importing.stdin.flush()
        async with asyncio.timeout(PATIENCE):
            await noticed.wait()
        importing.kill()
    await listener.close()
    resumed = registry("import", "-", settings=settings, given=lines)
    assert resumed.returncode == 0, resumed.stderr
    assert sorted(await names(database)) == sorted(f"Party {number}" for number in range(200))
    await check_log(database.admin_dsn)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda one: one.name)
async def test_an_import_that_waits_for_a_line_is_interrupted_by_ctrl_c_and_sigterm(
    database: Database, settings: dict[str, str], number: signal.Signals
):
    noticed = asyncio.Event()
    async with connected(database.admin_dsn) as listener:
        await listener.add_listener("registry_log", lambda *_: noticed.set())
        with subprocess.Popen(
            command("import", "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(settings)
        ) as importing:
            assert importing.stdin is not None
            importing.stdin.write(ndjson(party("A")))
            importing.stdin.flush()
            async with asyncio.timeout(PATIENCE):
                await noticed.wait()
            importing.send_signal(number)
            assert await asyncio.to_thread(importing.wait, PATIENCE) == 130
            assert importing.stderr is not None
            said = b"Interrupted. Lines recorded: 1. New entries: 1. Import the file again to go on.\n"
            assert importing.stderr.read() == said


def test_a_key_that_is_used_twice_and_a_line_without_commands_are_told_in_the_files_words(settings: dict[str, str]):
    twice = ndjson(party("A") | {"key": "mine"}, party("B") | {"key": "mine"})
    refused = registry("import", "-", settings=settings, given=twice)
    assert refused.returncode == 1
    assert refused.stderr.startswith("registry: line 2: its key was used before, by a line that says something else")
    assert "Idempotency-Key" not in refused.stderr
    refused = registry("import", "-", settings=settings, given=ndjson({"commands": []}))
    assert refused.returncode == 1
    assert "  /commands: expected one command at least\n" in refused.stderr


async def test_the_story_is_imported_once_its_report_is_on_file(database: Database, settings: dict[str, str]):
    text = report.load()
    given = b"".join(story.lines(text))
    refused = registry("import", "-", "--as", "sample", settings=settings, given=given)
    assert refused.returncode == 1
    assert "line 1: File the text first" in refused.stderr
    pool = await asyncpg.create_pool(database.service_dsn, min_size=1)
    async with pool:
        key = MasterKey.from_file(Path(settings["REGISTRY_MASTER_KEY_FILE"]))
        await Vault(pool, key).file(text.content, report.MEDIA_TYPE, len(text.text))
    done = registry("import", "-", "--as", "sample", settings=settings, given=given)
    assert done.stdout == "Lines recorded: 10. New entries: 50.\n"
    await check_log(database.admin_dsn)


def test_serving_and_projecting_are_processes_of_their_own_and_end_in_order(settings: dict[str, str], tmp_path: Path):
    port = free_port()
    environ = environment({**settings, "REGISTRY_PORT": str(port), "REGISTRY_HEAD_TIMEOUT": "1"})
    token = registry(
        "token", "create", "all", "--role", "reader", "--role", "recorder", settings=settings
    ).stdout.strip()
    with (
        (tmp_path / "journal").open("wb") as journal,
        subprocess.Popen(command("serve"), stderr=journal, env=environ) as serving,
        subprocess.Popen(command("project"), stderr=journal, env=environ) as projecting,
    ):
        headers = {"Authorization": f"Bearer {token}"}
        transport = httpx.HTTPTransport(retries=10)  # with a pause that grows: it is not listening yet
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, transport=transport) as client:
            recorded = client.post("/v1/parties", json={"name": "A", "kind": "company", "country": "FR"}, timeout=30)
            assert recorded.status_code == 201
            size = {"Registry-Min-Size": recorded.headers["Registry-Size"]}
            read = client.get("/v1/parties", headers=size, timeout=30)
            assert [item["name"] for item in read.json()["items"]] == ["A"]
        assert asyncio.run(exchange(port, b"")) == [], "a connection that says nothing is closed"
        assert [answer.status for answer in asyncio.run(exchange(port, b"no request\r\n\r\n"))] == [400]
        for process in (serving, projecting):
            process.terminate()
            assert process.wait(PATIENCE) == 0
    for line in (tmp_path / "journal").read_text(encoding="utf-8").splitlines():
        assert json.loads(line)["level"] == "info"


async def test_the_sample_is_recorded_once_and_into_no_other_log(database: Database, settings: dict[str, str]):
    for _ in range(2):
        done = registry("sample", settings=settings)
        assert done.returncode == 0, done.stderr
        assert "the meetings at the Paris Air Show 2019" in done.stdout
    size = (await check_log(database.admin_dsn)).size
    assert size > 0
    given = ndjson(party("Example Works"))
    assert registry("import", "-", settings=settings, given=given).returncode == 0
    assert registry("sample", settings=settings).returncode == 0, "it is the sample's log still"


async def test_the_sample_is_kept_out_of_a_log_that_holds_something_else(database: Database, settings: dict[str, str]):
    registry("import", "-", settings=settings, given=ndjson(party("Example Works")))
    refused = registry("sample", settings=settings)
    assert (refused.returncode, "other entries already" in refused.stderr) == (1, True)
    assert await names(database) == ["Example Works"]
