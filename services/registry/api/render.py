"""From rows as they are kept to what is served: labels, quotations and personal details put in.

What is unsealed here lives as long as the answer: nothing is kept of it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import msgspec
from msgspec.structs import replace

from events.edtf import EdtfDate
from events.entry import canonical, time_text
from events.errors import Corrupt
from events.vault import Key, Lack, document_owner, person_owner, unseal
from projections.around import Around, Label
from projections.reader import Found
from services.registry.api import quotations
from services.registry.api.query import AsOf
from services.registry.api.quotations import Cited
from services.registry.parts import Parts

ERASED = {"erased": True}
"""What stands for personal data whose key was destroyed."""

UNREADABLE = {"unreadable": Lack.DAMAGED.value}
"""What stands for personal data whose key is there, and that cannot be opened."""

_SAY_THEMSELVES = ("party_", "person_")
"""How the ids of items begin in which `survivor` is a field of theirs, or of their posts."""


class Rendering:
    """What is served of some rows, as of one size: made by `of`, and for one answer."""

    def __init__(
        self,
        parts: Parts,
        found: Sequence[Found],
        around: Around,
        citations: Mapping[bytes, Cited],
        keys: Mapping[str, Key],
    ) -> None:
        self.found = [_surviving(one, around.survivors) for one in found] if around.survivors else list(found)
        self._parts = parts
        self._around = around
        self._citations = citations
        self._keys = keys

    @classmethod
    async def of(cls, parts: Parts, found: Sequence[Found], at: AsOf, stream: str | None = None) -> Rendering:
        """Look at what is around the rows, and at the keys of what is sealed there; `stream` is the one of a thing."""
        around = await parts.read_models.around((ref for one in found for ref in one.refs), at.size, at.now, stream)
        citations = quotations.citations(one.body for one in found)
        owners = {person_owner(key) for key, label in around.labels.items() if label.sealed}
        owners |= {person_owner(one.id) for one in found if _is_person(one)}
        hashes = {_readable(around, cited) for cited in citations.values()}
        owners |= {document_owner(sha256) for sha256 in hashes if sha256 is not None}
        return cls(parts, found, around, citations, await parts.vault.keys(owners))

    @property
    def open(self) -> bool:
        """Whether what is served may hold something that was sealed, or who was found by it."""
        return bool(self._keys) or any(_is_person(one) for one in self.found)

    @property
    def survivors(self) -> Mapping[str, str]:
        """What each merged party that is named lives on in."""
        return self._around.survivors

    @property
    def revision(self) -> int | None:
        """The revision of the stream that was asked about, None where it has gone on since."""
        return self._around.revision

    async def items(self, on: date | None = None) -> list[bytes]:
        """Return the items as they are served, in order; `on` is the day as of which commitments are overdue or not."""
        bodies = [self._told(one, on) if on is not None or _is_person(one) else one.body for one in self.found]
        if not self._citations:
            return bodies
        written = await self._written()
        return [quotations.quoted(body, written) for body in bodies]

    def names(self) -> dict[str, Any]:
        """Return the labels of everything that is named, the items themselves among that where they have one."""
        return {key: self._label(key, label) for key, label in self._around.labels.items()}

    def as_of(self, size: int) -> dict[str, Any]:
        """Say which size it is for, and when its last entry was recorded (null for an empty log)."""
        recorded_at = self._around.recorded_at
        return {"size": size, "recorded_at": None if recorded_at is None else time_text(recorded_at)}

    def _told(self, one: Found, on: date | None) -> bytes:
        """Put into an item what is sealed in it, and whether it is overdue."""
        item: dict[str, Any] = msgspec.json.decode(one.body)
        if "sealed" in item:
            item |= self._details(one.id, item.pop("sealed"))
        if on is not None:
            item["overdue"] = _is_overdue(item, on)
        return canonical.encode(item)

    def _label(self, key: str, label: Label) -> Any:
        return label.text if label.sealed is None else self._details(key, label.sealed)["name"]

    def _details(self, person: str, sealed: str) -> dict[str, Any]:
        """Open what is sealed of a person: it reads as erased once their key is destroyed, as unreadable if damaged."""
        owner = person_owner(person)
        key = self._keys.get(owner)
        if key is None:
            return {"name": ERASED, "contact": ERASED}
        try:
            content = None if isinstance(key, Lack) else unseal(key, owner, base64.b64decode(sealed))
        except Corrupt:
            content = None
        if content is None:
            return {"name": UNREADABLE, "contact": UNREADABLE}
        opened: dict[str, Any] = msgspec.json.decode(content)
        return opened

    async def _written(self) -> dict[bytes, bytes]:
        """Write each citation with the words that it names; null for those that cannot be read, or are not text.

        One document is in memory at a time, however many are cited.
        """
        of_document: dict[str | None, list[bytes]] = {}
        for written, cited in self._citations.items():
            of_document.setdefault(_readable(self._around, cited), []).append(written)
        served: dict[bytes, bytes] = {}
        for sha256, several in of_document.items():
            key = None if sha256 is None else self._keys.get(document_owner(sha256))
            text = None if sha256 is None or key is None else await self._text(sha256, key)
            for written in several:
                cited = self._citations[written]
                source = self._around.sources.get(cited.source)
                served[written] = quotations.quoting(cited, text, withdrawn=source is not None and source.withdrawn)
        return served

    async def _text(self, sha256: str, key: Key) -> str | Lack | None:
        return key if isinstance(key, Lack) else await self._parts.vault.text(sha256, key)


def _is_person(one: Found) -> bool:
    return one.id.startswith("person_")


def _readable(around: Around, cited: Cited) -> str | None:
    """Return the SHA-256 of the document that is cited, unless it is quoted no more.

    Another source may stand over it still: what was withdrawn is quoted as of no size.
    """
    source = around.sources.get(cited.source)
    return None if source is None or source.withdrawn else source.sha256


def _is_overdue(commitment: Mapping[str, Any], on: date) -> bool:
    """Tell whether the last day on which it may be due is certainly past, as the filter does (`commitments.sql`)."""
    due = EdtfDate.parse(commitment["due"]) if commitment["due"] else None
    return due is not None and not due.qualified and due.latest is not None and due.latest < on


def _surviving(one: Found, survivors: Mapping[str, str]) -> Found:
    """Return an item as naming what the merged parties in it live on in.

    It is put in where the item is such a party itself, or has a post at one.
    """
    named = {survivors[ref] for ref in one.refs if ref in survivors}
    if not named:
        return one
    body = one.body
    if one.id.startswith(_SAY_THEMSELVES):
        item: dict[str, Any] = msgspec.json.decode(body)
        for part in (item, *item.get("posts", ())):
            if "survivor" in part:
                part["survivor"] = survivors.get(part.get("party", one.id))
        body = canonical.encode(item)
    return replace(one, refs=tuple(sorted({*one.refs, *named})), body=body)
