"""given / when / then over an aggregate: what was recorded, what is asked, what is recorded of it or why nothing is.

    given(opened, topic).when(meeting).then(meeting)
    given(opened).when(meeting).then_refused(UnknownReference, "/topics/0")
    given(opened).when(meeting).then_nothing()
    given(opened).knowing(merged={one: other}).when(meeting).then_refused(TooFewParties, "/participants")

No I/O. Every step also holds what every decision must: what is given is itself a history that the rules allow, deciding
leaves the state as it was, and what is decided can be folded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from events.catalogue import Aggregate, Entry, Event, Facts
from events.entry import Envelope, canonical_bytes, time_text
from events.errors import RegistryError

FIRST_POSITION = 40
GAP = 3
"""A stream's entries lie apart in the log: revisions go up by one, positions by this."""


def made_id(prefix: str, number: int) -> str:
    """Return an id of the right form, the same for the same number."""
    return f"{prefix}_{number:026d}"


def entries_of(stream: str, events: Iterable[Event], today: date, *, revision: int = 0) -> list[Entry[Any]]:
    """Put events into entries of a stream, from a revision on, all recorded on one day."""
    noon = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    return [
        Entry(
            position=FIRST_POSITION + GAP * number,
            stream=stream,
            revision=number,
            recorded_at=time_text(noon + timedelta(seconds=number)),
            classification="public",
            event=event,
        )
        for number, event in enumerate(events, start=revision)
    ]


def fold(aggregate: Aggregate, entries: Iterable[Entry[Any]], state: Any = None) -> Any:
    """Return the state after the entries; None when there are none."""
    for entry in entries:
        state = aggregate.evolve(state, entry)
    return state


def stored(entry: Entry[Any]) -> bytes:
    """Return an entry as the log would store it."""
    return canonical_bytes(
        Envelope(
            specversion="1.0",
            id="0197a1c0-0000-7000-8000-000000000001",
            source="https://registry.example",
            type=entry.event.event_type,
            subject=entry.stream,
            time=entry.recorded_at,
            datacontenttype="application/json",
            dataschema="https://registry.example/v1/schemas/" + entry.event.event_type,
            sequence=str(entry.position),
            revision=entry.revision,
            commandid="0197a1c0-0000-7000-8000-000000000002",
            commandhash="00" * 32,
            actor="made-up",
            classification=entry.classification,
            data=entry.event,
        )
    )


class Specification(NamedTuple):
    """What the rules of one aggregate are tried on: a stream of it, and the day on which commands are decided."""

    aggregate: Aggregate
    stream: str
    today: date

    def given(self, *events: Event) -> Given:
        """Say what was recorded before, in order. It must be what the rules allow."""
        state: Any = None
        for revision, event in enumerate(events):
            try:
                decided = self.aggregate.decide(state, event, Facts(today=self.today))
            except RegistryError as refused:
                pytest.fail(f"given number {revision}, {event.event_type}, is refused: {_told(refused)}")
            assert decided == (event,), f"given number {revision}, {event.event_type}, says nothing new"
            state = fold(self.aggregate, entries_of(self.stream, decided, self.today, revision=revision), state)
        return Given(self, len(events), state, Facts(today=self.today))


class Given(NamedTuple):
    """A history, the state it folds to, and what is known of other streams when something is asked for."""

    of: Specification
    size: int
    state: Any
    facts: Facts

    def knowing(self, *, merged: Mapping[str, str] | None = None, whole: Mapping[str, str] | None = None) -> Given:
        """Say which parties have been merged since into which, and which are part of which."""
        return self._replace(facts=Facts(today=self.of.today, merged=merged or {}, whole=whole or {}))

    def when(self, event: Event) -> Outcome:
        """Ask for an event."""
        before = repr(self.state)
        try:
            result = self.of.aggregate.decide(self.state, event, self.facts)
        except RegistryError as refused:
            result = refused
        assert repr(self.state) == before, "deciding changed the state"
        return Outcome(self, result)


class Outcome(NamedTuple):
    """The events that were decided, or the error that says why none were."""

    given: Given
    result: tuple[Event, ...] | RegistryError

    def then(self, *events: Event) -> None:
        """Expect exactly these events, and that they can be folded."""
        if isinstance(self.result, RegistryError):
            pytest.fail(f"refused: {_told(self.result)}")
        assert events, "use then_nothing()"
        assert self.result == events
        of = self.given.of
        fold(of.aggregate, entries_of(of.stream, events, of.today, revision=self.given.size), self.given.state)

    def then_nothing(self) -> None:
        """Expect that there is nothing to record, and nothing wrong."""
        if isinstance(self.result, RegistryError):
            pytest.fail(f"refused: {_told(self.result)}")
        assert self.result == ()

    def then_refused(self, error: type[RegistryError], *pointers: str) -> None:
        """Expect exactly this error, and that it names exactly these fields, in this order."""
        if not isinstance(self.result, RegistryError):
            names = ", ".join(event.event_type for event in self.result) or "nothing"
            pytest.fail(f"not refused; decided: {names}")
        assert type(self.result) is error, _told(self.result)
        assert tuple(problem.pointer for problem in self.result.problems) == pointers, _told(self.result)
        assert self.result.detail


def _told(refused: RegistryError) -> str:
    named = "; ".join(f"{problem.pointer}: {problem.detail}" for problem in refused.problems)
    return f"{type(refused).__name__}: {refused.detail} [{named}]"
