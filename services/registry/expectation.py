"""What a request expects of the thing that it changes (RFC 9110, section 13.1.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

_TAG: Final = r'"([0-9]{1,9})(?:\.[0-9a-f]+)?"'
_WEAK: Final = r'W/"[\x21\x23-\x7e]*"'
_MEMBER: Final = re.compile(rf"[ \t]*(?:{_TAG}|{_WEAK})?[ \t]*(?:,|\Z)")


class Expected(msgspec.Struct, frozen=True):
    """At which revisions a stream may be; None for whichever it is at, if only it is there."""

    revisions: frozenset[int] | None

    def is_met_by(self, revision: int) -> bool:
        """Tell whether a stream at a revision (-1: there is no such stream) is as expected."""
        return revision >= 0 if self.revisions is None else revision in self.revisions

    def __str__(self) -> str:
        """Say which revisions those are; a weak tag is none."""
        return " or ".join(map(str, sorted(self.revisions or ()))) or "one that was expected"


def read(fields: Sequence[str]) -> Expected:
    """Read the fields of `If-Match`, which are one list.

    A tag begins with a revision: `"3"` as a command gave it, `"3.9f2c…"` as a read did. A weak one never matches.
    Raises ValueError for what is no such list, nor `*`.
    """
    text = ", ".join(fields).strip(" \t")
    if text == "*":
        return Expected(None)
    revisions: set[int] = set()
    at, members = 0, 0
    while at < len(text):
        if (found := _MEMBER.match(text, at)) is None:
            raise ValueError(text)
        members += found[0].strip(" \t,") != ""
        if found[1]:
            revisions.add(int(found[1]))
        at = found.end()
    if not members:
        raise ValueError(text)
    return Expected(frozenset(revisions))
