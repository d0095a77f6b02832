"""History with amendments in place: what was recorded wrongly is read as it should have been (3-domain.md).

A correction puts another event of the same type in the original's place. A retraction takes out what it names: an
original, a correction (what was there before it holds again) or a retraction (what that took out holds again). Both
name their target by its position, a correction either the original or another correction of it. What is recorded stays
in the log; only the fold reads differently, from the position of the amendment on. What forbids one is in `amendments`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from events.catalogue.aggregate import Aggregate, Amendment, CommandType, Entry, Event
from events.errors import NotCorrectable
from events.forms import check, form
from events.shape import from_text
from events.values import Citation, Text, Value

Position = Annotated[int, Meta(ge=0, le=2**53 - 1, description="the position of an entry of the same stream")]
EventType = Annotated[
    str,
    form(
        "^registry\\.[a-z]+(-[a-z]+)*\\.v[1-9][0-9]*$",
        max_length=100,
        description="the type of an event with its version, such as registry.meeting-held.v1",
    ),
]

Replacement = Annotated[dict[str, Any], Meta(description="all fields of an event, as if it were recorded now")]


class Correction(Value, frozen=True, kw_only=True):
    """What the command says: the fields of the event in its newest version, whose type is the original's."""

    corrects: Position
    replacement: Replacement
    reason: Text
    citations: tuple[Citation, ...] = ()
    note: Text | None = None


# Events


class EntryCorrected(Event, frozen=True, kw_only=True):
    """A fact had been recorded wrongly: from now on the replacement, a full event of the same type, stands for it.

    `replacement_type` says in which version's form the replacement is.
    """

    event_type = "registry.entry-corrected.v1"

    corrects: Position
    replacement: Replacement
    replacement_type: EventType
    reason: Text


class EntryRetracted(Event, frozen=True, kw_only=True):
    """A fact should never have been recorded: from now on history is read without it."""

    event_type = "registry.entry-retracted.v1"

    retracts: Position
    reason: Text


AMENDMENTS: tuple[type[Event], ...] = (EntryCorrected, EntryRetracted)

CORRECT = CommandType(name="correct-entry", event=EntryCorrected, wire=Correction)
RETRACT = CommandType(name="retract-entry", event=EntryRetracted)


# State


class Ledger:
    """What a stream's entries say, and which of them are in force. Only ever added to."""

    def __init__(self, entries: Iterable[Entry[Any]]) -> None:
        """Take in a stream's entries. Raises `NotCorrectable` where an amendment's target does not allow it."""
        self._entries: dict[int, Entry[Any]] = {}
        self._original: dict[int, int] = {}  # by position, which original an entry is or concerns
        self._corrections: dict[int, list[int]] = {}  # by original, the positions of its corrections
        self._said: dict[int, Event] = {}  # by position, the event that an original or a correction states
        self._retracts: dict[int, int] = {}  # by position, what a retraction names
        self._against: Counter[int] = Counter()  # by position, how many retractions in force name it
        for entry in entries:
            self._add(entry)

    def original(self, position: int) -> Entry[Any]:
        """Return the original that an entry in force is, or corrects. Raises `NotCorrectable`."""
        if position in self._retracts:
            raise NotCorrectable(f"Entry {position} is a retraction: it can be retracted, not corrected.")
        self._must_be_in_force(position)
        original = self._original[position]
        self._must_be_in_force(original)
        return self._entries[original]

    def standing(self) -> Iterator[tuple[int, list[int]]]:
        """Yield the originals that are not retracted, in order, each with its corrections that are not."""
        for original, corrections in self._corrections.items():
            if not self._against[original]:
                yield original, [one for one in corrections if not self._against[one]]

    def effective(self) -> Iterator[Entry[Any]]:
        """Yield the originals that are not retracted, in order, each with what stands in its place."""
        for original, corrections in self.standing():
            entry = self._entries[original]
            if corrections:
                amendments = tuple(_amendment(self._entries[one]) for one in corrections)
                entry = replace(entry, event=self._said[corrections[-1]], corrections=amendments)
            if made := self._corrections[original]:
                entry = replace(entry, ever=tuple(self._said[one] for one in (original, *made)))
            yield entry

    def forgone(self) -> Iterator[Event]:
        """Yield every event that was stated and does not stand."""
        stands = {corrections[-1] if corrections else original for original, corrections in self.standing()}
        yield from (event for position, event in self._said.items() if position not in stands)

    def in_force(self) -> Iterator[tuple[int, Event]]:
        """Yield what nothing has taken out or stands in the place of, with the position that states it.

        Of amendments that are what they say of themselves: a correction's replacement comes as the event that it is.
        """
        for original, corrections in self.standing():
            stated = corrections[-1] if corrections else original
            yield stated, self._said[stated]
            yield from ((one, self._entries[one].event) for one in corrections)
        yield from ((one, self._entries[one].event) for one in self._retracts if not self._against[one])

    def stated(self, position: int) -> Event:
        """Return the event that an original or a correction states."""
        return self._said[position]

    def said(self) -> Iterable[Event]:
        """Return every event that was ever stated, in order: the originals and all replacements."""
        return self._said.values()

    def _add(self, entry: Entry[Any]) -> None:
        position, event = entry.position, entry.event
        if isinstance(event, EntryCorrected):
            original = self.original(event.corrects)
            self._original[position] = original.position
            self._corrections[original.position].append(position)
            self._said[position] = _replacement(event, original)
        elif isinstance(event, EntryRetracted):
            self._must_be_in_force(event.retracts)
            self._must_be_retractable(event.retracts)
            self._original[position] = self._original[event.retracts]
            self._retracts[position] = event.retracts
            self._count(event.retracts)
        else:
            self._original[position] = position
            self._corrections[position] = []
            self._said[position] = event
        self._entries[position] = entry

    def _must_be_in_force(self, position: int) -> None:
        if position not in self._entries:
            raise NotCorrectable(f"There is no entry {position} in this stream.")
        if self._against[position]:
            raise NotCorrectable(f"Entry {position} is retracted already; to bring it back, retract the retraction.")

    def _must_be_retractable(self, position: int) -> None:
        if not self._entries[position].event.retractable:
            raise NotCorrectable(f"Entry {position} cannot be undone: the key that it destroyed is gone.")

    def _count(self, position: int) -> None:
        """Count one more retraction against an entry; if that is one itself, it may now count no more, and so on."""
        at, change = position, 1
        while True:
            was = bool(self._against[at])
            self._against[at] += change
            if bool(self._against[at]) == was or at not in self._retracts:
                return
            at, change = self._retracts[at], -change


def _amendment(entry: Entry[Any]) -> Amendment:
    return Amendment(position=entry.position, recorded_at=entry.recorded_at, reason=entry.event.reason)


def _replacement(correction: EntryCorrected, original: Entry[Any]) -> Event:
    kind = cast("type[Event]", type(original.event))
    if correction.replacement_type != kind.event_type:
        raise NotCorrectable(
            f"The replacement is a {correction.replacement_type}, but entry {original.position} is a {kind.event_type}."
        )
    return convert_replacement(correction.replacement, kind)


def convert_replacement(replacement: dict[str, Any], kind: type[Event]) -> Event:
    """Read a stored replacement as the type of its target. Raises `NotCorrectable` if it is not of that type."""
    try:
        event = msgspec.convert(replacement, kind, dec_hook=from_text)
        check((event,))
    except msgspec.ValidationError as refused:
        raise NotCorrectable(f"The replacement is no {kind.event_type}: {refused}.") from None
    return event


def fold(aggregate: Aggregate, entries: Iterable[Entry[Any]]) -> Any:
    """Return a stream's state after all its entries, None if nothing of it stands (or there is none).

    Raises `NotCorrectable` for an amendment that no decision let pass.
    """
    ledger = Ledger(entries)
    state: Any = None
    for entry in ledger.effective():
        state = aggregate.evolve(state, entry)
    return with_forgone(aggregate, ledger, state)


def original_of(entries: Iterable[Entry[Any]], position: int) -> Entry[Any]:
    """Return the original entry that a position in a stream is, or corrects. Raises `NotCorrectable`."""
    return Ledger(entries).original(position)


def ever_said(entries: Iterable[Entry[Any]]) -> list[Event]:
    """Return every event that a stream's entries ever stated: replacements, too, and what was retracted."""
    return list(Ledger(entries).said())


def in_force(entries: Iterable[Entry[Any]]) -> list[tuple[int, Event]]:
    """Return what a stream's entries state that was not corrected or retracted, each with its position.

    That a later change hides it from what is read makes no difference: it shows again when that change is retracted.
    """
    return list(Ledger(entries).in_force())


def with_forgone(aggregate: Aggregate, ledger: Ledger, state: Any) -> Any:
    """Keep in a state what was claimed by events that do not stand any more: it stays the stream's own."""
    if state is None:
        return None
    claims = (claim for event in ledger.forgone() for claim in aggregate.claims(None, event))
    forgone = frozenset((claim.scope, claim.value) for claim in claims)
    return replace(state, forgone=forgone) if forgone else state
