"""The statement that a log goes on under another name, as a signed note (ADR 0027).

Nothing of it can be taken for a checkpoint, which keys of the same names sign: its second line is no size.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

import msgspec

from events.merkle.checkpoint import base64_of, decimal, hash_of
from events.merkle.note import Note, NoteError, VerifierKey

HEADER: Final = "registry/log-adoption@v1"
MAX_REASON: Final = 500
_NONE: Final = "none"
_LABELS: Final = ("origin", "key", "replaces", "size", "root", "last", "adopted", "reason")
_NOT_IN_A_LINE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class Last(msgspec.Struct, frozen=True):
    """The size and root of a checkpoint, the last that is known to have been signed under a name."""

    size: int
    root: bytes


class Adoption(msgspec.Struct, frozen=True):
    """A log of so many entries and this root takes the name `origin`, with a key, in place of another name.

    `last` is the last checkpoint known under the name before, whether this log has its entries or not; None if there
    was none. `adopted_at` is an ISO 8601 instant. Raises `NoteError` for a reason that cannot be one line.
    """

    origin: str
    key: VerifierKey
    replaces: str
    size: int
    root: bytes
    last: Last | None
    adopted_at: str
    reason: str

    def __post_init__(self) -> None:
        if not is_reason(self.reason):
            raise NoteError(f"a reason is one line of 1 to {MAX_REASON} characters")
        if self.key.name != self.origin or self.origin == self.replaces:
            raise NoteError("the key is not the new name's, or the name is no other")

    @classmethod
    def parse(cls, text: str) -> Adoption:
        """Read the text of a note. Raises `NoteError`, `ProofError`."""
        header, *lines = text.removesuffix("\n").split("\n")
        labelled = [line.partition(" ") for line in lines]
        if header != HEADER or tuple(label for label, _, _ in labelled) != _LABELS:
            raise NoteError("this is no statement that a log goes on under another name")
        said = {label: value for label, _, value in labelled}
        adoption = cls(
            origin=said["origin"],
            key=VerifierKey.parse(said["key"]),
            replaces=said["replaces"],
            size=decimal(said["size"], "the size"),
            root=hash_of(said["root"]),
            last=_last(said["last"]),
            adopted_at=said["adopted"],
            reason=said["reason"],
        )
        if adoption.text != text:
            raise NoteError("the statement is not written as it has to be")
        return adoption

    @classmethod
    def read(cls, raw: bytes) -> Adoption:
        """Read a signed note, believing nothing yet. Raises `NoteError`, `ProofError`."""
        return cls.parse(Note.parse(raw).text)

    @classmethod
    def verified(cls, raw: bytes, keys: Iterable[VerifierKey]) -> tuple[Adoption, tuple[VerifierKey, ...]]:
        """Read a signed note that a key of the new name signed, and return which keys did. Raises as `read`."""
        note = Note.parse(raw)
        signers = note.verify(keys)
        adoption = cls.parse(note.text)
        if not any(key.name == adoption.origin for key in signers):
            raise NoteError(f"none of the known keys of {adoption.origin} signed this")
        return adoption, signers

    @property
    def text(self) -> str:
        """Write the text that is signed."""
        last = f"{self.last.size} {base64_of(self.last.root)}" if self.last else _NONE
        values = (
            self.origin, self.key.text, self.replaces, str(self.size), base64_of(self.root), last, self.adopted_at,
            self.reason,
        )  # fmt: skip
        lines = (f"{label} {value}" for label, value in zip(_LABELS, values, strict=True))
        return "".join(f"{line}\n" for line in (HEADER, *lines))


def is_reason(text: str) -> bool:
    """Tell whether a text can be the reason: one line, not too long."""
    return 0 < len(text.strip()) <= MAX_REASON and not any(unicodedata.category(one) in _NOT_IN_A_LINE for one in text)


def _last(text: str) -> Last | None:
    if text == _NONE:
        return None
    size, _, root = text.partition(" ")
    return Last(decimal(size, "the last checkpoint's size"), hash_of(root))
