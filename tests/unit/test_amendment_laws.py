"""What holds of every history that was amended, whatever was recorded, corrected and retracted, in whatever order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.catalogue import Aggregate, Entry, Event, Facts
from events.catalogue.history import EntryCorrected, EntryRetracted, convert_replacement, ever_said, fold
from events.codec import decode_entry
from events.errors import NothingChanges, RegistryError, RuleBroken
from tests.support.amending import Told
from tests.support.cooperating import TODAY
from tests.support.histories import EVENTS, PARTIES, PARTY, asked
from tests.support.spec import Specification, made_id, stored
from tests.support.spec import fold as fold_as_it_stands

FACTS = Facts(today=TODAY)


class Step(NamedTuple):
    """An amendment that was asked for: what was there before, what after it, or why nothing."""

    before: Told
    result: Told | RegistryError
    corrects: bool

    def __repr__(self) -> str:
        """Say what a failing test wants to know, of histories that are long."""
        outcome = self.result.entries[-1].event if isinstance(self.result, Told) else self.result
        return f"after {len(self.before.entries)}: {outcome!r}"


@st.composite
def amended(draw: st.DrawFn) -> tuple[Told, list[Step]]:
    """Draw a stream in which some of what was asked for was recorded, and amendments in between."""
    aggregate, wishes = draw(asked())
    told = Told.of(Specification(aggregate, f"{aggregate.kind}/{made_id(aggregate.prefix, 1)}", TODAY))
    steps: list[Step] = []
    middle = draw(st.integers(0, len(wishes)))
    for part in (wishes[:middle], wishes[middle:]):
        for wish in part:
            told = _recorded(told, wish)
        for _ in range(draw(st.integers(0, 6)) if told.entries else 0):
            step = draw(_amendment(told))
            steps.append(step)
            told = told if isinstance(step.result, RegistryError) else step.result
    return told, steps


def _recorded(told: Told, wish: Event) -> Told:
    """Record a wish where the rules allow it: a party cannot begin as a part of itself either."""
    try:
        after = told.then(wish)
        aggregate_of(told).stands(after.state, FACTS)
    except RegistryError:
        return told
    return after


@st.composite
def _amendment(draw: st.DrawFn, told: Told) -> Step:
    """Retract an entry, or correct it with another event of its type that mostly keeps the id of what it brought."""
    number = draw(st.integers(0, len(told.entries)))
    corrects = number < len(told.entries) and draw(st.booleans())
    try:
        result: Told | RegistryError = draw(_corrected(told, number)) if corrects else told.retract(number)
    except RegistryError as refused:
        result = refused
    return Step(told, result, corrects)


@st.composite
def _corrected(draw: st.DrawFn, told: Told, number: int) -> Told | RegistryError:
    try:
        event = told.entries[number].event
        if isinstance(event, EntryCorrected):
            event = convert_replacement(event.replacement, TYPES[event.replacement_type])
        kind = draw(st.sampled_from([*EVENTS])) if type(event) not in EVENTS else type(event)
        replacement = draw(EVENTS[kind])
        return told.correct(number, _with_the_id_of(event, replacement) if draw(st.integers(0, 9)) else replacement)
    except RegistryError as refused:
        return refused


TYPES = {event.event_type: event for event in EVENTS}
NAMED = {
    "meeting_id",
    "negotiations_id",
    "roadmap_id",
    "visit_id",
    "round_id",
    "agreement_id",
    "delegation_id",
}


def _with_the_id_of(event: Event, replacement: Event) -> Event:
    if type(event) is not type(replacement):
        return replacement
    if hasattr(event, "topic"):
        return replace(replacement, topic=replace(replacement.topic, topic_id=event.topic.topic_id))  # type: ignore[attr-defined]
    return replace(replacement, **{name: getattr(event, name) for name in NAMED if hasattr(event, name)})


def edited(entries: Sequence[Entry[Any]]) -> list[Entry[Any]]:
    """Edit a history by hand: from the last entry to the first it is known what is void, then what replaces what."""
    void: set[int] = set()
    for entry in reversed(entries):
        if isinstance(entry.event, EntryRetracted) and entry.position not in void:
            void.add(entry.event.retracts)
    stands = {
        entry.position: entry for entry in entries if not isinstance(entry.event, EntryCorrected | EntryRetracted)
    }
    of = {position: position for position in stands}
    for entry in entries:
        if isinstance(entry.event, EntryCorrected):
            original = of[entry.position] = of[entry.event.corrects]
            if entry.position not in void:
                kind = type(stands[original].event)
                event = convert_replacement(entry.event.replacement, kind)
                stands[original] = replace(stands[original], event=event)
    return [entry for position, entry in stands.items() if position not in void]


def without_traces(state: Any) -> str:
    """Tell a state without what only an amended history has: the corrections of entries, and what was forgone."""
    return repr(_plain(state))


def _plain(value: Any) -> Any:
    if isinstance(value, Entry):
        return replace(value, corrections=(), ever=())
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if hasattr(value, "__struct_fields__") and not isinstance(value, Event):
        kept = {name: _plain(getattr(value, name)) for name in value.__struct_fields__ if name != "forgone"}
        return replace(value, **kept, **({"forgone": frozenset()} if hasattr(value, "forgone") else {}))
    return value


def aggregate_of(told: Told) -> Aggregate:
    return told.specification.aggregate


@given(amended())
def test_an_amended_history_folds_to_what_the_history_edited_by_hand_does(drawn):
    told, _ = drawn
    by_hand = fold_as_it_stands(aggregate_of(told), edited(told.entries))
    assert without_traces(told.state) == without_traces(by_hand)


@given(amended())
def test_every_entry_that_stands_is_decided_again_where_it_stands(drawn):
    told, _ = drawn
    state: Any = None
    for entry in edited(told.entries):
        with suppress(NothingChanges):
            assert aggregate_of(told).decide(state, entry.event, FACTS) == (entry.event,)
        state = aggregate_of(told).evolve(state, entry)
    if state is not None:
        aggregate_of(told).stands(state, FACTS)


@given(amended())
def test_a_refused_amendment_names_a_rule_and_leaves_everything_as_it_was(drawn):
    _, steps = drawn
    for before, result, corrects in steps:
        if isinstance(result, RegistryError):
            assert isinstance(result, RuleBroken) or result.code == "unknown-reference"
            assert result.detail
            assert all(str(problem.pointer).startswith("/replacement/") for problem in result.problems)
            if result.detail.startswith("With this in place"):  # a field of a correction is at fault
                assert bool(result.problems) == corrects
            assert without_traces(before.state) == without_traces(
                fold_as_it_stands(aggregate_of(before), edited(before.entries))
            )
        else:
            assert result.entries[:-1] == before.entries


@given(amended())
def test_an_amended_history_that_was_stored_reads_the_same(drawn):
    told, _ = drawn
    read = [decode_entry(stored(entry)) for entry in told.entries]
    assert read == list(told.entries)
    assert repr(fold(aggregate_of(told), read)) == repr(told.state)


@given(amended())
def test_going_on_from_what_an_amended_history_folds_to_is_folding_it_whole(drawn):
    told, _ = drawn
    amendments = [n for n, one in enumerate(told.entries, 1) if isinstance(one.event, EntryCorrected | EntryRetracted)]
    last = max(amendments, default=0)
    amended = fold(aggregate_of(told), told.entries[:last])
    assume(amended is not None or not last)  # of what began anew, what it claimed before is in the whole only
    state = fold_as_it_stands(aggregate_of(told), told.entries[last:], amended)
    assert without_traces(state) == without_traces(told.state)
    assert getattr(state, "forgone", None) == getattr(told.state, "forgone", None)


@given(amended())
def test_whatever_a_stream_ever_claimed_it_does_not_claim_again(drawn):
    told, _ = drawn
    if told.state is not None:
        for event in ever_said(told.entries):
            assert list(aggregate_of(told).claims(told.state, event)) == []


@given(amended())
def test_a_retraction_of_the_last_amendment_gives_back_what_was_there_before(drawn):
    _, steps = drawn
    for before, result, _ in steps:
        if isinstance(result, Told):
            undone = result.retract(len(result.entries) - 1)
            assert without_traces(undone.state) == without_traces(before.state)


MERGERS = st.dictionaries(st.sampled_from(PARTIES), PARTY, max_size=3)


@given(amended(), MERGERS, MERGERS)
def test_whatever_became_of_parties_since_what_stands_may_be_said_again(drawn, merged, whole):
    """An amendment is refused only for what it changes: one that changes nothing never is."""
    told, _ = drawn
    since = told.knowing(merged=merged, whole=whole)
    for entry in edited(told.entries):
        again = since.correct(entry.revision, entry.event)
        assert without_traces(again.state) == without_traces(told.state)
