"""What goes into an evidence pack: the cooperation's entries, those of what it names, and the sources all of them cite.

The streams of parties, people and occasions that the cooperation names are in it whole, but not those that only these
name: that would go on to the end of the log. Sources are in it whoever cites them, so that every citation can be held
against its document. All is as of one log size, and told from the entries alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterator
from typing import Final

import msgspec

from events.catalogue import Event
from events.catalogue.history import EntryCorrected, convert_replacement
from events.catalogue.source import SourceFiled
from events.codec import EVENT_TYPES, decode_entry
from events.entry import canonical, is_public
from events.errors import FieldProblem, NotFound
from events.log import Reader, Recorded
from events.shape import examine
from services.registry.ids import is_id

PAGE: Final = 200
NAMED: Final = frozenset({"party", "person", "occasion", "source"})
CITED: Final = frozenset({"source"})


class Filed(msgspec.Struct, frozen=True, order=True):
    """A document as a source's entry, or a correction of it, says it."""

    source: str
    sha256: str
    media_type: str


class Contents(msgspec.Struct, frozen=True):
    """What goes in. `streams` are those whose entries below `size` are at `positions`; `above` are not public."""

    cooperation: str
    size: int
    streams: tuple[str, ...]
    positions: tuple[int, ...]
    above: tuple[int, ...]
    documents: tuple[Filed, ...]


async def opening(log: Reader, cooperation: str) -> int:
    """Return the position at which a cooperation begins. Raises `NotFound`."""
    opened = f"cooperation/{cooperation}"
    if not is_id("coop", cooperation) or not (first := await log.read_all(streams=[opened], limit=1)):
        raise NotFound("There is no such cooperation.", [FieldProblem("there is no such cooperation", parameter="id")])
    return first[0].position


async def gather(log: Reader, cooperation: str, size: int) -> Contents:
    """Find out what goes in, of a cooperation that begins below the size."""
    opened = f"cooperation/{cooperation}"
    seen, waiting = set[str](), {opened}
    positions, above, documents = list[int](), list[int](), set[Filed]()
    while waiting:
        seen |= waiting
        named = set[str]()
        async for recorded in entries(log, waiting, size):
            positions.append(recorded.position)
            if not is_public(recorded.bytes):
                above.append(recorded.position)
            for event in _said(recorded.bytes):
                named |= set(_names(event, NAMED if recorded.stream == opened else CITED))
                if isinstance(event, SourceFiled):
                    documents.add(Filed(recorded.stream.partition("/")[2], event.sha256, event.media_type))
        waiting = named - seen
    return Contents(
        cooperation=cooperation,
        size=size,
        streams=tuple(sorted(seen)),
        positions=tuple(sorted(positions)),
        above=tuple(sorted(above)),
        documents=tuple(sorted(documents)),
    )


async def entries(log: Reader, streams: Collection[str], size: int) -> AsyncIterator[Recorded]:
    """Yield the entries of some streams below a size, in order, a page in memory at a time."""
    async for page in pages(log, streams, size):
        for recorded in page:
            yield recorded


async def pages(log: Reader, streams: Collection[str], size: int) -> AsyncIterator[list[Recorded]]:
    """Yield the same, page by page."""
    first = 0
    while page := await log.read_all(first, PAGE, below=size, streams=sorted(streams)):
        yield page
        if len(page) < PAGE:
            return
        first = page[-1].position + 1


def _said(stored: bytes) -> Iterator[Event]:
    """Yield the event of an entry, and the one that a correction puts in another's place."""
    event = decode_entry(stored).event
    yield event
    if isinstance(event, EntryCorrected):
        yield convert_replacement(event.replacement, EVENT_TYPES[event.replacement_type])


def _names(event: Event, kinds: Collection[str]) -> Iterator[str]:
    _, leaves = examine(msgspec.json.decode(canonical.encode(event)), type(event))
    return (f"{leaf.kind}/{leaf.value}" for leaf in leaves if leaf.kind in kinds)
