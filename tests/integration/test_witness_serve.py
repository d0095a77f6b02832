"""`registry witness` as its operator uses it: in processes of its own, one of them killed."""

from __future__ import annotations

import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from events.merkle.note import ED25519, SigningKey, VerifierKey
from events.merkle.witnessing import cosignature
from tests.support.console import PATIENCE, command, environment, free_port, registry
from tests.support.witnessing import Log, leaves, witness_key

NAME = "witness.test/w1"
LOG = Log()
LEAVES = leaves("main", 50)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "witness"


@pytest.fixture
def key(folder: Path) -> VerifierKey:
    """The key of a witness that was made in the folder and knows the log."""
    made = registry("witness", "init", str(folder), "--name", NAME)
    assert made.returncode == 0, made.stderr
    assert registry("witness", "add", str(folder), LOG.key.verifier.text).returncode == 0
    return VerifierKey.parse(made.stdout.strip())


class Serving:
    """`registry witness serve`; `journal` is what it has written, once it has ended."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/add-checkpoint"
        self.process = subprocess.Popen(
            command("witness", "serve", str(folder), "--port", str(self.port)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    def ready(self) -> None:
        """Return when its journal says that it is served."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if '"witnessing"' in line:
                return
        raise AssertionError(f"it ended with {self.process.wait()}")

    def end(self, number: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(number)
        _, journal = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, journal


@contextmanager
def serving(folder: Path) -> Iterator[Serving]:
    one = Serving(folder)
    with one.process:  # closes its pipes, whoever ended it
        try:
            one.ready()
            yield one
        finally:
            one.process.kill()


def ask(one: Serving, old: int, size: int, hashes: list[bytes] = LEAVES) -> httpx.Response:
    return httpx.post(one.url, content=LOG.submission(hashes, old=old, size=size), timeout=PATIENCE)


def test_a_witness_is_made_once_and_its_key_is_its_owners_alone(folder: Path, key: VerifierKey):
    (file,) = folder.glob("*.key")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert SigningKey.parse(file.read_text().strip()).verifier == key
    again = registry("witness", "init", str(folder), "--name", "witness.test/w2")
    assert (again.returncode, again.stdout) == (1, "")
    assert f"already: {NAME}" in again.stderr


@pytest.mark.parametrize("name", ["https://x/y", "x/y/", "a b", "x+y", "", "X.test"])
def test_a_name_that_is_no_url_without_scheme_is_refused_and_nothing_is_made(tmp_path: Path, name: str):
    made = registry("witness", "init", str(tmp_path / "none"), f"--name={name}")
    assert (made.returncode, made.stdout) == (1, "")
    assert "Allowed: a host name and a path, without scheme" in made.stderr
    assert not (tmp_path / "none").exists()


def test_what_was_answered_is_there_after_kill_9(folder: Path, key: VerifierKey):
    for old, size in ((0, 3), (3, 17), (17, 50)):
        with serving(folder) as one:
            answer = ask(one, old, size)
            one.process.kill()
            assert answer.status_code == 200
            cosignature(answer.content, LOG.checkpoint(LEAVES, size).text, key)
    with serving(folder) as one:
        assert ask(one, 0, 3).text == "50\n"
        assert ask(one, 0, 50, leaves("other", 50)).status_code == 409


def test_two_processes_over_one_folder_cosign_one_history(folder: Path, key: VerifierKey):
    with serving(folder) as one, serving(folder) as other, ThreadPoolExecutor(2) as pool:
        history: list[bytes] = []
        for size in range(1, 21):
            before = size - 1
            main, fork = [*history, b"\x01" * 32], [*history, b"\x02" * 32]
            asked = [pool.submit(ask, one, before, size, main), pool.submit(ask, other, before, size, fork)]
            answers = [answer.result() for answer in asked]
            assert sorted(answer.status_code for answer in answers) == [200, 409]
            history = main if answers[0].status_code == 200 else fork


def test_it_ends_in_order_and_its_journal_names_no_address_and_no_log(folder: Path, key: VerifierKey):
    with serving(folder) as one:
        assert ask(one, 0, 3).status_code == 200
        code, journal = one.end(signal.SIGTERM)
    assert code == 0
    assert re.search(r'"route": ?"/add-checkpoint"', journal)
    assert "127.0.0.1" not in journal
    assert LOG.origin not in journal


def test_a_log_that_is_added_while_it_is_served_is_cosigned_at_once_and_one_removed_no_more(
    folder: Path, key: VerifierKey
):
    assert registry("witness", "remove", str(folder), LOG.key.verifier.text).returncode == 0
    with serving(folder) as one:
        assert ask(one, 0, 3).status_code == 404
        registry("witness", "add", str(folder), LOG.key.verifier.text)
        assert ask(one, 0, 3).status_code == 200
        registry("witness", "remove", str(folder), LOG.key.verifier.text)
        assert ask(one, 3, 4).status_code == 404


def test_the_list_shows_how_far_each_log_is_cosigned_and_fails_when_one_has_two_histories(
    folder: Path, key: VerifierKey
):
    registry("witness", "add", str(folder), SigningKey("log.test/b", ED25519, b"b" * 32).verifier.text)
    with serving(folder) as one:
        ask(one, 0, 3)
        shown = registry("witness", "list", str(folder))
        assert shown.returncode == 0
        assert f"witness {key.text}\n" in shown.stdout
        assert re.search(r"log\.test/a .* 3 .* cosigned", shown.stdout)
        assert re.search(r"log\.test/b .* none yet .* waits for its first checkpoint", shown.stdout)
        assert ask(one, 3, 3, leaves("other", 3)).status_code == 409
    shown = registry("witness", "list", str(folder))
    assert shown.returncode == 1
    assert "signed two histories" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("serve", "{folder}"), "There is no witness in"),
        (("list", "{folder}"), "There is no witness in"),
        (("add", "{folder}", LOG.key.verifier.text), "There is no witness in"),
        (("add", "{folder}", "nonsense"), "is no verifier key"),
        (("add", "{folder}", witness_key().verifier.text), "is no log's key"),
        (("add", "{folder}", LOG.key.verifier.text, "--origin", "a\nb"), "cannot be a log's name"),
        (("init", "{folder}", "--name", "two words"), "cannot be a witness's name"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(folder: Path, arguments: tuple[str, ...], said: str):
    done = registry("witness", *(one.format(folder=folder) for one in arguments))
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not folder.exists()


def test_a_state_that_is_gone_stops_the_start(folder: Path, key: VerifierKey):
    (folder / "state.sqlite").unlink()
    done = registry("witness", "serve", str(folder), "--port", str(free_port()))
    assert done.returncode == 1
    assert "state.sqlite cannot be used" in done.stderr
