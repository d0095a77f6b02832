"""What the entries in a pack say of sources: over which documents they are, or once were, and what is cited of them.

Read off the bytes as they stand, as `verify.py` in the pack does. What a withdrawal does to documents: ADR 0020.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, cast

import msgspec

from events.catalogue.source import SourceWithdrawn

_CITED: Final = {"source", "start", "end"}


class Citation(NamedTuple):
    """A citation, and the position of the entry that makes it; `start` and `end` are whatever stands there."""

    position: int
    source: object
    start: object
    end: object


class _Statement(msgspec.Struct):
    """An event about a source, or what a correction puts in the place of one."""

    sha256: str = ""
    size: int = 0
    media_type: str = ""


class _Told(_Statement):
    replacement: _Statement | None = None
    retracts: int | None = None


class _Entry(msgspec.Struct):
    type: str
    subject: str
    data: msgspec.Raw


class Sources:
    """Takes the entries of a pack in order. `citations` are all that they make."""

    def __init__(self) -> None:
        self.citations: list[Citation] = []
        self._told: dict[str, dict[int, _Told]] = {}  # by source and position
        self._sizes: dict[tuple[str, str, str], int] = {}  # by source, document and media type
        self._over: dict[str, set[str]] = {}  # by document
        self._withdrawn: set[str] = set()

    def take(self, position: int, stored: bytes) -> None:
        """Take an entry; one that cannot be read says nothing here, which others find."""
        try:
            entry = msgspec.json.decode(stored, type=_Entry)
            self.citations += _citations(position, msgspec.json.decode(entry.data))
            kind, _, source = entry.subject.partition("/")
            if kind == "source":
                told = msgspec.json.decode(entry.data, type=_Told)
                self._told.setdefault(source, {})[position] = told
                for one in (told, told.replacement):
                    if one is not None and one.sha256:
                        self._state(source, one)
                if entry.type == SourceWithdrawn.event_type:
                    self._withdrawn.add(source)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return

    def size(self, source: str, sha256: str, media_type: str) -> int | None:
        """Return how many bytes a source's document has, as it says (the most if it says several), None if it has none.

        Its document is each that it is, or once was, over, as of the media type that it says with it.
        """
        return self._sizes.get((source, sha256, media_type))

    def against_withdrawal(self, sha256: str) -> str | None:
        """Say what speaks against a document's having been withdrawn; None if it was, and no source is over it."""
        over = self._over.get(sha256, set())
        if not over & self._withdrawn:
            return "no entry in the pack withdraws a source that it was the document of"
        kept = [source for source in sorted(over) if self._in_force(source) == sha256]
        return f"{kept[0]}, which was not withdrawn, is over it" if kept else None

    def _state(self, source: str, stated: _Statement) -> None:
        filed = (source, stated.sha256, stated.media_type)
        self._sizes[filed] = max(stated.size, self._sizes.get(filed, 0))
        self._over.setdefault(stated.sha256, set()).add(source)

    def _in_force(self, source: str) -> str | None:
        """Return the document that a source is over as of its last entry, None if it was withdrawn or retracted."""
        told, out = self._told[source], set[int | None]()
        for position in reversed(told):
            if position not in out:
                out.add(told[position].retracts)
        if source in self._withdrawn or next(iter(told)) in out:
            return None
        stands = [told[position].replacement or told[position] for position in told if position not in out]
        return next((one.sha256 for one in reversed(stands) if one.sha256), None)


def _citations(position: int, data: object) -> Iterator[Citation]:
    """Yield the citations in an event, wherever they stand."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            fields = cast("dict[str, Any]", one)
            if set(fields) == _CITED:
                yield Citation(position, fields["source"], fields["start"], fields["end"])
            waiting += fields.values()
        elif isinstance(one, list):
            waiting += cast("list[object]", one)
