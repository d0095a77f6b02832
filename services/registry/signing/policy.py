"""Which witnesses are asked to cosign the log's checkpoints, and how many have to before one is published.

A policy is a file of lines; what stands behind a # at a line's beginning, and empty lines, are passed over:

    witness witness.example/w1+b1a2c3d4+BF… https://witness.example/
    quorum 1
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from events.merkle.note import COSIGNATURE, NoteError, VerifierKey
from services.registry.connection_uri import MAX_PORT
from services.registry.settings import InvalidSettings

VARIABLE: Final = "REGISTRY_WITNESS_FILE"
MAX_BYTES: Final = 64 * 1024
ALLOWED: Final = "Allowed: `witness <verifier key> <submission prefix>`, `quorum <number>`, and comments behind #"


class Witness(msgspec.Struct, frozen=True):
    """Who cosigns: the key, and the URL that requests go below, without a slash at its end."""

    key: VerifierKey
    prefix: str


class Policy(msgspec.Struct, frozen=True):
    """The witnesses, each of another name, and how many of them have to have cosigned what is published."""

    witnesses: tuple[Witness, ...] = ()
    quorum: int = 0

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """Return the witnesses' keys."""
        return tuple(one.key for one in self.witnesses)


def read(path: Path | None) -> Policy:
    """Read the policy's file; without one, nobody is asked. Raises `InvalidSettings` with every line that is wrong."""
    if path is None:
        return Policy()
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidSettings([f"{VARIABLE}: the file cannot be read: {error.strerror}."]) from None
    if len(raw) > MAX_BYTES:
        raise InvalidSettings([f"{VARIABLE}: the file has more than {MAX_BYTES} bytes."])
    return parse(raw)


def parse(raw: bytes) -> Policy:
    """Read a policy. Raises `InvalidSettings`, which names each wrong line by its number, whatever the bytes are."""
    witnesses: list[Witness] = []
    quorums: list[tuple[int, int]] = []
    problems: list[str] = []
    for number, line in enumerate(raw.split(b"\n"), 1):
        try:
            match _words(line):
                case []:
                    pass
                case ["witness", key, prefix]:
                    witnesses.append(_witness(key, prefix, witnesses))
                case ["quorum", count]:
                    quorums.append((number, _quorum(count, quorums)))
                case _:
                    problems.append(f"{VARIABLE}: line {number} says nothing. {ALLOWED}.")
        except ValueError as wrong:
            problems.append(f"{VARIABLE}: line {number}: {wrong}.")
    problems += _wanting(quorums, len(witnesses), whole=not problems)
    if problems:
        raise InvalidSettings(problems)
    return Policy(tuple(witnesses), quorums[0][1])


def _wanting(quorums: list[tuple[int, int]], witnesses: int, *, whole: bool) -> Iterator[str]:
    """Say what is wrong with the lines together, if each is right by itself."""
    if whole and not quorums:
        yield f"{VARIABLE}: no line says the quorum: how many witnesses have to have cosigned what is published."
    elif whole and quorums[0][1] > witnesses:
        number, count = quorums[0]
        yield f"{VARIABLE}: line {number}: a quorum of {count} cannot be reached with {witnesses} witnesses."


def _words(line: bytes) -> list[str]:
    try:
        words = line.decode().split()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    return [] if words and words[0].startswith("#") else words


def _witness(text: str, prefix: str, before: list[Witness]) -> Witness:
    try:
        key = VerifierKey.parse(text)
    except NoteError as wrong:
        raise ValueError(f"this is no verifier key: {wrong}") from None
    if key.algorithm != COSIGNATURE:
        raise ValueError("this is no witness's key: it is of another type than cosignatures have")
    if key.name in {one.key.name for one in before}:
        raise ValueError(f"{key.name} is named twice, and would count twice")
    import httpx  # takes a tenth of the start of those who have no witnesses

    try:
        url = httpx.URL(prefix)
    except httpx.InvalidURL as wrong:
        raise ValueError(f"the submission prefix is no URL: {wrong}") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise ValueError("the submission prefix is no http or https URL without user, query and fragment")
    if url.port is not None and not 0 < url.port <= MAX_PORT:
        raise ValueError("the submission prefix has a port that there is not")
    return Witness(key, prefix.rstrip("/"))


def _quorum(text: str, before: list[tuple[int, int]]) -> int:
    if before:
        raise ValueError(f"line {before[0][0]} says the quorum already")
    if not (text.isascii() and text.isdigit() and len(text) <= 4):  # noqa: PLR2004 - more digits than there are lines
        raise ValueError("the quorum is no number from 0 to that of the witnesses")
    return int(text)
