"""Words as they are searched for: without case, diacritics or script (`anyascii`), the same on both sides.

PostgreSQL's own `unaccent` has no rule for letters such as ə; a name is to be found as its reader would type it.
"""

from __future__ import annotations

import re

from anyascii import anyascii

MAX_WORDS = 500  # of one text; a summary has 4,000 characters
_WORD = re.compile(r"[a-z0-9]+")


def words(text: str) -> list[str]:
    """Return the words of a text in order: ASCII letters in lower case and digits."""
    return _WORD.findall((text if text.isascii() else anyascii(text)).lower())[:MAX_WORDS]


def prefixes(text: str, most: int = 16) -> str:
    """Return the PostgreSQL tsquery that asks for every word of a text, each as the beginning of one; "" for none.

    The words have letters and digits only, so that nothing in the text is taken for an operator.
    """
    return " & ".join(f"{word}:*" for word in dict.fromkeys(words(text)[:most]))
