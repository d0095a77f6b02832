"""What goes into an evidence pack: the cooperation's entries, those of what it names, and the sources all of them cite.

The streams of parties, people and occasions that the cooperation names are in it whole, but not those that only these
name: that would go on to the end of the log. Sources are in it whoever cites them, so that every citation can be held
against its document; and so are the withdrawn sources that a destroyed document was of, since one of them is all that
shows that it was withdrawn. All is as of one log size, and told from the entries alone, but for which documents are
destroyed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from events.catalogue import Entry, Event
from events.catalogue.history import EntryCorrected, Ledger, convert_replacement
from events.catalogue.source import SourceFiled, SourceWithdrawn
from events.codec import EVENT_TYPES, decode_entry
from events.entry import canonical, is_public
from events.errors import FieldProblem, NotFound
from events.log import Reader, Recorded
from events.shape import examine
from events.vault import Vault
from services.registry.ids import is_id

PAGE: Final = 200
NAMED: Final = frozenset({"party", "person", "occasion", "source"})
CITED: Final = frozenset({"source"})
FILING: Final = (SourceFiled.event_type, EntryCorrected.event_type)


class Filed(msgspec.Struct, frozen=True, order=True):
    """A document as a source's entry, or a correction of it, says it."""

    source: str
    sha256: str
    media_type: str


class Contents(msgspec.Struct, frozen=True):
    """What goes in. `streams` are those whose entries below `size` are at `positions`; `above` are not public.

    `unproved` are documents that were destroyed, and not by what these entries say: by something newer.
    """

    cooperation: str
    size: int
    streams: tuple[str, ...]
    positions: tuple[int, ...]
    above: tuple[int, ...]
    documents: tuple[Filed, ...]
    unproved: tuple[str, ...]


async def opening(log: Reader, cooperation: str) -> int:
    """Return the position at which a cooperation begins. Raises `NotFound`."""
    opened = f"cooperation/{cooperation}"
    if not is_id("coop", cooperation) or not (first := await log.read_all(streams=[opened], limit=1)):
        raise NotFound("There is no such cooperation.", [FieldProblem("there is no such cooperation", parameter="id")])
    return first[0].position


async def gather(log: Reader, vault: Vault, cooperation: str, size: int) -> Contents:
    """Find out what goes in, of a cooperation that begins below the size."""
    opened = f"cooperation/{cooperation}"
    seen, waiting = set[str](), {opened}
    positions, above, sources, unproved = list[int](), list[int](), _Sources(), tuple[str, ...]()
    while waiting:
        seen |= waiting
        named = set[str]()
        async for recorded in entries(log, waiting, size):
            positions.append(recorded.position)
            if not is_public(recorded.bytes):
                above.append(recorded.position)
            entry = decode_entry(recorded.bytes)
            for event in _said(entry.event):
                named |= set(_names(event, NAMED if recorded.stream == opened else CITED))
            if recorded.stream.startswith("source/"):
                sources.take(entry)
        if not (waiting := named - seen):
            unproved = sources.unproved(await _destroyed(vault, sources))
            waiting = await _withdrawn_over(log, unproved, size) - seen
    return Contents(
        cooperation=cooperation,
        size=size,
        streams=tuple(sorted(seen)),
        positions=tuple(sorted(positions)),
        above=tuple(sorted(above)),
        documents=tuple(sorted(sources.documents)),
        unproved=unproved,
    )


async def entries(
    log: Reader, streams: Collection[str], size: int, types: Sequence[str] | None = None
) -> AsyncIterator[Recorded]:
    """Yield the entries of some streams below a size, in order, a page in memory at a time; all, or of some types."""
    async for page in pages(log, streams, size, types):
        for recorded in page:
            yield recorded


async def pages(
    log: Reader, streams: Collection[str], size: int, types: Sequence[str] | None = None
) -> AsyncIterator[list[Recorded]]:
    """Yield the same, page by page."""
    first = 0
    while page := await log.read_all(first, PAGE, below=size, streams=sorted(streams), types=types):
        yield page
        if len(page) < PAGE:
            return
        first = page[-1].position + 1


class _Sources:
    """The sources that go in, as their entries below the size have them."""

    def __init__(self) -> None:
        self.documents: set[Filed] = set()
        self._entries: dict[str, list[Entry[Any]]] = {}

    def take(self, entry: Entry[Any]) -> None:
        """Take an entry of a source, in order."""
        self._entries.setdefault(entry.stream, []).append(entry)
        source = entry.stream.partition("/")[2]
        self.documents |= {Filed(source, one.sha256, one.media_type) for one in _filed(_said(entry.event))}

    def unproved(self, destroyed: Collection[str]) -> tuple[str, ...]:
        """Return those of some documents that no source here took with it, or that one is over still."""
        taken, kept = set[str](), set[str]()
        for entries in self._entries.values():
            ledger = Ledger(entries)
            if any(isinstance(one.event, SourceWithdrawn) for one in entries):
                taken |= {one.sha256 for one in _filed(ledger.said())}
            else:
                kept |= {one.sha256 for one in _filed(event for _, event in ledger.in_force())}
        return tuple(sorted(one for one in destroyed if one not in taken or one in kept))


async def _destroyed(vault: Vault, sources: _Sources) -> list[str]:
    on_file = await vault.on_file({one.sha256 for one in sources.documents})
    return [sha256 for sha256, (_, readable) in on_file.items() if not readable]


async def _withdrawn_over(log: Reader, documents: Collection[str], size: int) -> set[str]:
    """Return the streams of the sources that are, or once were, over documents and were withdrawn below the size.

    The whole log is looked through for each document: some two seconds for a million entries.
    """
    over: set[str] = set()
    for sha256 in documents:
        over |= {
            stream async for _, stream in log.mentions(sha256, 0, size, types=FILING) if stream.startswith("source/")
        }
    return {one.stream async for one in entries(log, over, size, types=[SourceWithdrawn.event_type])} if over else set()


def _filed(events: Iterable[Event]) -> Iterator[SourceFiled]:
    return (one for one in events if isinstance(one, SourceFiled))


def _said(event: Event) -> Iterator[Event]:
    """Yield an event, and the one that it puts in another's place as a correction."""
    yield event
    if isinstance(event, EntryCorrected):
        yield convert_replacement(event.replacement, EVENT_TYPES[event.replacement_type])


def _names(event: Event, kinds: Collection[str]) -> Iterator[str]:
    _, leaves = examine(msgspec.json.decode(canonical.encode(event)), type(event))
    return (f"{leaf.kind}/{leaf.value}" for leaf in leaves if leaf.kind in kinds)
