"""What stands around things that are shown, as of the same size: what they name, and what they rest on (ADR 0030)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from events.sql import load

QUERIES = load("projections", "around.sql")

# A JSON text that is an id, from its first quotation mark to its last. One within a text has a backslash before it.
_ID = re.compile(r'"([a-z]+_[0-7][0-9a-hjkmnp-tv-z]{25})(?=")')
_ESCAPED = '\\"'
_KINDS = frozenset({"party", "person", "occ", "src", "coop", "topic", "milestone"})
_SUFFIX = 27  # characters of an id after its kind


class Label(msgspec.Struct, frozen=True):
    """What an id is called: in the clear, or sealed (a person's details)."""

    text: str | None
    sealed: str | None


class Cited(msgspec.Struct, frozen=True):
    """The document that a source is over as of the size, and whether the source was withdrawn by now."""

    sha256: str | None
    withdrawn: bool


class Around(msgspec.Struct, frozen=True):
    """What is around some things.

    `labels` are of everything that they name, and of the `survivors` of the merged parties among that. `sources` has
    those that there were. `recorded_at` is of the last entry, None for an empty log. `revision` is that of the stream
    that was asked about, None where it has gone on since.
    """

    labels: Mapping[str, Label]
    survivors: Mapping[str, str]
    sources: Mapping[str, Cited]
    recorded_at: datetime | None
    revision: int | None


def refs_of(body: bytes) -> tuple[str, ...]:
    """Find the ids in the JSON of a thing that have a label (`projections.names`, and people), each once, in order."""
    text = body.decode()
    found = _ID.findall(text)
    if found and _ESCAPED in text:
        found = [one[1] for one in _ID.finditer(text) if text[one.start() - 1] != _ESCAPED[0]]
    return tuple(sorted({one for one in found if one[:-_SUFFIX] in _KINDS}))


class Asked(NamedTuple):
    """What is asked about: ids that are named, as of which size, how far the log has come, which stream, if any."""

    ids: tuple[str, ...]
    size: int
    now: int
    stream: str | None = None


class _Withdrawn(msgspec.Struct):
    withdrawn: bool


class _Sealed(msgspec.Struct):
    sealed: str


_source = msgspec.json.Decoder(_Withdrawn)
_person = msgspec.json.Decoder(_Sealed)


def arguments(asked: Collection[Asked], size: int, now: int) -> tuple[list[str], int, list[str], int]:
    """Return the arguments of the statement that answers for several at the same size."""
    ids = sorted({key for one in asked for key in one.ids})
    streams = sorted({one.stream for one in asked if one.stream is not None})
    return ids, size, streams, now


def shared(records: Iterable[Any], asked: Iterable[Asked]) -> dict[Asked, Around]:
    """Give each who asked their part of what was found."""
    found = _read(records)
    return {one: _part(found, one) for one in asked}


class _Found(msgspec.Struct):
    labels: dict[str, Label] = msgspec.field(default_factory=dict[str, Label])
    survivors: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    hashes: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    withdrawn: dict[str, bool] = msgspec.field(default_factory=dict[str, bool])
    revisions: dict[str, int | None] = msgspec.field(default_factory=dict[str, int | None])
    recorded_at: datetime | None = None


def _read(records: Iterable[Any]) -> _Found:
    found = _Found()
    for what, key, text, body, moment, revision in records:
        match what:
            case "label":
                found.labels[key] = Label(text, None if body is None else _person.decode(body).sealed)
            case "survivor":
                found.survivors[key] = text
            case "then":
                found.hashes[key] = text
                found.withdrawn.setdefault(key, _source.decode(body).withdrawn)
            case "now":
                found.withdrawn[key] = _source.decode(body).withdrawn
            case "revision":
                found.revisions[key] = revision
            case _:
                found.recorded_at = moment
    return found


def _part(found: _Found, asked: Asked) -> Around:
    survivors = {key: found.survivors[key] for key in asked.ids if key in found.survivors}
    named = sorted({*asked.ids, *survivors.values()}) if survivors else sorted(asked.ids)
    return Around(
        labels={key: found.labels[key] for key in named if key in found.labels},
        survivors=survivors,
        sources={
            key: Cited(found.hashes.get(key), found.withdrawn[key]) for key in asked.ids if key in found.withdrawn
        },
        recorded_at=found.recorded_at,
        revision=None if asked.stream is None else found.revisions.get(asked.stream),
    )
