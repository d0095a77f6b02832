"""What rests on something: found in the entries themselves, whatever the read models show of them (ADR 0019)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from events.catalogue import AGGREGATES, Entry, Event, Facts
from events.catalogue.aggregate import references
from events.catalogue.amendments import FactsOn, newly_refused
from events.catalogue.cooperation import COOPERATION
from events.catalogue.history import EntryCorrected, ever_said, in_force
from events.catalogue.party import PartyDetailsAmended, PartyMerged, PartyRegistered
from events.catalogue.person import PERSON
from events.catalogue.source import Source, SourceFiled
from events.entry import canonical
from events.errors import DocumentDiffers, FieldProblem, RestedUpon
from events.log import Absent, Claim, Log
from events.values import Citation, Identifier
from events.vault import Vault, document_owner
from services.registry.prospect import Prospect
from services.registry.reading import Reading

NAMED = 5  # entries that a refusal names at the most
FILING = (SourceFiled.event_type, EntryCorrected.event_type)
IDENTIFYING = (PartyRegistered.event_type, PartyDetailsAmended.event_type, EntryCorrected.event_type)


class Statement(NamedTuple):
    """What is in force of a stream: the event, and the position that states it (negative: in the same request)."""

    stream: str
    position: int
    event: Event

    @property
    def called(self) -> str:
        """Name the entry."""
        return f"entry {self.position} of {self.stream}" if self.position >= 0 else f"{self.stream} in the same request"


class Resting:
    """Looks for what rests on a thing. What it rests on itself goes into the attempt's `Reading`."""

    def __init__(self, log: Log, vault: Vault) -> None:
        self._log = log
        self._vault = vault

    async def must_not_be_named(self, stream: str, first: int, prospect: Prospect) -> None:
        """Refuse to take everything back of something that others name.

        `first` is the position of its first entry: nothing names it before. Raises `RestedUpon`.
        """
        key = stream.partition("/")[2]
        named: list[str] = []
        async for one in self._naming(stream, first, prospect):
            at = [leaf.pointer for leaf in references(one.event) if leaf.value == key]
            if at:
                named.append(f"{one.called} ({', '.join(at)})")
                if len(named) == NAMED:
                    break
        if named:
            raise RestedUpon(f"{stream} is named by {', '.join(named)}. Correct or retract what rests on it first.")

    async def must_hold_apart(self, stream: str, prospect: Prospect, today: date, at: Sequence[str]) -> None:
        """Refuse to take a party's merger back where histories obey the rules only on account of it.

        A meeting of the survivor, say, in a cooperation that the party opened. `at` is where the request says otherwise
        into what it was merged, if it does. Raises `RestedUpon`.
        """
        merged = Prospect(prospect.reading)
        side, ahead, others = {stream}, [stream], dict[str, None]()
        while ahead:
            one = ahead.pop()
            async for said in self._naming(one, 0, prospect):
                others[said.stream] = None
                if isinstance(said.event, PartyMerged) and said.stream not in side:
                    side.add(said.stream)
                    ahead.append(said.stream)
        for other in others:
            aggregate = AGGREGATES[other.partition("/")[0]]
            if aggregate not in (COOPERATION, PERSON):
                continue
            entries = await prospect.entries(other)
            parties = {one.value for event in ever_said(entries) for one in references(event) if one.kind == "party"}
            before, now = _facts_on(*await merged.facts(parties)), _facts_on(*await prospect.facts(parties))
            for called, refused in newly_refused(aggregate, entries, before, now, today):
                raise RestedUpon(
                    f"{called.capitalize()} of {other} rests on the merger, and would break a rule without it: "
                    f"{refused.in_full()}",
                    [FieldProblem(f"{called} of {other} rests on what it was", one) for one in at],
                )

    async def must_quote_the_same(
        self,
        before: Source,
        after: Source,
        amendment: Entry[Any],
        first: int,
        prospect: Prospect,
    ) -> None:
        """Refuse to give a source another document while a citation in force would say something else.

        What it cites of itself in being filed, and in the correction, is of the document that these are about. Raises
        `RestedUpon`, which names the hash in a replacement.
        """
        old, new = before.filed.event.sha256, after.filed.event.sha256
        stream = f"source/{before.id}"
        corrects = isinstance(amendment.event, EntryCorrected)
        texts: dict[str, str | None] | None = None
        statements = [one async for one in self._naming(stream, first, prospect)]
        for position, event in in_force(await prospect.entries(stream)):
            if not isinstance(event, SourceFiled) and not (corrects and position == amendment.position):
                statements.append(Statement(stream, position, event))
        for one in statements:
            for cited in one.event.citations:
                if cited.source != before.id:
                    continue
                texts = await self._texts(old, new) if texts is None else texts
                if _cut(texts[old], cited) is None or _cut(texts[old], cited) != _cut(texts[new], cited):
                    problem = FieldProblem("not the document that is cited", "/replacement/sha256")
                    raise RestedUpon(
                        f"{one.called} cites {stream} from {cited.start} to {cited.end}, where the other document does "
                        "not say the same. Correct what rests on it first, or file the document as another source.",
                        [problem] if corrects else [],
                    )

    async def must_be_as_it_says(self, source: Source) -> None:
        """Refuse what a source would say otherwise of the document on file. Raises `DocumentDiffers`."""
        said = source.filed.event
        document = (await self._vault.documents([said.sha256])).get(said.sha256)
        if document is not None and (said.size, said.media_type) != (document.size, document.media_type):
            raise DocumentDiffers(
                f"With this in place, {source.id} would say {said.size} bytes of {said.media_type} of its document, "
                f"which has {document.size} of {document.media_type}."
            )

    async def sources_over(self, sha256: str, reading: Reading) -> list[str]:
        """Return the streams of the sources that are, or once were, over a document."""
        size = (await self._log.head()).size
        reading.absent.append(Absent(sha256, size))
        found = {stream async for _, stream in self._log.mentions(sha256, 0, size, types=FILING)}
        return sorted(one for one in found if one.startswith("source/"))

    async def is_destroyed(self, sha256: str, reading: Reading) -> bool:
        """Whether a document was on file and is readable no more; one that is has to be so when this is recorded."""
        on_file = await self._vault.on_file([sha256])
        if sha256 not in on_file:
            return False
        reading.needed.add(document_owner(sha256))
        return not on_file[sha256][1]

    async def parties_with(self, stream: str, identifier: Identifier, prospect: Prospect) -> list[str]:
        """Return the other parties of which an identifier is stated, and that by now nothing took back."""
        said = canonical.encode(identifier.value).decode()
        found: dict[str, None] = {}
        async for one in self._stating(said, stream, 0, prospect, types=IDENTIFYING):
            if isinstance(one.event, PartyRegistered | PartyDetailsAmended) and identifier in one.event.identifiers:
                found[one.stream.partition("/")[2]] = None
        return list(found)

    async def is_claimed(self, claim: Claim) -> bool:
        """Tell whether a value was ever claimed."""
        return await self._log.is_claimed(claim.scope, claim.value)

    def _naming(self, stream: str, first: int, prospect: Prospect) -> AsyncIterator[Statement]:
        """Yield what is in force of every other stream that ever mentioned a thing."""
        return self._stating(stream.partition("/")[2], stream, first, prospect)

    async def _stating(
        self, text: str, stream: str, first: int, prospect: Prospect, types: Sequence[str] | None = None
    ) -> AsyncIterator[Statement]:
        """Yield what is in force of every other stream that ever had a text in its entries, or is in the request."""
        size = (await self._log.head()).size
        prospect.reading.absent.append(Absent(text, size))
        others = [other async for _, other in self._log.mentions(text, first, size, types=types)]
        for other in dict.fromkeys([*others, *prospect.pending]):
            if other != stream:
                for position, event in in_force(await prospect.entries(other)):
                    yield Statement(other, position, event)

    async def _texts(self, *hashes: str) -> dict[str, str | None]:
        contents = await self._vault.contents(hashes)
        return {one: _text(contents.get(one)) for one in hashes}


def _facts_on(merged: Mapping[str, str], whole: Mapping[str, str]) -> FactsOn:
    return lambda day: Facts(today=day, merged=merged, whole=whole)


def _text(content: bytes | None) -> str | None:
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        return None


def _cut(text: str | None, citation: Citation) -> str | None:
    return text[citation.start : citation.end] if text is not None and citation.end <= len(text) else None
