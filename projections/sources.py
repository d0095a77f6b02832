"""sources: the documents that statements rest on (their metadata; the bytes are kept apart)."""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.source import Source
from events.edtf import EdtfDate
from events.sql import load
from events.values import Place
from projections.model import Change, Filter, Item, Only, ReadModel, Row, bounds, by_date, changes_of, row
from projections.titled import TITLED, titled


class SourceItem(Item, frozen=True, kw_only=True):
    """A source as it is served."""

    title: str
    publisher: str
    published: EdtfDate
    language: str
    media_type: str
    sha256: str
    size: int
    place: Place | None
    url: str | None
    withdrawn: bool
    changes: tuple[Change, ...]


def rows(state: Source, _only: Only) -> Iterator[Row]:
    """One row a source."""
    entry, event = state.filed, state.filed.event
    item = SourceItem(
        id=state.id,
        title=event.title,
        publisher=event.publisher,
        published=event.published,
        language=event.language,
        media_type=event.media_type,
        sha256=event.sha256,
        size=event.size,
        place=event.place,
        url=event.url,
        withdrawn=state.withdrawn is not None,
        changes=changes_of([state.withdrawn] if state.withdrawn else []),
        classification=entry.classification,
        position=entry.position,
        recorded_at=entry.recorded_at,
        citations=event.citations,
        note=event.note,
        corrections=entry.corrections,
    )
    columns = (event.publisher, event.language, event.sha256, *bounds(event.published))
    yield row(item, by_date(event.published), (*columns, *titled(event.title, (event.publisher,))))


SOURCES = ReadModel(
    name="sources",
    number=1,
    prefixes=("src",),
    rows={"source": rows},
    columns=("publisher", "language", "sha256", "earliest", "latest", "qualified", *TITLED),
    queries=load("projections", "sources.sql"),
    item=SourceItem,
    filters=(
        Filter("publisher", "text", "who published it, exactly"),
        Filter("language", "text", "its language tag"),
        Filter("sha256", "text", "the SHA-256 of its document"),
        Filter("published", "dates", "when it was published"),
    ),
)
