"""From a command's JSON body to the event that it asks for: ids filled in, fields checked, references found."""

from __future__ import annotations

from typing import Any, cast, get_args

import msgspec

from events.catalogue import COMMANDS, Aggregate, CommandType, Event
from events.errors import FieldProblem, InvalidField
from events.shape import Leaf, clean, convert, examine
from events.values import Classification, Value
from services.registry.ids import is_id, new_id

CLASSIFICATIONS = get_args(Classification)
DEFAULT_CLASSIFICATION: Classification = "internal"


class Asked(msgspec.Struct, frozen=True):
    """One command as it was asked for; `pointer` is where its body stands in the request."""

    command: str
    subject: str | None
    data: object
    pointer: str = ""


class Body(msgspec.Struct, frozen=True):
    """A command's body with its ids in place: what is wrong with it, what it refers to, and its stream.

    `said` is the cleaned body as the client sent it: what the command's hash is taken over.
    """

    aggregate: Aggregate
    command: CommandType
    stream: str
    data: object
    classification: Classification
    problems: tuple[FieldProblem, ...]
    leaves: tuple[Leaf, ...]
    pointer: str
    said: dict[str, Any]

    def value(self) -> Value:
        """Return the typed body: the event itself, or its form before sealing. Only if there are no problems."""
        return convert(self.data, self.command.body)


def read(asked: Asked) -> Body:
    """Check a body. Raises `InvalidField` only where it is not even an object, or the command is none."""
    aggregate, command = _command(asked)
    data = clean(asked.data, asked.pointer)
    if not isinstance(data, dict):
        raise InvalidField.of([FieldProblem("expected an object", asked.pointer)])
    said = cast("dict[str, Any]", data)
    filled = dict(said)
    problems: list[FieldProblem] = []
    classification = filled.pop("classification", DEFAULT_CLASSIFICATION)
    if classification not in CLASSIFICATIONS:
        problems.append(FieldProblem("expected one of " + ", ".join(CLASSIFICATIONS), "/classification"))
    if command.opens:
        stream = _new_stream(aggregate, asked, filled, problems)
    else:
        stream = _subject(aggregate, asked)
        _fill_id(command, filled, problems)
    _number(command, filled)
    found, leaves = examine(filled, command.body)
    identified = "/" + "/".join(command.identifies)
    problems += [
        FieldProblem(one.detail, "/id") if command.identifies and one.pointer == identified else one for one in found
    ]
    return Body(
        aggregate=aggregate,
        command=command,
        stream=stream,
        data=filled,
        classification=classification,
        problems=tuple(problems),
        leaves=tuple(leaves),
        pointer=asked.pointer,
        said={"command": command.name, "subject": None if command.opens else stream, "data": said},
    )


def identify(command: CommandType, event: Event, stream: str) -> str:
    """Return the id of the thing that an event brought, or of its stream's."""
    value: Any = event
    for step in command.identifies:
        value = getattr(value, step)
    return str(value) if command.identifies else stream.partition("/")[2]


def _command(asked: Asked) -> tuple[Aggregate, CommandType]:
    found = COMMANDS.get(asked.command)
    if found is None:
        raise InvalidField.of(
            [FieldProblem("expected one of " + ", ".join(COMMANDS), asked.pointer.removesuffix("/data") + "/command")]
        )
    return found


def _subject(aggregate: Aggregate, asked: Asked) -> str:
    kind, _, key = (asked.subject or "").partition("/")
    if kind != aggregate.kind or not is_id(aggregate.prefix, key):
        raise InvalidField.of(
            [
                FieldProblem(
                    f"expected {aggregate.kind}/ and the id of one, {aggregate.prefix}_…",
                    asked.pointer.removesuffix("/data") + "/subject",
                )
            ]
        )
    return f"{kind}/{key}"


def _new_stream(aggregate: Aggregate, asked: Asked, filled: dict[str, Any], problems: list[FieldProblem]) -> str:
    """Take the new stream's id from the body, or from the subject of a batch's command, or make one."""
    named = None if asked.subject is None else _subject(aggregate, asked).partition("/")[2]
    key = filled.pop("id", named)
    if key is None:
        key = new_id(aggregate.prefix)
    elif not is_id(aggregate.prefix, key):
        problems.append(FieldProblem(f"expected {aggregate.prefix}_ and 26 characters of a TypeID", "/id"))
    elif named not in (None, key):
        problems.append(FieldProblem(f"is not the id in the subject, {named}", "/id"))
    return f"{aggregate.kind}/{key}"


def _fill_id(command: CommandType, filled: dict[str, Any], problems: list[FieldProblem]) -> None:
    """Put the body's `id`, or a new one, into the field of the event that it stands for."""
    if not command.identifies:
        return
    *path, last = command.identifies
    fields = filled
    for step in path:
        inner: object = fields.get(step)
        if not isinstance(inner, dict):
            return  # examined and named as it is
        fields[step] = fields = dict(cast("dict[str, Any]", inner))
    key = filled.pop("id", None)
    if key is None:
        fields.setdefault(last, new_id(command.prefix))
    elif fields.setdefault(last, key) != key:
        problems.append(FieldProblem(f"is not the id in {'/'.join(command.identifies)}", "/id"))


def _number(command: CommandType, filled: dict[str, Any]) -> None:
    """Give each item of the command's array an id where it has none."""
    if command.numbered is None:
        return
    array, field, prefix = command.numbered
    items = filled.get(array)
    if isinstance(items, list):
        filled[array] = [
            {field: new_id(prefix), **cast("dict[str, Any]", item)} if isinstance(item, dict) else item
            for item in cast("list[object]", items)
        ]
