"""Quotations: put into the citations of what is served, without taking it apart (ADR 0030).

In canonical JSON a citation has one form, and nothing else does: a quotation mark within a text has a backslash before
it, so that `{"` begins an object wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from events.vault import Lack

_CITATION: Final = re.compile(rb'\{"end":([0-9]+),"source":"(src_[0-7][0-9a-hjkmnp-tv-z]{25})","start":([0-9]+)\}')


class Cited(NamedTuple):
    """What a citation says: the code points from `start` to before `end` of a source's text."""

    source: str
    start: int
    end: int


def citations(bodies: Iterable[bytes]) -> dict[bytes, Cited]:
    """Find the citations in canonical JSON, each as it is written and what that says."""
    return {
        found[0]: Cited(found[2].decode(), int(found[3]), int(found[1]))
        for body in bodies
        for found in _CITATION.finditer(body)
    }


def quoting(cited: Cited, text: str | Lack | None, *, withdrawn: bool) -> bytes:
    """Write a citation with the words that it names and whether its source was withdrawn.

    Without words, null, it says why if that is the registry's failure: the document is gone or damaged.
    """
    words = text[cited.start : cited.end] if isinstance(text, str) and not isinstance(text, Lack) else None
    return b'{"end":%d,"quotation":%b,"source":"%b","start":%d,%b"withdrawn":%b}' % (
        cited.end,
        msgspec.json.encode(words),
        cited.source.encode(),
        cited.start,
        b'"unreadable":"%b",' % text.encode() if isinstance(text, Lack) else b"",
        b"true" if withdrawn else b"false",
    )


def quoted(body: bytes, written: Mapping[bytes, bytes]) -> bytes:
    """Put in the place of each citation what is to be written for it."""
    return _CITATION.sub(lambda found: written[found[0]], body)
