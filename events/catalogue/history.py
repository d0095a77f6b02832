"""History with corrections in place: what was recorded wrongly is read as it should have been (3-domain.md).

A correction puts another event of the same type in the original's place; a retraction takes the original out. Both
name their target by its position, and both can themselves be corrected or retracted: correcting a correction replaces
what it put in place, retracting a correction or a retraction undoes it. The originals stay in the log; only the
fold reads differently, from the position of the amendment on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from events.catalogue.aggregate import Aggregate, Amendment, CommandType, Entry, Event, Facts
from events.errors import NotCorrectable, RegistryError
from events.shape import from_text
from events.values import Text


class EntryCorrected(Event, frozen=True, kw_only=True):
    """A fact had been recorded wrongly: from now on the replacement, a full event of the same type, stands for it."""

    event_type = "registry.entry-corrected.v1"

    corrects: int
    replacement: dict[str, Any]
    reason: Text


class EntryRetracted(Event, frozen=True, kw_only=True):
    """A fact should never have been recorded: from now on history is read without it."""

    event_type = "registry.entry-retracted.v1"

    retracts: int
    reason: Text


AMENDMENTS: tuple[type[Event], ...] = (EntryCorrected, EntryRetracted)

CORRECT = CommandType(name="correct-entry", event=EntryCorrected)
RETRACT = CommandType(name="retract-entry", event=EntryRetracted)


class _Layer(msgspec.Struct, frozen=True):
    """An amendment in force: the event that it puts in place, or None for a retraction."""

    entry: Entry[Any]
    event: Event | None


class _Ledger:
    """Which amendments of a stream's entries are in force."""

    def __init__(self) -> None:
        self._originals: dict[int, Entry[Any]] = {}
        self._layers: dict[int, list[_Layer]] = {}
        self._targets: dict[int, int] = {}

    def add(self, entry: Entry[Any]) -> None:
        """Take in the next entry. Raises `NotCorrectable` where an amendment's target does not allow it."""
        event = entry.event
        if isinstance(event, EntryCorrected):
            original = self.target(event.corrects)
            if self._retracted(original):
                raise NotCorrectable(f"Entry {original} is retracted; retract the retraction first.")
            kind = cast("type[Event]", type(self._originals[original].event))
            self._put(entry, original, convert_replacement(event.replacement, kind))
        elif isinstance(event, EntryRetracted):
            self._retract(entry, event.retracts)
        else:
            self._originals[entry.position] = entry
            self._layers[entry.position] = []

    def target(self, position: int) -> int:
        """Return the position of the original that an entry is, or amends. Raises `NotCorrectable`."""
        if position in self._originals:
            return position
        if position not in self._targets:
            raise NotCorrectable(f"There is no entry {position} in this stream.")
        original = self._targets[position]
        if all(layer.entry.position != position for layer in self._layers[original]):
            raise NotCorrectable(f"Entry {position} is not in force any more.")
        return original

    def original(self, position: int) -> Entry[Any]:
        """Return the original entry at a position."""
        return self._originals[position]

    def _retracted(self, original: int) -> bool:
        layers = self._layers[original]
        return bool(layers) and layers[-1].event is None

    def _retract(self, entry: Entry[Any], position: int) -> None:
        original = self.target(position)
        if position != original:
            self._layers[original] = [one for one in self._layers[original] if one.entry.position != position]
            self._targets[entry.position] = original
        elif self._retracted(original):
            raise NotCorrectable(f"Entry {original} is retracted already.")
        elif not self._originals[original].event.retractable:
            raise NotCorrectable(f"Entry {original} cannot be undone: the key that it destroyed is gone.")
        else:
            self._put(entry, original, None)

    def _put(self, entry: Entry[Any], original: int, event: Event | None) -> None:
        self._layers[original].append(_Layer(entry, event))
        self._targets[entry.position] = original

    def effective(self) -> list[Entry[Any]]:
        """Return the originals that are not retracted, in order, each with what stands in its place."""
        entries: list[Entry[Any]] = []
        for position, entry in self._originals.items():
            layers = self._layers[position]
            if not layers:
                entries.append(entry)
            elif (event := layers[-1].event) is not None:
                entries.append(replace(entry, event=event, corrections=tuple(_amendment(one) for one in layers)))
        return entries


def _amendment(layer: _Layer) -> Amendment:
    entry = layer.entry
    return Amendment(position=entry.position, recorded_at=entry.recorded_at, reason=entry.event.reason)


def convert_replacement(replacement: dict[str, Any], kind: type[Event]) -> Event:
    """Read a stored replacement as the type of its target. Raises `NotCorrectable` if it is not of that type."""
    try:
        return msgspec.convert(replacement, kind, dec_hook=from_text)
    except msgspec.ValidationError as refused:
        raise NotCorrectable(f"The replacement is no {kind.event_type}: {refused}.") from None


def fold(aggregate: Aggregate, entries: Iterable[Entry[Any]]) -> Any:
    """Return a stream's state after all its entries, None if nothing of it stands (or there is none)."""
    state: Any = None
    for entry in _ledger(entries).effective():
        state = aggregate.evolve(state, entry)
    return state


def original_of(entries: Iterable[Entry[Any]], position: int) -> Entry[Any]:
    """Return the original entry that a position in a stream is, or amends. Raises `NotCorrectable`."""
    ledger = _ledger(entries)
    return ledger.original(ledger.target(position))


def decide_amendment(
    aggregate: Aggregate, entries: Sequence[Entry[Any]], amendment: Entry[Any], facts_on: Callable[[date], Facts]
) -> Any:
    """Check that a stream's history obeys the rules with an amendment in place, and return the state it leads to.

    Each entry that stands is decided again as of the day it was recorded; what was recorded after it has to be
    allowed still. Raises `NotCorrectable`, or the error of the rule that would be broken, saying for which entry.
    """
    state: Any = None
    for entry in _ledger((*entries, amendment)).effective():
        facts = facts_on(date.fromisoformat(entry.recorded_at[:10]))
        try:
            aggregate.decide(state, entry.event, facts)
        except RegistryError as broken:
            broken.detail = f"With this in place, entry {entry.position} would break a rule: {broken.detail}"
            raise
        state = aggregate.evolve(state, entry)
    return state


def _ledger(entries: Iterable[Entry[Any]]) -> _Ledger:
    ledger = _Ledger()
    for entry in entries:
        ledger.add(entry)
    return ledger
