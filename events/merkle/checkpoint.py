"""Checkpoints (C2SP tlog-checkpoint): signed tree heads, and the proof files (C2SP tlog-proof) that hold one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from events.merkle.note import Note, NoteError, VerifierKey
from events.merkle.proofs import MAX_SIZE, ProofError, verify_inclusion
from events.merkle.tree import HASH_BYTES

PROOF_HEADER: Final = "c2sp.org/tlog-proof@v1"
_DECIMAL: Final = re.compile("0|[1-9][0-9]{0,19}")
_LEAST_LINES: Final = 3


class Checkpoint(msgspec.Struct, frozen=True):
    """A tree head: the log's name, its size, its root, and lines that others may have added."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text of a note. Raises `NoteError`."""
        lines = text.removesuffix("\n").split("\n")
        if not text.endswith("\n") or len(lines) < _LEAST_LINES or not all(lines):
            raise NoteError("a checkpoint has three lines or more, none of them empty")
        origin, size, root, *extensions = lines
        return cls(origin, decimal(size, "the checkpoint's size"), hash_of(root), tuple(extensions))

    @classmethod
    def verified(cls, raw: bytes, keys: Iterable[VerifierKey], *, origin: str | None = None) -> Checkpoint:
        """Read a signed note that one of the keys signed; of one log, if its origin is given. Raises `NoteError`."""
        note = Note.parse(raw)
        note.verify(keys)
        checkpoint = cls.parse(note.text)
        if origin not in (None, checkpoint.origin):
            raise NoteError("the checkpoint is another log's")
        return checkpoint

    @property
    def text(self) -> str:
        """Write the text that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), base64_of(self.root), *self.extensions))


class ProofFile(msgspec.Struct, frozen=True):
    """All that proves an entry offline: its index, the path from its leaf to a root, the checkpoint with that root."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    @classmethod
    def parse(cls, raw: bytes) -> ProofFile:
        """Read a file, believing nothing yet; what it has as `extra` is passed over. Raises `VerificationError`s."""
        head, blank, checkpoint = raw.partition(b"\n\n")
        try:
            lines = head.decode().split("\n")
        except UnicodeDecodeError:
            raise NoteError("the proof is not UTF-8") from None
        if not blank or lines.pop(0) != PROOF_HEADER:
            raise NoteError(f"a proof file begins with {PROOF_HEADER} and has a checkpoint behind an empty line")
        if lines and lines[0].startswith("extra "):
            lines.pop(0)
        if not lines or not lines[0].startswith("index "):
            raise NoteError("the proof file says no index")
        index = decimal(lines.pop(0).removeprefix("index "), "the index")
        return cls(index, tuple(hash_of(line) for line in lines), checkpoint)

    def encode(self) -> bytes:
        """Write the file."""
        hashes = "".join(f"{base64_of(one)}\n" for one in self.path)
        return f"{PROOF_HEADER}\nindex {self.index}\n{hashes}\n".encode() + self.checkpoint

    def verify(self, leaf: bytes, keys: Sequence[VerifierKey], *, origin: str | None = None) -> Checkpoint:
        """Return the checkpoint if this proves that the leaf is in the tree that one of the keys signed.

        Raises `NoteError`, `ProofError`.
        """
        checkpoint = Checkpoint.verified(self.checkpoint, keys, origin=origin)
        verify_inclusion(leaf=leaf, index=self.index, size=checkpoint.size, root=checkpoint.root, path=self.path)
        return checkpoint


def decimal(text: str, what: str) -> int:
    """Read a number without leading zeros, up to 2^64 - 1. Raises `NoteError`."""
    if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
        raise NoteError(f"{what} is not a number from 0 to 2^64 - 1")
    return int(text)


def hash_of(text: str) -> bytes:
    """Read a hash in base64. Raises `ProofError`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ProofError("a hash is not base64") from None
    if len(raw) != HASH_BYTES or base64_of(raw) != text:
        raise ProofError(f"a hash is not {HASH_BYTES} bytes in base64")
    return raw


def base64_of(raw: bytes) -> str:
    """Write bytes in base64 (RFC 4648, section 4)."""
    return base64.b64encode(raw).decode()
