from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import asyncpg
import pytest

from events.entry import canonical
from events.errors import FieldProblem, InvalidField, LogUnavailable
from services.registry.bodies import Asked, read_all
from services.registry.cli import failures, moments, ports
from services.registry.cli.app import main
from services.registry.cli.lines import Lines
from services.registry.embedded import PostgresInUse
from services.registry.settings import InvalidSettings, documentation
from services.registry.version import VERSION

COMMANDS = (
    "up", "serve", "project", "migrate", "rebuild", "replay", "digest", "import", "token", "access", "key", "log",
    "master-key", "settings", "provision", "sample", "doctor",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for row in documentation():
        monkeypatch.delenv(row.variable, raising=False)


def run(*arguments: str) -> int:
    return main(arguments)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]):
    assert run("--help") == 0
    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f" {command} " in shown


@pytest.mark.parametrize(
    "command",
    [(one,) for one in COMMANDS] + [("token", "create"), ("token", "revoke"), ("access", "list")],
    ids=" ".join,
)
def test_every_command_explains_itself(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]):
    assert run(*command, "--help") == 0
    assert f"Usage: registry {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--what=look", "--since=yesterday", "--limit=0", "--limit=many", "--whom=x"])
def test_the_access_record_is_not_asked_for_what_it_does_not_have(option: str, capsys: pytest.CaptureFixture[str]):
    assert run("access", "list", option) == 2
    assert option.partition("=")[0] in capsys.readouterr().err


def test_serving_loads_what_asks_witnesses_only_where_there_are_any():
    code = "import sys, services.registry.cli.serve, services.registry.main; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_is_quick_since_it_loads_neither_the_server_nor_the_database_driver():
    code = (
        "import sys; from services.registry.cli.app import main; main(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('litestar', 'asyncpg', 'granian', 'structlog')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]):
    assert run("--version") == 0
    assert capsys.readouterr().out == f"registry {VERSION}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fly",), 'Unknown command "fly"'),
        (("up", "--port", "0"), "--port"),
        (("up", "--port", "eighty"), "--port"),
        (("up", "--sampel"), "--sampel"),
        (("import",), "FILE"),
        (("token", "create", "--role", "reader"), "NAME"),
        (("token", "create", "name"), "--role"),
        (("token", "create", "name", "--role", "king"), '"reader", "recorder", "follower", "auditor", "operator"'),
        (("token", "create", "name", "--role", "reader", "--expires", "soon"), "'soon' is no instant"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_exits_with_2_and_one_line_that_names_what_is_wrong(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
):
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert said in shown.err


def test_all_settings_are_shown_and_no_secret(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("REGISTRY_DATABASE_URL", "postgresql://me:hunter2@db/registry")
    monkeypatch.setenv("REGISTRY_PORT", "8123")
    assert run("settings") == 0
    shown = capsys.readouterr().out
    for row in documentation():
        assert row.variable in shown
    assert "8123" in shown
    assert "hunter2" not in shown


def test_wrong_settings_exit_with_2_and_are_all_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REGISTRY_PORT", "many")
    monkeypatch.setenv("REGISTRY_HOTS", "0.0.0.0")  # noqa: S104
    assert run("settings") == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "REGISTRY_PORT" in shown.err
    assert "Was REGISTRY_HOST meant?" in shown.err


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("serve",), ("REGISTRY_DATABASE_URL", "REGISTRY_MASTER_KEY_FILE")),
        (("import", "-"), ("REGISTRY_DATABASE_URL", "REGISTRY_MASTER_KEY_FILE")),
        (("project",), ("REGISTRY_PROJECTOR_DATABASE_URL",)),
        (("migrate",), ("REGISTRY_OWNER_DATABASE_URL",)),
        (("token", "list"), ("REGISTRY_DATABASE_URL",)),
    ],
    ids=lambda value: value[0],
)
def test_a_command_without_the_settings_that_it_needs_names_them(
    arguments: tuple[str, ...], missing: tuple[str, ...], capsys: pytest.CaptureFixture[str]
):
    assert run(*arguments) == 2
    shown = capsys.readouterr().err
    assert [name for name in missing if name not in shown] == []


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (LogUnavailable("The log is away."), 1, "registry: The log is away.\n"),
        (
            InvalidField(
                "Two are wrong.", [FieldProblem("no date", "/held"), FieldProblem("no id", header="If-Match")]
            ),
            1,
            "registry: Two are wrong.\n  /held: no date\n  If-Match: no id\n",
        ),
        (InvalidSettings(["A is wrong."]), 2, "registry: the settings are not in order.\n  A is wrong.\n"),
        (PostgresInUse("It runs."), 1, "registry: It runs.\n"),
        (failures.Unusable("No."), 1, "registry: No.\n"),
        (FileNotFoundError(2, "No such file", "a.ndjson"), 1, "registry: a.ndjson: No such file\n"),
        (ConnectionRefusedError(111, "Refused"), 1, "registry: the database cannot be reached: Refused\n"),
        (asyncpg.InvalidPasswordError("no entry"), 1, "registry: the database refuses: no entry\n"),
        (
            KeyError("x"),
            1,
            "registry: failed with KeyError: 'x'\n  Set REGISTRY_LOG_LEVEL=debug to see where.\n",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_told_in_words(error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]):
    assert failures.told(error) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("ends", ["sys.stdout.flush()", "None"], ids=["in the middle", "at the end"])
def test_output_that_nobody_reads_to_its_end_is_no_fault_of_the_database(ends: str):
    program = f"""
import sys
from services.registry.cli import app as cli
cli.app = lambda _: (sys.stdout.write("many lines"), {ends}) and 0
sys.exit(cli.main([]))
"""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-c", program], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_a_day_is_its_beginning_and_an_instant_without_offset_is_utc():
    assert moments.parse("2027-01-31") == datetime(2027, 1, 31, tzinfo=UTC)
    assert moments.parse("2027-01-31T12:00") == datetime(2027, 1, 31, 12, tzinfo=UTC)
    assert moments.parse("2027-01-31T12:00+02:00") == datetime(2027, 1, 31, 10, tzinfo=UTC)
    assert moments.parse("2027-01-31T12:00:00Z") == datetime(2027, 1, 31, 12, tzinfo=UTC)


def test_a_server_on_every_address_is_reached_on_this_machine():
    assert ports.url("0.0.0.0", 80) == "http://127.0.0.1:80"  # noqa: S104
    assert ports.url("::", 80) == "http://[::1]:80"
    assert ports.url("registry.example", 80) == "http://registry.example:80"


SECRET = b"a secret"
PARTY = {"command": "register-party", "data": {"name": "Nexter", "kind": "company", "country": "FR"}}


def line(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def test_a_line_is_one_command_or_several():
    assert Lines(SECRET).read(line(**PARTY)).asked == [Asked("register-party", None, PARTY["data"], "/data")]
    several = Lines(SECRET).read(line(commands=[PARTY, {**PARTY, "subject": "party/x"}])).asked
    assert [one.pointer for one in several] == ["/commands/0/data", "/commands/1/data"]
    assert [one.subject for one in several] == [None, "party/x"]


def test_a_line_has_the_key_that_it_names():
    assert Lines(SECRET).read(line(**PARTY, key="mine")).key == "mine"


def test_without_a_key_a_line_is_known_by_what_it_says_and_how_often_it_was_said():
    first, again = Lines(SECRET), Lines(SECRET)
    keys = [first.read(line(**PARTY)).key, first.read(line(**PARTY)).key]
    assert len(set(keys)) == 2
    assert [again.read(line(**dict(reversed(PARTY.items())))).key, again.read(line(**PARTY)).key] == keys


def test_a_line_s_own_key_is_another_under_another_secret_so_that_nobody_can_guess_a_line_by_it():
    assert Lines(b"another").read(line(**PARTY)).key != Lines(SECRET).read(line(**PARTY)).key
    assert hashlib.sha256(canonical.encode(PARTY)).hexdigest()[:32] not in Lines(SECRET).read(line(**PARTY)).key


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        (b"{", {""}),
        (b"\xff", {""}),
        (b"[]", {""}),
        (b"[" * 10_000, {""}),
        (line(data={}), {"/command"}),
        (
            b'{"key":"a","command":"register-shop","key":"b","data":{"name":1,"name":1}}',
            {"/key", "/command", "/data/name"},
        ),
        (line(command="register-shop", data={}), {"/command"}),
        (
            line(command="register-party", subject=1, datum={}),
            {"/subject", "/datum", "/data/name", "/data/kind", "/data/country"},
        ),
        (
            line(
                commands=[
                    {**PARTY, "subject": 5, "dat/a": 1},
                    {"command": "register-shop"},
                    {"command": "register-party", "data": {"name": "\ud800", "kind": "shop", "\udfff": 1}},
                ],
                key="two words",
                more=1,
            ),
            {
                *("/key", "/more", "/commands/0/subject", "/commands/0/dat~1a", "/commands/1/command"),
                *("/commands/2/data/name", "/commands/2/data/kind", "/commands/2/data/country"),
                "/commands/2/data/\\udfff",
            },
        ),
        (line(command="register-party", data={"name": "\ud800", "kind": "company", "country": "FR"}), {"/data/name"}),
        (line(command="\ud800", subject="\ud800"), {"/command"}),
        (line(**PARTY)[:-2] + b', "note": "x", "sectors": [1e400]}}', {"/data/sectors/0"}),
        (line(commands=[]), {"/commands"}),
        (line(commands={}), {"/commands"}),
        (line(commands=[PARTY], command="register-party"), {"/command"}),
        (line(commands=[1, {"command": 2, "key": "k"}]), {"/commands/0", "/commands/1/command", "/commands/1/key"}),
        (line(**PARTY, key=""), {"/key"}),
        (line(**PARTY, key="two words"), {"/key"}),
        (line(**PARTY, key=1), {"/key"}),
    ],
)
def test_a_line_that_cannot_be_read_names_everything_that_is_wrong(given: bytes, wrong: set[str]):
    assert sorted(told(given)) == sorted(wrong)


def told(given: bytes) -> list[str]:
    """Where a line is wrong, all that an import would say at once."""
    try:
        read = Lines(SECRET).read(given)
    except InvalidField as refused:
        return [problem.pointer or "" for problem in refused.problems]
    bodies, invalid = read_all(read.asked)
    found = [*read.problems, *invalid, *(problem for body in bodies for problem in body.problems)]
    return [problem.pointer or "" for problem in found]


def test_a_line_is_bounded():
    with pytest.raises(InvalidField, match="One field"):
        Lines(SECRET).read(b'"' + b"x" * 16 * 1024**2 + b'"')
