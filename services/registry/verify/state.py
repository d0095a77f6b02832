"""What a verification leaves for the next one: how far it came, and what has to be known there to go on.

A folder with the files of `Index`, and two more. `verified` is written when everything was found in order. `unfinished`
is written on the way, so that an interrupted run goes on; nothing in it was held against a checkpoint yet, but what
goes on from it has to meet one. Entries before that place are not read again.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from events.merkle.tree import Frontier
from services.registry import durable
from services.registry.verify.chunk import Edge
from services.registry.verify.source import Unreadable, damaged

VERIFIED: Final = "verified"
UNFINISHED: Final = "unfinished"
MARK: Final = "registry-verify"


class Resumption(msgspec.Struct, frozen=True):
    """Where to go on: a multiple of a chunk's length, the tree up to there, the last entry, how long the files are."""

    frontier: Frontier = Frontier()
    last: Edge | None = None
    lengths: tuple[int, ...] = (0, 0, 0)


class Saved(msgspec.Struct, frozen=True):
    """A file of the folder: whose log it is of, where to go on, and the checkpoint that was verified last, if any."""

    origin: str
    resumption: Resumption
    checkpoint: bytes | None


class State:
    """The folder. Raises `Unreadable` where it is not as it has to be, or is used by another verification."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, origin: str) -> Saved | None:
        """Return where to go on with this log; None to begin."""
        found = [saved for name in (VERIFIED, UNFINISHED) if (saved := self._read(name)) is not None]
        if any(saved.origin != origin for saved in found):
            other = next(saved.origin for saved in found if saved.origin != origin)
            raise Unreadable(
                f"{self.folder} is about the log {other}, not {origin}: give each log a folder of its own."
            )
        return max(found, key=lambda saved: saved.resumption.frontier.size, default=None)

    def verified(self) -> Saved | None:
        """Return what was verified to its end."""
        return self._read(VERIFIED)

    def go_on(self, saved: Saved) -> None:
        """Take down how far an unfinished run has come."""
        self._write(UNFINISHED, saved)

    def finish(self, saved: Saved) -> None:
        """Take down that everything was found in order."""
        self._write(VERIFIED, saved)
        self.forget_unfinished()

    def forget_unfinished(self) -> None:
        """Go on from what was verified last, the next time: what came after was found not to be in order."""
        (self.folder / UNFINISHED).unlink(missing_ok=True)

    def _read(self, name: str) -> Saved | None:
        path = self.folder / name
        try:
            return msgspec.msgpack.decode(path.read_bytes(), type=Saved)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}.") from None
        except (msgspec.MsgspecError, ValueError):
            raise damaged(path) from None

    def _write(self, name: str, saved: Saved) -> None:
        durable.replace(self.folder / name, msgspec.msgpack.encode(saved))
        durable.sync_folder(self.folder)


@contextmanager
def kept(folder: Path | None) -> Generator[State]:
    """Open a folder for one verification, made if need be; without one, a folder that is gone afterwards."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="registry-verify-") as scratch:
            yield State(Path(scratch))
        return
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
        if names and MARK not in names:
            raise Unreadable(f"{folder} holds something else than the state of a verification.")
        mark = os.open(folder / MARK, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise Unreadable(f"{folder} cannot be used: {error.strerror}.") from None
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield State(folder)
    except BlockingIOError:
        raise Unreadable(f"{folder} is used by another verification now.") from None
    finally:
        os.close(mark)
