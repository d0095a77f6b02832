"""Whether the keys from outside the database are there, for nobody else to read, and the ones that belong to it."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from events.errors import Corrupt, MasterKeyUnusable
from events.log.checkpoints import Signed
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import NoteError, VerifierKey
from events.vault import MasterKey
from services.registry.doctor.finding import Finding, failed, ok, warning
from services.registry.signing.keyring import KeyRing, KeyRingUnusable

AREA: Final = "key"
OTHERS_READ: Final = stat.S_IROTH
GROUP_READS: Final = stat.S_IRGRP
OTHERS_WRITE: Final = stat.S_IWOTH | stat.S_IWGRP
CREATE: Final = "Run `registry key create`; `registry serve` with the same folder signs checkpoints from then on."
OPENED: Final = 100  # of the newest wrapped keys
NAMED: Final = 5  # of those that cannot be opened
RIGHT_KEY: Final = (
    "Give the file that the registry was set up with: without it sealed names and documents cannot be read."
)
MEND_KEYS: Final = (
    "Bring their rows of vault.key back from a backup; `registry verify` with the master key names every such key."
)


class Published(msgspec.Struct, frozen=True):
    """What the database knows of the keys: name, public keys, last checkpoint, and the log's size."""

    origin: str
    verifiers: Sequence[VerifierKey]
    latest: Signed | None
    size: int


class Wrapped(msgspec.Struct, frozen=True):
    """An owner's key as the vault keeps it."""

    owner: str
    wrapped: bytes
    master_key_id: str


def judge_ring(folder: Path | None, published: Published) -> list[Finding]:
    """Say what is found of the signing keys."""
    if folder is None:
        advice = f"Set REGISTRY_KEY_DIR to a folder apart from the database and its backups. {CREATE}"
        return [warning(AREA, "signing", "REGISTRY_KEY_DIR is not set: no checkpoints are signed from here", advice)]
    ring = KeyRing(folder)
    try:
        keys = [key.verifier for key in ring.keys(published.origin)]
        others = [name for name in ring.names() if name != published.origin]
        remembered = ring.remembered()
        modes = {path: path.stat().st_mode for path in sorted(folder.glob("*.key"))}
        folder_mode = folder.stat().st_mode if folder.exists() else 0
    except (KeyRingUnusable, OSError) as error:
        found = error.detail if isinstance(error, KeyRingUnusable) else f"{error.filename}: {error.strerror}"
        return [
            failed(AREA, "signing", found, "Let the user of `registry serve` own the folder, or restore its files.")
        ]
    return [
        _signing(folder, keys, others, published),
        judge_modes(folder, folder_mode, modes),
        judge_checkpoint(keys, published),
        _remembered(remembered[0] if remembered else None, published),
    ]


def _signing(folder: Path, keys: Sequence[VerifierKey], others: Sequence[str], published: Published) -> Finding:
    if not keys:
        beside = f"; there are keys of {', '.join(others)}: is REGISTRY_ORIGIN right?" if others else ""
        return failed(AREA, "signing", f"there is no key of {published.origin} in {folder}{beside}", CREATE)
    if keys[0] not in published.verifiers:
        found = f"the current key in {folder} is not published in the database"
        return failed(AREA, "signing", found, "Run `registry key create`, which publishes it; is it this log's folder?")
    return ok(AREA, "signing", f"keys of {published.origin}: {len(keys)}, of which {keys[0].key_id.hex()} is current")


def judge_modes(folder: Path, folder_mode: int, modes: Mapping[Path, int]) -> Finding:
    """Say whether private keys are for their owner alone."""
    open_ = [path.name for path, mode in modes.items() if mode & (OTHERS_READ | OTHERS_WRITE)]
    if open_:
        found = f"others can read or change {', '.join(open_)} in {folder}"
        advice = f"chmod 600 {folder}/*.key. If somebody else may have read one: `registry key rotate --drop`."
        return failed(AREA, "key-files", found, advice)
    if folder_mode & OTHERS_WRITE:
        return failed(AREA, "key-files", f"others can put files into {folder}", f"chmod 700 {folder}")
    if group := [path.name for path, mode in modes.items() if mode & GROUP_READS]:
        found = f"the group can read {', '.join(group)} in {folder}"
        return warning(AREA, "key-files", found, f"chmod 600 {folder}/*.key, unless the group is the service's alone.")
    return ok(AREA, "key-files", f"private files, which only their owner reads: {len(modes)}")


def judge_checkpoint(keys: Sequence[VerifierKey], published: Published) -> Finding:
    """Say whether the last checkpoint verifies with the current key in the folder."""
    if published.latest is None:
        return ok(AREA, "checkpoint", "no checkpoint was signed yet")
    size = published.latest.checkpoint.size
    try:
        signers = published.latest.note.verify(dict.fromkeys([*keys, *published.verifiers]))
    except NoteError as error:
        found = f"the last checkpoint, over {size} entries, does not verify: {error}"
        return failed(AREA, "checkpoint", found, "Run `registry verify`.")
    if keys and keys[0] in signers:
        return ok(AREA, "checkpoint", f"the last checkpoint, over {size} entries, verifies with the current key")
    if any(key in signers for key in keys):
        found = f"the last checkpoint, over {size} entries, was signed before the key was replaced"
        return warning(AREA, "checkpoint", found, "See that `registry serve` runs with this folder: it signs anew.")
    found = f"the last checkpoint, over {size} entries, was signed with no key that is in this folder"
    return failed(AREA, "checkpoint", found, "Set REGISTRY_KEY_DIR to the folder that `registry serve` signs with.")


def _remembered(seen: Checkpoint | None, published: Published) -> Finding:
    if seen is None or seen.origin != published.origin:
        return ok(AREA, "remembered", "the folder remembers no checkpoint of this log yet")
    if seen.size > published.size:
        found = f"the log has {published.size} entries, but a checkpoint over {seen.size} was signed"
        advice = "The log was truncated or restored from an old backup: bring back the rest, or `registry log adopt`."
        return failed(AREA, "remembered", found, advice)
    return ok(AREA, "remembered", f"a checkpoint over {seen.size} entries was signed last, and the log has no fewer")


def judge_master(file: Path | None, wrapped: Sequence[Wrapped]) -> Iterator[Finding]:
    """Say whether the master key is there, and opens what is wrapped."""
    if file is None:
        yield failed(AREA, "master", "REGISTRY_MASTER_KEY_FILE is not set", "`registry serve` needs it: set it.")
        return
    try:
        master = MasterKey.from_file(file)
        mode = file.stat().st_mode
    except (MasterKeyUnusable, OSError) as error:
        yield failed(AREA, "master", f"{file}: {error}", RIGHT_KEY)
        return
    yield _opens(master, wrapped)
    if mode & (OTHERS_READ | OTHERS_WRITE):
        found, advice = (
            f"others can read or change {file}",
            f"chmod 600 {file}, unless a folder above is closed to them.",
        )
        yield warning(AREA, "master-file", found, advice)
    else:
        yield ok(AREA, "master-file", f"only its owner, or its group, reads {file}")


def _opens(master: MasterKey, wrapped: Sequence[Wrapped]) -> Finding:
    if not wrapped:
        return ok(AREA, "master", f"the master key is {master.key_id}; nothing is wrapped by it yet")
    others = dict.fromkeys(one.master_key_id for one in wrapped)
    if master.key_id not in others:
        found = f"the file holds the master key {master.key_id}, but keys are wrapped by {', '.join(others)}"
        return failed(AREA, "master", found, RIGHT_KEY)
    damaged = [one.owner for one in wrapped if not _opened(master, one)]
    if damaged:
        more = f" and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
        found = f"of the newest keys in the vault {len(damaged)} cannot be opened: {', '.join(damaged[:NAMED])}{more}"
        return failed(AREA, "master", found, RIGHT_KEY if len(damaged) == len(wrapped) else MEND_KEYS)
    return ok(AREA, "master", f"the master key {master.key_id} opens a key that it wrapped")


def _opened(master: MasterKey, one: Wrapped) -> bool:
    if one.master_key_id != master.key_id:
        return False
    try:
        master.unwrap(one.owner, one.wrapped)
    except Corrupt:
        return False
    return True
