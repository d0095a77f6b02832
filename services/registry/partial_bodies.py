"""What rules say of a body some of whose fields cannot be read: so that all that is wrong is named at once.

Rules are functions of an event. It is made here of the fields that can be read, with a stand-in for each of the others
that gives itself away (`Unreadable`) whatever it is asked: a rule that comes to it has nothing to say.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any, Final, NoReturn, cast

import msgspec

from events.catalogue import Facts
from events.catalogue.aggregate import Unreadable
from events.catalogue.cooperation_state import Cooperation
from events.catalogue.history import AMENDMENTS
from events.errors import FieldProblem, RegistryError
from events.shape import from_text
from services.registry.bodies import Body
from services.registry.prospect import Prospect
from services.registry.reading import Reading


class _StandIn:
    """What stands for a field that cannot be read; it answers nothing."""

    def _refuse(self, *_asked: object) -> NoReturn:
        raise Unreadable

    __getattr__ = __getitem__ = __iter__ = __len__ = __contains__ = __bool__ = __hash__ = __str__ = __repr__ = _refuse
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse


_STAND_IN: Final = _StandIn()


async def forbidden(body: Body, named: Collection[FieldProblem], reading: Reading, today: date) -> list[FieldProblem]:
    """Name the fields that a rule forbids, beside those that are `named` already."""
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
        pointers = {problem.pointer for problem in named}
        return [one for one in refused.under(body.pointer).problems if one.pointer not in pointers]
    return []


def _event(body: Body, named: Collection[FieldProblem]) -> Any:
    """Make the event that a body asks for, of what can be read of it."""
    said = cast("dict[str, Any]", body.data)
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(body.command.event):
        if field.encode_name not in said and not field.required:
            continue
        at = f"{body.pointer}/{field.encode_name}"
        fields[field.name] = _STAND_IN
        if field.encode_name in said and not any(_within(problem.pointer, at) for problem in named):
            fields[field.name] = msgspec.convert(said[field.encode_name], field.type, dec_hook=from_text)
    return body.command.event(**fields)


def _within(pointer: str | None, at: str) -> bool:
    return pointer is not None and (pointer == at or pointer.startswith(f"{at}/"))
