"""What every aggregate is made of: events, entries as they are folded, commands, facts.

An aggregate module has, in this order: its events, its state, `evolve`, its commands, `decide`. A command asks for
one event, and its body is that event's fields (ADR 0006), so a command is the event that it asks for; `decide` answers
with the events to record (the same one, or none where nothing changes) or raises the rule that forbids it.
No module of this package does I/O, reads a clock or draws random numbers: all that is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec.structs import asdict

from events.edtf import EdtfDate
from events.entry import to_builtins
from events.errors import DateNotReached, FieldProblem, NotFound, NothingChanges, RegistryError
from events.shape import Leaf, examine
from events.values import Citation, Classification, Text, Value

E_co = TypeVar("E_co", bound="Event", covariant=True)
S = TypeVar("S")


class Event(Value, frozen=True, kw_only=True):
    """What every event may carry besides its own fields."""

    event_type: ClassVar[str]
    retractable: ClassVar[bool] = True

    citations: tuple[Citation, ...] = ()
    note: Text | None = None


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """A correction that is in force: the entry that made it, when, and why."""

    position: int
    recorded_at: str
    reason: str


class Entry(msgspec.Struct, Generic[E_co], frozen=True, kw_only=True, gc=False):
    """An event with its place in history: what a fold is given, and what states and read models keep of it.

    Where corrections are in force, `event` is what the last of them put in the original's place (see `history`). Of
    what was ever corrected, `ever` is all that was stated in its place: other entries were recorded on account of it.
    """

    position: int
    stream: str
    revision: int
    recorded_at: str
    classification: Classification
    event: E_co
    corrections: tuple[Amendment, ...] = ()
    ever: tuple[Any, ...] = ()


def references(event: Event) -> list[Leaf]:
    """Return what an event refers to, wherever in it that stands."""
    return examine(to_builtins(event), type(event))[1]


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What `decide` needs to know beyond its own stream.

    `today` is the UTC date at which the command is decided. References to other streams have been looked up already.
    `merged` has, of the parties concerned and of those that these lead to, what each was merged into; `whole` has, of
    the same, what each is part of.
    """

    today: date
    merged: Mapping[str, str] = {}
    whole: Mapping[str, str] = {}

    def survivor(self, party: str) -> str:
        """Return the party that a party lives on in: itself unless it was merged."""
        *_, last = _along(party, self.merged.get)
        return last

    def within(self, party: str) -> Iterator[str]:
        """Yield a party, what it was merged into or else is part of, what that one was or is, and so on."""
        return _along(party, lambda one: self.merged.get(one) or self.whole.get(one))


def _along(party: str, step: Callable[[str], str | None]) -> Iterator[str]:
    """Yield what steps lead to, each once: a circle that came about (of mergers decided at once) is gone round once."""
    seen: set[str] = set()
    at: str | None = party
    while at is not None and at not in seen:
        seen.add(at)
        yield at
        at = step(at)


class Claim(NamedTuple):
    """A (scope, value) pair that one thing only may hold, and the field that claims it."""

    scope: str
    value: str
    pointer: str


class CommandType(msgspec.Struct, frozen=True, kw_only=True):
    """A command's imperative name and how its body becomes the event that it asks for.

    `opens` says that it begins a stream, whose id is then the body's `id`; otherwise `identifies` is the path to the
    field that the body's `id` fills, `prefix` being the id's kind. `targets` are the fields that name the thing within
    the stream that the command is about, outermost first. `numbered` is an array, the field of its items that gets an
    id where the client gave none, and that id's prefix. `wire` is the body's form where it is not the event's own
    (personal data, which is sealed before it becomes an event).
    """

    name: str
    event: type[Event]
    opens: bool = False
    identifies: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    prefix: str = ""
    numbered: tuple[str, str, str] | None = None
    wire: type[Value] | None = None

    @property
    def body(self) -> type[Value]:
        """The type that the body is checked against, once its ids are in place."""
        return self.wire or self.event

    def names(self, event: Event) -> str | None:
        """Return the id of the thing that the command's event brings into its stream, if it brings one."""
        value: Any = event
        for step in self.identifies:
            value = getattr(value, step)
        return str(value) if self.identifies else None


class Aggregate(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of stream: `<kind>/<prefix>_…`, its events, commands, and its two pure functions.

    `evolve(state, entry)` gives the state after the entry (the state before the first is None) and leaves the one
    before as it was. A state has an `id`, mappings by key, and `touched`: what the last entry changed, as `id` itself
    and the keys under which a mapping holds something else than before.
    `decide(state, event, facts)` gives the events to record or raises a `RegistryError`.
    `claims(state, event)` gives what the event newly claims for its stream: not what is in the state, nor in the
    state's `forgone`, which is what entries claimed that do not stand any more (see `history`).
    `stands(state, facts)` raises a `RegistryError` for a state that no events may lead to, where `decide` could not see
    it: an event that begins a stream is decided without a state, and amendments take events out of their order.
    """

    kind: str
    prefix: str
    events: tuple[type[Event], ...]
    commands: tuple[CommandType, ...]
    evolve: Callable[[Any, Entry[Any]], Any]
    decide: Callable[[Any, Any, Facts], tuple[Event, ...]]
    claims: Callable[[Any, Any], Iterable[Claim]] = lambda _state, _event: ()
    stands: Callable[[Any, Facts], None] = lambda _state, _facts: None


def happened(facts: Facts, **dates: EdtfDate) -> None:
    """Refuse dates of things done that begin after today (UTC), all of them at once.

    A date that states an instant, by a time and its difference from UTC, is of the day of that instant in UTC, whatever
    day it was where the time was read. Raises `DateNotReached`.
    """
    problems = [
        FieldProblem(f"{when.text} begins after today, {facts.today.isoformat()} (UTC)", f"/{name}")
        for name, when in dates.items()
        if (begins := when.begins) is not None and begins > facts.today
    ]
    if problems:
        raise DateNotReached("What has not happened yet cannot be recorded as done; schedule it instead.", problems)


class Unreadable(Exception):
    """A rule came to a field that cannot be read, and has nothing to say."""


def must_all_hold(*rules: Callable[[], None]) -> None:
    """Raise the first rule that is broken, with the fields by which the others are: they can be mended in one go."""
    first: RegistryError | None = None
    for rule in rules:
        try:
            rule()
        except Unreadable:
            continue
        except RegistryError as refused:
            if first is None:
                first = refused
            else:
                first.problems += refused.problems
    if first is not None:
        raise first


def must_exist(what: str, state: S | None) -> S:
    """Return the state, or refuse what is said of a stream that has no entries. Raises `NotFound`."""
    if state is None:
        raise NotFound(f"There is no such {what}. Register it first.")
    return state


def must_say_more(event: Event, changes: Sequence[Entry[Any]], first: Event, **stated: object) -> None:
    """Refuse what changes nothing: all that it says is stated at present already, and it adds nothing to that.

    What is stated is what the last of `changes` of its kind says or, where there is none, what the thing came with:
    `first`, and `stated` for what that says under other names. Raises `NothingChanges`.
    """
    last = next((one.event for one in reversed(changes) if type(one.event) is type(event)), None)
    known = {**asdict(first), **stated} if last is None else asdict(last)
    if all(_is_known(name, value, known) for name, value in asdict(event).items()):
        raise NothingChanges("It is on record like this at present, and nothing is added to it.")


_BESIDE: Final = frozenset({"note", "reason", "since"})
"""What is said about a change, and is not taken back by leaving it out."""


def _is_known(name: str, value: Any, known: Mapping[str, Any]) -> bool:
    if name == "citations":
        return set(value) <= set(known[name])
    return value == known.get(name) or (value is None and name in _BESIDE)


def with_item(items: Mapping[str, Any], key: str, value: object) -> dict[str, Any]:
    """Return a copy of `items` in which `key` holds `value`, at its place or at the end."""
    return {**items, key: value}
