"""What a thing is called and the words by which it is found: columns that most read models end with.

A thing is found by the first `MAX_BYTES` of its words: those of its title, and then of what was said of it, in order.
That is some fifty thousand words, far more than are ever said of one thing; beyond it PostgreSQL could not index a row.
People have neither: their names are sealed, and found by blind tokens (`events.vault`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from events.words import words

TITLED: Final = ("title", "words")
"""The columns: a text, and a text that is a tsvector (PostgreSQL's documentation: Text Search Types)."""

KEPT: Final = 10_000  # most of what happens to a thing changes neither its title nor what was said before
MAX_BYTES: Final = 400_000  # of words, with a space each; a tsvector takes 2^20 - 1 and more for each word
# Whether a word is of the title is its weight. A word needs a place to have one, and one without is taken for any.
_IN_TITLE: Final = ":1A"
_ELSEWHERE: Final = ":1"


def titled(title: str, texts: Iterable[str | None] = ()) -> tuple[str, str]:
    """Return a title as it was stated and, for `words`, those of the title, of weight A, and of other texts."""
    return title, _words(title, tuple(texts))


def said(changes: Iterable[Any]) -> list[str | None]:
    """Return the outcomes and reasons that were told of a thing."""
    return [getattr(entry.event, field, None) for entry in changes for field in ("outcome", "reason")]


@lru_cache(maxsize=KEPT)
def _words(title: str, texts: tuple[str | None, ...]) -> str:
    called = words(title)
    more = dict.fromkeys(word for text in texts if text for word in words(text))
    found = " ".join([*[word + _IN_TITLE for word in called], *[word + _ELSEWHERE for word in more]])
    return found if len(found) <= MAX_BYTES else found[:MAX_BYTES].rpartition(" ")[0]
