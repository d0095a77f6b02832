"""Cursors: the log size (and the day) that a list is pinned to and the place to go on from.

One is bound by an HMAC to the list and filters that it was made for: it can be neither forged nor used elsewhere.
"""

from __future__ import annotations

import base64
import hmac
from datetime import date

import msgspec

MAC_BYTES = 16


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on: the log size that it is pinned to, and the last item's sort key and id.

    `on` is the day that it is pinned to, too, where it depends on one.
    """

    size: int
    sort: str
    id: str
    on: date | None = None


def seal_cursor(cursor: Cursor, context: str, key: bytes) -> str:
    """Write a cursor as text."""
    content = msgspec.json.encode(cursor)
    return _text(_mac(content, context, key) + content)


def open_cursor(text: str, context: str, key: bytes) -> Cursor | None:
    """Read a cursor, or return None for one that was not made for this list and these filters."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        mac, content = raw[:MAC_BYTES], raw[MAC_BYTES:]
        if _text(raw) == text and hmac.compare_digest(mac, _mac(content, context, key)):
            return msgspec.json.decode(content, type=Cursor)
    except (ValueError, msgspec.DecodeError):
        pass
    return None


def _text(raw: bytes) -> str:
    """Write bytes as text in the one way that a cursor has: the last character's spare bits are zero."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _mac(content: bytes, context: str, key: bytes) -> bytes:
    return hmac.digest(key, context.encode() + b"\n" + content, "sha256")[:MAC_BYTES]
