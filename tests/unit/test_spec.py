"""The given / when / then harness itself, on an aggregate that is small enough to see through."""

from __future__ import annotations

from datetime import date
from typing import Any

import msgspec
import pytest

from events.catalogue import Aggregate, Entry, Event, Facts
from events.errors import FieldProblem, RegistryError, RuleBroken
from tests.support.spec import Specification


class Switched(Event, frozen=True, kw_only=True):
    event_type = "test.switched.v1"

    on: bool


class Lamp(msgspec.Struct, frozen=True):
    on: bool = False
    said: list[bool] = []


def evolve(state: Lamp | None, entry: Entry[Any]) -> Lamp:
    return Lamp(on=entry.event.on)


def decide(state: Lamp | None, event: Switched, facts: Facts) -> tuple[Event, ...]:
    if state is None and not event.on:
        raise RuleBroken("It was never on.", [FieldProblem("never on", "/on")])
    return () if state is not None and state.on == event.on else (event,)


ON, OFF = Switched(on=True), Switched(on=False)
LAMP = Aggregate(kind="lamp", prefix="lamp", events=(Switched,), commands=(), evolve=evolve, decide=decide)
given = Specification(LAMP, "lamp/1", date(2019, 6, 19)).given


def test_what_is_decided_is_what_is_expected():
    given(ON).when(OFF).then(OFF)


def test_nothing_happens_where_nothing_changes():
    given(ON).when(ON).then_nothing()


def test_a_refusal_is_expected_with_its_kind_and_its_fields():
    given().when(OFF).then_refused(RuleBroken, "/on")


WRONG = {
    "another event": lambda: given(ON).when(OFF).then(ON),
    "an event where nothing was expected": lambda: given(ON).when(OFF).then_nothing(),
    "nothing where an event was expected": lambda: given(ON).when(ON).then(ON),
    "no refusal": lambda: given(ON).when(OFF).then_refused(RuleBroken),
    "a refusal where an event was expected": lambda: given().when(OFF).then(OFF),
    "a refusal where nothing was expected": lambda: given().when(OFF).then_nothing(),
    "a field that was not expected": lambda: given().when(OFF).then_refused(RuleBroken),
    "another field": lambda: given().when(OFF).then_refused(RuleBroken, "/off"),
    "another kind of refusal": lambda: given().when(OFF).then_refused(RegistryError, "/on"),
    "a history that the rules forbid": lambda: given(OFF),
    "a history in which nothing happens": lambda: given(ON, ON),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_is_not_so_fails(wrong):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        wrong()


def test_a_decision_that_changes_the_state_fails():
    def careless(state: Lamp | None, event: Switched, facts: Facts) -> tuple[Event, ...]:
        if state is not None:
            state.said.append(event.on)
        return (event,)

    lamp = Specification(msgspec.structs.replace(LAMP, decide=careless), "lamp/1", date(2019, 6, 19))
    with pytest.raises(AssertionError, match="deciding changed the state"):
        lamp.given(ON).when(OFF)
