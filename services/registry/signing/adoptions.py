"""What was signed when the log took another name: made with the keys at hand, and held against what is told of it."""

from __future__ import annotations

from collections.abc import Sequence

from events.merkle.adoption import Adoption, Last
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Note, NoteError, SigningKey, VerifierKey
from services.registry.signing.published import OriginTaken


def sign(adoption: Adoption, keys: Sequence[SigningKey]) -> str:
    """Return the statement as it is kept: a signed note."""
    return Note(adoption.text, tuple(key.sign(adoption.text) for key in keys)).encode().decode()


def check(told: OriginTaken, keys: Sequence[VerifierKey]) -> tuple[Adoption, tuple[VerifierKey, ...]]:
    """Return what was signed when a name was taken, and by which of the keys.

    Raises `NoteError`, `ProofError` if nothing was, if no key of the new name is among those that did, and if what is
    told beside it is anything else. The last checkpoint of the name before may have been lost; if it is there it is
    the one that is spoken of, and signed with a key of that name.
    """
    if told.statement is None:
        raise NoteError("nobody signed it")
    adoption, signers = Adoption.verified(told.statement.encode(), keys)
    said = (adoption.origin, adoption.size, adoption.replaces, adoption.reason, adoption.adopted_at)
    beside = (told.origin, told.size, told.replaces, told.reason, told.adopted_at)
    for name, signed, other in zip(("name", "size", "name before", "reason", "date"), said, beside, strict=True):
        if signed != other:
            raise NoteError(f"the {name} that was signed is {signed!r}, not {other!r}")
    if told.last_checkpoint is not None:
        old = [key for key in keys if key.name == adoption.replaces]
        last = Checkpoint.verified(told.last_checkpoint.encode(), old, origin=adoption.replaces)
        if adoption.last != Last(last.size, last.root):
            raise NoteError("the last checkpoint of the name before is not the one that was spoken of")
    return adoption, signers
