"""The JSON Schemas of what goes in and comes out, made from the types that check and render it.

A command's body is its event's fields with the ids optional and `id` and `classification` beside them (the id may stand
where the log has it, or where all commands have it). An item that is served is the read model's, with quotations cut
and personal details opened. So both are the types' own schemas, changed in those places.
"""

from __future__ import annotations

import copy
from typing import Any, cast

import msgspec

from events.catalogue import AGGREGATES, AMENDING, CommandType, Event
from events.catalogue.history import EntryCorrected, EntryRetracted
from events.edtf import MAX_CHARACTERS, EdtfDate
from events.entry import Envelope
from events.vault import Document, Lack
from projections import LISTED
from projections.reader import Digested
from projections.search import Hit
from services.registry.api.access import SeenList
from services.registry.api.commands import BatchRecorded, Recorded
from services.registry.api.health import Health
from services.registry.api.overviews import BY, Counts
from services.registry.api.proofs import Consistency, Inclusion
from services.registry.bodies import CLASSIFICATIONS, DEFAULT_CLASSIFICATION
from services.registry.problems import Problem
from services.registry.signing.published import Origins

REF = "#/components/schemas/"

EDTF = {
    "type": "string",
    "title": "EdtfDate",
    "maxLength": MAX_CHARACTERS,
    "description": "A date of EDTF level 0 or 1 (ISO 8601-2), kept as it was stated: `2019-06-19`, `2019-07`, "
    "`2019-06-17/2019-06-23`, `2019-06?`, `2019-XX`, `2019-06/..`.",
    "examples": ["2019-06-19", "2019-07"],
}

ERASED = {
    "type": "object",
    "title": "Erased",
    "description": "What stands for personal data that was erased.",
    "properties": {"erased": {"const": True}},
    "required": ["erased"],
    "additionalProperties": False,
}

UNREADABLE = {
    "type": "object",
    "title": "Unreadable",
    "description": "What stands for personal data that was not erased, and that the registry cannot open: its key, or "
    "what is sealed under it, is damaged.",
    "properties": {"unreadable": {"const": Lack.DAMAGED.value}},
    "required": ["unreadable"],
    "additionalProperties": False,
}

PERSONAL = {"anyOf": [{"type": "string"}, {"$ref": REF + "Erased"}, {"$ref": REF + "Unreadable"}]}

NAMES = {
    "type": "object",
    "title": "Names",
    "description": "The label of every id in this answer that has one, as of the same log size: the names of parties, "
    "people and occasions, the titles of sources, cooperations and milestones, the subjects of topics. Meetings, "
    "negotiations, roadmaps, visits, rounds, agreements and delegations have no name, and are not in it.",
    "additionalProperties": PERSONAL,
}

SURVIVORS = {
    "type": "object",
    "title": "Survivors",
    "description": "What each party in this answer that was merged lives on in, as of the same log size and however "
    "many mergers it took, by the party's id; that one's label is in `names`. Empty if none was merged.",
    "additionalProperties": {"type": "string"},
}

AS_OF = {
    "type": "object",
    "title": "AsOf",
    "description": "The log size that this answer is for, and when its last entry was recorded.",
    "properties": {
        "size": {"type": "integer", "minimum": 0},
        "recorded_at": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
    },
    "required": ["size", "recorded_at"],
}

OF_ANSWERS = {
    "names": {"$ref": REF + "Names"},
    "survivors": {"$ref": REF + "Survivors"},
    "as_of": {"$ref": REF + "AsOf"},
}

BINARY = {"type": "string", "format": "binary", "minLength": 1}

TIMELINE = {
    "meeting": "MeetingItem",
    "negotiations": "NegotiationsItem",
    "roadmap": "RoadmapItem",
    "visit": "VisitItem",
    "round": "RoundItem",
    "agreement": "AgreementItem",
    "occasion": "OccasionItem",
    "cooperation": "CooperationItem",
    "topic": "TopicItem",
    "party": "PartyItem",
    "post": "PostItem",
    "change": "Change",
}
"""What a timeline has, and its form."""

Schema = dict[str, Any]


def hook(kind: type) -> Schema:
    """Describe the types that msgspec does not know."""
    if kind is EdtfDate:
        return dict(EDTF)
    raise NotImplementedError(f"no schema for {kind.__name__}")


def components() -> Schema:
    """Return all schemas by name."""
    commands = [*(command for one in AGGREGATES.values() for command in one.commands), *AMENDING.values()]
    models = [(model.name, model.item) for model in LISTED if model.item is not None]
    answers = [Problem, Recorded, BatchRecorded, Health, Document, Envelope, Counts, Hit]
    answers += [Inclusion, Consistency, Origins, SeenList, Digested]
    types = [*(command.body for command in commands), *(item for _, item in models), *answers]
    _, schemas = msgspec.json.schema_components(types, schema_hook=hook, ref_template=REF + "{name}")
    schemas = _plain(schemas)
    bodies = {body_name(command): _body(command, schemas) for command in commands}
    bodies |= {
        in_batch_name(command): _body(command, schemas, in_batch=True) for command in commands if in_path(command)
    }
    for command in commands:
        schemas.pop(command.body.__name__, None)
    _open(schemas)
    schemas |= bodies
    for name, item in models:
        schemas[list_name(name)] = _list_of(REF + item.__name__)
        schemas[one_name(name)] = {
            **schemas[item.__name__],
            "title": one_name(name),
            "properties": {**schemas[item.__name__]["properties"], **OF_ANSWERS},
            "required": [*schemas[item.__name__].get("required", ()), *OF_ANSWERS],
        }
    schemas |= _with_document(schemas["FileSource"])
    schemas |= {"Erased": ERASED, "Unreadable": UNREADABLE, "Names": NAMES, "Survivors": SURVIVORS, "AsOf": AS_OF}
    schemas["Batch"] = _batch(commands)
    schemas[list_name("search")] = _list_of(REF + "Hit")
    schemas["Timeline"] = _list_of("")
    schemas["Timeline"]["properties"]["items"]["items"] = {
        "oneOf": [
            {
                "type": "object",
                "title": kind.capitalize(),
                "properties": {"kind": {"const": kind}, "item": {"$ref": REF + item}},
                "required": ["kind", "item"],
            }
            for kind, item in TIMELINE.items()
        ]
    }
    schemas["Statistics"] = {
        "type": "object",
        "properties": {
            "by": {"enum": list(BY)},
            "items": {"type": "array", "items": {"$ref": REF + "Counts"}},
            "as_of": OF_ANSWERS["as_of"],
        },
        "required": ["by", "items", "as_of"],
    }
    schemas["Entries"] = _entries()
    return schemas


def body_name(command: CommandType) -> str:
    """Return the name of a command's body: `RecordMeeting` for `record-meeting`."""
    return "".join(word.capitalize() for word in command.name.split("-"))


def in_batch_name(command: CommandType) -> str:
    """Return the name of a command's body in a batch, where what the address says otherwise stands in it."""
    return body_name(command) + ("InBatch" if in_path(command) else "")


def in_path(command: CommandType) -> tuple[str, ...]:
    """Return the fields that stand in a command's address, and in a batch in its body."""
    amended: dict[type[Event], tuple[str, ...]] = {EntryCorrected: ("corrects",), EntryRetracted: ("retracts",)}
    return command.targets or amended.get(command.event, ())


def list_name(model: str) -> str:
    """Return the name of a list's schema."""
    return model.capitalize() + "List"


def one_name(model: str) -> str:
    """Return the name of the schema of an answer with one item."""
    return model.capitalize() + "One"


def _plain(schemas: Any) -> Schema:
    """Turn tuples into lists, as JSON would, in a copy of one's own."""
    return cast("Schema", msgspec.json.decode(msgspec.json.encode(schemas)))


def _body(command: CommandType, schemas: Schema, *, in_batch: bool = False) -> Schema:
    body = copy.deepcopy(schemas[command.body.__name__])
    properties: Schema = body["properties"]
    prefix = command.prefix or next((one.prefix for one in AGGREGATES.values() if command in one.commands), "")
    for name in () if in_batch else in_path(command):
        properties.pop(name)
        body["required"].remove(name)
    if len(command.identifies) == 1:
        body["required"].remove(command.identifies[0])
    elif command.identifies:
        name, key = command.identifies
        _named(schemas, properties[name])["required"].remove(key)
    if command.numbered:
        array, key, _ = command.numbered
        _named(schemas, properties[array]["items"])["required"].remove(key)
    extra: Schema = {
        "classification": {"enum": list(CLASSIFICATIONS), "default": DEFAULT_CLASSIFICATION},
    }
    if command.identifies or command.opens:
        extra["id"] = {
            "type": "string",
            "pattern": f"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$",
            "description": "An id of your own; leave it out to be given one.",
        }
    title = in_batch_name(command) if in_batch else body_name(command)
    return {**body, "title": title, "properties": {**extra, **properties}}


def _named(schemas: Schema, reference: Schema) -> Schema:
    """Return what a reference names: a value that comes in only here, and in items in another form."""
    return cast("Schema", schemas[reference["$ref"].removeprefix(REF)])


def _open(schemas: Schema) -> None:
    """Say of the items that citations come with their words, people with their details, and nothing is left out."""
    schemas["Quotation"] = {
        **schemas["Citation"],
        "title": "Quotation",
        "description": "A citation and the words that it names.",
        "properties": {
            **schemas["Citation"]["properties"],
            "quotation": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": "null while no text is on file, and once it can be read no more",
            },
            "unreadable": {
                "enum": [Lack.GONE.value, Lack.DAMAGED.value],
                "description": "there only where a document that was filed and not withdrawn cannot be read: what is "
                "kept of it is gone, or it or its key is damaged",
            },
            "withdrawn": {"type": "boolean", "description": "whether the source has been withdrawn, at whatever size"},
        },
        "required": [*schemas["Citation"]["required"], "quotation", "withdrawn"],
    }
    for name in [name for name in schemas if name.endswith("Item") or name == "Change"]:
        text = msgspec.json.encode(schemas[name]).replace((REF + 'Citation"').encode(), (REF + 'Quotation"').encode())
        schemas[name] = msgspec.json.decode(text)
    for schema in (
        schemas[name] for name in schemas if name.endswith("Item") or name in ("Change", "Amendment", "Hit")
    ):
        schema["required"] = list(schema["properties"])
        if "recorded_at" in schema["properties"]:
            schema["properties"]["recorded_at"] = {"type": "string", "format": "date-time"}
    person: Schema = schemas["PersonItem"]
    person["properties"].pop("sealed")
    person["required"].remove("sealed")
    contact = {"anyOf": [*PERSONAL["anyOf"], {"type": "null"}]}
    person["properties"] |= {"name": PERSONAL, "contact": contact}
    person["required"] += ["name", "contact"]
    commitment: Schema = schemas["CommitmentItem"]
    commitment["properties"]["overdue"] = {
        "type": "boolean",
        "description": "Whether the last day on which it may be due is certainly past on the day that was asked about. "
        "Never if its end is open, or its time is itself uncertain or approximate (`2019-06?`).",
    }
    commitment["required"].append("overdue")


def _with_document(source: Schema) -> Schema:
    """Describe the form that brings a source together with its document, which tells the rest of the source itself."""
    told = ("sha256", "size", "media_type")
    metadata = {**source, "title": "SourceMetadata"}
    metadata["required"] = [name for name in source["required"] if name not in told]
    form = {
        "type": "object",
        "properties": {
            "metadata": {"$ref": REF + "SourceMetadata"},
            "document": {**BINARY, "description": "The document, with its media type."},
        },
        "required": ["metadata", "document"],
        "additionalProperties": False,
    }
    return {"SourceMetadata": metadata, "SourceWithDocument": form}


def _list_of(item: str) -> Schema:
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": item}},
            "next": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": "The cursor of the next page, null on the last.",
            },
            **OF_ANSWERS,
        },
        "required": ["items", "next", *OF_ANSWERS],
    }


def _batch(commands: list[CommandType]) -> Schema:
    return {
        "type": "object",
        "properties": {
            "commands": {
                "type": "array",
                "minItems": 1,
                "maxItems": 1000,
                "items": {
                    "oneOf": [
                        {
                            "type": "object",
                            "title": command.name,
                            "properties": {
                                "command": {"const": command.name},
                                "subject": {
                                    "type": "string",
                                    "description": "The stream, such as `cooperation/coop_…`; "
                                    "may be left out of a command that opens one.",
                                },
                                "data": {"$ref": REF + in_batch_name(command)},
                            },
                            "required": ["command", "data"] if command.opens else ["command", "subject", "data"],
                            "additionalProperties": False,
                        }
                        for command in commands
                    ]
                },
            }
        },
        "required": ["commands"],
        "additionalProperties": False,
    }


def _entries() -> Schema:
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": REF + "Envelope"}},
            "next": {"type": "integer", "description": "The position to go on from, now or later."},
            "size": {"type": "integer", "description": "The log's size."},
        },
        "required": ["items", "next", "size"],
    }
