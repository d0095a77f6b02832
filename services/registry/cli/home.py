"""The folder of `registry up`: PostgreSQL's home, its keys, the token, and how other commands reach the database.

One `up` a folder, by a lock that the kernel releases whatever happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
from collections.abc import Generator, Mapping
from pathlib import Path

from services.registry import durable
from services.registry.cli.failures import Unusable

OURS = frozenset({"postgres", "master.key", "keys", "token", "env", "lock"})


class Home:
    """The folder and what is in it; made by `held`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = folder / "postgres"
        self.token = folder / "token"
        self.env = folder / "env"
        self.own_key = folder / "master.key"
        self.keys = folder / "keys"

    def key(self, named: Path | None) -> Path:
        """Return the master key's file: the one that the settings name, else the folder's own, made if need be.

        Raises `Unusable` when the key is gone and what it opens is still there.
        """
        if named is not None:
            return named
        if not self.own_key.exists():
            if (self.postgres / "data").exists():
                raise Unusable(
                    f"{self.own_key} is gone, without which the names and documents in {self.postgres} cannot be read. "
                    "Bring it back from a copy, or remove the whole folder to begin anew."
                )
            from events.vault import MasterKey

            unfinished = self.folder / "master.key.unfinished"
            unfinished.unlink(missing_ok=True)
            MasterKey.create_file(unfinished)
            unfinished.rename(self.own_key)
            durable.sync_folder(self.folder)  # ahead of all that is sealed under it
        return self.own_key

    def keep_token(self, token: str) -> None:
        """Keep the token where only its owner can read it."""
        durable.replace(self.token, f"{token}\n".encode(), durable.OWNERS)

    def kept_token(self) -> str | None:
        """Return the token of an earlier start."""
        try:
            return self.token.read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None

    def tell(self, variables: Mapping[str, str]) -> None:
        """Write down the settings of other commands, for a shell to read."""
        lines = [f"# For other commands while this runs: set -a; . {shlex.quote(str(self.env))}; set +a"]
        lines += [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
        durable.replace(self.env, ("\n".join(lines) + "\n").encode(), durable.OWNERS)


@contextlib.contextmanager
def held(folder: Path) -> Generator[Home]:
    """Make the folder if need be, and be the only one who uses it. Raises `Unusable` if it is in use, or not ours."""
    folder = folder.resolve()
    if not folder.exists():
        folder.mkdir(parents=True)
        # As root: PostgreSQL's account has to pass through it; nobody else has any business there.
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    found = {path.name for path in folder.iterdir()}
    if found and not found & OURS:
        raise Unusable(f"{folder} holds other things and no registry. Name another folder with --data.")
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise Unusable(
                f"`registry up` is running on {folder} already (process {lock.read().strip() or 'unknown'}). "
                "Stop it first, or name another folder with --data."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        home = Home(folder)
        try:
            yield home
        finally:
            home.env.unlink(missing_ok=True)
