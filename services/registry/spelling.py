"""Names as they may be written in a text: looked for in a document a piece at a time, however large it is.

Read as the registry reads words that are searched for (`events.words`): without case, diacritics, script or
punctuation, and whatever the normal form (UAX #15). A name is found by all of its words, one right behind the other, in
their order or with the last ones first; not by some of them, by initials, or with the endings of a language. Scripts
without case (Chinese, Arabic, Hebrew, Thai) do not keep words apart: names in them are found within others, too.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Final

from events.words import plain

PIECE: Final = 64 * 1024
"""Bytes that are looked at in one go: Python does nothing else meanwhile, in whatever thread."""
OVERLAP: Final = 4096
"""Characters of a piece that are looked at with the next one again: as far as one name may be drawn out."""

_SPLITS: Final = re.compile(r"'|-[ \t\r]*\n\s*")  # what may stand within a word: a sign, or the end of a line
_WORDS: Final = bytes(code if bytes([code]).isalnum() else ord(" ") for code in range(256))
_SOFT_HYPHEN: Final = {0xAD: None}


class _Kept(dict[int, int | None]):
    """Which characters of a name in a script without case tell it from others: no marks, signs or white space."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        drops = unicodedata.combining(character) or unicodedata.category(character)[0] in "PZC"
        self[code] = found = None if drops else code
        return found


_KEPT: Final = _Kept()


class Spellings:
    """What some names are looked for as."""

    def __init__(self, names: Collection[str]) -> None:
        folded = [_folded(name) for name in names]
        self._apart = {one for name in folded for one in _turned(name)}
        self._joined = {one for name in folded for one in _turned(_SPLITS.sub("", name))}
        self._within = {_bare(name) for name in names if any(unicodedata.category(one) == "Lo" for one in name)}

    def are_in(self, content: bytes) -> bool:
        """Whether one of the names is in a text (UTF-8). Takes long for a large one: it is for a thread of its own."""
        return any(self._are_in(text, first=first, last=last) for text, first, last in _pieces(content))

    def _are_in(self, text: str, *, first: bool, last: bool) -> bool:
        folded = _folded(text)
        for wanted, said in ((self._apart, folded), (self._joined, _SPLITS.sub("", folded))):
            words = _spaced(said, first=first, last=last)
            if any(one in words for one in wanted):
                return True
        if not self._within or text.isascii():
            return False
        bare = _bare(text)
        return any(one in bare for one in self._within)


def _pieces(content: bytes) -> Iterator[tuple[str, bool, bool]]:
    """Yield a text in pieces that overlap, each with whether it begins as the text does, and whether it ends so."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    again, first = "", True
    for start in range(0, len(content), PIECE):
        last = start + PIECE >= len(content)
        text = again + decoder.decode(content[start : start + PIECE], final=last)
        yield text, first, last
        first = first and len(text) <= OVERLAP
        again = text[-OVERLAP:]


def _folded(text: str) -> str:
    return plain(unicodedata.normalize("NFKC", text.translate(_SOFT_HYPHEN)))


def _spaced(folded: str, *, first: bool, last: bool) -> bytes:
    """Return words with a space between each and the next, and around them where what is at the edge is whole."""
    signs = folded.encode("ascii", "replace").translate(_WORDS)
    before, after = first or signs[:1].isspace(), last or signs[-1:].isspace()
    return b" " * before + b" ".join(signs.split()) + b" " * after


def _turned(folded: str) -> Iterator[bytes]:
    """Yield a name's words in their order, and with the last ones before the first, as a list has them."""
    words = _spaced(folded, first=False, last=False).split()
    for at in range(len(words)):
        yield b" %b " % b" ".join([*words[at:], *words[:at]])


def _bare(text: str) -> str:
    return unicodedata.normalize("NFKD", text).casefold().translate(_KEPT)
