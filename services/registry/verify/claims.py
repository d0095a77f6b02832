"""What entries claim for their things (`Aggregate.claims`), read off their bytes as they are: for every entry there is.

Ids of what a cooperation brings, and identifiers of parties; a correction claims what its replacement states.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from events.catalogue.cooperation import COOPERATION
from events.catalogue.history import EntryCorrected
from events.catalogue.party import IDENTIFIER, PartyDetailsAmended, PartyRegistered

CORRECTED: Final = EntryCorrected.event_type
_OF_PARTIES: Final = (PartyRegistered.event_type, PartyDetailsAmended.event_type)
_BRINGING: Final = {one.event.event_type: one for one in COOPERATION.commands if one.identifies}
CLAIMING: Final = frozenset((*_OF_PARTIES, *_BRINGING, CORRECTED))
"""The types of the entries that may claim something."""


class _Entry(msgspec.Struct, gc=False):
    type: str
    data: dict[str, Any]


_entry: Final = msgspec.json.Decoder(_Entry)


def stated(stored: bytes) -> set[tuple[str, str]]:
    """Return the (scope, value) pairs that an entry claims; none if it is not in order, which others find."""
    try:
        entry = _entry.decode(stored)
        if entry.type == CORRECTED:
            return set(_claims(entry.data["replacement_type"], entry.data["replacement"]))
        return set(_claims(entry.type, entry.data))
    except (msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError, AttributeError):
        return set()


def _claims(event_type: str, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if event_type in _OF_PARTIES:
        for one in data.get("identifiers", ()):
            yield IDENTIFIER, f"{one['scheme']}:{one['value']}"
    elif event_type in _BRINGING:
        command = _BRINGING[event_type]
        value: Any = data
        for step in command.identifies:
            value = value[step]
        yield "id", value
        if command.numbered:
            array, field, _ = command.numbered
            yield from (("id", item[field]) for item in data.get(array, ()))
