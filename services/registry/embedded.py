"""A private PostgreSQL: one folder, one server, and nobody else in either.

`registry up` and the tests use it. What it promises:

- The data folder is kept between runs. It is made whole or not at all, with data checksums, UTF-8
  and no locale of the machine. Durability is PostgreSQL's own default; nothing here lowers it.
- The server ends with this process however that ends: `stop()`, falling off the end, or `kill -9`.
  That last is Linux's doing (embedded_launch.py); elsewhere a killed parent leaves the server
  running, and the next start waits for it and then says so.
- One server a folder, by two locks that the kernel releases whatever happens (flock): `owner.lock`
  is ours, and a second owner is refused at once; `server.lock` is handed to the server, and so held
  until the last of its processes is gone: what a killed owner left behind is waited for.
- Clients connect by a Unix socket in a folder that only this user (and root) can enter, without a
  password; over TCP, which is off unless asked for, from this machine only and with SCRAM.
- As root, PostgreSQL runs as whoever owns its data, else `postgres`, else `nobody`. Folders above
  the data are never opened up for it: it is handed the open folder instead (embedded_process.py).

In the home folder: `data` (the server's own), `socket`, `log` (what the server says), `password`
(the superuser's, for TCP), and the locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote, urlencode

from services.registry.embedded_data import (
    DATA,
    LOG_SHOWN,
    SUPERUSER,
    PostgresFailed,
    PostgresWrongMajor,
    create,
    give_away,
    prepare,
)
from services.registry.embedded_process import (
    Account,
    EmbeddedPostgresError,
    Handed,
    PostgresNotFound,
    Server,
    account_for,
    launch_argv,
)
from services.registry.embedded_programs import CACHE, Programs, find, runnable

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "PostgresFailed",
    "PostgresInUse",
    "PostgresNotFound",
    "PostgresWrongMajor",
]

LOG_KEPT = 16 * 1024 * 1024  # bytes; a longer log is put aside as log.1 at the next start
SOCKET_PATH_LIMIT = 103  # bytes of sun_path, its NUL apart: the least of the platforms (macOS; Linux has 107)
POLL = 0.005  # seconds
PORT_ATTEMPTS = 5
PORT_TAKEN = "could not create any TCP/IP sockets"


class PostgresInUse(EmbeddedPostgresError):
    """Another process has a server on this folder."""


class EmbeddedPostgres:
    """A server in `home`, made there if need be. A context manager; not for use by several threads at once.

    tcp: listen on 127.0.0.1 too, on a free port (`tcp_dsn`). settings: PostgreSQL's, over those made
    here. programs: the folder of its programs, if not the one `find` finds.
    """

    def __init__(
        self,
        home: Path,
        *,
        tcp: bool = False,
        settings: Mapping[str, str | int | bool] | None = None,
        programs: Path | None = None,
    ) -> None:
        self.home = Path(home).resolve()
        self.data = self.home / DATA
        self._tcp = tcp
        self._settings = dict(settings or {})
        self._programs = programs
        self._account: Account | None = None
        self._port = 5432
        self._sockets = self.home / "socket"
        self._server: Server | None = None
        self._held = contextlib.ExitStack()  # locks, the log, a temporary folder: until stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return None if self._server is None else self._server.pid

    def start(self, timeout: float = 120.0) -> None:
        """Return when the server takes connections, crash recovery included; `timeout` is in seconds.

        Raises PostgresNotFound, PostgresInUse, PostgresWrongMajor or PostgresFailed, and then leaves
        nothing running. Does nothing if the server runs already.
        """
        if self.pid is not None:
            return
        self.stop()  # what a server that ended by itself left here
        deadline = time.monotonic() + timeout
        try:
            self._own_home()
            programs = runnable(self._programs or find(), self._account, self._caches())
            prepare(self.home, programs, self._account)
            lock = self._outlive_predecessor(deadline)
            self._open_sockets()
            self._serve(programs, lock, deadline)
        except OSError as error:
            self.stop()
            raise PostgresFailed(f"{self.home} cannot be used for PostgreSQL: {error}") from error
        except BaseException:
            self.stop()
            raise

    def wait(self) -> None:
        """Return when the server's process has ended, by itself or by `stop`; at once if it does not run."""
        server = self._server
        if server is not None:
            server.exited.wait()

    def stop(self, timeout: float = 60.0) -> None:
        """End the server in order (fast shutdown: transactions under way are rolled back); idempotent.

        A server that takes longer than `timeout` seconds is killed; the next start recovers.
        """
        server, self._server = self._server, None
        try:
            if server is not None:
                server.stop(timeout)
        finally:
            self._held.close()

    def dsn(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """Where to connect, over the Unix socket. The folder it names is settled by `start`."""
        place = urlencode({"host": str(self._sockets), "port": self._port}, safe="/")
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?{place}"

    def tcp_dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Where to connect over TCP; needs `tcp=True`. The superuser's password is known here, others' are not."""
        if not self._tcp:
            raise ValueError("this server was not asked to listen on TCP (tcp=True)")
        if password is None and user == SUPERUSER:
            password = (self.home / "password").read_text(encoding="ascii")
        secret = "" if password is None else f":{quote(password, safe='')}"
        return f"postgresql://{quote(user, safe='')}{secret}@127.0.0.1:{self._port}/{quote(database, safe='')}"

    def _own_home(self) -> None:
        """Make the folder and become its owner, or raise PostgresInUse; as root, choose whom to run as."""
        if not self.home.exists():
            self.home.mkdir(parents=True)
            # The server's account has to pass through root's home for it; nobody else has any business there.
            self.home.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self._account = account_for(self.home)
        lock = os.fdopen(create(self.home, "owner.lock", os.O_RDWR), "r+")
        self._held.enter_context(lock)
        if not _locked(lock):
            raise PostgresInUse(
                f"Process {lock.read().strip() or 'unknown'} is running the PostgreSQL in {self.home}. "
                "Stop it first, or use another folder: two servers never share one."
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()

    def _caches(self) -> Sequence[Path]:
        """Where programs may be copied to for an account that cannot reach them."""
        if self._account is not None and self._account.passes(self.home):
            return (CACHE, self.home)
        return (CACHE,)

    def _outlive_predecessor(self, deadline: float) -> IO[str]:
        """Take the server's lock as soon as no process of an earlier server holds it; clear a stale postmaster.pid.

        Those of a killed owner are shutting down; there is no event for the end of processes that are
        not ours, of which only the lock is known. Raises PostgresInUse at the deadline.
        """
        lock = os.fdopen(create(self.home, "server.lock", os.O_RDWR), "r+")
        self._held.enter_context(lock)
        while not _locked(lock):
            if time.monotonic() > deadline:
                raise PostgresInUse(
                    f"Processes of an earlier PostgreSQL in {self.home} are still running, though what started "
                    f"them is gone. Stop them first: kill -INT and the first line of {self.data}/postmaster.pid"
                )
            time.sleep(POLL)
        if sys.platform == "linux":  # elsewhere there is no /proc to tell whose a number is
            self._clear_stale_numbers()
        return lock

    def _clear_stale_numbers(self) -> None:
        """Remove lock files of PostgreSQL that name a process which is another program by now, or ended and unreaped.

        PostgreSQL would take either for a running server and not start; in a container that is started
        again, and where nobody waits for orphans, that is the rule. A number that is nobody's it deals with
        itself, and its own check of shared memory guards the data in any case.
        """
        stale = self.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(stale.read_text(encoding="utf-8").split("\n", 1)[0])
            if self._serves(pid):
                raise PostgresInUse(
                    f"Process {pid} is a PostgreSQL server on {self.data} that was not started by this program. "
                    f"Stop it first: kill -INT {pid}"
                )
            stale.unlink()
        for stale in (self.home / "socket").glob(".s.PGSQL.*"):
            stale.unlink()

    def _serves(self, pid: int) -> bool:
        """Whether the process is a server of our data: it works in that folder. One of another user is none."""
        try:
            return Path(f"/proc/{pid}/cwd").samefile(self.data)
        except OSError:
            return False

    def _open_sockets(self) -> None:
        """Choose the socket's folder: in home, unless its path is too long or out of the server's reach."""
        inside = self.home / "socket"
        length = len(os.fsencode(inside / f".s.PGSQL.{self._port:05}.lock"))
        plain = re.fullmatch(r"[\w./+-]+", str(inside), re.ASCII)  # the setting is a list, and so is a DSN's host
        if length <= SOCKET_PATH_LIMIT and plain and (self._account is None or self._account.passes(self.home)):
            inside.mkdir(mode=0o700, exist_ok=True)
            self._sockets = inside
        else:
            if self._sockets == inside:
                self._sockets = Path(tempfile.mkdtemp(prefix="registry-", dir="/tmp"))  # short
            else:
                self._sockets.mkdir(mode=0o700)  # started again: clients know the folder of the first time
            self._held.callback(shutil.rmtree, self._sockets, ignore_errors=True)
        give_away(self._account, self._sockets)

    def _serve(self, programs: Programs, lock: IO[str], deadline: float) -> None:
        """Start the server and wait until it is ready; again, on another port, if ours was taken meanwhile."""
        log = self._open_log()
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._port = _free_port() if self._tcp else 5432
            begun = os.fstat(log).st_size
            with Handed(self.data, self._account) as handed:
                argv = [programs["postgres"], "-D", handed.path]
                for name, value in self._effective_settings().items():
                    argv += ["-c", f"{name}={value}"]
                descriptors = (lock.fileno(), *handed.descriptors)
                self._server = Server(launch_argv(self._account, *argv), log, descriptors)
                self._server.begin()
            if self._ready(self._server, deadline):
                return
            ended = self._server.pid is None
            said = (self.home / "log").read_bytes()[begun:].decode(errors="replace")
            if not (ended and PORT_TAKEN in said) or attempt == PORT_ATTEMPTS:
                outcome = "ended at once" if ended else "was not ready in time"
                raise PostgresFailed(
                    f"PostgreSQL {programs.release} on {self.data} {outcome}. The end of its log:\n{said[-LOG_SHOWN:]}"
                )

    def _effective_settings(self) -> Mapping[str, str]:
        settings: dict[str, str | int | bool] = {
            "unix_socket_directories": str(self._sockets),
            "port": self._port,
            "listen_addresses": "127.0.0.1" if self._tcp else "",
            "cluster_name": "cooperation-registry",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            "jit": "off",  # short queries only
            **self._settings,
        }
        return {name: str(value) for name, value in settings.items()}

    def _open_log(self) -> int:
        path = self.home / "log"
        if path.exists() and path.stat().st_size > LOG_KEPT:
            path.replace(self.home / "log.1")
        log = create(self.home, "log", os.O_WRONLY | os.O_APPEND)
        self._held.callback(os.close, log)
        return log

    def _ready(self, server: Server, deadline: float) -> bool:
        """Whether the server takes connections, once that is known.

        PostgreSQL announces it by a line of postmaster.pid only (and to systemd, if built for that), so
        the file is looked at again and again, as pg_ctl does; that the server ended is an event.
        """
        pid_file = self.data / "postmaster.pid"
        while not server.exited.wait(POLL):
            with contextlib.suppress(FileNotFoundError):
                lines = pid_file.read_text(encoding="utf-8").split("\n")
                if lines[0] == str(server.pid) and lines[7:8] and lines[7].strip() == "ready":
                    return True
            if time.monotonic() > deadline:
                return False
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _locked(file: IO[str]) -> bool:
    """Take the lock if it is free; it is let go when every copy of the descriptor is closed, in all processes."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
