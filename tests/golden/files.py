"""The golden files: for every event version ever released, what was stored then, which must be readable for ever.

A file holds the version's shape (its JSON Schema, field by field, without names and descriptions) and whole entries:
their data, their bytes, their leaf hash. What is in a file is never overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from events.catalogue import AGGREGATES, Event
from events.catalogue.cooperation import COOPERATION
from events.codec import EVENT_TYPES
from events.edtf import EdtfDate
from events.entry import Envelope, canonical, canonical_bytes, leaf_hash
from tests.golden.examples import EXAMPLES
from tests.support.spec import made_id

FOLDER = Path(__file__).parent
ORIGIN = "https://registry.example"
HOW_TO_GO_ON = (
    "What is stored must be readable for ever, so the shape of a released version is fixed. If you did not mean to"
    " change it, undo it. If you only added fields that have defaults, run `python -m tests.golden --added`. If this"
    " version was never released, delete its file and run `python -m tests.golden`. Anything else is a new version:"
    " leave the class as it was, write one for the new version, and an upcaster in events/codec.py."
)

Shape = dict[str, str]


class Refused(NamedTuple):
    """A version whose shape is not the one on file, and in what."""

    event_type: str
    differences: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.event_type}:\n  " + "\n  ".join(self.differences)


# Shapes


def shape_of(event: type[Event]) -> Shape:
    """Return what is stored of an event by path: whether it must be there, its type, its bounds."""
    schema = msgspec.json.schema(event, schema_hook=_schema_of)
    return dict(sorted(_fields(schema, schema["$defs"], "", "")))


def _schema_of(kind: type) -> dict[str, str]:
    if kind is EdtfDate:
        return {"type": "string", "format": "edtf"}
    raise NotImplementedError


_NOT_STORED = {"title", "description", "$ref", "$defs", "type", "anyOf", "properties", "required", "items", "default"}


def _fields(schema: dict[str, Any], defs: dict[str, Any], path: str, presence: str) -> Iterator[tuple[str, str]]:
    options = [_resolved(one, defs) for one in schema.get("anyOf", [schema])]
    (value,) = [one for one in options if one.get("type") != "null"]
    if path:
        types = [value.get("type", "one")] + ["null"] * (len(options) - 1)
        bounds = [f"{key}={_said(value[key])}" for key in sorted(value.keys() - _NOT_STORED)]
        default = [f"default={json.dumps(schema['default'])}"] if "default" in schema else []
        yield path, " ".join([presence, "|".join(types), *bounds, *default]).strip()
    for name, inner in value.get("properties", {}).items():
        inner_presence = "required" if name in value["required"] else "optional"
        yield from _fields(inner, defs, f"{path}.{name}" if path else name, inner_presence)
    if "items" in value:
        yield from _fields(value["items"], defs, f"{path}[]", "")


def _said(bound: object) -> str:
    return bound if isinstance(bound, str) else json.dumps(bound)


def _resolved(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    return defs[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def differences(before: Shape, now: Shape) -> tuple[str, ...]:
    """Say path by path what is not as it was."""
    return tuple(
        f"{path}: was {before.get(path, 'not there')}; is {now.get(path, 'not there')}"
        for path in sorted(before.keys() | now.keys())
        if before.get(path) != now.get(path)
    )


def only_adds(before: Shape, now: Shape) -> bool:
    """Tell whether all that was there is as it was, and all that is new may be absent."""
    new = now.keys() - before.keys()
    optional = [path for path in new if now[path].startswith("optional ")]
    return all(now.get(path) == said for path, said in before.items()) and all(
        path in optional or any(path.startswith((f"{one}.", f"{one}[]")) for one in optional) for path in new
    )


# Entries


def least(event: Event) -> Event:
    """Return the event with the fields that it cannot be without, and no other."""
    fields = msgspec.structs.fields(type(event))
    return type(event)(**{one.name: getattr(event, one.name) for one in fields if one.required})


def entry_of(event: Event) -> dict[str, Any]:
    """Return an entry that holds the event, as a golden file has it."""
    aggregate = next((one for one in AGGREGATES.values() if type(event) in one.events), COOPERATION)
    stored = canonical_bytes(
        Envelope(
            specversion="1.0",
            id="0197a1c0-0000-7000-8000-000000000001",
            source=ORIGIN,
            type=event.event_type,
            subject=f"{aggregate.kind}/{made_id(aggregate.prefix, 1)}",
            time="2031-06-19T12:00:00.000001Z",
            datacontenttype="application/json",
            dataschema=f"{ORIGIN}/v1/schemas/{event.event_type}",
            sequence="41",
            revision=7,
            commandid="0197a1c0-0000-7000-8000-000000000002",
            commandhash="0123456789abcdef" * 4,
            actor="coastal-ministry",
            classification="internal",
            data=event,
            onbehalfof=made_id("party", 3),
            correlationid="0197a1c0-0000-7000-8000-000000000003",
            causationid="0197a1c0-0000-7000-8000-000000000004",
        )
    )
    return {
        "data": json.loads(canonical.encode(event)),
        "bytes": stored.decode(),
        "leaf": leaf_hash(stored).hex(),
    }


# Files


def read(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return all golden files by the event type that they are named after."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))}


def write(folder: Path = FOLDER, *, added: bool = False) -> tuple[list[str], list[Refused]]:
    """Write the file of every version that has none, and return the types written and those that are refused.

    A version whose shape changed is refused. With `added`, one that got nothing but optional fields is not: its shape
    is written anew, and an entry that has the new fields is put beside those that are there.
    """
    on_file = read(folder)
    examples = {event.event_type: event for event in EXAMPLES}
    written: list[str] = []
    refused: list[Refused] = []
    for event_type, kind in EVENT_TYPES.items():
        shape, example = shape_of(kind), examples[event_type]
        known = on_file.get(event_type)
        if known is None:
            entries = [entry_of(example), entry_of(least(example))]
        elif known["shape"] == shape:
            continue
        elif added and only_adds(known["shape"], shape):
            entries = [*known["entries"], entry_of(example)]
        else:
            refused.append(Refused(event_type, differences(known["shape"], shape)))
            continue
        golden = {"type": event_type, "shape": shape, "entries": entries}
        text = json.dumps(golden, ensure_ascii=False, indent=2) + "\n"
        (folder / f"{event_type}.json").write_text(text, "utf-8")
        written.append(event_type)
    return written, refused
