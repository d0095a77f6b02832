"""What a document is, told by its content: by its first bytes, or by all of them where it is text."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Final

from events.shape import CONTROL

PLAIN_TEXT: Final = "text/plain"
SIGNATURES: Final[Mapping[bytes, str]] = {
    b"%PDF-": "application/pdf",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
}
MEDIA_TYPES: Final = (PLAIN_TEXT, *SIGNATURES.values())
UNNAMED: Final = "application/octet-stream"
PIECE: Final = 256 * 1024
"""Bytes of a text that are looked at in one go: Python does nothing else meanwhile, in whatever thread."""


def told_by_content(content: bytes) -> tuple[str, int | None, str]:
    """Return what a document is, how many characters a text has, and what is wrong with it, if anything is."""
    for signature, media_type in SIGNATURES.items():
        if content.startswith(signature):
            return media_type, None, ""
    if not content:
        return UNNAMED, None, "the document is empty"
    characters, wrong = _told_of_text(content)
    return (UNNAMED, None, wrong) if wrong else (PLAIN_TEXT, characters, "")


def _told_of_text(content: bytes) -> tuple[int, str]:
    """Return how many characters a text has, and the first thing that keeps it from being one."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    characters = 0
    for start in range(0, len(content), PIECE):
        pending, _ = decoder.getstate()  # the beginning of a character
        end = start + PIECE
        try:
            text = decoder.decode(content[start:end], final=end >= len(content))
        except UnicodeDecodeError as refused:
            taken, at = ", ".join(MEDIA_TYPES), start - len(pending) + refused.start
            return 0, f"neither UTF-8 text (byte {at} is wrong) nor any other of {taken}"
        if found := CONTROL.search(text):
            return 0, f"a control character at {characters + found.start()}"
        characters += len(text)
    return characters, ""
