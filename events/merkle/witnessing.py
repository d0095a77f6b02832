"""What logs send to witnesses and what these answer (C2SP tlog-witness): bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from events.merkle.checkpoint import base64_of, decimal, hash_of
from events.merkle.note import Note, NoteError, Signature, VerifierKey

PATH: Final = "add-checkpoint"
"""What stands behind a witness's submission prefix."""

SIZE_TYPE: Final = "text/x.tlog.size"
"""The media type of an answer that names the size which was cosigned last."""

MAX_PROOF: Final = 63
MAX_BYTES: Final = 64 * 1024
"""Of a request, and of an answer: several times what a checkpoint with a proof and many signatures needs."""


class Submission(msgspec.Struct, frozen=True):
    """A checkpoint that is to be cosigned, the size of the one that was cosigned last, and the proof between them."""

    old: int
    path: tuple[bytes, ...]
    note: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Submission:
        """Take a request's body apart, believing nothing yet. Raises `VerificationError`s."""
        if len(raw) > MAX_BYTES:
            raise NoteError(f"a request has at most {MAX_BYTES} bytes")
        head, blank, note = raw.partition(b"\n\n")
        try:
            first, *hashes = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise NoteError("the lines before the checkpoint are not ASCII") from None
        if not blank or not first.startswith("old "):
            raise NoteError("a request begins with the old size and has a checkpoint behind an empty line")
        if len(hashes) > MAX_PROOF:
            raise NoteError(f"a proof has at most {MAX_PROOF} hashes")
        old = decimal(first.removeprefix("old "), "the old size")
        return cls(old, tuple(hash_of(line) for line in hashes), note)

    def encode(self) -> bytes:
        """Write the request's body."""
        hashes = "".join(f"{base64_of(one)}\n" for one in self.path)
        return f"old {self.old}\n{hashes}\n".encode() + self.note


def size_answered(raw: bytes) -> int:
    """Read the size that a witness says it cosigned last. Raises `NoteError`."""
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise NoteError("the size is not ASCII") from None
    if not text.endswith("\n"):
        raise NoteError("the size does not end in a newline")
    return decimal(text[:-1], "the size")


def encode_signatures(signatures: Iterable[Signature]) -> bytes:
    """Write the answer of a witness that has cosigned."""
    return "".join(f"{one.line}\n" for one in signatures).encode()


def cosignature(raw: bytes, text: str, key: VerifierKey) -> Signature:
    """Return a key's signature of a note's text out of a witness's answer; those of other keys are passed over.

    Of several it is the first: one of a key is kept. Raises `NoteError` if there is none, or any is wrong.
    """
    note = Note.parse(text.encode() + b"\n" + raw)
    if note.text != text:
        raise NoteError("the answer is no list of signatures")
    note.verify([key])
    return next(one for one in note.signatures if one.is_of(key))
