"""The OpenAPI document, made from the same tables as the routes.

Litestar's own generation is not used: handlers read bodies and queries themselves, to name every offending field, and
the tables say more than signatures could (ADR 0005).
"""

from __future__ import annotations

import re
from functools import cache
from http import HTTPStatus

from events.catalogue import AMENDING, COMMANDS, Aggregate
from projections import LISTED, Listed
from services.registry.api import documents, forms, openapi_log, overviews, parameters, schemas
from services.registry.api.calendar import FILTERS
from services.registry.api.commands import AMENDMENTS, ROUTES
from services.registry.api.described import (
    AS_OF,
    CERTAIN,
    CLOSED,
    CURSOR,
    ERRORS,
    FAILING,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    KNOWN_SIZE,
    LIMIT,
    MIN_SIZE,
    OF_COMMANDS,
    OF_READS,
    ON,
    SIZE_HEADER,
    WITH_BODY,
    Described,
    described_read,
    error_responses,
    filter_parameters,
    in_path,
    json_body,
    problem_response,
    text_header,
)
from services.registry.api.described_access import access_record
from services.registry.api.query import can_be_overdue
from services.registry.api.schemas import REF
from services.registry.media import PLAIN_TEXT
from services.registry.version import VERSION

DESCRIPTION = """The system of record for a government's international cooperation.

Every GET is answered to HEAD too: with the same roles, the same headers and no body; what is put on record for a GET
is put on record for a HEAD. Every answer, a refusal too, has `Registry-Size`: where the answer is for a size of the
log that size, and else the size that the process knew last.

Text is taken as people see it, beyond what the patterns say: with something in it that can be seen, and without
noncharacters, controls of direction and separators of lines other than a line feed in a text of several lines; one line
of text holds no characters that nobody sees. Joiners (U+200C, U+200D) are taken after what they join."""


@cache
def document() -> Described:
    """Return the whole document (OpenAPI 3.1)."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Cooperation Registry",
            "version": VERSION,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas.components(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {str(int(status)): problem_response(status, says) for status, says in ERRORS.items()},
        },
    }


def _paths() -> Described:
    paths: Described = {}
    for name, route in ROUTES.items():
        path, parameters = _path(route.path)
        paths.setdefault(path, {})["post"] = _command(name, parameters)
    for name, address in AMENDMENTS.items():
        path, _ = _path(address)
        paths[path] = {"post": _command(name, [in_path("position", {"type": "integer", "minimum": 0})])}
    paths["/v1/batch"] = {"post": _batch()}
    for model in LISTED:
        paths.setdefault(f"/v1/{model.name}", {})["get"] = _list(model)
        paths[f"/v1/{model.name}/{{id}}"] = {"get": _one(model)}
    for collection in ("cooperations", "parties"):
        paths[f"/v1/{collection}/{{id}}/timeline"] = {"get": _timeline(collection)}
    paths["/v1/search"] = {"get": _search()}
    paths["/v1/calendar.ics"] = {"get": _calendar()}
    paths["/v1/statistics"] = {"get": _statistics()}
    paths["/v1/documents/{sha256}"] = {"put": _document(), "get": _get_document()}
    paths["/v1/schemas"] = {"get": _schemas()}
    paths["/v1/schemas/{type}"] = {"get": _schema("get-schema", "The JSON Schema of one event version.")}
    says = "The same: what `dataschema` in an entry points to, where the log's origin ends in /log."
    paths["/log/v1/schemas/{type}"] = {"get": _schema("get-dataschema", says)}
    paths |= openapi_log.paths()
    paths["/v1/access"] = {"get": access_record()}
    paths["/health/live"] = {"get": _health("live", ())}
    paths["/health/ready"] = {"get": _health("ready", (HTTPStatus.SERVICE_UNAVAILABLE,))}
    paths["/metrics"] = {"get": _metrics()}
    return dict(sorted(paths.items()))


def _path(template: str) -> tuple[str, list[Described]]:
    """Write Litestar's path as OpenAPI does, with its parameters."""
    names = re.findall(r"\{(\w+):\w+\}", template)
    return re.sub(r":\w+\}", "}", template), [in_path(name, {"type": "string"}) for name in names]


def _command(name: str, parameters: list[Described]) -> Described:
    aggregate, command = (None, AMENDING[name]) if name in AMENDING else COMMANDS[name]
    headers: Described = {
        "Registry-Size": SIZE_HEADER,
        "ETag": text_header("The stream's revision, to be sent back as If-Match."),
        "Location": text_header("Where it can be read."),
    }
    replayed = {**headers, "Idempotency-Replayed": {"schema": {"const": "true"}, "required": True}}
    recorded = {"application/json": {"schema": {"$ref": REF + "Recorded"}}}
    return {
        "operationId": name,
        "summary": (command.event.__doc__ or "").partition("\n")[0],
        "tags": ["commands"],
        "parameters": [*parameters, IDEMPOTENCY_KEY, IF_MATCH],
        "requestBody": _file_source() if name == "file-source" else json_body(schemas.body_name(command)),
        "responses": {
            "201": {
                "description": "Recorded, durably.",
                "headers": headers,
                "content": recorded,
                **({"links": _links(name, aggregate)} if aggregate else {}),
            },
            "200": {"description": "Recorded before under this key.", "headers": replayed, "content": recorded},
            **error_responses(OF_COMMANDS),
        },
    }


def _file_source() -> Described:
    """A source comes on its own, or in a form together with its document."""
    body = json_body("FileSource")
    encoding = {
        "metadata": {"contentType": "application/json"},
        "document": {"contentType": ", ".join(documents.TAKEN)},
    }
    body["content"][documents.MULTIPART] = {"schema": {"$ref": REF + "SourceWithDocument"}, "encoding": encoding}
    return body


def _links(name: str, aggregate: Aggregate) -> Described:
    """Say where what was recorded is read (and how to wait for it), and what can be done with a new thing."""
    model = ROUTES[name].location.split("/")[2]
    in_stream = ROUTES[name].location.endswith("{stream}") and bool(COMMANDS[name][1].identifies)
    key = "$request.path.id" if in_stream else "$response.body#/id"
    if ROUTES[name].location.endswith("{roadmap_id}"):
        key = "$request.path.roadmap_id"
    parameters = {"path.id": key, "header.Registry-Min-Size": "$response.header.Registry-Size"}
    links: Described = {f"get-{model}": {"operationId": f"get-{model}", "parameters": parameters}}
    if COMMANDS[name][1].opens:
        links |= {
            one.name: {"operationId": one.name, "parameters": {"path.id": key}}
            for one in aggregate.commands
            if not one.opens and not one.targets
        }
    return links


def _batch() -> Described:
    content = {"application/json": {"schema": {"$ref": REF + "BatchRecorded"}}}
    headers = {"Registry-Size": SIZE_HEADER}
    return {
        "operationId": "batch",
        "summary": "Record several commands: all or nothing. Later ones may refer to what earlier ones bring.",
        "tags": ["commands"],
        "parameters": [IDEMPOTENCY_KEY],
        "requestBody": json_body("Batch"),
        "responses": {
            "201": {"description": "Recorded, durably.", "headers": headers, "content": content},
            "200": {"description": "Recorded before under this key.", "headers": headers, "content": content},
            **error_responses(OF_COMMANDS),
        },
    }


def _list(model: Listed) -> Described:
    dated = any(one.form == "dates" for one in model.filters)
    filters = [parameter for one in model.filters for parameter in filter_parameters(one)]
    return {
        "operationId": f"list-{model.name}",
        "summary": f"List {model.name}, as of any log size: as JSON, NDJSON or CSV.",
        "tags": ["reads"],
        "parameters": [*filters, *([CERTAIN] if dated else []), AS_OF, LIMIT, CURSOR, MIN_SIZE, IF_NONE_MATCH],
        "responses": {**_listed(schemas.list_name(model.name)), **error_responses(OF_READS)},
    }


def _listed(schema: str) -> Described:
    """Describe the answers with a list, in any of its forms."""
    read = described_read(schema, Link=text_header("The next page, as rel=next.", required=False))
    read["200"]["content"] |= {forms.NDJSON: {"schema": {"type": "string"}}, forms.CSV: {"schema": {"type": "string"}}}
    return read


def _one(model: Listed) -> Described:
    on = [ON] if can_be_overdue(model) else []
    return {
        "operationId": f"get-{model.name}",
        "summary": f"One of {model.name}, as of any log size.",
        "tags": ["reads"],
        "parameters": [in_path("id", {"type": "string"}), *on, AS_OF, MIN_SIZE, IF_NONE_MATCH],
        "responses": {
            **described_read(schemas.one_name(model.name)),
            **error_responses((*OF_READS, HTTPStatus.NOT_FOUND)),
        },
    }


def _timeline(collection: str) -> Described:
    errors = error_responses((*OF_READS, HTTPStatus.NOT_FOUND))
    return {
        "operationId": f"timeline-{collection}",
        "summary": f"Everything of one of {collection}, by date, as of any log size: as JSON, NDJSON or CSV.",
        "tags": ["reads"],
        "parameters": [in_path("id", {"type": "string"}), AS_OF, LIMIT, CURSOR, MIN_SIZE, IF_NONE_MATCH],
        "responses": {**_listed("Timeline"), **errors},
    }


def _search() -> Described:
    text = {"type": "string", "minLength": 1, "maxLength": parameters.MAX_TEXT}
    words = {"name": "q", "in": "query", "required": True, "description": "Words, or how they begin.", "schema": text}
    return {
        "operationId": "search",
        "summary": "Find things by words, whatever their case and diacritics: as JSON, NDJSON or CSV.",
        "tags": ["reads"],
        "parameters": [words, AS_OF, LIMIT, CURSOR, MIN_SIZE, IF_NONE_MATCH],
        "responses": {**_listed("SearchList"), **error_responses(OF_READS)},
    }


def _calendar() -> Described:
    token = {
        "name": "token",
        "in": "query",
        "description": "A token whose one role is reader, for programs that cannot send headers.",
        "schema": {"type": "string"},
    }
    visits = next(model for model in LISTED if model.name == "visits")
    filters = [parameter for one in visits.filters if one.name in FILTERS for parameter in filter_parameters(one)]
    return {
        "operationId": "calendar",
        "summary": "Visits and rounds as a calendar (RFC 5545) to subscribe to.",
        "description": "An event takes all the days on which it was held, or else may be, and is TENTATIVE unless they "
        "are known to the day. What has an open or unknown end (2027-09/..) stands, TENTATIVE, on the days on which it "
        "may begin; what has such a start (../2027-06), on those on which it may end; each event's description says "
        "how the time was stated, and which end is open. What has no dates is not in the calendar. What was once in "
        "the calendar asked for stays in it, as CANCELLED if it does not belong there any more; its SEQUENCE grows "
        "with each change. There is no filter by status: each event says its own.",
        "tags": ["reads"],
        "security": [{"token": []}, {}],
        "parameters": [token, *filters, AS_OF, MIN_SIZE, IF_NONE_MATCH],
        "responses": {
            **_answered({"text/calendar": {"schema": {"type": "string"}}}),
            **error_responses(OF_READS),
        },
    }


def _statistics() -> Described:
    by = {
        "name": "by",
        "in": "query",
        "required": True,
        "description": "What to count by: the country of a cooperation's parties (of merged ones, that of the party "
        "that they live on in), its field or stage, or the month in which things happened or are to happen, where that "
        "is stated without doubt and within one month.",
        "schema": {"enum": list(overviews.BY)},
    }
    return {
        "operationId": "statistics",
        "summary": "Count what there is, by country, field, stage or month, as of any log size.",
        "description": "One rule says what counts, whatever it is counted by: what happened, and what is still to "
        "happen, which no visit or round is that was cancelled, or was scheduled still when its cooperation was "
        "concluded or abandoned. One that was held counts when it was held.",
        "tags": ["reads"],
        "parameters": [by, AS_OF, MIN_SIZE, IF_NONE_MATCH],
        "responses": {**described_read("Statistics"), **error_responses(OF_READS)},
    }


def _document() -> Described:
    content = {"application/json": {"schema": {"$ref": REF + "Document"}}}
    headers = {"Registry-Size": SIZE_HEADER}
    errors = (*OF_READS, *WITH_BODY, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)
    return {
        "operationId": "file-document",
        "summary": "File the document that a source rests on, under its own SHA-256.",
        "tags": ["commands"],
        "parameters": [in_path("sha256", {"type": "string", "pattern": "^[0-9a-f]{64}$"})],
        "requestBody": {
            "description": f"Sent as {documents.UNNAMED}, or as what it is: {', '.join(documents.MEDIA_TYPES)}. "
            "What it is, its content tells; text is UTF-8.",
            "required": True,
            "content": {documents.UNNAMED: {"schema": schemas.BINARY}},
        },
        "responses": {
            "201": {"description": "On file, durably.", "headers": headers, "content": content},
            "200": {"description": "It was on file.", "headers": headers, "content": content},
            **error_responses(errors),
        },
    }


def _get_document() -> Described:
    content: Described = {media_type: {"schema": schemas.BINARY} for media_type in documents.MEDIA_TYPES}
    content[PLAIN_TEXT] = {"schema": {"type": "string"}}
    return {
        "operationId": "get-document",
        "summary": "A document as it was filed, to be saved.",
        "tags": ["reads"],
        "parameters": [in_path("sha256", {"type": "string", "pattern": "^[0-9a-f]{64}$"}), IF_NONE_MATCH],
        "responses": {
            **_answered(content),
            **error_responses((*OF_READS, HTTPStatus.NOT_FOUND)),
        },
    }


def _schemas() -> Described:
    item = {"type": "object", "properties": {"type": {"type": "string"}, "schema": {"type": "string"}}}
    listed = {"type": "object", "properties": {"items": {"type": "array", "items": item}}, "required": ["items"]}
    return {
        "operationId": "list-schemas",
        "summary": "Every event version, and where its JSON Schema is.",
        "tags": ["log"],
        "parameters": [IF_NONE_MATCH],
        "responses": {
            **_answered({"application/json": {"schema": listed}}),
            **error_responses(OF_READS),
        },
    }


def _schema(operation: str, summary: str) -> Described:
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["log"],
        "parameters": [in_path("type", {"type": "string"}), IF_NONE_MATCH],
        "responses": {
            **_answered({"application/schema+json": {"schema": {"type": "object"}}}),
            **error_responses((*OF_READS, HTTPStatus.NOT_FOUND)),
        },
    }


def _answered(content: Described) -> Described:
    """Describe the answers of a read that is no component's."""
    read = described_read("Entries")
    read["200"]["content"] = content
    return read


def _metrics() -> Described:
    headers = {"Registry-Size": KNOWN_SIZE, "Cache-Control": text_header("That it is not to be kept.")}
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "metrics",
        "summary": "What this process measures, as Prometheus reads it (text format 0.0.4). For operators.",
        "tags": ["health"],
        "responses": {
            "200": {"description": "The metrics.", "headers": headers, "content": content},
            **error_responses((*CLOSED, HTTPStatus.METHOD_NOT_ALLOWED, *FAILING)),
        },
    }


def _health(name: str, errors: tuple[HTTPStatus, ...]) -> Described:
    content = {"application/json": {"schema": {"$ref": REF + "Health"}}}
    return {
        "operationId": name,
        "summary": "Whether the process lives." if name == "live" else "Whether it can serve now.",
        "tags": ["health"],
        "security": [],
        "responses": {
            "200": {"description": "It does.", "headers": {"Registry-Size": KNOWN_SIZE}, "content": content},
            **error_responses((HTTPStatus.METHOD_NOT_ALLOWED, *errors)),
        },
    }
