"""Forms of texts, held against thousands of texts at once: a pattern a text would cost more than hashing the entry."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_HEX: Final = b"0123456789abcdef"
_DIGITS: Final = b"0123456789"


class Form:
    """A form in which all texts are of one length, with the same marks in the same places."""

    def __init__(self, pattern: str, like: bytes, free: bytes, *, some: tuple[tuple[int, bytes], ...] = ()) -> None:
        """Take the form as a pattern, and as a text.

        In `like` a `0` stands for any of the bytes in `free`, and everything else for itself. `some` restricts
        what may stand in a place further.
        """
        self._pattern = re.compile(pattern)
        row = like + b"\n"
        self._step = len(row)
        self._marks = row.replace(b"0", b"").translate(None, free)
        self._fixed = [(at, row[at : at + 1]) for at in range(len(row)) if row[at : at + 1] != b"0"]
        self._some = some
        self._free = free

    def wrong(self, texts: Sequence[str]) -> list[int]:
        """Return which of the texts are not in form."""
        if self._are_plainly(texts):
            return []
        return [number for number, text in enumerate(texts) if not self._pattern.fullmatch(text)]

    def _are_plainly(self, texts: Sequence[str]) -> bool:
        """Tell, column by column, whether all are in form; what is only known one by one may be told to be not."""
        rows, count = "\n".join([*texts, ""]).encode("utf-8", "backslashreplace"), len(texts)
        return (
            len(rows) == self._step * count
            and rows.translate(None, self._free) == self._marks * count
            and all(rows[at :: self._step] == mark * count for at, mark in self._fixed)
            and all(not rows[at :: self._step].translate(None, allowed) for at, allowed in self._some)
        )


_UUID: Final = b"00000000-0000-0000-0000-000000000000"
_VERSION: Final = 14
_VARIANT: Final = 19

UUID: Final = Form("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", _UUID, _HEX)
UUID7: Final = Form(
    "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    _UUID,
    _HEX,
    some=((_VERSION, b"7"), (_VARIANT, b"89ab")),
)
SHA256: Final = Form("[0-9a-f]{64}", b"0" * 64, _HEX)
SECOND: Final = Form(
    "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]",
    b"0000-00-00T00:00:00",
    b"",  # never plainly: a month of two digits may be none
)
TIME: Final = Form(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", b"0000-00-00T00:00:00.000000Z", _DIGITS
)


def wrong_times(texts: Sequence[str]) -> list[int]:
    """Return which of the texts are no instants with microseconds in UTC."""
    wrong = set(TIME.wrong(texts))
    seconds = list({text[:19] for text in texts})
    impossible = {seconds[number] for number in SECOND.wrong(seconds)}
    if impossible:
        wrong |= {number for number, text in enumerate(texts) if text[:19] in impossible}
    return sorted(wrong)
