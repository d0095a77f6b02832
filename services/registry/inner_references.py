"""What commands refer to within a cooperation: its topics and meetings.

Deciding sees to them. These are for bodies that cannot be decided, as other fields of theirs are wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from events.catalogue.cooperation import COOPERATION
from events.catalogue.cooperation_state import Cooperation
from events.errors import FieldProblem
from services.registry.bodies import Body
from services.registry.ids import is_id
from services.registry.reading import Reading


async def unknown(bodies: Sequence[Body], reading: Reading) -> list[FieldProblem]:
    """Name what is neither there nor brought by a body ahead. Of what may not be an id at all nothing is said."""
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
