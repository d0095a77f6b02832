"""Words as they are searched for: without case, diacritics or script (`anyascii`), the same on both sides.

PostgreSQL's own `unaccent` has no rule for letters such as ə; a name is to be found as its reader would type it. No
word of a text is left out: the bounds of fields are what bounds them (an Arabic ligature may stand for 15 letters).
"""

from __future__ import annotations

import re

from anyascii import anyascii

# PostgreSQL keeps lexemes of 2,046 bytes. A longer run (a script without spaces) is several words on both sides.
_WORD = re.compile(r"[a-z0-9]{1,500}")

# Soft and hard signs, and the letters of Uzbek and others that look like an apostrophe, are parts of a word. They would
# be transliterated as apostrophes, which stand between words ("l'industrie"): a word is typed without or with them.
_SIGNS = str.maketrans("", "", "ьЬъЪ\u02bb\u02bc\u02b9\u02ba\u2018")


def words(text: str) -> list[str]:
    """Return the words of a text in order: ASCII letters in lower case and digits, at most 500 of them each."""
    return _WORD.findall((text if text.isascii() else anyascii(text.translate(_SIGNS))).lower())


def whole(text: str) -> str:
    """Return the PostgreSQL tsquery that asks for every word of a text; "" for none.

    The words have letters and digits only, so that nothing in the text is taken for an operator.
    """
    return " & ".join(dict.fromkeys(words(text)))


def prefixes(text: str) -> str:
    """Return the tsquery that asks for every word of a text as the beginning of one, as `whole` does."""
    return " & ".join(f"{word}:*" for word in dict.fromkeys(words(text)))
