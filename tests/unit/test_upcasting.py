"""Old versions of events, read as the newest: on a made-up event that has had three versions."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from events.catalogue import EVENTS, Aggregate, Entry, Event
from events.catalogue.history import EntryCorrected, EntryRetracted, fold
from events.codec import CODEC, EVENT_TYPES, UPCASTERS, Codec, Upcaster
from events.entry import canonical, to_builtins
from events.errors import Corrupt, EntryTooNew, NotCorrectable
from tests.golden import files
from tests.support.spec import entries_of, stored


class LaunchedInFeet(Event, frozen=True, kw_only=True):
    event_type = "registry.ship-launched.v1"

    ship: str
    feet: int


class LaunchedInMetres(Event, frozen=True, kw_only=True):
    event_type = "registry.ship-launched.v2"

    ship: str
    metres: int


class Launched(Event, frozen=True, kw_only=True):
    event_type = "registry.ship-launched.v3"

    ships: tuple[str, ...]
    metres: int


def to_metres(event: LaunchedInFeet) -> LaunchedInMetres:
    metres = round(event.feet * 0.3048)
    return LaunchedInMetres(ship=event.ship, metres=metres, citations=event.citations, note=event.note)


def to_ships(event: LaunchedInMetres) -> Launched:
    return Launched(ships=(event.ship,), metres=event.metres, citations=event.citations, note=event.note)


IN_FEET = Upcaster(LaunchedInFeet, LaunchedInMetres, to_metres)
IN_METRES = Upcaster(LaunchedInMetres, Launched, to_ships)
NOW = Codec([*EVENTS, Launched], [IN_FEET, IN_METRES])
BACK_THEN = Codec([*EVENTS, LaunchedInFeet])

OLD = LaunchedInFeet(ship="Gudrun", feet=100, note="as the gazette has it")
NEW = Launched(ships=("Gudrun",), metres=30, note="as the gazette has it")


class Yard(msgspec.Struct, frozen=True):
    launched: tuple[Entry[Any], ...] = ()
    forgone: frozenset[tuple[str, str]] = frozenset()


def evolve(state: Yard | None, entry: Entry[Any]) -> Yard:
    assert type(entry.event) is Launched, "a fold knows the newest version only"
    return Yard((*(state.launched if state else ()), entry))


YARD = Aggregate(
    kind="yard", prefix="yard", events=(Launched,), commands=(), evolve=evolve, decide=lambda _, event, __: (event,)
)


def recorded(*events: Event) -> list[bytes]:
    """Return entries as the program of the day stored them."""
    return [stored(entry) for entry in entries_of("yard/1", events, date(2019, 6, 19))]


def read(codec: Codec, *events: Event) -> list[Entry[Event]]:
    return [codec.decode_entry(one) for one in recorded(*events)]


# Reading


def test_an_event_is_read_as_it_was_while_its_version_was_the_newest():
    assert [entry.event for entry in read(BACK_THEN, OLD)] == [OLD]


@pytest.mark.parametrize(
    "event", [OLD, LaunchedInMetres(ship="Gudrun", metres=30, note=OLD.note), NEW], ids=["v1", "v2", "v3"]
)
def test_an_event_of_any_version_is_read_as_one_of_the_newest(event):
    (entry,) = read(NOW, event)
    assert entry.event == NEW
    assert entry == replace(read(NOW, NEW)[0], event=NEW)


def test_a_history_of_several_versions_folds_as_one_of_the_newest():
    entries = read(NOW, OLD, LaunchedInMetres(ship="Gro", metres=20), NEW)
    assert [entry.event.metres for entry in fold(YARD, entries).launched] == [30, 20, 30]


def test_an_old_version_has_what_a_newer_program_added_to_it_passed_over():
    (bytes_,) = recorded(OLD)
    entry = json.loads(bytes_)
    entry["data"]["draught"] = 4
    assert NOW.decode_entry(json.dumps(entry).encode()).event == NEW


def test_an_old_version_that_is_not_as_it_was_is_corrupt():
    (bytes_,) = recorded(OLD)
    with pytest.raises(Corrupt):
        NOW.decode_entry(bytes_.replace(b'"feet":100', b'"feet":"100"'))


def test_a_program_of_the_day_cannot_read_what_came_later():
    with pytest.raises(EntryTooNew, match=r"ship-launched\.v3"):
        read(BACK_THEN, NEW)


# Corrections


def correction(event: Event, corrects: int = 40) -> EntryCorrected:
    return EntryCorrected(
        corrects=corrects, replacement=to_builtins(event), replacement_type=event.event_type, reason="misread"
    )


@pytest.mark.parametrize(
    "brought",
    [
        LaunchedInFeet(ship="Gro", feet=200),
        LaunchedInMetres(ship="Gro", metres=61),
        Launched(ships=("Gro",), metres=61),
    ],
    ids=["v1", "v2", "v3"],
)
def test_a_correction_of_any_version_stands_for_an_original_of_any_other(brought):
    for original in (OLD, LaunchedInMetres(ship="Gudrun", metres=30), NEW):
        (launched,) = fold(YARD, read(NOW, original, correction(brought))).launched
        assert launched.event == Launched(ships=("Gro",), metres=61)


def test_a_correction_stands_as_it_was_recorded_for_the_program_of_the_day():
    event = correction(OLD)
    assert read(BACK_THEN, event)[0].event == event


def test_a_correction_is_read_with_what_it_brings_in_the_newest_version():
    event = read(NOW, correction(OLD))[0].event
    assert event == correction(NEW)
    assert json.loads(canonical.encode(event))["replacement"]["metres"] == 30


def test_a_correction_of_another_event_stays_one():
    named = EVENT_TYPES["registry.party-renamed.v1"](name="Gro")  # type: ignore[call-arg]
    with pytest.raises(NotCorrectable, match=r"is a registry\.party-renamed\.v1, but entry 40 is a registry\.ship"):
        fold(YARD, read(NOW, OLD, correction(named)))


def test_a_retraction_names_whatever_version():
    assert fold(YARD, read(NOW, OLD, EntryRetracted(retracts=40, reason="never was"))) is None


# The table


def test_every_version_ever_stored_is_known_by_its_type():
    assert NOW.types.keys() == EVENT_TYPES.keys() | {f"registry.ship-launched.v{version}" for version in (1, 2, 3)}
    assert NOW.types["registry.ship-launched.v2"] is LaunchedInMetres


@pytest.mark.parametrize(
    ("newest", "upcasters", "says"),
    [
        (Launched, [Upcaster(LaunchedInFeet, Launched, to_metres)], "after registry.ship-launched.v1 is not"),
        (Launched, [IN_METRES, Upcaster(LaunchedInFeet, LaunchedInFeet, to_metres)], "after registry.ship-launched.v1"),
        (LaunchedInFeet, [IN_METRES], "the version after registry.ship-launched.v2 is not registry.ship-launched.v3"),
        (Launched, [IN_FEET], "the version after registry.ship-launched.v1 is not registry.ship-launched.v2"),
        (LaunchedInMetres, [IN_FEET, IN_METRES], "registry.ship-launched.v2"),
    ],
    ids=["skips a version", "goes nowhere", "ends in none", "has a gap", "goes on from the newest"],
)
def test_a_chain_of_upcasters_leads_to_the_newest_version_step_by_step(newest, upcasters, says):
    with pytest.raises(ValueError, match=says):
        Codec([*EVENTS, newest], upcasters)


def test_an_upcaster_that_makes_something_else_is_a_mistake_of_ours():
    careless = Codec([*EVENTS, LaunchedInMetres], [Upcaster(LaunchedInFeet, LaunchedInMetres, lambda event: event)])
    with pytest.raises(TypeError, match=r"the upcaster of registry\.ship-launched\.v1 made a LaunchedInFeet"):
        read(careless, OLD)


def test_every_version_that_was_released_and_is_not_the_newest_has_an_upcaster_that_reads_its_golden_entries():
    golden = files.read()
    assert {one.old.event_type for one in UPCASTERS} == golden.keys() - {event.event_type for event in EVENTS}
    for one in UPCASTERS:
        for entry in golden[one.old.event_type]["entries"]:
            assert type(CODEC.decode_entry(entry["bytes"].encode()).event) in EVENTS
