"""What holds for every aggregate, whatever is asked of it and in whatever order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue import AGGREGATES, AMENDING, COMMANDS, Aggregate, Entry, Event, Facts
from events.catalogue import EVENTS as NEWEST
from events.catalogue.history import AMENDMENTS
from events.codec import EVENT_TYPES, decode_entry
from events.errors import NotFound, RegistryError, RuleBroken
from tests.golden import files
from tests.support.histories import EVENTS, asked
from tests.support.spec import entries_of, fold, made_id, stored

FACTS = Facts(today=date(2019, 6, 19))


class Step(NamedTuple):
    before: Any
    asked: Event
    decided: tuple[Event, ...]
    entries: list[Entry[Any]]
    after: Any


def live(aggregate: Aggregate, wishes: list[Event]) -> Iterator[Step]:
    """Ask for one event after the other, and record what is decided."""
    stream = f"{aggregate.kind}/{made_id(aggregate.prefix, 1)}"
    state: Any = None
    revision = 0
    for wish in wishes:
        try:
            decided = aggregate.decide(state, wish, FACTS)
        except RegistryError:
            decided = ()
        entries = entries_of(stream, decided, FACTS.today, revision=revision)
        after = fold(aggregate, entries, state)
        yield Step(state, wish, decided, entries, after)
        state, revision = after, revision + len(entries)


def items_of(state: Any) -> dict[str, object]:
    """Everything in a state by its key: what mappings hold, and under the state's own id all that is no mapping."""
    if state is None:
        return {}
    fields = {name: getattr(state, name) for name in state.__struct_fields__ if name != "touched"}
    found: dict[str, object] = {state.id: [value for value in fields.values() if not isinstance(value, Mapping)]}
    for value in fields.values():
        if isinstance(value, Mapping):
            assert not found.keys() & value.keys(), "two things have one key"
            found |= value
    return found


@given(asked())
def test_a_history_always_folds_to_the_same_state(wish):
    aggregate, wishes = wish
    *_, last = list(live(aggregate, wishes)) or [None]
    entries = [entry for step in live(aggregate, wishes) for entry in step.entries]
    assert fold(aggregate, entries) == fold(aggregate, entries) == (last.after if last else None)


@given(asked())
def test_what_was_stored_folds_to_the_same_state(wish):
    aggregate, wishes = wish
    entries = [entry for step in live(aggregate, wishes) for entry in step.entries]
    read = [decode_entry(stored(entry)) for entry in entries]
    assert read == entries
    assert repr(fold(aggregate, read)) == repr(fold(aggregate, entries))


@given(asked())
def test_deciding_and_evolving_leave_everything_as_it_was(wish):
    aggregate, wishes = wish
    before: list[tuple[object, str]] = []
    for step in live(aggregate, wishes):
        before += [(thing, repr(thing)) for thing in (step.before, step.asked, *step.entries)]
        assert all(repr(thing) == said for thing, said in before)


@given(asked())
def test_touched_names_what_changed_and_the_rest_is_the_very_same(wish):
    aggregate, wishes = wish
    for step in live(aggregate, wishes):
        if not step.entries:
            continue
        before, after = items_of(step.before), items_of(step.after)
        changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert changed <= set(step.after.touched) <= after.keys()
        assert len(set(step.after.touched)) == len(step.after.touched)
        assert all(before[key] is after[key] for key in before if key not in {*step.after.touched, step.after.id})


def began(thing: Any) -> Entry[Any] | None:
    """The entry that a thing began with, if its state has it."""
    return next(
        (one for one in (thing, *map(thing.__getattribute__, thing.__struct_fields__)) if isinstance(one, Entry)), None
    )


@given(asked())
def test_things_stand_in_the_order_of_recording(wish):
    aggregate, wishes = wish
    for step in live(aggregate, wishes):
        for name in step.after.__struct_fields__ if step.after else ():
            held = getattr(step.after, name)
            if isinstance(held, Mapping):
                positions = [entry.position for entry in map(began, held.values()) if entry]
                assert positions == sorted(positions)


@given(asked())
def test_what_is_recorded_is_what_was_asked_for_and_that_once(wish):
    aggregate, wishes = wish
    for step in live(aggregate, wishes):
        assert step.decided in ((), (step.asked,))
        for event in step.decided:
            with pytest.raises(RuleBroken):
                aggregate.decide(step.after, event, FACTS)


# The table of commands and events


@pytest.mark.parametrize("aggregate", AGGREGATES.values(), ids=AGGREGATES.keys())
def test_every_event_is_asked_for_by_one_command(aggregate):
    assert sorted(command.event.event_type for command in aggregate.commands) == sorted(
        event.event_type for event in aggregate.events
    )


@pytest.mark.parametrize("aggregate", AGGREGATES.values(), ids=AGGREGATES.keys())
def test_one_event_begins_a_stream(aggregate):
    (first,) = [command.event for command in aggregate.commands if command.opens]
    assert first is aggregate.events[0]


@given(st.sampled_from([event for one in AGGREGATES.values() for event in one.events[1:]]).flatmap(EVENTS.__getitem__))
def test_every_other_event_needs_a_stream_that_has_begun(event):
    (aggregate,) = [one for one in AGGREGATES.values() if type(event) in one.events]
    with pytest.raises(NotFound):
        aggregate.decide(None, event, FACTS)


@pytest.mark.parametrize(("aggregate", "command"), COMMANDS.values(), ids=COMMANDS.keys())
def test_a_command_fills_ids_of_its_own_kind_into_fields_that_an_event_cannot_be_without(aggregate, command):
    shape = files.shape_of(command.event)
    assert command.opens == (not command.identifies and command.event is aggregate.events[0])
    if command.identifies:
        assert shape[".".join(command.identifies)].startswith(f"required string pattern=^{command.prefix}_")
    for target in command.targets:
        assert shape[target].startswith(f"required string pattern=^{target.removesuffix('_id')}_")
    if command.numbered:
        array, field, prefix = command.numbered
        assert shape[f"{array}[].{field}"].startswith(f"required string pattern=^{prefix}_")


@pytest.mark.parametrize("command", [command for _, command in COMMANDS.values()], ids=COMMANDS.keys())
def test_no_body_has_a_field_that_is_the_envelope_s(command):
    assert {"id", "classification"}.isdisjoint(field.encode_name for field in msgspec.structs.fields(command.body))


def test_no_two_events_and_no_two_commands_share_a_name():
    assert len({event.event_type for event in NEWEST}) == len(NEWEST) == len(EVENTS) + len(AMENDMENTS)
    assert len(COMMANDS) == sum(len(one.commands) for one in AGGREGATES.values())
    assert COMMANDS.keys().isdisjoint(AMENDING)
    assert EVENTS.keys() | set(AMENDMENTS) == set(NEWEST), "a strategy is missing in tests/support/histories.py"
    assert set(NEWEST) <= set(EVENT_TYPES.values())


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_an_event_type_says_what_happened_and_its_version(name):
    assert name.count(".") == 2
    registry, what, version = name.split(".")
    assert (registry, version[0], version[1:].isdecimal()) == ("registry", "v", True)
    assert what == what.lower()
