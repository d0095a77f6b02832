"""Who vouches for a tree head: the keys that the verifier was given, or those that the log publishes of itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Note, NoteError, Signature, VerifierKey
from services.registry.verify.findings import Finding, Findings


class Keys(msgspec.Struct, frozen=True):
    """The keys that the caller gave, and those that the log publishes.

    Where some are given, today's checkpoint has to be signed by one of these: the log's own word for its keys is no
    proof. Older checkpoints may be signed by keys that were replaced since.
    """

    given: tuple[VerifierKey, ...]
    published: tuple[VerifierKey, ...]

    @property
    def trusted(self) -> tuple[VerifierKey, ...]:
        """Return the keys that today's checkpoint is verified with."""
        return self.given or self.published

    @property
    def known(self) -> tuple[VerifierKey, ...]:
        """Return all of them, each once."""
        return tuple(dict.fromkeys((*self.given, *self.published)))


def read_keys(raw: bytes, findings: Findings, *, file: str = "keys") -> tuple[VerifierKey, ...]:
    """Read published keys, one a line; what is no key, or is named again, is a finding. Each is returned once."""
    keys: dict[VerifierKey, None] = {}
    if raw and not raw.endswith(b"\n"):
        findings.note(Finding("key-malformed", "the last line has no end: the file is cut short", file=file))
    for number, line in enumerate(raw.removesuffix(b"\n").split(b"\n") if raw else (), 1):
        try:
            key = VerifierKey.parse(line.decode())
        except (NoteError, UnicodeDecodeError) as error:
            why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            findings.note(Finding("key-malformed", f"line {number} is no verifier key: {why}", file=file))
            continue
        if key in keys:
            findings.note(Finding("key-malformed", f"line {number} names a key that is named already", file=file))
        else:
            keys[key] = None
    return tuple(keys)


def signers(text: str, signatures: Sequence[Signature], origin: str, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Return those of the keys that signed; one has to be the log's own, of its name. Raises `NoteError`."""
    found = Note(text, tuple(signatures)).verify(keys)
    if not any(key.name == origin for key in found):
        raise NoteError(f"none of the known keys of {origin} signed this")
    return list(found)


class Vouched(msgspec.Struct, frozen=True):
    """A checkpoint that keys signed, and which of them did."""

    checkpoint: Checkpoint
    signers: tuple[VerifierKey, ...]


def read_checkpoint(raw: bytes, keys: Sequence[VerifierKey], findings: Findings, *, file: str) -> Vouched | None:
    """Return the checkpoint in a signed note; None, with a finding, for one that is not to be believed."""
    try:
        note = Note.parse(raw)
        checkpoint = Checkpoint.parse(note.text)
    except VerificationError as refused:
        findings.note(Finding("checkpoint-malformed", f"the checkpoint cannot be read: {refused}", file=file))
        return None
    try:
        return Vouched(checkpoint, tuple(signers(note.text, note.signatures, checkpoint.origin, keys)))
    except NoteError as refused:
        words = f"the checkpoint over {checkpoint.size} entries is not vouched for: {refused}"
        findings.note(Finding("checkpoint-forged", words, file=file))
        return None
