"""Processes that own an embedded PostgreSQL, as this user and, for root, as an ordinary one."""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import services.registry
from services.registry import durable
from services.registry.embedded_process import Account
from services.registry.embedded_programs import find, runnable
from tests.support import embedded_child
from tests.support.cluster import scratch_folder

ME, ORDINARY = "this user", "an ordinary user"
# What this machine can try: only root can be somebody else.
KINDS = [ME, ORDINARY] if os.geteuid() == 0 else [ME]
ORDINARY_NAME = "nobody"
PATIENCE = 60.0  # seconds


@dataclass(frozen=True)
class User:
    """Who owns servers: how to become them, and what they can run."""

    python: str
    code: Path
    folder: Path
    become: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environ: Mapping[str, str] = field(default_factory=dict[str, str])

    def own(self, home: Path) -> Owner:
        """Start a process that owns the server in this home; it has answered when this returns."""
        script = self.code / "tests" / "support" / Path(embedded_child.__file__).name
        process = subprocess.Popen[bytes](
            [self.python, str(script), str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.code), **self.environ},
            **self.become,
        )
        assert process.stdout is not None
        return Owner(process, json.loads(process.stdout.readline()))

    def made(self, name: str) -> Path:
        """A home of theirs whose data has been made: copied, for that takes less time."""
        template, home = self.folder / "template", self.folder / name
        if not template.exists():
            self.own(template).end()
        copy_home(template, home)
        return home


@dataclass
class Owner:
    """A process that owns a server, and what it said: `pid` and `dsn`, or `error` and `message`."""

    process: subprocess.Popen[bytes]
    said: dict[str, Any]

    def end(self) -> None:
        """Let it stop its server and end."""
        self.process.communicate(timeout=PATIENCE)

    def kill(self) -> None:
        """SIGKILL, to the owner only."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


@contextmanager
def user(kind: str) -> Iterator[User]:
    """Somebody who can own servers, with a folder of theirs."""
    root = Path(services.registry.__file__).parents[2]
    with scratch_folder() as scratch:
        scratch.mkdir()
        if kind == ME:
            yield User(sys.executable, root, scratch)
            return
        found = pwd.getpwnam(ORDINARY_NAME)
        account = Account(found.pw_name, found.pw_uid, found.pw_gid)
        scratch.chmod(0o711)
        become = {"user": account.uid, "group": account.gid, "extra_groups": []}
        python = _python_for(scratch, become)
        code = scratch / "code"
        needed = [*root.glob("services/registry/embedded*.py"), Path(durable.__file__), Path(embedded_child.__file__)]
        for module in needed:
            place = code / module.relative_to(root)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(module, place)
        programs = runnable(find(), account, (scratch,))
        theirs = scratch / "theirs"
        theirs.mkdir()
        os.chown(theirs, account.uid, account.gid)
        _let_everybody_read(code)
        yield User(python, code, theirs, become, {"REGISTRY_POSTGRES_BIN": str(programs.folder)})


def copy_home(home: Path, copy: Path) -> None:
    """Copy the home of a server that is not running, owners and modes included."""
    subprocess.run(["/bin/cp", "-a", str(home), str(copy)], check=True)


def _python_for(scratch: Path, become: Mapping[str, Any]) -> str:
    """An interpreter that they can run: this one, or a copy of it if it lies where they may not look (`/root`)."""
    own = os.path.realpath(sys.executable)
    tried = [own, "-I", "-c", "import ctypes"]
    with suppress(PermissionError):
        done: Any = subprocess.run(tried, check=False, capture_output=True, cwd="/", env={}, **become)
        if done.returncode == 0:
            return own
    base, library = Path(sys.base_prefix), Path(os.__file__).parent
    copy = scratch / "python"
    (copy / "bin").mkdir(parents=True)
    needless = shutil.ignore_patterns("test", "site-packages", "idlelib", "ensurepip", "config-*")
    shutil.copytree(library, copy / library.relative_to(base), ignore=needless, copy_function=_link_or_copy)
    for shared in (base / "lib").glob("libpython*.so*"):
        _link_or_copy(str(shared), str(copy / "lib" / shared.name))
    _link_or_copy(own, str(copy / "bin" / Path(own).name))
    _let_everybody_read(copy)
    return str(copy / "bin" / Path(own).name)


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def _let_everybody_read(folder: Path) -> None:
    for where, _, _ in os.walk(folder):
        Path(where).chmod(0o755)


class Watched:
    """A process that need not be ours: whether it has ended is an event (Linux: pidfd_open(2))."""

    def __init__(self, pid: int) -> None:
        self._descriptor = os.pidfd_open(pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def ended(self, within: float = PATIENCE) -> bool:
        """Wait for its end, at most so many seconds."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(within * 1_000))
