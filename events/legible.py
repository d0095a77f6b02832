"""Which text is taken, as far as Unicode has a say: what is recorded is what people see, in the order in which they do.

A rule on the way in only. What was recorded before there was one is read as it is, so it is not in the types' patterns
(`events.values`), which say what may be stored.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    chr(plane << 16 | last) for plane in range(17) for last in (65534, 65535)
)
_DIRECTIONS: Final = "\u202a-\u202e\u2066-\u2069"
_SEPARATORS: Final = "\x0b\x0c\x85\u2028\u2029"
_UNSEEN: Final = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
"""What is shown as nothing and has no part in how others are shown (of Default_Ignorable_Code_Point, and blanks).

Variation selectors, marks of direction (LRM, RLM, ALM) and joiners have a part in it: they are taken among others.
"""

_JOINERS: Final = "\u200c\u200d"
"""Persian and Indic scripts need them within words, at the end of some, and emoji between their parts."""

_ANYWHERE: Final[Mapping[re.Pattern[str], str]] = {
    re.compile(f"[{_NONCHARACTERS}]"): "which is no character",
    re.compile(f"[{_DIRECTIONS}]"): "which turns the direction of what follows",
    re.compile(f"[{_SEPARATORS}]"): "which separates lines; use a line feed where a text may have several",
}
_IN_A_LINE: Final[Mapping[re.Pattern[str], str]] = {
    re.compile(f"[{_UNSEEN}]"): "which nobody sees",
    re.compile(f"(?:^|(?<=[\\s{_JOINERS}]))[{_JOINERS}]"): "which joins nothing there",
}
_BLANK: Final = re.compile(f"[{_UNSEEN}]")


def _members(characters: str) -> Iterator[str]:
    """Write out the ranges of a character class."""
    for first, last in re.findall("(.)(?:-(.))?", characters, re.DOTALL):
        yield from map(chr, range(ord(first), ord(last or first) + 1))


_SUSPECT: Final = frozenset(_members(_NONCHARACTERS + _DIRECTIONS + _SEPARATORS + _UNSEEN + _JOINERS))
"""All that the patterns look for: to look a character up takes a fraction of trying them on it."""


def illegible(text: str, *, lines: bool) -> str:
    """Say why a text is not taken, or nothing; `lines`: it may have several, in which what is not seen does no harm."""
    if text.isascii() and text.isprintable() and not text.isspace():
        return ""
    if not _SUSPECT.isdisjoint(text):
        for pattern, says in (_ANYWHERE if lines else _ANYWHERE | _IN_A_LINE).items():
            if found := pattern.search(text):
                return f"holds U+{ord(found[0]):04X}, {says}"
    return "" if any(map(_seen, text)) else "holds nothing that can be seen"


def _seen(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] not in "ZM" and category not in ("Cc", "Cf", "Cs") and not _BLANK.match(character)
