"""A stream that is recorded, corrected and retracted step by step; each step is decided as the service decides it.

    told = Told.of(SPECIFICATION, opened, topic, meeting)
    told.correct(2, replace(meeting, summary="…")).state
    with refused(NotFound, entry=told.position(1)):
        told.retract(0)

Entries are named by their number in the stream (their revision); positions lie apart, as in `spec`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any, NamedTuple

import pytest
from msgspec.structs import replace

from events.catalogue import Entry, Event, Facts
from events.catalogue.amendments import decide_amendment
from events.catalogue.history import EntryCorrected, EntryRetracted, fold
from events.catalogue.occasion import OCCASION
from events.catalogue.party import PARTY, PartyDetailsAmended, PartyMerged, PartyRegistered, PartyRenamed
from events.catalogue.person import PERSON, PersonAppointed, PersonErased, PersonLeftPost, PersonRegistered
from events.catalogue.source import SOURCE, SourceFiled
from events.entry import to_builtins
from events.errors import RegistryError
from tests.support.cooperating import MEETING, OPENED, SPECIFICATION, TODAY, TOPIC, day
from tests.support.spec import FIRST_POSITION, GAP, Specification, entries_of, made_id


class Told(NamedTuple):
    """A stream's entries, and what is known of other streams today."""

    specification: Specification
    entries: tuple[Entry[Any], ...] = ()
    today: date = date.min
    merged: Mapping[str, str] = {}
    whole: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Say what was told, and no more: histories are long."""
        return f"{self.specification.stream}: {', '.join(repr(entry.event) for entry in self.entries)}"

    @classmethod
    def of(cls, specification: Specification, *events: Event) -> Told:
        """Tell what was recorded on the specification's day."""
        return cls(specification, (), specification.today).then(*events)

    def on(self, today: date) -> Told:
        """Go on on another day."""
        return self._replace(today=today)

    def knowing(self, *, merged: Mapping[str, str] | None = None, whole: Mapping[str, str] | None = None) -> Told:
        """Say which parties have been merged into which by now, and which are part of which."""
        return self._replace(merged=merged or {}, whole=whole or {})

    def then(self, *events: Event) -> Told:
        """Record what is decided on what stands. Raises what forbids it."""
        told = self
        for event in events:
            told = told._with(*told.specification.aggregate.decide(told.state, event, told._facts_on(told.today)))
        return told

    def correct(self, number: int, event: Event, *, type_: str | None = None, reason: str = "misread") -> Told:
        """Correct an entry of the stream. Raises what forbids it."""
        return self._amended(
            EntryCorrected(
                corrects=self.position(number),
                replacement=to_builtins(event),
                replacement_type=type_ or event.event_type,
                reason=reason,
            )
        )

    def retract(self, number: int, *, reason: str = "never was") -> Told:
        """Retract an entry of the stream. Raises what forbids it."""
        return self._amended(EntryRetracted(retracts=self.position(number), reason=reason))

    def position(self, number: int) -> int:
        """Return the position of the entry with a number."""
        return FIRST_POSITION + GAP * number

    @property
    def state(self) -> Any:
        """The state after all entries."""
        return fold(self.specification.aggregate, self.entries)

    def _amended(self, event: Event) -> Told:
        before = repr(self.entries)
        asked = self._with(event).entries[-1]
        event, state = decide_amendment(self.specification.aggregate, self.entries, asked, self._facts_on)
        assert repr(self.entries) == before, "deciding changed what was recorded"
        told = self._with(event)
        assert repr(told.state) == repr(state), "what was decided on is not what is folded"
        return told

    def _with(self, *events: Event) -> Told:
        of = self.specification
        added = entries_of(of.stream, events, self.today, revision=len(self.entries))
        return self._replace(entries=(*self.entries, *added))

    def _facts_on(self, day: date) -> Facts:
        return Facts(today=day, merged=self.merged, whole=self.whole)


@contextmanager
def refused(error: type[RegistryError], *pointers: str, entry: int | None = None, says: str = "") -> Iterator[None]:
    """Expect exactly this error and these fields, and that the entry at this position is named as the one it is of."""
    with pytest.raises(RegistryError) as raised:
        yield
    assert type(raised.value) is error, raised.value.detail
    assert tuple(problem.pointer for problem in raised.value.problems) == pointers
    named = f"entry {entry} would break a rule: " if entry is not None else ""
    assert named in raised.value.detail, raised.value.detail
    assert says in raised.value.detail, raised.value.detail


PARTIES = [made_id("party", number) for number in range(1, 5)]
ONESELF, OTHER, THIRD, FOURTH = PARTIES
OF_PARTY = Specification(PARTY, f"party/{ONESELF}", TODAY)
OF_PERSON = Specification(PERSON, f"person/{made_id('person', 1)}", TODAY)
OF_SOURCE = Specification(SOURCE, f"source/{made_id('src', 1)}", TODAY)
OF_OCCASION = Specification(OCCASION, f"occasion/{made_id('occ', 1)}", TODAY)

WORKS = PartyRegistered(name="Halden Works", kind="company", country="NO")
RENAMED = PartyRenamed(name="Halden Verk")
AMENDED = PartyDetailsAmended(kind="agency", country="SE")
MERGED = PartyMerged(into=OTHER, reason="two records of one yard")
ADVISER = PersonAppointed(party=OTHER, post="adviser")
PERSON_FOLLOWED = (
    PersonRegistered(sealed="AAAA"),
    ADVISER,
    PersonLeftPost(party=OTHER, post="adviser"),
    PersonErased(authority="office", reason="asked"),
)
REPORT = SourceFiled(
    title="Report",
    publisher="Gazette",
    published=day("2019"),
    language="en",
    media_type="text/plain",
    sha256="ab" * 32,
    size=9,
)

LONGER = replace(MEETING, summary="they talked for days")
LATER = replace(MEETING, held=day("2019-06-19"))
TALKS = (OPENED, TOPIC, MEETING)


def told(*events) -> Told:
    return Told.of(SPECIFICATION, *events)
