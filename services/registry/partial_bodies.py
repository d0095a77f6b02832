"""What is wrong with bodies beside the fields that cannot be read: so that all of it is named at once.

Deciding finds what a body refers to within its cooperation, and what rules forbid; these bodies cannot be decided.
Rules are functions of an event. Of a single command it is made here of the fields that can be read, with a stand-in for
each of the others that gives itself away (`Unreadable`) whatever it is asked: a rule that comes to it says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final, NoReturn, cast

import msgspec

from events.catalogue import CommandType, Facts
from events.catalogue.aggregate import Unreadable
from events.catalogue.cooperation import COOPERATION
from events.catalogue.cooperation_state import Cooperation
from events.catalogue.history import AMENDMENTS
from events.errors import FieldProblem, RegistryError
from events.shape import from_text
from services.registry.bodies import Body
from services.registry.ids import is_id
from services.registry.prospect import Prospect
from services.registry.reading import Reading


class _StandIn:
    """What stands for a field that cannot be read; it answers nothing."""

    def _refuse(self, *_asked: object) -> NoReturn:
        raise Unreadable

    __getattr__ = __getitem__ = __iter__ = __len__ = __contains__ = __bool__ = __hash__ = __str__ = __repr__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


_STAND_IN: Final = _StandIn()


async def also_wrong(
    bodies: Sequence[Body], named: Collection[FieldProblem], reading: Reading, today: date
) -> list[FieldProblem]:
    """Name what is wrong with bodies beside the fields that are `named` already."""
    found = await unknown(bodies, reading)
    if len(bodies) == 1:
        found += await _forbidden(bodies[0], named, reading, today)
    return beside(named, found)


def beside(named: Iterable[FieldProblem], found: Iterable[FieldProblem]) -> list[FieldProblem]:
    """Return what was found of fields that are not named already, each field once."""
    told = {_place(one) for one in named}
    wrong: list[FieldProblem] = []
    for one in found:
        if _place(one) not in told:
            told.add(_place(one))
            wrong.append(one)
    return wrong


def _place(problem: FieldProblem) -> tuple[str | None, ...]:
    return problem.pointer, problem.parameter, problem.header


async def _forbidden(body: Body, named: Collection[FieldProblem], reading: Reading, today: date) -> list[FieldProblem]:
    """Name the fields that rules forbid, as far as these do not rest on those that are `named` already."""
    if not body.stream or body.command.wire is not None or body.command.event in AMENDMENTS:
        return []
    state: Any = (await reading.load(body.stream)).state
    parties = {leaf.value for leaf in body.leaves if leaf.kind == "party"}
    if isinstance(state, Cooperation):
        parties |= {*state.opened.event.parties}
    merged, whole = await Prospect(reading).facts(parties)
    try:
        body.aggregate.decide(state, _event(body, named), Facts(today=today, merged=merged, whole=whole))
    except Unreadable:
        return []
    except RegistryError as refused:
        return list(refused.under(body.pointer).problems)
    return []


def _event(body: Body, named: Collection[FieldProblem]) -> Any:
    """Make the event that a body asks for, of what can be read of it."""
    said = cast("dict[str, Any]", body.data)
    fields: dict[str, Any] = {}
    for field in _fields(body.command.event):
        if field.encode_name not in said and not field.required:
            continue
        at = f"{body.pointer}/{field.encode_name}"
        fields[field.name] = _STAND_IN
        if field.encode_name in said and not any(_within(problem.pointer, at) for problem in named):
            fields[field.name] = msgspec.convert(said[field.encode_name], field.type, dec_hook=from_text)
    return body.command.event(**fields)


@cache
def _fields(kind: type) -> tuple[msgspec.structs.FieldInfo, ...]:
    return msgspec.structs.fields(kind)


def _within(pointer: str | None, at: str) -> bool:
    return pointer is not None and (pointer == at or pointer.startswith(f"{at}/"))


async def unknown(bodies: Sequence[Body], reading: Reading) -> list[FieldProblem]:
    """Name topics, meetings and what commands are about that are neither in their cooperation nor brought ahead.

    Of what may not be an id at all nothing is said, nor of a cooperation of which something is corrected or retracted:
    only deciding tells what is there then.
    """
    amended = {body.stream for body in bodies if body.command.event in AMENDMENTS}
    known: dict[str, set[str]] = {}
    found: list[FieldProblem] = []
    for body in bodies:
        if body.aggregate is not COOPERATION or not body.stream or body.stream in amended:
            continue
        if body.stream not in known:
            state: Cooperation | None = (await reading.load(body.stream)).state
            if state is None and not body.command.opens:
                continue  # that is what is to be said of it
            known[body.stream] = set() if state is None else _things(state)
        fields = cast("dict[str, Any]", body.data)
        found += [
            FieldProblem(f"there is no {kind} {key} in {body.stream.partition('/')[2]}", body.pointer + at)
            for at, kind, key in _references(body.command, fields)
            if key not in known[body.stream]
        ]
        known[body.stream] |= set(_brought(body, fields))
    return found


def _things(state: Cooperation) -> set[str]:
    """Return the ids of all that is in a cooperation and that a command may name."""
    kept = (state.topics, state.meetings, state.roadmaps, state.milestones, state.visits, state.rounds)
    return {key for things in (*kept, state.agreements) for key in things}


def _references(command: CommandType, fields: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for target in command.targets:
        kind, about = target.removesuffix("_id"), cast("object", fields.get(target))
        if isinstance(about, str) and is_id(kind, about):
            yield f"/{target}", kind, about
    topics: object = fields.get("topics")
    for number, key in enumerate(cast("list[object]", topics) if isinstance(topics, list) else ()):
        if isinstance(key, str) and is_id("topic", key):
            yield f"/topics/{number}", "topic", key
    meeting: object = fields.get("meeting")
    if isinstance(meeting, str) and is_id("meeting", meeting):
        yield "/meeting", "meeting", meeting


def _brought(body: Body, fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of the thing that a body brings and of the items in it, where they have one."""
    if body.command.numbered:
        array, field, _ = body.command.numbered
        items: object = fields.get(array)
        for item in cast("list[object]", items) if isinstance(items, list) else ():
            key = cast("dict[str, object]", item).get(field) if isinstance(item, dict) else None
            if isinstance(key, str):
                yield key
    value: object = fields
    for step in body.command.identifies:
        value = cast("Mapping[str, object]", value).get(step) if isinstance(value, dict) else None
    if isinstance(value, str):
        yield value
