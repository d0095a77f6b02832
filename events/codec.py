"""From an entry's bytes to its typed event: stored type strings are the contract, never a class path (ADR 0012).

A version that was ever stored stays readable. Fields that a version got later have defaults. Where that is not enough,
the new version gets a class of its own, and the old class an `Upcaster` here. What a newer program added to a version
is passed over: a version may only ever get what its readers can do without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, cast

import msgspec
from msgspec import inspect
from msgspec.structs import replace

from events import forms
from events.catalogue import EVENTS, Entry, Event
from events.catalogue.history import EntryCorrected
from events.edtf import EdtfDate
from events.entry import to_builtins
from events.errors import Corrupt, EntryTooNew
from events.shape import from_text
from events.values import Classification

T = TypeVar("T")
D = TypeVar("D")

DATES: Final = 10_000  # kept once parsed: a history says the same few again and again
_TYPE: Final = b'"type":"'  # what the last attribute of a canonical entry begins with
_TYPE_LENGTH: Final = len(_TYPE)
_SEQUENCE: Final = re.compile(rb'"sequence":"([0-9]{1,19})"')


class Upcaster(NamedTuple):
    """How an event of an old version becomes one of the next: a pure function, total on what was ever stored."""

    old: type[Event]
    new: type[Event]
    upcast: Callable[[Any], Event]


UPCASTERS: tuple[Upcaster, ...] = ()
"""One for each version that has a successor. Its class is kept as it was, out of its aggregate's events."""


class _Envelope(msgspec.Struct, Generic[T, D], frozen=True, gc=False):
    """The part of an envelope that a fold needs, in the order in which it stands there: so it is found soonest."""

    classification: Classification
    data: D
    revision: int
    sequence: str
    subject: str
    time: str
    type: T


_envelope: Final = msgspec.json.Decoder(_Envelope[str, msgspec.Raw])
_date: Final = lru_cache(DATES)(EdtfDate.parse)


def _from_text(kind: type, raw: object) -> object:
    return _date(raw) if kind is EdtfDate and type(raw) is str else from_text(kind, raw)


class Codec:
    """Reads entries of every version of its events, as events of the newest."""

    def __init__(self, events: Iterable[type[Event]], upcasters: Iterable[Upcaster] = ()) -> None:
        """Take the newest version of every event, and the upcasters of those before.

        Raises ValueError for a chain of upcasters that skips a version or does not end in a newest one.
        """
        newest = {event.event_type: event for event in events}
        self._upcasters = {one.old: one for one in upcasters}
        self._types = {one.old.event_type: one.old for one in self._upcasters.values()} | newest
        self._decoders = {event_type.encode(): _decoder(event) for event_type, event in self._types.items()}
        self._changing = {*self._upcasters, EntryCorrected}  # what `newest` does anything with
        for one in self._upcasters.values():
            _check(one, self._types, newest)

    @property
    def types(self) -> Mapping[str, type[Event]]:
        """Every version of every event by its stored type string."""
        return self._types

    def decode_entry(self, stored: bytes) -> Entry[Event]:
        """Decode an entry as it is stored. Raises as `decode_entries`, which takes less time for each of many."""
        return self.decode_entries((stored,))[0]

    def decode_entries(self, stored: Iterable[bytes]) -> list[Entry[Event]]:
        """Decode entries as they are stored, in their order; in pages, as all of them are looked at together.

        Raises `EntryTooNew` for one of a type that this program does not know, as when a newer one recorded it, and
        `Corrupt` for bytes that are no entry, with the position that they say.
        """
        stored = list(stored)
        try:
            envelopes = list(self._envelopes(stored))
            forms.check([one.data for one in envelopes])
            positions = _positions([one.sequence for one in envelopes])
            return [
                Entry(
                    position=position,
                    stream=one.subject,
                    revision=one.revision,
                    recorded_at=one.time,
                    classification=one.classification,
                    event=self.newest(one.data) if type(one.data) in self._changing else one.data,
                )
                for position, one in zip(positions, envelopes, strict=True)
            ]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as refused:
            if len(stored) > 1:  # which of them is found out by decoding each alone
                list(map(self.decode_entry, stored))
            raise Corrupt(f"{_named(stored)} cannot be decoded: {refused}") from refused

    def _envelopes(self, stored: Iterable[bytes]) -> Iterator[_Envelope[str, Event]]:
        """Decode each in one go if it ends with a type that is known, and is as that type is known here."""
        decoders = self._decoders
        for one in stored:
            try:
                yield decoders[one[one.rfind(_TYPE) + _TYPE_LENGTH : -2]](one)
            except (KeyError, msgspec.ValidationError):
                yield self._tolerated(one)

    def _tolerated(self, stored: bytes) -> _Envelope[str, Event]:
        envelope: _Envelope[str, Any] = _envelope.decode(stored)
        return replace(envelope, data=_tolerantly(msgspec.json.decode(envelope.data), self._kind(envelope.type)))

    def newest(self, event: Event) -> Event:
        """Return an event of any version as one of the newest; of a correction, what it brings as well.

        Raises `EntryTooNew` for a correction that brings an event of an unknown type.
        """
        while (upcaster := self._upcasters.get(type(event))) is not None:
            event = upcaster.upcast(event)
            if type(event) is not upcaster.new:
                raise TypeError(f"the upcaster of {upcaster.old.event_type} made a {type(event).__name__}")
        if isinstance(event, EntryCorrected):
            brought = self.newest(_tolerantly(event.replacement, self._kind(event.replacement_type)))
            return replace(event, replacement=to_builtins(brought), replacement_type=brought.event_type)
        return event

    def _kind(self, event_type: str) -> type[Event]:
        if event_type not in self._types:
            raise EntryTooNew(f"There is an entry of type {event_type}, which this version of the program cannot read.")
        return self._types[event_type]


def _decoder(event: type[Event]) -> Callable[[bytes], _Envelope[str, Event]]:
    of_its_type: Any = _Envelope[Literal[event.event_type], event]
    return msgspec.json.Decoder(of_its_type, dec_hook=_from_text).decode


def _check(upcaster: Upcaster, types: Mapping[str, type[Event]], newest: Mapping[str, type[Event]]) -> None:
    name, _, version = upcaster.old.event_type.rpartition(".v")
    following = f"{name}.v{int(version) + 1}"
    if upcaster.new.event_type != following or types.get(following) is not upcaster.new:
        raise ValueError(f"the version after {upcaster.old.event_type} is not {upcaster.new.event_type}")
    if upcaster.old.event_type in newest:
        raise ValueError(f"{upcaster.old.event_type} is not the newest version any more")


def _tolerantly(data: object, kind: type[Event]) -> Event:
    """Read an event as far as its version is known here: fields that a newer program added are passed over."""
    event = msgspec.convert(_known_part(data, inspect.type_info(kind)), kind, dec_hook=from_text)
    forms.check((event,))
    return event


def _named(stored: list[bytes]) -> str:
    said = _SEQUENCE.findall(stored[0]) if len(stored) == 1 else []
    return f"entry {said[-1].decode()}" if said else "an entry"


def _positions(sequences: list[str]) -> list[int]:
    try:
        positions = list(map(int, sequences))
    except ValueError:
        positions = []
    if list(map(str, positions)) != sequences or min(positions, default=0) < 0:
        raise msgspec.ValidationError("Expected whole numbers of no sign and no other zeros in front - at `$.sequence`")
    return positions


def _known_part(data: object, info: inspect.Type) -> object:
    match info:
        case inspect.Metadata():
            return _known_part(data, info.type)
        case inspect.UnionType() if data is not None:
            (some,) = (one for one in info.types if not isinstance(one, inspect.NoneType))
            return _known_part(data, some)
        case inspect.StructType() if isinstance(data, dict):
            known = {field.encode_name: field.type for field in info.fields}
            given = cast("dict[str, object]", data)
            return {key: _known_part(value, known[key]) for key, value in given.items() if key in known}
        case inspect.VarTupleType() if isinstance(data, list):
            return [_known_part(item, info.item_type) for item in cast("list[object]", data)]
        case _:
            return data


CODEC = Codec(EVENTS, UPCASTERS)
EVENT_TYPES = CODEC.types
decode_entry = CODEC.decode_entry
decode_entries = CODEC.decode_entries
