"""From a command's JSON body to the event that it asks for: ids filled in, fields checked, references found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast, get_args

import msgspec
from msgspec.structs import replace

from events.catalogue import AGGREGATES, AMENDING, COMMANDS, Aggregate, CommandType, Entry, Event
from events.catalogue.aggregate import references
from events.catalogue.history import EntryCorrected
from events.entry import to_builtins
from events.errors import FieldProblem, InvalidField
from events.shape import Leaf, clean, examine, typed
from events.values import Citation, Classification, Value
from services.registry.filing import Attached
from services.registry.ids import is_id, new_id

CLASSIFICATIONS = get_args(Classification)
DEFAULT_CLASSIFICATION: Classification = "internal"


class Asked(msgspec.Struct, frozen=True):
    """One command as it was asked for; `pointer` is where its body stands in the request.

    In a batch that is `/commands/0/data`, and `/commands/0` has the command and the subject. A source may come with
    its document.
    """

    command: object
    subject: object
    data: object
    pointer: str = ""
    document: Attached | None = None


class Body(msgspec.Struct, frozen=True):
    """A command's body with its ids in place: what is wrong with it, what it refers to, and its stream.

    The pointers of `problems` and `leaves` begin at the request. Without a stream that it could be of, `stream` is
    empty. `said` is the cleaned body as the client sent it: what the command's hash is taken over. Of a correction,
    `target` is the command that would record what it corrects, `replacement` the body of that (see `corrected`), `kept`
    what the stream refers to already (kind and id), and `cited` what it cites.
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
    target: CommandType | None = None
    replacement: object = None
    kept: frozenset[tuple[str, str]] = frozenset()
    cited: frozenset[Citation] = frozenset()
    document: Attached | None = None

    @property
    def personal(self) -> bool:
        """Whether the body brings personal data in the clear."""
        if self.command.event is EntryCorrected:
            return self.aggregate.kind == "person"
        return self.command.wire is not None

    def value(self) -> Value:
        """Return the typed body: the event itself, or its form before sealing. Only if there are no problems."""
        return typed(self.data, self.command.body)

    def located(self, pointer: str) -> str:
        """Return where the request has what a pointer counted from the body is to, of an id that was given elsewhere.

        What a body brings is named by its `id`, or else by the field that this fills, or by the batch's subject.
        """
        given = cast("dict[str, Any]", self.said["data"])
        if pointer == "/id" and "id" not in given:
            if self.command.identifies:
                return f"{self.pointer}/{'/'.join(self.command.identifies)}"
            if self.command.opens and self.pointer:
                return f"{within(self.pointer)}/subject"
        return self.pointer + pointer


def within(pointer: str) -> str:
    """Return where a batch has the command whose body stands at `pointer`."""
    return pointer.removesuffix("/data")


def read_all(asked: Iterable[Asked]) -> tuple[list[Body], list[FieldProblem]]:
    """Check bodies, each beside what is wrong with those of which nothing more can be said."""
    bodies: list[Body] = []
    problems: list[FieldProblem] = []
    for one in asked:
        try:
            bodies.append(read(one))
        except InvalidField as refused:
            problems += refused.problems
    return bodies, problems


def read(asked: Asked) -> Body:
    """Check a body. Raises `InvalidField` only where nothing comes of it: what it asks for, or of what, is unknown."""
    aggregate, command = _command(asked)
    problems: list[FieldProblem] = []
    data = clean(asked.data, asked.pointer, problems)
    said: dict[str, Any] = {}
    if isinstance(data, dict):
        said = cast("dict[str, Any]", data)
    else:
        problems.append(FieldProblem("expected an object", asked.pointer))
    filled = dict(said)
    classification = filled.pop("classification", DEFAULT_CLASSIFICATION)
    if classification not in CLASSIFICATIONS:
        problems.append(
            FieldProblem("expected one of " + ", ".join(CLASSIFICATIONS), f"{asked.pointer}/classification")
        )
    if aggregate is None:
        problems.append(FieldProblem("expected the name of a stream", f"{within(asked.pointer)}/subject"))
        stream = ""
    elif command.opens:
        stream = _new_stream(aggregate, asked, filled, problems)
    else:
        stream = _subject(aggregate, asked, problems)
        _fill_id(command, asked, filled, problems)
    _number(command, filled)
    leaves: list[Leaf] = []
    if isinstance(data, dict):
        found, leaves = examine(filled, command.body, asked.pointer)
        problems += found
    if aggregate is None:
        raise InvalidField.of(problems)
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
        document=asked.document,
    )


def identify(command: CommandType, event: Event, stream: str) -> str:
    """Return the id of the thing that an event brought or is about, or of its stream's."""
    path = command.identifies or command.targets[-1:]
    value: Any = event
    for step in path:
        value = getattr(value, step)
    return str(value) if path else stream.partition("/")[2]


def corrected(body: Body, original: Entry[Any], target: CommandType, in_force: Iterable[Event] = ()) -> Body:
    """Add to a correction's body what the type of its target says of the replacement.

    What the original brought keeps its id, and so do the items in it; the replacement may leave these out. `in_force`
    is what the stream states.
    """
    stated = list(in_force)
    kept = {(leaf.kind, leaf.value) for event in stated for leaf in references(event)}
    at = f"{body.pointer}/replacement"
    filled = dict(cast("dict[str, Any]", body.data)["replacement"])
    problems: list[FieldProblem] = []
    key = identify(target, original.event, original.stream)
    if (target.opens or target.identifies) and filled.pop("id", key) != key:
        problems.append(FieldProblem(f"is {key}, and cannot be corrected", f"{at}/id"))
    if target.identifies:
        problems += _keep_id(filled, target.identifies, key, at)
    same = [one for one in stated if type(one) is target.event and identify(target, one, original.stream) == key]
    _keep_numbers(target, filled, same, original.event)
    _number(target, filled)
    found, leaves = examine(filled, target.body, at)
    return replace(
        body,
        target=target,
        replacement=filled,
        kept=frozenset(kept),
        cited=frozenset(one for event in stated for one in event.citations),
        problems=(*body.problems, *problems, *found),
        leaves=(*body.leaves, *leaves),
    )


def _keep_id(filled: dict[str, Any], path: tuple[str, ...], key: str, at: str) -> Iterator[FieldProblem]:
    """Put the original's id where it stands in the replacement."""
    *steps, last = path
    fields = filled
    for step in steps:
        inner: object = fields.get(step)
        if not isinstance(inner, dict):
            return  # examined and named as it is
        fields[step] = fields = dict(cast("dict[str, Any]", inner))
    if fields.setdefault(last, key) != key:
        yield FieldProblem(f"is {key}, and cannot be corrected", f"{at}/{'/'.join(path)}")


def _command(asked: Asked) -> tuple[Aggregate | None, CommandType]:
    """Return a command and what it is about: None where only the subject could tell, and does not."""
    found = COMMANDS.get(asked.command) if isinstance(asked.command, str) else None
    if found is None and isinstance(asked.command, str) and asked.command in AMENDING:
        kind = asked.subject.partition("/")[0] if isinstance(asked.subject, str) else ""
        return AGGREGATES.get(kind), AMENDING[asked.command]
    if found is None:
        names = ", ".join((*COMMANDS, *AMENDING))
        raise InvalidField.of([FieldProblem(f"expected one of {names}", f"{within(asked.pointer)}/command")])
    return found


def _subject(aggregate: Aggregate, asked: Asked, problems: list[FieldProblem]) -> str:
    """Return the stream that is named, or the empty text if it is none of its kind."""
    kind, _, key = asked.subject.partition("/") if isinstance(asked.subject, str) else ("", "", "")
    if kind != aggregate.kind or not is_id(aggregate.prefix, key):
        says = f"expected {aggregate.kind}/ and the id of one, {aggregate.prefix}_…"
        problems.append(FieldProblem(says, f"{within(asked.pointer)}/subject"))
        return ""
    return f"{kind}/{key}"


def _given_id(prefix: str, asked: Asked, filled: dict[str, Any], problems: list[FieldProblem]) -> str | None:
    """Take the body's `id`, if it has one and it is one."""
    if "id" not in filled:
        return None
    key: object = filled.pop("id")
    if isinstance(key, str) and is_id(prefix, key):
        return key
    problems.append(FieldProblem(f"expected {prefix}_ and 26 characters of a TypeID", f"{asked.pointer}/id"))
    return None


def _new_stream(aggregate: Aggregate, asked: Asked, filled: dict[str, Any], problems: list[FieldProblem]) -> str:
    """Take the new stream's id from the body, or from the subject of a batch's command, or make one."""
    named = None if asked.subject is None else _subject(aggregate, asked, problems).partition("/")[2]
    key = _given_id(aggregate.prefix, asked, filled, problems)
    if named and key and named != key:
        problems.append(FieldProblem("is not the id in the subject", f"{asked.pointer}/id"))
    return f"{aggregate.kind}/{key or named or new_id(aggregate.prefix)}"


def _fill_id(command: CommandType, asked: Asked, filled: dict[str, Any], problems: list[FieldProblem]) -> None:
    """Put the body's `id`, or a new one, into the field of the event that it stands for."""
    if not command.identifies:
        return
    key = _given_id(command.prefix, asked, filled, problems)
    *path, last = command.identifies
    fields = filled
    for step in path:
        inner: object = fields.get(step)
        if not isinstance(inner, dict):
            return  # examined and named as it is
        fields[step] = fields = dict(cast("dict[str, Any]", inner))
    if fields.setdefault(last, key or new_id(command.prefix)) != key and key:
        problems.append(FieldProblem(f"is not the id in {'/'.join(command.identifies)}", f"{asked.pointer}/id"))


def _keep_numbers(command: CommandType, filled: dict[str, Any], in_force: Iterable[Event], original: Event) -> None:
    """Give items without an id that of the item there is with the same content, and then, in order, those left over."""
    if command.numbered is None or not isinstance(filled.get(command.numbered[0]), list):
        return
    array, field, _ = command.numbered
    items: list[Any] = list(filled[array])
    now = {one.pop(field): one for event in in_force for one in _items(event, array)}
    ever = now | {key: one for one in _items(original, array) if (key := one.pop(field)) not in now}
    taken: set[Any] = {cast("dict[str, Any]", one).get(field) for one in items if isinstance(one, dict)}
    unnamed = [number for number, one in enumerate(items) if isinstance(one, dict) and field not in one]
    for number in list(unnamed):
        said = {name: value for name, value in items[number].items() if value is not None}
        key = next((key for key, one in ever.items() if key not in taken and one == said), None)
        if key is not None:
            items[number] = {field: key, **items[number]}
            taken.add(key)
            unnamed.remove(number)
    for number, key in zip(unnamed, [key for key in now if key not in taken], strict=False):
        items[number] = {field: key, **items[number]}
    filled[array] = items


def _items(event: Event, array: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = to_builtins(getattr(event, array))
    return [{name: value for name, value in one.items() if value is not None} for one in items]


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
