"""Whether a history may be amended: with a correction or retraction in place it must itself obey the rules (ADR 0011).

What an amendment does to how a stream reads is in `history`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import cache
from typing import Any, NamedTuple, TypeAlias

from msgspec.structs import replace

from events.catalogue.aggregate import Aggregate, Entry, Event, Facts
from events.catalogue.history import EntryCorrected, Ledger, convert_replacement, with_forgone
from events.entry import to_builtins
from events.errors import (
    FieldProblem,
    NotCorrectable,
    NotFound,
    NothingChanges,
    RegistryError,
    RestedUpon,
    UnknownReference,
)

FactsOn: TypeAlias = Callable[[date], Facts]

_Tell: TypeAlias = Callable[[int | None, RegistryError], None]
"""Takes the position of an entry that a rule refuses, None for the history as a whole, and the refusal."""

_NOT_RULED_ON = frozenset(Event.__struct_fields__)
"""What every event may carry: what is said beside it."""


class Amended(NamedTuple):
    """An amendment as it is to be recorded, and the state that it leads to."""

    event: Event
    state: Any


class _Corrected(NamedTuple):
    """What a correction puts in the place of what, at the position of which original."""

    position: int
    before: Event
    now: Event


def decide_amendment(
    aggregate: Aggregate, entries: Sequence[Entry[Any]], amendment: Entry[Any], facts_on: FactsOn
) -> Amended:
    """Check that a stream's history obeys the rules with an amendment in place, and return what is to be recorded.

    Each entry that stands is decided again as of the day it was recorded, with what is known of other streams today:
    what was recorded after the amended entry has to be allowed still. What would be refused in the same way without the
    amendment (a meeting of two parties that have been merged since, say) is not held against it. A replacement that
    would be recorded otherwise (a post is left at the party at which it is held) is recorded so.

    Raises `NotCorrectable`, or the error of the rule that would be broken, saying for which entry: `RestedUpon` where
    that refers to what would not be there. Its pointers begin with `/replacement`: they are the fields that break the
    rule or, where it is another entry that would, those that are at fault.
    """
    ledger = Ledger((*entries, amendment))
    today = _day(amendment)
    corrected: _Corrected | None = None
    if isinstance(amendment.event, EntryCorrected):
        original = ledger.original(amendment.position)
        _must_keep_its_id(aggregate, original, ledger.stated(amendment.position))
        amendment = replace(amendment, event=_as_decided(aggregate, ledger, original.position, amendment, facts_on))
        ledger = Ledger((*entries, amendment))
        before = next(one.event for one in Ledger(entries).effective() if one.position == original.position)
        corrected = _Corrected(original.position, before, ledger.stated(amendment.position))

    @cache
    def without() -> dict[int | None, RegistryError]:
        found: dict[int | None, RegistryError] = {}
        _decide_again(aggregate, Ledger(entries).effective(), facts_on, today, found.__setitem__)
        return found

    def obeys(history: Iterable[Entry[Any]]) -> bool:
        try:
            _decide_again(aggregate, history, facts_on, today, refuse)
        except RegistryError:
            return False
        return True

    def refuse(position: int | None, refused: RegistryError) -> None:
        if not _is_the_same(without().get(position), refused):
            raise refused

    def tell(position: int | None, refused: RegistryError) -> None:
        try:
            refuse(position, refused)
        except RegistryError:
            raise _explained(position, refused, corrected, ledger, obeys) from None

    state = _decide_again(aggregate, ledger.effective(), facts_on, today, tell)
    return Amended(amendment.event, with_forgone(aggregate, ledger, state))


def newly_refused(
    aggregate: Aggregate, entries: Iterable[Entry[Any]], before: FactsOn, now: FactsOn, today: date
) -> list[tuple[str, RegistryError]]:
    """Return what of a history the rules would allow `before` and not `now`, by what is known of other streams.

    Each refusal comes with what it is of, as a message names it.
    """
    was: dict[int | None, RegistryError] = {}
    found: dict[int | None, RegistryError] = {}
    ledger = Ledger(entries)
    for facts_on, refused in ((before, was), (now, found)):
        _decide_again(aggregate, ledger.effective(), facts_on, today, refused.__setitem__)
    return [(_called(position), one) for position, one in found.items() if not _is_the_same(was.get(position), one)]


def _explained(
    position: int | None,
    refused: RegistryError,
    corrected: _Corrected | None,
    ledger: Ledger,
    obeys: Callable[[Iterable[Entry[Any]]], bool],
) -> RegistryError:
    """Say what an amendment is refused for: which entry would break which rule, and by which fields of the request."""
    within = corrected is not None and position in (corrected.position, None)
    says = refused.detail if within else refused.in_full()
    detail = f"With this in place, {_called(position)} would break a rule: {says}"
    problems = refused.under("/replacement").problems if within else ()
    if corrected is not None and not problems:
        with_this = f"with this, {_called(position)} would break a rule"
        problems = tuple(FieldProblem(with_this, f"/replacement/{one}") for one in _at_fault(corrected, ledger, obeys))
    if isinstance(refused, NotFound | UnknownReference):
        return UnknownReference(detail, problems) if within else RestedUpon(detail, problems)
    refused.detail, refused.problems = detail, problems
    return refused


def _at_fault(corrected: _Corrected, ledger: Ledger, obeys: Callable[[Iterable[Entry[Any]]], bool]) -> list[str]:
    """Return the fields of a replacement each of which, left as it was, would leave the history in order.

    Where no single one would, these are some that would together, and without any of which it would not.
    """
    before, now = to_builtins(corrected.before), to_builtins(corrected.now)
    changed = [name for name in {**now, **before} if name not in _NOT_RULED_ON and before.get(name) != now.get(name)]

    def leaving(*names: str) -> Iterator[Entry[Any]]:
        others = {name: value for name, value in now.items() if name not in names}
        kept = {name: before[name] for name in names if name in before}
        left = convert_replacement(others | kept, type(corrected.now))
        for entry in ledger.effective():
            yield replace(entry, event=left) if entry.position == corrected.position else entry

    if alone := [name for name in changed if obeys(leaving(name))]:
        return alone
    together = changed
    for name in changed:
        rest = [one for one in together if one != name]
        if obeys(leaving(*rest)):
            together = rest
    return together


def _as_decided(
    aggregate: Aggregate, ledger: Ledger, original: int, amendment: Entry[EntryCorrected], facts_on: FactsOn
) -> EntryCorrected:
    """Return a correction with its replacement as it would have been recorded in the original's place.

    One that is refused there is left as it is: it is refused when all is decided again.
    """
    state: Any = None
    for entry in ledger.effective():
        if entry.position == original:
            try:
                decided = aggregate.decide(state, entry.event, facts_on(_day(entry)))
            except RegistryError:
                break
            if decided and decided != (entry.event,):
                return replace(amendment.event, replacement=to_builtins(decided[0]))
            break
        state = aggregate.evolve(state, entry)
    return amendment.event


def _decide_again(
    aggregate: Aggregate, history: Iterable[Entry[Any]], facts_on: FactsOn, today: date, tell: _Tell
) -> Any:
    """Decide a history again, entry by entry, and fold it; `tell` may raise what it is told."""
    state: Any = None
    for entry in history:
        try:
            decided = aggregate.decide(state, entry.event, facts_on(_day(entry)))
            if decided not in ((), (entry.event,)):  # it would be recorded otherwise, and a fold does not know how
                raise NotCorrectable("It has to name what it is about as that was recorded.")
        except NothingChanges:
            pass  # to say again what is so breaks nothing
        except RegistryError as refused:
            tell(entry.position, refused)
        state = aggregate.evolve(state, entry)
    if state is not None:
        try:
            aggregate.stands(state, facts_on(today))
        except RegistryError as refused:
            tell(None, refused)
    return state


def _must_keep_its_id(aggregate: Aggregate, original: Entry[Any], replacement: Event) -> None:
    """What an entry brought into its stream is still the same thing after a correction. Raises `NotCorrectable`."""
    for command in aggregate.commands:
        if command.event is type(replacement) and command.names(replacement) != command.names(original.event):
            problem = FieldProblem(
                f"is {command.names(original.event)}, and cannot be corrected",
                f"/replacement/{'/'.join(command.identifies)}",
            )
            raise NotCorrectable(f"What entry {original.position} brought keeps its id.", [problem])


def _is_the_same(one: RegistryError | None, other: RegistryError) -> bool:
    """Tell whether what is refused was refused before: each field of it, or the whole for the same reason."""
    if one is None:
        return False
    if other.problems:
        return set(other.problems) <= set(one.problems)
    return type(one) is type(other) and not one.problems


def _called(position: int | None) -> str:
    if position is None:
        return "the history as a whole"
    return f"entry {position}" if position >= 0 else "an entry of the same request"


def _day(entry: Entry[Any]) -> date:
    return date.fromisoformat(entry.recorded_at[:10])
