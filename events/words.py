"""Words as they are searched for: without case, diacritics or script (`anyascii`), the same on both sides.

PostgreSQL's own `unaccent` has no rule for letters such as ə; a name is to be found as its reader would type it. No
word of a text is left out: the bounds of fields are what bounds them (an Arabic ligature may stand for 15 letters).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

from anyascii import anyascii

# PostgreSQL keeps lexemes of 2,046 bytes. A longer run (a script without spaces) is several words on both sides.
_WORD = re.compile(r"[a-z0-9]{1,500}")
_TYPED = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_SIGNED = 4  # apostrophes, of words that have several, that are each read in either way: each doubles what is asked for

# Soft and hard signs, and the letters of Uzbek and others that look like an apostrophe, are parts of a word. They would
# be transliterated as apostrophes, which stand between words ("l'industrie"): a word is typed without or with them.
_SIGNS = str.maketrans("", "", "ьЬъЪ\u02bb\u02bc\u02b9\u02ba\u2018")


def words(text: str) -> list[str]:
    """Return the words of a text in order: ASCII letters in lower case and digits, at most 500 of them each."""
    return _WORD.findall(plain(text))


def readings(text: str) -> list[list[list[str]]]:
    """Return what may be meant by each word that somebody typed: one list of words to be found, or another.

    An apostrophe within it stands between two words ("l'industrie"), or for a sign that is part of one ("O'zbekiston",
    whose sign keyboards do not have), or one for this and the next for that ("l'O'zbekiston"). Of what is typed with
    more of them than any name has, all apostrophes of a word are read in one way.
    """
    left = _SIGNED
    found: list[list[list[str]]] = []
    for typed in dict.fromkeys(_TYPED.findall(plain(text))):
        signs = typed.count("'")
        each = signs <= left
        found.append([*_ways(typed.split("'"), each=each)])
        left -= signs if each and signs > 1 else 0
    return found


def _ways(parts: list[str], *, each: bool) -> Iterator[list[str]]:
    """Yield the words that parts are, apart from the next or joined to it: each as it may be, or all alike."""
    between = len(parts) - 1
    ways = product((" ", ""), repeat=between) if each else ((by,) * between for by in (" ", ""))
    for signs in ways:
        joined = "".join(part + by for part, by in zip(parts, (*signs, ""), strict=True))
        yield list(dict.fromkeys(_WORD.findall(joined)))


def prefixes(text: str) -> str:
    """Return the PostgreSQL tsquery that asks for every word of a text as the beginning of one; "" for none.

    The words have letters and digits only, so that nothing in the text is taken for an operator. An apostrophe is read
    in either way (`readings`).
    """
    return _query(text, ":*")


def titles(text: str) -> tuple[str, str]:
    """Return the tsqueries that ask words of weight A for every word of a text, and for every one as a beginning."""
    return _query(text, ":A"), _query(text, ":*A")


def plain(text: str) -> str:
    """Return a text in ASCII and lower case, character by character: what no word has stands where it stood."""
    return (text if text.isascii() else anyascii(text.translate(_SIGNS))).lower()


def _query(text: str, ending: str) -> str:
    either = ([" & ".join(word + ending for word in one) for one in meant] for meant in readings(text))
    return " & ".join(one[0] if len(one) == 1 else f"({' | '.join(one)})" for one in either)
