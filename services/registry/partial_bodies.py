"""What is wrong with bodies beside the fields that cannot be read: so that all of it is named at once.

Deciding finds what a body refers to within its cooperation, and what rules forbid; these bodies cannot be decided.
Rules are functions of an event. Of a single command it is made here of the fields that can be read, with a stand-in for
each of the others that gives itself away (`Unreadable`) whatever it is asked: a rule that comes to it says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import cache
from typing import Any, Final, NoReturn, cast

import msgspec

from events.catalogue import Facts
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
    found = await _unknown(bodies, reading)
    if len(bodies) == 1:
        found += await _forbidden(bodies[0], named, reading, today)
    told = {one.pointer for one in named}
    wrong: list[FieldProblem] = []
    for one in found:
        if one.pointer not in told:
            told.add(one.pointer)
            wrong.append(one)
    return wrong


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


async def _unknown(bodies: Sequence[Body], reading: Reading) -> list[FieldProblem]:
    """Name the topics and meetings that are neither in their cooperation nor brought by a body ahead.

    Of what may not be an id at all nothing is said.
    """
    known: dict[str, set[str]] = {}
    found: list[FieldProblem] = []
    for body in bodies:
        if body.aggregate is not COOPERATION or not body.stream:
            continue
        if body.stream not in known:
            state: Cooperation | None = (await reading.load(body.stream)).state
            if state is None and not body.command.opens:
                continue  # that is what is to be said of it
            known[body.stream] = set() if state is None else {*state.topics, *state.meetings}
        fields = cast("dict[str, Any]", body.data)
        found += [
            FieldProblem(f"there is no {kind} {key} in {body.stream.partition('/')[2]}", body.pointer + at)
            for at, kind, key in _references(fields)
            if key not in known[body.stream]
        ]
        known[body.stream] |= set(_brought(body, fields))
    return found


def _references(fields: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    topics: object = fields.get("topics")
    for number, key in enumerate(cast("list[object]", topics) if isinstance(topics, list) else ()):
        if isinstance(key, str) and is_id("topic", key):
            yield f"/topics/{number}", "topic", key
    meeting: object = fields.get("meeting")
    if isinstance(meeting, str) and is_id("meeting", meeting):
        yield "/meeting", "meeting", meeting


def _brought(body: Body, fields: Mapping[str, Any]) -> Iterator[str]:
    """Return the id of the thing that a body brings, where it has one."""
    value: object = fields
    for step in body.command.identifies:
        value = cast("Mapping[str, object]", value).get(step) if isinstance(value, dict) else None
    if isinstance(value, str):
        yield value
