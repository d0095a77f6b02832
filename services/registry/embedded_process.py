"""Starts PostgreSQL's processes: as whom, with which folders, and so that they end with us.

PostgreSQL refuses to run as root, so root becomes somebody else for it (`Account`), who may not be
able to pass the folders above the data (`Handed`).
"""

from __future__ import annotations

import contextlib
import os
import pwd
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

LAUNCHER = Path(__file__).with_name("embedded_launch.py")


class EmbeddedPostgresError(Exception):
    """The private PostgreSQL cannot be used; the message says why and what to do."""


class PostgresNotFound(EmbeddedPostgresError):
    """There are no PostgreSQL programs on this machine, or none that can be run."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom root becomes to run PostgreSQL."""

    name: str
    uid: int
    gid: int

    def passes(self, folder: Path) -> bool:
        """Whether it may go through the folder and all above it, by their modes (ACLs are not looked at)."""
        return all(self._may(each.stat(), stat.S_IXOTH) for each in (folder, *folder.parents))

    def _may(self, found: os.stat_result, right: int) -> bool:
        if found.st_uid == self.uid:
            right <<= 6
        elif found.st_gid == self.gid:
            right <<= 3
        return bool(found.st_mode & right)


def account_for(home: Path) -> Account | None:
    """Whom to become to run a server in this folder; None: stay who we are, for we are not root.

    What exists already is run as its owner, so that root can start what a user made.
    """
    if os.geteuid() != 0:
        return None
    for place in (home / "data", home):
        if place.exists() and (found := place.stat()).st_uid != 0:
            with contextlib.suppress(KeyError):
                return _account(pwd.getpwuid(found.st_uid))
            return Account(str(found.st_uid), found.st_uid, found.st_gid)  # a number without a name will do
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return _account(pwd.getpwnam(name))
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and there is no account `postgres` or `nobody` to run it as. "
        "Add one (`useradd --system postgres`), or start this as an ordinary user."
    )


def _account(entry: pwd.struct_passwd) -> Account:
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


class Handed:
    """A folder as a server's account can name it: its path, or an open descriptor where it may not pass.

    `/proc/self/fd/N` leads to the folder itself, past the closed ones above it; PostgreSQL hands the
    descriptor down to all its processes. Only root needs this, and it works on Linux only.
    """

    def __init__(self, folder: Path, account: Account | None) -> None:
        self.descriptors: tuple[int, ...] = ()
        self.path = str(folder)
        if account is not None and not account.passes(folder.parent):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            self.descriptors = (descriptor,)
            self.path = f"/proc/self/fd/{descriptor}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def launch_argv(account: Account | None, *argv: str) -> list[str]:
    """The command that runs argv as the account, ending with the thread that starts it (embedded_launch.py)."""
    user, group = ("-", "-") if account is None else (str(account.uid), str(account.gid))
    return [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), user, group, *argv]


def environment() -> Mapping[str, str]:
    """All that the server is told of ours: no secret of the registry, and no PG* variable that would bend it."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


class Server:
    """A server's process, and the thread it is a child of.

    The kernel ends the server with the thread that started it, not with the process. So a thread of
    its own starts it and then waits for it: only the end of this process can end that thread first.
    """

    def __init__(self, argv: Sequence[str], log: int, descriptors: Sequence[int]) -> None:
        self._argv, self._log, self._descriptors = argv, log, descriptors
        self._begun = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._error: BaseException | None = None
        self.exited = threading.Event()
        self.exited.set()

    def begin(self) -> None:
        """Return once the process exists and has the descriptors."""
        self.exited.clear()
        threading.Thread(target=self._keep, name="embedded-postgres", daemon=True).start()
        self._begun.wait()
        if self._error is not None:
            raise self._error

    @property
    def pid(self) -> int | None:
        """The process's number while it runs."""
        return None if self._process is None or self.exited.is_set() else self._process.pid

    def stop(self, patience: float) -> None:
        """Fast shutdown; after `patience` seconds an immediate one, then SIGKILL. Returns when the process is gone."""
        if not self.exited.is_set():
            self._begun.wait()
        steps: list[tuple[signal.Signals, float | None]] = [
            (signal.SIGINT, patience),
            (signal.SIGQUIT, 5.0),
            (signal.SIGKILL, None),
        ]
        for number, seconds in steps:
            if self._process is not None and not self.exited.is_set():
                self._process.send_signal(number)
            if self.exited.wait(seconds):
                return

    def _keep(self) -> None:
        try:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                cwd="/",
                env=environment(),
                pass_fds=self._descriptors,
                start_new_session=True,  # a terminal's Ctrl-C is for us: we stop the server when we are done with it
            )
            self._begun.set()
            self._process.wait()
        except BaseException as error:  # noqa: BLE001 (raised again where the server was asked for)
            self._error = error
        finally:
            self.exited.set()
            self._begun.set()
