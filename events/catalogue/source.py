"""source: a document that statements rest on. Its bytes are kept outside the log, content-addressed and sealed."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.catalogue.aggregate import Aggregate, CommandType, Entry, Event, Facts, must_exist
from events.edtf import EdtfDate
from events.errors import AlreadyExists, FieldProblem
from events.errors import SourceWithdrawn as IsWithdrawn
from events.forms import form
from events.values import Language, Name, Place, Sha256, Text, WebAddress

MediaType = Annotated[
    str,
    form(
        "^[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*$",
        max_length=120,
        description="a media type without parameters, such as text/plain",
    ),
]


# Events


class SourceFiled(Event, frozen=True, kw_only=True):
    """A document was filed: what it is, and the SHA-256 and size in bytes of its content."""

    event_type = "registry.source-filed.v1"

    title: Name
    publisher: Name
    published: EdtfDate
    language: Language
    media_type: MediaType
    sha256: Sha256
    size: Annotated[int, Meta(ge=1, le=52_428_800)]
    place: Place | None = None
    url: WebAddress | None = None


class SourceWithdrawn(Event, frozen=True, kw_only=True):
    """A source was withdrawn: its document's key is gone, and its quotations read as withdrawn."""

    event_type = "registry.source-withdrawn.v1"
    retractable = False

    authority: Name
    reason: Text


# State


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a source."""

    id: str
    filed: Entry[SourceFiled]
    withdrawn: Entry[SourceWithdrawn] | None = None
    touched: tuple[str, ...] = ()


def evolve(state: Source | None, entry: Entry[Any]) -> Source:
    """Apply one entry of the stream."""
    event = entry.event
    if isinstance(event, SourceFiled):
        source = entry.stream.partition("/")[2]
        return Source(id=source, filed=entry, touched=(source,))
    if state is None or not isinstance(event, SourceWithdrawn):
        raise TypeError(f"{event.event_type} is no event of a source here")
    return replace(state, withdrawn=entry, touched=(state.id,))


# Commands


def decide(state: Source | None, event: Event, facts: Facts) -> tuple[Event, ...]:
    """Check what is asked of a source. Raises `AlreadyExists`, `NotFound`, `SourceWithdrawn`."""
    if isinstance(event, SourceFiled):
        if state is not None:
            raise AlreadyExists(f"The source {state.id} is filed already.", [FieldProblem("exists already", "/id")])
        return (event,)
    known = must_exist("source", state)
    if known.withdrawn is not None:
        raise IsWithdrawn(f"{known.id} was withdrawn already.")
    return (event,)


SOURCE = Aggregate(
    kind="source",
    prefix="src",
    events=(SourceFiled, SourceWithdrawn),
    commands=(
        CommandType(name="file-source", event=SourceFiled, opens=True),
        CommandType(name="withdraw-source", event=SourceWithdrawn),
    ),
    evolve=evolve,
    decide=decide,
)
