"""What was ever stored stays readable, byte for byte: the golden files against today's code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import jsonschema_rs
import msgspec
import pytest
import rfc8785
from msgspec import Meta
from msgspec.structs import replace

from events.catalogue import EVENTS, Event
from events.codec import CODEC, EVENT_TYPES, decode_entry
from events.entry import Envelope, canonical, canonical_bytes, leaf_hash
from events.shape import clean, convert
from services.registry.api.schema_registry import schema_of
from tests.golden import files
from tests.golden.__main__ import main
from tests.golden.examples import EXAMPLES

GOLDEN = files.read()
ENTRIES = [
    pytest.param(event_type, entry, id=f"{event_type}-{number}")
    for event_type, golden in GOLDEN.items()
    for number, entry in enumerate(golden["entries"])
]


def test_every_event_type_has_a_golden_file_and_every_golden_file_an_event_type():
    assert GOLDEN.keys() == EVENT_TYPES.keys(), "run: python -m tests.golden"
    assert all(golden["type"] == event_type for event_type, golden in GOLDEN.items())


@pytest.mark.parametrize("event_type", GOLDEN)
def test_the_shape_of_a_released_event_is_what_it_was(event_type):
    found = files.differences(GOLDEN[event_type]["shape"], files.shape_of(EVENT_TYPES[event_type]))
    assert not found, f"{files.Refused(event_type, found)}\n\n{files.HOW_TO_GO_ON}"


@pytest.mark.parametrize(("event_type", "golden"), ENTRIES)
def test_a_golden_entry_is_read_as_the_event_that_its_data_say(event_type, golden):
    entry = decode_entry(golden["bytes"].encode())
    assert entry.event == CODEC.newest(convert(clean(golden["data"]), EVENT_TYPES[event_type]))
    assert type(entry.event) in EVENTS
    envelope = json.loads(golden["bytes"])
    assert entry.position == int(envelope["sequence"])
    assert (entry.stream, entry.revision, entry.recorded_at, entry.classification) == (
        envelope["subject"],
        envelope["revision"],
        envelope["time"],
        envelope["classification"],
    )


@pytest.mark.parametrize(("event_type", "golden"), ENTRIES)
def test_a_golden_entry_obeys_the_schema_that_is_served_of_its_version(event_type, golden):
    schema = jsonschema_rs.validator_for(json.loads(schema_of(event_type)))
    schema.validate(golden["data"])
    assert not schema.is_valid({**golden["data"], "unknown": 1})
    for name in golden["data"]:
        assert not schema.is_valid({**golden["data"], name: 0.5}), name


@pytest.mark.parametrize(("event_type", "golden"), ENTRIES)
def test_a_golden_entry_is_written_again_with_the_same_bytes_and_leaf(event_type, golden):
    stored = golden["bytes"].encode()
    event = convert(clean(golden["data"]), EVENT_TYPES[event_type])
    assert json.loads(canonical.encode(event)) == golden["data"]
    written = canonical_bytes(replace(msgspec.json.decode(stored, type=Envelope), data=event))
    assert written == stored == rfc8785.dumps(json.loads(stored))
    assert leaf_hash(written).hex() == golden["leaf"]


@pytest.mark.parametrize("event", EXAMPLES, ids=[event.event_type for event in EXAMPLES])
def test_an_example_gives_every_field(event):
    shape = files.shape_of(type(event))
    free = tuple(f"{path}." for path, said in shape.items() if said.endswith("object") and path == "replacement")
    given = {path for path in paths(json.loads(canonical.encode(event))) if not path.startswith(free)}
    assert given == shape.keys()


def paths(data: object, at: str = ""):
    if at:
        yield at
    if isinstance(data, dict):
        for key, value in data.items():
            yield from paths(value, f"{at}.{key}" if at else key)
    if isinstance(data, list):
        for value in data:
            yield from paths(value, f"{at}[]")


# The command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the golden files, in which the command works."""
    return shutil.copytree(files.FOLDER, tmp_path / "golden", ignore=shutil.ignore_patterns("__pycache__"))


TYPE = "registry.topic-raised.v1"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def rewrite_shape(folder: Path, change: dict[str, str | None]) -> Path:
    """Make a file as if it had been written when the shape was another; None takes a field away."""
    path = folder / f"{TYPE}.json"
    golden = json.loads(path.read_text("utf-8"))
    golden["shape"] = {key: said for key, said in {**golden["shape"], **change}.items() if said is not None}
    golden["entries"] = golden["entries"][1:]
    path.write_text(json.dumps(golden), "utf-8")
    return path


def test_the_command_has_nothing_to_write_where_nothing_changed(folder, capsys):
    before = contents(folder)
    assert main([], folder) == 0
    assert contents(folder) == before
    assert capsys.readouterr() == ("", "")


def test_the_command_writes_what_is_missing(folder, capsys):
    before = contents(folder)
    (folder / f"{TYPE}.json").unlink()
    assert main([], folder) == 0
    assert contents(folder) == before, "examples.py has moved on: keep the file, it is what was released"
    assert capsys.readouterr().out == f"written: {TYPE}\n"


@pytest.mark.parametrize("arguments", [[], ["--added"]], ids=["plainly", "even as an addition"])
@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"topic.kind": "required string"}, "topic.kind: was required string; is required one enum="),
        ({"weight": "optional integer"}, "weight: was optional integer; is not there"),
        ({"topic.subject": None}, "topic.subject: was not there; is required string"),
    ],
    ids=["another type", "a field that went", "a field that must be there"],
)
def test_the_command_refuses_a_changed_shape_and_says_how_to_go_on(folder, capsys, *, arguments, change, difference):
    rewrite_shape(folder, change)
    before = contents(folder)
    assert main(arguments, folder) == 1
    assert contents(folder) == before
    said = capsys.readouterr().err
    assert f"{TYPE}:\n  {difference}" in said
    assert files.HOW_TO_GO_ON in said


def test_the_command_takes_an_added_field_only_when_told_and_keeps_what_was_there(folder):
    citations = [field for field in GOLDEN[TYPE]["shape"] if field.startswith("citations")]
    path = rewrite_shape(folder, dict.fromkeys(citations))
    before = json.loads(path.read_text("utf-8"))
    assert main([], folder) == 1
    assert json.loads(path.read_text("utf-8")) == before
    assert main(["--added"], folder) == 0
    after = json.loads(path.read_text("utf-8"))
    assert after["shape"] == GOLDEN[TYPE]["shape"]
    assert after["entries"][:-1] == before["entries"]
    assert after["entries"][-1] == GOLDEN[TYPE]["entries"][0]


def an_event(name: str, *, says: str, most: int) -> Any:
    text = Annotated[str, Meta(max_length=most, description=says)]
    inner = msgspec.defstruct(f"Inner{name}", [("text", text)], frozen=True)
    return msgspec.defstruct(name, [("inner", inner)], bases=(Event,), frozen=True, kw_only=True)


def test_a_shape_is_the_same_whatever_classes_are_called_and_described():
    shape = files.shape_of(an_event("Topic", says="a word", most=9))
    assert shape == files.shape_of(an_event("Renamed", says="a name", most=9))
    assert shape != files.shape_of(an_event("Topic", says="a word", most=10))
