"""The report that the sample rests on: its text, and citations of its sentences.

`report.txt` retells a news report of 19 June 2019 in other words, sentence for sentence: one sentence a line, in the
original's order. A citation is found by what the sentence says, so an edit of the text moves it along.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Final

import msgspec

MEDIA_TYPE: Final = "text/plain"


class Report(msgspec.Struct, frozen=True):
    """A text of one sentence a line; offsets count code points, as citations do."""

    text: str

    @property
    def content(self) -> bytes:
        """The bytes that are filed."""
        return self.text.encode()

    @property
    def sha256(self) -> str:
        """The hash of the bytes, in hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    def sentences(self) -> list[tuple[int, int]]:
        """Return where each sentence begins and ends, in order."""
        return [found.span() for found in re.finditer(r"\S[^\n]*", self.text)]

    def find(self, words: str) -> tuple[int, int]:
        """Return the one sentence that has these words in it. Raises `LookupError` if it is none or several."""
        found = [(start, end) for start, end in self.sentences() if words in self.text[start:end]]
        if len(found) != 1:
            raise LookupError(f"{len(found)} sentences of the report have {words!r} in them, not one")
        return found[0]

    def cite(self, source: str, *words: str) -> list[dict[str, object]]:
        """Cite the sentences that have these words in them, each once and in the text's order."""
        return [{"source": source, "start": start, "end": end} for start, end in sorted({self.find(w) for w in words})]


def load() -> Report:
    """Read the report that comes with the program."""
    return Report(files("services.registry.sample").joinpath("report.txt").read_bytes().decode())
