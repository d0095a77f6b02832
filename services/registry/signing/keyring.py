"""The folder with the log's private keys, and with the last checkpoint that was signed or seen.

Both live outside the database. The keys, so that who has the database cannot sign; the checkpoint, so that a database
which was restored from an old backup, or altered, is noticed: it cannot tell so itself. Hence the folder is not to be
restored together with the database, and processes that sign for one log had better share it.

A key's file is `<number>-<key id>.key` and holds one line as Go's sumdb/note writes it (PRIVATE+KEY+…); the highest
number is the current key. Where the log took another name, `<number>.adopted` holds the statement that was signed of
it, so that a database from before then is noticed as well. `erased` says whose keys in the vault were destroyed: the
log's name and the size up to which that is known, then an owner a line.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Final

from events.errors import RegistryError
from events.merkle import VerificationError
from events.merkle.adoption import Adoption
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import ALGORITHMS, ED25519, NoteError, SigningKey
from services.registry import durable

SIGNED: Final = "signed"
ERASED: Final = "erased"
_ADOPTED: Final = re.compile(r"([0-9]{4})\.adopted")
_SIZE: Final = re.compile(r"0|[1-9][0-9]*")
_OWNER: Final = re.compile(r"(person|document)/[0-9a-z_]+")
_FILE: Final = re.compile(r"([0-9]{4})-([0-9a-f]{8})\.key")


class KeyRingUnusable(RegistryError):
    """The folder with the log's keys cannot be used."""

    code = "key-ring-unusable"


class KeyRing:
    """The folder. Nothing is kept in memory, so that another process's change is seen at once.

    Every method raises `KeyRingUnusable`, naming the file, where the folder is not as it has to be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def keys(self, name: str) -> tuple[SigningKey, ...]:
        """Return the keys of one name, the current one first; none if there are none."""
        return tuple(key for _, key in reversed(list(self._all())) if key.name == name)

    def names(self) -> tuple[str, ...]:
        """Return the names that there are keys of, in order."""
        return tuple(sorted({key.name for _, key in self._all()}))

    def create(self, name: str, algorithm: int = ED25519) -> SigningKey:
        """Make a key, which is the current one of its name from now on; its file is durable when this returns."""
        self._make()
        with self._locked():
            number = max((number for number, _ in self._all()), default=0) + 1
            key = SigningKey(name, algorithm, secrets.token_bytes(ALGORITHMS[algorithm].seed_bytes))
            self._write(f"{number:04}-{key.verifier.key_id.hex()}.key", f"{key.text}\n".encode())
        return key

    def forget_older(self, name: str) -> int:
        """Remove the private keys of a name but the current one, durably; returns how many there were."""
        with self._locked():
            current = next(iter(self.keys(name)), None)
            gone = [path for path, key in self._files() if key.name == name and key != current]
            for path in gone:
                path.unlink()
            durable.sync_folder(self.folder)
        return len(gone)

    def remembered(self) -> tuple[Checkpoint, bytes] | None:
        """Return the last checkpoint that was signed or seen, and its note; None if there is none yet."""
        try:
            note = (self.folder / SIGNED).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeyRingUnusable(f"{self.folder / SIGNED} cannot be read: {error.strerror}.") from None
        try:
            return Checkpoint.parse(note.decode().rpartition("\n\n")[0] + "\n"), note
        except (NoteError, UnicodeDecodeError) as error:
            raise KeyRingUnusable(f"{self.folder / SIGNED} is damaged: {error}.") from None

    def remember(self, checkpoint: Checkpoint, note: bytes) -> None:
        """Keep a checkpoint, durably, unless one of the same name with more entries is kept."""
        with self._locked():
            known = self.remembered()
            newer = known is None or known[0].origin != checkpoint.origin or known[0].size <= checkpoint.size
            if newer and (known is None or known[1] != note):
                self._write(SIGNED, note)

    def erased(self) -> tuple[str, int, frozenset[str]]:
        """Return whose keys were destroyed, with the log's name and the size up to which it was looked for."""
        path = self.folder / ERASED
        try:
            head, *owners = path.read_text(encoding="utf-8").splitlines() or [""]
        except FileNotFoundError:
            return "", 0, frozenset()
        except OSError as error:
            raise KeyRingUnusable(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise KeyRingUnusable(f"{path} is damaged.") from None
        name, _, size = head.rpartition(" ")
        if not name or not _SIZE.fullmatch(size) or not all(map(_OWNER.fullmatch, owners)):
            raise KeyRingUnusable(f"{path} is damaged.")
        return name, int(size), frozenset(owners)

    def keep_erased(self, name: str, size: int, owners: Collection[str]) -> None:
        """Keep for good, durably, whose keys were destroyed, beside those that are kept, and how far that was seen."""
        with self._locked():
            _, _, known = self.erased()
            lines = [f"{name} {size}", *sorted(known.union(owners))]
            self._write(ERASED, "".join(f"{line}\n" for line in lines).encode())

    def adoptions(self) -> tuple[tuple[Adoption, str], ...]:
        """Return which names were taken in place of which, the first one first, each with what was signed of it."""
        return tuple((adoption, note) for _, adoption, note in self._adopted())

    def keep_adoption(self, statement: str) -> None:
        """Keep for good, durably, that a name was taken; what is kept of it stays as it is."""
        adoption = Adoption.read(statement.encode())
        with self._locked():
            known = list(self._adopted())
            if all(one.origin != adoption.origin for _, one, _ in known):
                number = max((number for number, _, _ in known), default=0) + 1
                self._write(f"{number:04}.adopted", statement.encode())

    def _adopted(self) -> Iterator[tuple[int, Adoption, str]]:
        for path in self._named(_ADOPTED):
            try:
                note = path.read_bytes()
                yield int(path.name[:4]), Adoption.read(note), note.decode()
            except VerificationError as error:
                raise KeyRingUnusable(f"{path} is damaged: {error}.") from None
            except OSError as error:
                raise KeyRingUnusable(f"{path} cannot be read: {error.strerror}.") from None

    def _named(self, form: re.Pattern[str]) -> list[Path]:
        """Return the files whose names have a form, in their order; none where there is no folder."""
        try:
            return sorted(path for path in self.folder.iterdir() if form.fullmatch(path.name))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeyRingUnusable(f"{self.folder} cannot be read: {error.strerror}.") from None

    def _files(self) -> Iterator[tuple[Path, SigningKey]]:
        for path in self._named(_FILE):
            try:
                yield path, SigningKey.parse(path.read_text(encoding="ascii").strip())
            except (NoteError, UnicodeDecodeError):
                raise KeyRingUnusable(f"{path} holds no signing key.") from None
            except OSError as error:
                raise KeyRingUnusable(f"{path} cannot be read: {error.strerror}.") from None

    def _all(self) -> Iterator[tuple[int, SigningKey]]:
        for path, key in self._files():
            yield int(path.name[:4]), key

    def _make(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise KeyRingUnusable(f"{self.folder} cannot be made: {error.strerror}.") from None

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        """Keep other processes out. The kernel lets go of it whatever happens."""
        try:
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise KeyRingUnusable(f"{self.folder} cannot be opened: {error.strerror}.") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, name: str, content: bytes) -> None:
        """Write a file that only its owner can read, whole or not at all, and durably."""
        try:
            durable.replace(self.folder / name, content, durable.OWNERS)
            durable.sync_folder(self.folder)
        except OSError as error:
            raise KeyRingUnusable(f"{self.folder / name} cannot be written: {error.strerror}.") from None
