"""The part of the OpenAPI document that is about the log: its entries, its proofs, and its C2SP form."""

from __future__ import annotations

from http import HTTPStatus

from services.registry.api import forms
from services.registry.api.described import (
    FAILING,
    IF_NONE_MATCH,
    LIMIT,
    MIN_SIZE,
    OF_READS,
    SIZE_HEADER,
    Described,
    described_read,
    error_responses,
    in_path,
    text_header,
)
from services.registry.api.schemas import BINARY, REF

OF_OPEN = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.UNPROCESSABLE_ENTITY, *FAILING)


def paths() -> Described:
    """Return the operations by address."""
    return {
        "/v1/log/entries": {"get": _entries()},
        "/v1/log/entries/{position}": {"get": _entry()},
        "/v1/log/entries/{position}/proof": {"get": _proof()},
        "/v1/log/consistency": {"get": _consistency()},
        "/v1/cooperations/{id}/evidence": {"get": _evidence()},
        "/v1/log/digest": {"get": _digest()},
        "/log/checkpoint": {"get": _text("get-checkpoint", "The signed tree head (C2SP tlog-checkpoint).")},
        "/log/keys": {
            "get": _text("get-keys", "The keys that checkpoints verify with, one a line, the current first.")
        },
        "/log/origins": {"get": _origins()},
        "/log/tile/{level}/{place}": {"get": _tile()},
        "/log/tile/entries/{place}": {"get": _bundle()},
    }


def _entries() -> Described:
    def parameter(name: str, schema: Described, says: str) -> Described:
        return {"name": name, "in": "query", "schema": schema, "description": says}

    read = described_read("Entries")
    read["200"]["content"][forms.NDJSON] = {"schema": {"type": "string"}}
    return {
        "operationId": "list-entries",
        "summary": "Entries as they are stored, in order; with `Accept: application/x-ndjson`, a line each.",
        "tags": ["log"],
        "parameters": [
            parameter("from", {"type": "integer", "minimum": 0, "default": 0}, "First position."),
            LIMIT,
            parameter("subject", {"type": "string", "pattern": "^[a-z]{1,20}/[a-z]{1,20}_[0-9a-z]{26}$"}, "Stream."),
            parameter("type", {"type": "string", "pattern": "^registry\\.[a-z-]{1,60}\\.v[0-9]{1,4}$"}, "Event type."),
            MIN_SIZE,
            IF_NONE_MATCH,
        ],
        "responses": {**read, **error_responses(OF_READS)},
    }


def _entry() -> Described:
    return {
        "operationId": "get-entry",
        "summary": "One entry: the very bytes that are stored and hashed.",
        "tags": ["log"],
        "parameters": [in_path("position", {"type": "integer", "minimum": 0}), MIN_SIZE, IF_NONE_MATCH],
        "responses": {**described_read("Envelope"), **error_responses((*OF_READS, HTTPStatus.NOT_FOUND))},
    }


def _digest() -> Described:
    says = "The log size; as far as the read models have come, if not given."
    size = {"name": "size", "in": "query", "description": says, "schema": {"type": "integer", "minimum": 0}}
    return {
        "operationId": "get-digest",
        "summary": "What each read model shows at a log size, as one SHA-256: a replay of the log gives the same.",
        "tags": ["log"],
        "parameters": [size, MIN_SIZE, IF_NONE_MATCH],
        "responses": {**described_read("Digested"), **error_responses(OF_READS)},
    }


def _proof() -> Described:
    read = described_read("Inclusion")
    read["200"]["content"]["text/plain"] = {"schema": {"type": "string"}}
    return {
        "operationId": "prove-entry",
        "summary": "Proof that an entry is in the log; with `Accept: text/plain`, a proof file (C2SP tlog-proof).",
        "tags": ["log"],
        "parameters": [
            in_path("position", {"type": "integer", "minimum": 0}),
            _size("size", "The log size that it is for; the published checkpoint's if it is left out.", least=1),
            IF_NONE_MATCH,
        ],
        "responses": {**read, **error_responses((*OF_READS, HTTPStatus.NOT_FOUND))},
    }


def _consistency() -> Described:
    first = {**_size("from", "The size that the client knows.", least=0), "required": True}
    second = _size("to", "The size that is to extend it; the published checkpoint's if it is left out.", least=0)
    return {
        "operationId": "prove-consistency",
        "summary": "Proof that the log at one size is the log at another with entries appended.",
        "tags": ["log"],
        "parameters": [first, second, IF_NONE_MATCH],
        "responses": {**described_read("Consistency"), **error_responses(OF_READS)},
    }


def _evidence() -> Described:
    headers = {"Registry-Size": SIZE_HEADER, "Content-Disposition": text_header("Under which name to save it.")}
    return {
        "operationId": "get-evidence",
        "summary": "An evidence pack: entries, proofs, documents, keys, and a program that checks them without us.",
        "tags": ["log"],
        "parameters": [in_path("id", {"type": "string"})],
        "responses": {
            # Without an entity tag: who gets a pack is on record, each time, and nothing keeps one for another time.
            "200": {
                "description": "The pack, never to be kept by a cache.",
                "headers": headers,
                "content": {"application/zip": {"schema": BINARY}},
            },
            **error_responses((*OF_READS, HTTPStatus.NOT_FOUND)),
        },
    }


def _size(name: str, says: str, *, least: int) -> Described:
    return {"name": name, "in": "query", "description": says, "schema": {"type": "integer", "minimum": least}}


def _open(operation: str, summary: str, content: Described, *statuses: HTTPStatus) -> Described:
    tag = text_header("Validates the answer.")
    headers = {"ETag": tag, "Registry-Size": SIZE_HEADER, "Cache-Control": text_header("How long the answer holds.")}
    return {
        "operationId": operation,
        "summary": summary,
        "tags": ["log"],
        "security": [],
        "parameters": [IF_NONE_MATCH],
        "responses": {
            "200": {"description": "The answer.", "headers": headers, "content": content},
            "304": {"description": "The client has it already.", "headers": headers},
            **error_responses((*OF_OPEN, *statuses)),
        },
    }


def _text(operation: str, summary: str) -> Described:
    return _open(operation, summary, {"text/plain": {"schema": {"type": "string"}}})


def _origins() -> Described:
    content = {"application/json": {"schema": {"$ref": REF + "Origins"}}}
    return _open("get-origins", "The name that checkpoints are signed under, and what it took the place of.", content)


def _tile() -> Described:
    content = {"application/octet-stream": {"schema": BINARY}}
    described = _open("get-tile", "A tile of hashes (C2SP tlog-tiles).", content, HTTPStatus.NOT_FOUND)
    level = in_path("level", {"type": "integer", "minimum": 0, "maximum": 63})
    return {**described, "parameters": [level, in_path("place", _PLACE), *described["parameters"]]}


def _bundle() -> Described:
    content = {"application/octet-stream": {"schema": BINARY}}
    described = _open("get-bundle", "The entries whose leaves a tile of level 0 has (C2SP tlog-tiles).", content)
    described["responses"] |= error_responses((*OF_READS, HTTPStatus.NOT_FOUND))
    del described["security"]
    return {**described, "parameters": [in_path("place", _PLACE), *described["parameters"]]}


_PLACE: Described = {
    "type": "string",
    "pattern": "^(x[0-9]{3}/)*[0-9]{3}(\\.p/[0-9]{1,3})?$",
    "examples": ["000.p/57", "x001/x234/067"],
}
