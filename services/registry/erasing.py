"""Whom a request erases, and the documents that name them: looked for before the key of the name goes (ADR 0037).

Documents that are text are all looked into; others are not, and nothing can be cited from them. What is found is so of
the documents that were on file then; one that comes later names somebody whom the registry does not know any more.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec

from events.catalogue import Entry, Event
from events.catalogue.history import EntryCorrected, convert_replacement, ever_said
from events.catalogue.person import PersonErased, PersonRegistered
from events.catalogue.source import Source
from events.codec import EVENT_TYPES, decode_entry
from events.errors import DocumentsNamePerson, FieldProblem
from events.log import Log
from events.vault import Lack, Vault, person_owner, unseal
from services.registry.drafts import Draft
from services.registry.prospect import Prospect
from services.registry.source_documents import SourceDocuments
from services.registry.spelling import Spellings

NAMES: Final = "names them"
UNREADABLE: Final = (
    "is cited with them, and their own name cannot be read, so that nobody can tell whether it names them"
)
DAMAGED: Final = "is cited with them, and its document is damaged, so that nobody can tell whether it names them"
BESIDE: Final = "is cited with them and does not name them: it stays"
UNSAID: Final = 'These would go on to name the person. Say what is to become of them: "withdraw" or "keep".'
UNFILED: Final = "No entry would say that these were withdrawn. File a source over each first, or keep them."


class Told(NamedTuple):
    """Documents, by SHA-256: those that hold a name, and those of which nobody can tell, with the reason in words."""

    naming: tuple[str, ...]
    untold: Mapping[str, str]


class Look:
    """What a request looks for in documents. Decided anew, it looks only into those that it has not looked into.

    `kept` has, by person, what names them and is kept: sources, and the SHA-256 of documents that none is over.
    """

    def __init__(self, log: Log, vault: Vault) -> None:
        self.kept: dict[str, tuple[str, ...]] = {}
        self._log = log
        self._vault = vault
        self._looked: dict[frozenset[str], dict[str, bool | None]] = {}  # by names and hash; None: it cannot be read

    async def names(self, stream: str, entries: Sequence[Entry[Any]]) -> frozenset[str] | None:
        """Return every name that a person ever had, or was ever said to have; none once they are erased.

        None where their key is damaged: nobody can tell any more.
        """
        owner = person_owner(stream.partition("/")[2])
        key = (await self._vault.keys([owner])).get(owner)
        if isinstance(key, Lack):
            return None
        sealed = [said.sealed for said in ever_said(entries) if isinstance(said, PersonRegistered)]
        if key is None:
            return frozenset()
        return frozenset(msgspec.json.decode(unseal(key, owner, base64.b64decode(one)))["name"] for one in sealed)

    async def into_texts(self, names: frozenset[str] | None) -> Told:
        """Look for names in every text that is on file now, some in memory at a time; in none if they are not known."""
        if names is None:
            return Told((), dict.fromkeys(await self._vault.texts(), UNREADABLE))
        if not names:
            return Told((), {})
        looked = self._looked.setdefault(names, {})
        sizes = await self._vault.texts()
        spellings = Spellings(names)
        new = {sha256: size for sha256, size in sizes.items() if sha256 not in looked}
        async for sha256, held in self._vault.each(new):
            if isinstance(held, bytes):
                looked[sha256] = await asyncio.to_thread(spellings.are_in, held)
            elif held is Lack.DAMAGED:
                looked[sha256] = None
        found = {sha256: looked[sha256] for sha256 in sizes if sha256 in looked}
        naming = tuple(sha256 for sha256, names_them in found.items() if names_them)
        return Told(naming, {sha256: DAMAGED for sha256, names_them in found.items() if names_them is None})

    async def cited_with(self, person: str, first: int) -> set[str]:
        """Return the sources that are, or once were, cited where a person is mentioned, from their first entry on.

        Every entry since is looked into: some two seconds for a million.
        """
        cited: set[str] = set()
        async for position, _ in self._log.mentions(person, first, (await self._log.head()).size):
            for recorded in await self._log.read_all(position, 1):
                cited |= {one.source for event in _said(recorded.bytes) for one in event.citations}
        return cited


class Found(NamedTuple):
    """A document that names a person, or may, and the sources that are over it."""

    sha256: str
    over: Sequence[Source]
    says: str

    def problems(self) -> list[FieldProblem]:
        """Name the sources, or the document that none is over."""
        if not self.over:
            return [FieldProblem(f"no source is over the document {self.sha256}, which {self.says}", "/documents")]
        return [_problem(one, self.says) for one in self.over]


class Erasing:
    """Decides what becomes of the documents that name those whom a request erases."""

    def __init__(self, look: Look, prospect: Prospect, documents: SourceDocuments) -> None:
        self._look = look
        self._prospect = prospect
        self._documents = documents

    async def withdrawn_with(self, stream: str, event: PersonErased, drafts: Collection[Draft]) -> list[str]:
        """Return the streams of the sources that are to be withdrawn with a person. `drafts` are all of the request.

        Raises `DocumentsNamePerson`, which has everything that was found, unless the command says what is to become
        of it; and if a document is to be withdrawn that no source is over, since no entry would say so.
        """
        self._look.kept.pop(stream, None)
        entries = await self._prospect.entries(stream)
        names = await self._look.names(stream, entries)
        told = await self._look.into_texts(None if names is None else names | {*_said_of(stream, drafts)})
        gone = {one for one in (*told.naming, *told.untold) if await self._documents.is_destroyed(one)}
        naming, untold = ([one for one in found if one not in gone] for found in told)
        person, first = stream.partition("/")[2], max(entries[0].position, 0)
        asks = bool(untold or (naming and event.documents is None))
        cited = await self._look.cited_with(person, first) if asks else set[str]()
        found = [Found(sha256, await self._documents.in_force_over(sha256), NAMES) for sha256 in naming]
        for sha256 in untold:
            over = await self._documents.in_force_over(sha256)
            if any(one.id in cited for one in over):
                found.append(Found(sha256, over, told.untold[sha256]))
        if event.documents == "keep":
            self._look.kept[stream] = tuple(sorted({key for one in found for key in _keys(one)}))
            return []
        if event.documents is None and found:
            beside = await self._beside(cited - {source.id for one in found for source in one.over})
            raise DocumentsNamePerson(UNSAID, [*(problem for one in found for problem in one.problems()), *beside])
        if unfiled := [problem for one in found if not one.over for problem in one.problems()]:
            raise DocumentsNamePerson(UNFILED, unfiled)
        return list(dict.fromkeys(f"source/{source.id}" for one in found for source in one.over))

    async def _beside(self, cited: Collection[str]) -> list[FieldProblem]:
        """Name the sources that are cited with a person, and of which nothing needs to be said."""
        sources = await self._prospect.states(f"source/{source}" for source in sorted(cited))
        return [_problem(one, BESIDE) for one in sources if isinstance(one, Source) and one.withdrawn is None]


def _problem(source: Source, says: str) -> FieldProblem:
    return FieldProblem(f"{source.id} ({source.filed.event.title}) {says}", "/documents")


def _keys(found: Found) -> list[str]:
    return [one.id for one in found.over] or [found.sha256]


def _said_of(stream: str, drafts: Collection[Draft]) -> Iterator[str]:
    """Yield the names that the request itself brings for a person: their key is not kept yet."""
    for draft in drafts:
        fields = draft.body.data if draft.body.target is None else draft.body.replacement
        if draft.body.stream == stream and draft.body.personal and isinstance(fields, dict):
            yield cast("dict[str, str]", fields)["name"]


def _said(stored: bytes) -> Iterator[Event]:
    """Yield the event of an entry, and the one that a correction puts in another's place."""
    event = decode_entry(stored).event
    yield event
    if isinstance(event, EntryCorrected):
        yield convert_replacement(event.replacement, EVENT_TYPES[event.replacement_type])
