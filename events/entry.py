"""The envelope: one CloudEvents 1.0 object per entry, its canonical bytes and its leaf hash.

Canonical means RFC 8785 (JCS): keys sorted, no white space, UTF-8. Keys are ASCII and numbers are
integers below 2**53 here, so msgspec's sorted encoding is that form; a test holds it against `rfc8785`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec

from events.edtf import EdtfDate
from events.errors import EntryTooLarge
from events.values import Classification

MAX_ENTRY_BYTES = 65_535  # an entry bundle puts a 16-bit length in front of each (C2SP tlog-tiles)


def _to_text(value: object) -> str:
    if isinstance(value, EdtfDate):
        return value.text
    raise TypeError(f"no JSON form for {type(value).__name__}")


canonical = msgspec.json.Encoder(order="sorted", enc_hook=_to_text)
"""The one encoder of what is stored and hashed."""


def to_builtins(value: object) -> Any:
    """Return a value as decoded JSON would be: objects, arrays, texts, numbers."""
    return msgspec.to_builtins(value, enc_hook=_to_text)


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The attributes of an entry; `data` is the event's fields (typed, or raw bytes when read)."""

    specversion: str
    id: str
    source: str
    type: str
    subject: str
    time: str
    datacontenttype: str
    dataschema: str
    sequence: str
    revision: int
    commandid: str
    commandhash: str
    actor: str
    classification: Classification
    data: Any
    onbehalfof: str | None = None
    correlationid: str | None = None
    causationid: str | None = None


def canonical_bytes(envelope: Envelope) -> bytes:
    """Return the bytes that are stored, hashed, served and replayed.

    Raises `EntryTooLarge` beyond 65,535 bytes.
    """
    encoded = canonical.encode(envelope)
    bounded(len(encoded))
    return encoded


def bounded(size: int) -> int:
    """Return the size (bytes) that an entry may have. Raises `EntryTooLarge` beyond 65,535 bytes."""
    if size > MAX_ENTRY_BYTES:
        raise EntryTooLarge(
            f"the entry has {size} bytes; at most {MAX_ENTRY_BYTES} are allowed. "
            "Shorten its texts, or file a long text as a document and cite it."
        )
    return size


# Of sorted keys only `causationid` may stand between the first and this one, and a quotation mark in a text is escaped.
_PUBLIC = re.compile(rb'\{"actor":"(?:[^"\\]|\\.)*",(?:"causationid":"[^"\\]*",)?"classification":"public",')


def is_public(entry: bytes) -> bool:
    """Tell whether canonical bytes are those of an entry that is classified as public, by their beginning alone.

    What is not of the form known here counts as not public.
    """
    return _PUBLIC.match(entry) is not None


_hash_of_leaf = hashlib.sha256(b"\x00").copy  # with the prefix taken in already


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a Merkle leaf: SHA-256(0x00 || entry) (RFC 6962, section 2.1)."""
    leaf = _hash_of_leaf()
    leaf.update(entry)
    return leaf.digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """Hash many entries as Merkle leaves."""
    begin, leaves = _hash_of_leaf, list[bytes]()
    append = leaves.append
    for entry in entries:
        leaf = begin()
        leaf.update(entry)
        append(leaf.digest())
    return leaves


def time_text(moment: datetime) -> str:
    """Write an instant as entries do: UTC, always six digits of microseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
