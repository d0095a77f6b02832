"""Writes the pages of docs/ that are made from the program, or checks (`--check`) that they are up to date."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from events.catalogue import AGGREGATES, AMENDING, COMMANDS, Event
from events.catalogue.history import AMENDMENTS
from events.edtf import EdtfDate
from services.registry import settings
from services.registry.cli.app import app
from services.registry.tracing import standard

MADE: Final = "<!-- Made by `just docs`; not edited by hand. -->"
EDTF: Final = "a date of EDTF level 0 or 1, such as 2019-06-19, 2019-07 or 2019-06/.."


def settings_page() -> str:
    """Write the table of settings."""
    rows = "\n".join(
        f"| `{row.variable}` | {row.description} | {f'`{row.default}`' if row.default else ''} | {row.allowed} |"
        for row in settings.documentation()
    )
    others = "\n".join(f"| `{one.name}` | {one.meaning} | {one.allowed} |" for one in standard.VARIABLES)
    secrets = ", ".join(f"`{row.variable}`" for row in settings.documentation() if row.secret)
    return f"""# Settings

{MADE}

Settings are environment variables, read and checked once, at the start. A wrong value, a missing one and a
`REGISTRY_` name that does not exist stop it, all of them told at once. `registry settings` shows what holds.

A secret ({secrets}) may be kept in a file: its path then stands in the variable with `_FILE` behind the name.

On Kubernetes set `enableServiceLinks: false`: otherwise a service named `registry` puts variables of its own,
such as `REGISTRY_PORT`, into the environment.

| variable | meaning | default | allowed |
|---|---|---|---|
{rows}

## OpenTelemetry's variables

They hold for traces ([operations](operations.md#trace-it)), once a collector is named. A wrong value of one of
these stops the start as well; others that OpenTelemetry's SDK for Python knows are left to it.

| variable | meaning | allowed |
|---|---|---|
{others}
"""


def events_page() -> str:
    """Write the catalogue: every event of every kind of stream, its fields, and the values that they are made of."""
    events = [*(event for aggregate in AGGREGATES.values() for event in aggregate.events), *AMENDMENTS]
    commands = {command.event: name for name, (_, command) in COMMANDS.items()}
    commands |= {command.event: name for name, command in AMENDING.items()}
    _, schemas = msgspec.json.schema_components(events, schema_hook=_schema_of, ref_template="{name}")
    kinds = {aggregate.kind: aggregate.events for aggregate in AGGREGATES.values()} | {"in any stream": AMENDMENTS}
    streams = "\n".join(
        f"## {kind}\n\n" + "\n".join(_event(event, commands, schemas) for event in kinds[kind]) for kind in kinds
    )
    values = "\n".join(
        f"### {name}\n\n{inspect.cleandoc(schema['description'])}\n\n{_fields(schema)}"
        for name, schema in sorted(schemas.items())
        if name not in {event.__name__ for event in events}
    )
    return f"""# Event catalogue

{MADE}

What the log holds in the `data` of its entries, by kind of stream. An event of a version never changes its form but for
fields that are added with a default; anything else is a new version.

Text is kept in Unicode NFC and trimmed. As it is taken it is what people see: it holds something that can be seen, no
noncharacters, no controls of direction (U+202A to U+202E, U+2066 to U+2069) and no separators of lines other than a
line feed where there may be several lines; one line of text holds no characters that nobody sees either, such as
U+200B, U+00AD and U+FEFF. Joiners (U+200C, U+200D) are taken after what they join.

Each event may carry `citations` and a `note` besides the fields named here. An empty default means: none.

{streams}
## Values

{values}"""


def _event(event: type[Event], commands: Mapping[type[Event], str], schemas: Mapping[str, Any]) -> str:
    schema = schemas[event.__name__]
    of_its_own = {name: field for name, field in schema["properties"].items() if name not in Event.__struct_fields__}
    asked = f"\n\nAsked for by `{commands[event]}`." if event in commands else ""
    fields = _fields({**schema, "properties": of_its_own})
    return f"### `{event.event_type}`\n\n{inspect.cleandoc(schema['description'])}{asked}\n\n{fields}"


def _fields(schema: Mapping[str, Any]) -> str:
    """Write a table of an object's fields; an object without any needs none."""
    required = schema.get("required", ())
    rows = "".join(
        f"| `{name}` | {_form(field)} | {'required' if name in required else ''} |\n"
        for name, field in schema["properties"].items()
    )
    return f"| field | form | |\n|---|---|---|\n{rows}" if rows else ""


def _form(field: Mapping[str, Any]) -> str:
    """Say in words what a field holds."""
    match field:
        case {"$ref": name}:
            return f"[{name}](#{name.lower()})"
        case {"anyOf": [some, {"type": "null"}]}:
            return _form(some)
        case {"enum": values}:
            return "one of " + ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            kind = "a set" if field.get("uniqueItems") else "a list"
            return f"{kind} of{_bounds(field, 'Items').removeprefix(',')}, each {_form(items)}"
        case {"type": "integer"}:
            return field.get("description") or f"a whole number from {field['minimum']:,} to {field['maximum']:,}"
        case _:
            return f"{field['description']}{_bounds(field, 'Length', ' characters')}"


def _bounds(field: Mapping[str, Any], of: str, unit: str = "") -> str:
    least, most = field.get(f"min{of}", 0), field.get(f"max{of}")
    if most is None:
        return f", at least {least}" if least else ""
    return f", {least} to {most:,}{unit}" if least else f", at most {most:,}{unit}"


def _schema_of(kind: type) -> dict[str, Any]:
    if kind is EdtfDate:
        return {"type": "string", "description": EDTF}
    raise TypeError(f"no schema for {kind.__name__}")


def commands_page() -> str:
    """Write the help of every command."""
    heading, _, rest = app.generate_docs(output_format="markdown").partition("\n")
    return f"{heading}\n\n{MADE}\n{rest.rstrip()}\n"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "cli.md": commands_page,
    "event-catalogue.md": events_page,
    "settings.md": settings_page,
}


def main() -> int:
    """Return 1 when a page was to be checked and is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is not up to date")
    check = parser.parse_args().check
    stale: list[str] = []
    for name, page in PAGES.items():
        path, text = Path(__file__).with_name(name), page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"docs/{name}: {'not up to date; run `just docs`' if check else 'written'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
