"""History as a person reads it: what each entry says, in words, with the names that things had when it was recorded.

Names are kept as they come by, as many as are likely to be met again; one that is not at hand is looked up in the log.
So a replay of any length, or of one stream alone, takes the same memory. People are told by their ids: their names are
sealed.
"""

from __future__ import annotations

import re
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import msgspec

from events.catalogue import AGGREGATES, Entry, Event
from events.catalogue.cooperation_events import (
    AgreementReached,
    CooperationOpened,
    NegotiationsHeld,
    RoadmapAgreed,
    RoundScheduled,
    TopicRaised,
    VisitScheduled,
)
from events.catalogue.history import AMENDMENTS, EntryCorrected, EntryRetracted, fold
from events.catalogue.occasion import OccasionAmended, OccasionAnnounced
from events.catalogue.party import PartyRegistered, PartyRenamed
from events.catalogue.source import SourceFiled
from events.codec import decode_entries, decode_entry
from events.entry import Envelope, to_builtins
from events.log import Reader, Recorded
from projections.names import names

KEPT: Final = 50_000  # names

_ID: Final = re.compile("[a-z]{1,20}_[0-7][0-9a-hjkmnp-tv-z]{25}")
_STREAMS: Final = {one.prefix: one.kind for one in AGGREGATES.values() if one.kind != "person"}
"""The kinds of stream whose things have names, by the prefix of their ids."""

_NAMED_BY: Final[Mapping[type[Event], str]] = {
    PartyRegistered: "name",
    PartyRenamed: "name",
    OccasionAnnounced: "name",
    OccasionAmended: "name",
    SourceFiled: "title",
    CooperationOpened: "title",
}
"""The field that names the stream's own thing."""

_PARTS: Final[Mapping[type[Event], tuple[str, str]]] = {
    NegotiationsHeld: ("negotiations_id", "subject"),
    VisitScheduled: ("visit_id", "purpose"),
    RoundScheduled: ("round_id", "subject"),
    AgreementReached: ("agreement_id", "subject"),
}
"""The field with the id of the thing within the stream that an event brings, and the one that names it."""

_envelope: Final = msgspec.json.Decoder(Envelope)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An entry in words: what happened and to what, the particulars, and who recorded it."""

    position: int
    time: str
    what: str
    thing: str
    particulars: str
    by: str


class _Name(NamedTuple):
    """What a thing is called up to, but not with, the entry at a position."""

    text: str
    until: int = sys.maxsize


class Narrator:
    """Tells entries in the order in which they were recorded."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._names: OrderedDict[str, _Name] = OrderedDict()

    async def tell(self, recorded: Recorded) -> Told:
        """Put an entry into words. Raises `EntryTooNew` and `Corrupt` for one that cannot be read."""
        entry = decode_entry(recorded.bytes)
        envelope = _envelope.decode(recorded.bytes)
        what = _words(recorded.event_type)
        event = entry.event
        if isinstance(event, EntryRetracted):
            what = f"{await self._amended(event.retracts)} retracted"
        elif isinstance(event, EntryCorrected):
            what = f"{await self._amended(event.corrects)} corrected"
        await self._learn(entry)
        by = envelope.actor
        if envelope.onbehalfof:
            by += f" for {await self._name(envelope.onbehalfof, entry.position)}"
        return Told(
            position=entry.position,
            time=f"{recorded.recorded_at:%Y-%m-%d %H:%M:%S}Z",
            what=what,
            thing=await self._name(entry.stream.partition("/")[2], entry.position),
            particulars=await self._particulars(entry),
            by=f"{by}, {entry.classification}",
        )

    async def _amended(self, position: int) -> str:
        found = await self._reader.read_all(position, 1)
        return f"entry {position}" + (f" ({_words(found[0].event_type)})" if found else "")

    # Names

    async def _learn(self, entry: Entry[Event]) -> None:
        """Keep the names that an entry gives; an amendment may give any of its stream back, or take it."""
        if isinstance(entry.event, AMENDMENTS):
            await self._look_up(entry.stream, entry.position)
            return
        for key, name in _named(entry):
            self._keep(key, _Name(name))

    async def _look_up(self, stream: str, position: int) -> None:
        """Read the names of a stream's things as they were with the entry at a position.

        They hold until the stream goes on, which may not come by.
        """
        kind = stream.partition("/")[0]
        recorded = await self._reader.read_stream(stream)
        until = next((one.position for one in recorded if one.position > position), sys.maxsize)
        entries = decode_entries(one.bytes for one in recorded if one.position <= position)
        for entry in entries:
            for key, _ in _named(entry):
                self._names.pop(key, None)
        state = fold(AGGREGATES[kind], entries)
        for key, name in () if state is None else names(kind, state):
            self._keep(key, _Name(name, until))

    def _keep(self, key: str, name: _Name) -> None:
        self._names[key] = name
        self._names.move_to_end(key)
        if len(self._names) > KEPT:
            self._names.popitem(last=False)

    async def _name(self, key: str, position: int) -> str:
        """Return what a thing was called with the entry at a position: its id where it has no name."""
        kind = _STREAMS.get(key.partition("_")[0])
        name = self._names.get(key)
        if kind is not None and (name is None or position >= name.until):
            await self._look_up(f"{kind}/{key}", position)
            name = self._names.get(key)
        return key if name is None else f"“{_line(name.text)}”"

    # Particulars

    async def _particulars(self, entry: Entry[Event]) -> str:
        event, position = entry.event, entry.position
        fields = cast("dict[str, Any]", to_builtins(event))
        said: list[str] = []
        if isinstance(event, EntryCorrected):
            said.append(f"as {await self._fields(event.replacement, position)}")
        for name in ("corrects", "retracts", "replacement", "replacement_type"):
            fields.pop(name, None)
        if fields:
            said.append(await self._fields(fields, position))
        return "; ".join(said)

    async def _fields(self, fields: Mapping[str, Any], position: int) -> str:
        return "; ".join([await self._field(name, value, position) for name, value in fields.items()])

    async def _field(self, name: str, value: object, position: int) -> str:
        if name == "sealed":
            return "personal details, sealed"
        if name == "citations":
            cited = dict.fromkeys(str(one["source"]) for one in cast("Sequence[dict[str, Any]]", value))
            return "cites " + ", ".join([await self._name(source, position) for source in cited])
        if name.endswith("_id"):  # the thing's own id, by which it is asked for
            label = await self._name(str(value), position)
            return str(value) if label == value else f"{label} {value}"
        return f"{name.rstrip('_').replace('_', ' ')} {await self._value(value, position)}"

    async def _value(self, value: object, position: int) -> str:
        if isinstance(value, list | tuple):
            items = cast("Sequence[object]", value)
            return ", ".join([await self._value(one, position) for one in items]) or "none"
        if isinstance(value, dict):
            return await self._object(cast("dict[str, Any]", value), position)
        if isinstance(value, str) and _ID.fullmatch(value):
            return await self._name(value, position)
        return _line(str(value))

    async def _object(self, value: dict[str, Any], position: int) -> str:
        """Write a value object: a participant, an identifier and a place in their usual way, others field by field."""
        if "party" in value:
            rest = [await self._value(value[name], position) for name in ("person", "role") if name in value]
            return await self._name(value["party"], position) + (f" ({', '.join(rest)})" if rest else "")
        if value.keys() == {"scheme", "value"}:
            return f"{value['scheme']}:{_line(value['value'])}"
        if "country" in value:
            return ", ".join(_line(value[name]) for name in ("venue", "city", "country") if name in value)
        inner = {name: one for name, one in value.items() if not name.endswith("_id")}
        return f"({await self._fields(inner, position)})"


def _named(entry: Entry[Event]) -> Iterator[tuple[str, str]]:
    """Yield the names that an entry gives, by id."""
    event: Any = entry.event
    kind = cast("type[Event]", type(event))
    if kind in _NAMED_BY:
        yield entry.stream.partition("/")[2], getattr(event, _NAMED_BY[kind])
    if kind in _PARTS:
        key, name = _PARTS[kind]
        yield getattr(event, key), getattr(event, name)
    if isinstance(event, TopicRaised):
        yield event.topic.topic_id, event.topic.subject
    if isinstance(event, RoadmapAgreed):
        yield from ((one.milestone_id, one.title) for one in event.milestones)


def _words(event_type: str) -> str:
    """Say an event's type in words: `registry.meeting-held.v1` is `meeting held`."""
    return event_type.split(".")[1].replace("-", " ")


def _line(text: str) -> str:
    return " ".join(text.split())
