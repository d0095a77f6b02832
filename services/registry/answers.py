"""Answers that were made, kept for whoever asks the same while nothing of it can have changed (ADR 0030).

They are known by a keyed hash (BLAKE2, RFC 7693) of all that they are made of. Nothing is kept that was sealed, and no
more than so many bytes: those that were not asked for the longest go first.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b
from typing import Final

import msgspec

PURPOSE: Final = "entity tags"
"""What the key of the hashes is derived from the master key for: every replica makes the same ones."""
MOST_BYTES: Final = 16 * 1024 * 1024
OVERHEAD: Final = 1024  # bytes that an answer takes beside its body and links, and more
LARGEST: Final = 1024 * 1024


class Kept(msgspec.Struct, frozen=True):
    """An answer: its body, its entity tag, and the headers that are its own."""

    body: bytes
    tag: str
    media_type: str
    links: str


class Answers:
    """The answers asked for last."""

    def __init__(self, key: bytes, most: int = MOST_BYTES) -> None:
        """Take the key of the hashes, and how many bytes may be kept."""
        self._key = key
        self._most = most
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self.bytes = 0

    def basis(self, *made_of: object) -> bytes:
        """Return what an answer is known by, of all that it is made of: nobody without the key can guess it."""
        return blake2b(msgspec.json.encode(made_of), key=self._key).digest()

    def tag(self, basis: bytes, revision: int | None = None) -> str:
        """Return the entity tag of what is made of this, beginning with the revision of its stream if it has one."""
        stated = "" if revision is None else f"{revision}."
        return f'"{stated}{blake2b(stated.encode(), key=basis, digest_size=8).hexdigest()}"'

    def find(self, basis: bytes) -> Kept | None:
        """Return an answer that is kept."""
        kept = self._kept.get(basis)
        if kept is not None:
            self._kept.move_to_end(basis)
        return kept

    def keep(self, basis: bytes, answer: Kept) -> None:
        """Keep an answer, unless it is a large one."""
        if len(answer.body) > LARGEST or basis in self._kept:
            return
        self._kept[basis] = answer
        self.bytes += _taken(answer)
        while self.bytes > self._most:
            _, gone = self._kept.popitem(last=False)
            self.bytes -= _taken(gone)


def _taken(answer: Kept) -> int:
    return len(answer.body) + len(answer.links) + OVERHEAD
