"""The data folder of the private PostgreSQL: made whole or not at all, and used only by the version that made it.

What is made as root in a folder of somebody else's is left to them, and never reached through a link.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from services.registry import durable
from services.registry.embedded_process import Account, EmbeddedPostgresError, Handed, environment, launch_argv
from services.registry.embedded_programs import Programs

DATA: Final = "data"
PASSWORD: Final = "password"  # noqa: S105 - the name of the file that holds it
SUPERUSER: Final = "postgres"
LOG_SHOWN: Final = 2_000  # characters of PostgreSQL's log in an error


class PostgresWrongMajor(EmbeddedPostgresError):
    """The data folder was made by another major version of PostgreSQL."""


class PostgresFailed(EmbeddedPostgresError):
    """PostgreSQL did not start, or could not make its data folder; the end of its log is in the message."""


def prepare(home: Path, programs: Programs, account: Account | None) -> None:
    """Make the data folder in `home` if need be. Raises `PostgresWrongMajor`, `PostgresFailed`, and OSError."""
    data = home / DATA
    try:
        made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        owner = data.stat().st_uid
    except FileNotFoundError:
        _initialise(home, programs, account)
        return
    if made_by != str(programs.major):
        raise PostgresWrongMajor(
            f"{data} was made by PostgreSQL {made_by}, and {programs.folder} holds PostgreSQL "
            f"{programs.release}. Name the folder of PostgreSQL {made_by}'s programs in REGISTRY_POSTGRES_BIN, "
            "or bring the data over with pg_upgrade. Nothing was changed."
        )
    if account is not None and owner != account.uid:
        raise PostgresFailed(
            f"{data} belongs to root, as whom PostgreSQL does not run. "
            f"Give it to an account that it does run as: chown -R {account.name} {data}"
        )


def create(home: Path, name: str, flags: int) -> int:
    """Open a file of ours in home, made if need be. As root: never through a link, and left to home's owner."""
    opened = os.open(home / name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    if os.geteuid() == 0:
        owner = home.stat()
        os.fchown(opened, owner.st_uid, owner.st_gid)
    return opened


def give_away(account: Account | None, *paths: Path) -> None:
    """Let the account that PostgreSQL runs as have files that root has made for it."""
    if account is not None:
        for path in paths:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def _initialise(home: Path, programs: Programs, account: Account | None) -> None:
    """Make the data folder aside and move it into place: a start that was killed half way leaves no half folder."""
    for left in home.glob("unfinished-*"):
        shutil.rmtree(left, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix="unfinished-", dir=home))
    password = secrets.token_urlsafe(24)
    (made / PASSWORD).write_text(password, encoding="ascii")
    give_away(account, made, made / PASSWORD)
    with Handed(made, account) as handed:
        argv = [
            programs["initdb"],
            f"--pgdata={handed.path}/{DATA}",
            f"--pwfile={handed.path}/{PASSWORD}",
            f"--username={SUPERUSER}",
            "--encoding=UTF8",
            "--no-locale",
            "--data-checksums",
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        ]
        done = subprocess.run(
            launch_argv(account, *argv),
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment(),
            pass_fds=handed.descriptors,
        )
    if done.returncode != 0:
        shutil.rmtree(made, ignore_errors=True)
        raise PostgresFailed(f"initdb could not make {home / DATA}:\n{(done.stdout + done.stderr)[-LOG_SHOWN:]}")
    with os.fdopen(create(home, PASSWORD, os.O_WRONLY | os.O_TRUNC), "w") as kept:
        kept.write(password)
    (made / DATA).rename(home / DATA)
    durable.sync_folder(home)  # initdb has synced what is in it
    shutil.rmtree(made, ignore_errors=True)
