"""Ids: made here, where randomness is, and recognised.

Things have TypeIDs: a prefix and a UUIDv7 in 26 characters. Commands have UUIDs: with an idempotency key the same
one for the same client and key (RFC 9562, version 8), without one a fresh UUIDv7.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from uuid import UUID

import uuid_utils.compat
from typeid.codecs import base32


def new_id(prefix: str) -> str:
    """Make an id: a UUIDv7, so that it sorts by when it was made, in the letters of TypeIDs."""
    return f"{prefix}_{base32.encode(uuid_utils.uuid7().bytes)}"


def is_id(prefix: str, text: object) -> bool:
    """Tell whether this is an id with this prefix."""
    return isinstance(text, str) and _form(prefix).fullmatch(text) is not None


@cache
def _form(prefix: str) -> re.Pattern[str]:
    return re.compile(prefix + "_[0-7][0-9a-hjkmnp-tv-z]{25}")


def command_id(actor: str, party: str | None, key: str | None) -> UUID:
    """Return the id of a client's command: the same for the same key of the same client on behalf of the same party."""
    if key is None:
        return uuid_utils.compat.uuid7()
    client = actor if party is None else f"{actor}\0{party}"  # no name holds NUL
    digest = bytearray(hashlib.sha256(f"{len(client)} {client} {key}".encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return UUID(bytes=bytes(digest))
