"""What is to be recorded, and what was: the shapes that go into the log and come out of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from events.merkle.tree import Frontier
from events.values import Classification


class Draft(Struct, frozen=True, kw_only=True):
    """One event that is to be recorded.

    `expected_revision` is the revision that the stream must have before the command's first event in it (-1: the
    stream must not exist); the command's later drafts of that stream follow on, whatever theirs says. `pointer`
    (RFC 6901) is where the request has it, for the error when it is too large.
    """

    stream: str
    expected_revision: int
    event_type: str
    data: Any
    classification: Classification = "public"
    pointer: str = ""


class Claim(Struct, frozen=True):
    """A value that belongs to one thing only, across streams, for good.

    `pointer` (RFC 6901) is where the request holds it, for the error when it is taken.
    """

    scope: str
    value: str
    pointer: str = ""


class Read(Struct, frozen=True):
    """A stream that a command was decided on without writing to it, at the revision it had (-1: no such stream)."""

    stream: str
    revision: int


class Absent(Struct, frozen=True):
    """A text (an id, a hash) that no entry from position `since` on may have in its bytes."""

    text: str
    since: int


class Overtaken(Exception):
    """Something that a command rests on beyond its own streams is not as it was: nothing was recorded, decide anew."""


class NewKey(Struct, frozen=True, kw_only=True):
    """A vault key that is made together with the entries it seals; its owner may not have one yet."""

    owner: str
    wrapped: bytes
    key_id: str


class NewSalt(Struct, frozen=True, kw_only=True):
    """What the command's hash was salted with, on account of the owner it names; gone when the owner's key is."""

    owner: str
    salt: bytes


class NewToken(Struct, frozen=True):
    """A blind token by which an owner is to be found, in place of all that it had; gone when the owner's key is."""

    owner: str
    token: bytes


class Append(Struct, frozen=True, kw_only=True):
    """One command: all of it is recorded, next to each other and in order, or nothing is.

    `command_hash` (32 bytes) tells a repetition of the request from another request under the same id. In one
    transaction with the entries, `keys`, `salts` and `tokens` are kept, and those of the owners in `destroy` deleted.

    It is recorded only while what it rests on holds (ADR 0019): the streams that were read have not moved, what is to
    be `absent` is mentioned by no newer entry, and the owners in `needed` have a key.
    """

    command_id: UUID
    command_hash: bytes
    actor: str
    drafts: tuple[Draft, ...]
    claims: tuple[Claim, ...] = ()
    on_behalf_of: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    keys: tuple[NewKey, ...] = ()
    salts: tuple[NewSalt, ...] = ()
    tokens: tuple[NewToken, ...] = ()
    destroy: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    absent: tuple[Absent, ...] = ()
    needed: tuple[str, ...] = ()

    @property
    def conditional(self) -> bool:
        """Whether it rests on anything beyond the streams that it writes."""
        return bool(self.reads or self.absent or self.needed)

    def rests_on(self, overtaken: Collection[str]) -> bool:
        """Whether it rests on one of these streams, texts or owners."""
        return (
            any(read.stream in overtaken for read in self.reads)
            or any(one.text in overtaken for one in self.absent)
            or not set(self.needed).isdisjoint(overtaken)
        )


class Recorded(Struct, frozen=True, gc=False):
    """One entry: the bytes as they are stored, hashed and served, and copies of what finds them."""

    position: int
    stream: str
    revision: int
    id: UUID
    event_type: str
    recorded_at: datetime
    bytes: bytes


class Appended(Struct, frozen=True):
    """What a command recorded; `size` is that of the log with the command's last entry in it.

    `replayed`: the command had been recorded before, and this is what was answered then.
    """

    entries: tuple[Recorded, ...]
    size: int
    replayed: bool = False


class Head(Struct, frozen=True):
    """The log at one moment: how many entries, their Merkle frontier, when the last was recorded (None: empty)."""

    size: int
    frontier: Frontier
    last_recorded_at: datetime | None
