"""What is published beside checkpoint and tiles, as it is written: the keys, and the names the log was signed under.

The same bytes wherever the log is served from: over HTTP, from an export, in an evidence pack.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from events.log.checkpoints import Checkpoints
from events.merkle.note import NoteError, VerifierKey


class OriginTaken(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A name that checkpoints were signed under, and which it took the place of.

    All of it is told again, signed, in `statement` (ADR 0027).
    """

    origin: str
    size: int
    replaces: str | None
    last_checkpoint: str | None
    reason: str
    adopted_at: str
    statement: str | None = None


class Origins(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name that checkpoints are signed under now, and every change of it, the newest first."""

    origin: str
    adopted: tuple[OriginTaken, ...]


async def origins(checkpoints: Checkpoints, origin: str) -> Origins:
    """Return the names as they are published, `origin` being the one now. Raises `LogUnavailable`."""
    adopted = tuple(
        OriginTaken(
            origin=one.origin,
            size=one.size,
            replaces=one.replaces,
            last_checkpoint=one.last_checkpoint,
            reason=one.reason,
            adopted_at=one.adopted_at.isoformat(),
            statement=one.statement,
        )
        for one in await checkpoints.origins()
    )
    return Origins(origin, adopted)


def encode_origins(names: Origins) -> bytes:
    """Write the names."""
    return msgspec.json.encode(names)


def decode_origins(raw: bytes) -> Origins:
    """Read the names, believing none of it. Raises `NoteError` for what `encode_origins` does not write."""
    try:
        names = msgspec.json.decode(raw, type=Origins)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise NoteError("these are not the names of a log") from None
    if encode_origins(names) != raw:
        raise NoteError("the names are not written as they have to be")
    return names


def encode_keys(keys: Iterable[VerifierKey]) -> bytes:
    """Write keys, one a line."""
    return "".join(f"{key.text}\n" for key in keys).encode()


def decode_keys(raw: bytes) -> list[VerifierKey]:
    """Read keys, one a line, and at least one. Raises `NoteError`."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise NoteError("the keys are not UTF-8") from None
    if not text.endswith("\n"):
        raise NoteError("the keys are cut short")
    return [VerifierKey.parse(line) for line in text[:-1].split("\n")]
