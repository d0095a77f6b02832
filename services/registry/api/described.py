"""The parts that operations of the OpenAPI document have in common: errors, headers, parameters, answers."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from projections.model import Filter
from services.registry.api import parameters
from services.registry.api.schemas import REF

Described = dict[str, Any]

ERRORS: dict[HTTPStatus, str] = {
    HTTPStatus.BAD_REQUEST: "The request could not be read.",
    HTTPStatus.UNAUTHORIZED: "No valid token was presented.",
    HTTPStatus.FORBIDDEN: "The token has none of the roles that this needs.",
    HTTPStatus.NOT_FOUND: "There is no such thing.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The method is not served at this address.",
    HTTPStatus.REQUEST_TIMEOUT: "The body did not arrive in time.",
    HTTPStatus.CONFLICT: "A rule of the domain forbids it, or a value that belongs to one thing is taken.",
    HTTPStatus.PRECONDITION_FAILED: "The stream is not at the revision in If-Match.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body or the entry is too large.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is of a kind that is not taken here.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Fields are not valid; each is named in `errors`.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "The service failed.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not now: try again after `Retry-After` seconds.",
}
COMMON = (HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.UNPROCESSABLE_ENTITY)
CLOSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
FAILING = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
WITH_BODY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
OF_READS = (*COMMON, *CLOSED, *FAILING)
OF_COMMANDS = (
    *OF_READS,
    *WITH_BODY,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.PRECONDITION_FAILED,
)

SIZE_HEADER = {
    "description": "The log size that the answer is for.",
    "required": True,
    "schema": {"type": "integer", "minimum": 0},
}
KNOWN_SIZE = {
    "description": "The log size as this process last knew it; nobody waits for it. Left out while none is known.",
    "schema": {"type": "integer", "minimum": 0},
}
MIN_SIZE = {
    "name": "Registry-Min-Size",
    "in": "header",
    "description": "Wait (up to 5 s) until the answer includes this many entries: reads what one wrote.",
    "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "Entity tags that the client holds: `304` if one is still right.",
    "schema": {"type": "string"},
}
AS_OF = {
    "name": "as_of",
    "in": "query",
    "description": "A log size, or an RFC 3339 instant: the answer as it was then. An entry has its time before it is "
    "committed and can be read, so of an instant that is only seconds ago the answer may still grow by entries that "
    "have a time up to it. A size is exact: ask again for the one that an answer names in `Registry-Size` and it says "
    "the same, but for what was erased or withdrawn since.",
    "schema": {
        "anyOf": [{"type": "string", "pattern": "^[0-9]{1,18}$"}, {"type": "string", "format": "date-time"}],
        "examples": ["57", "2019-06-20T12:00:00Z"],
    },
}
LIMIT = {
    "name": "limit",
    "in": "query",
    "description": "How many at the most.",
    "schema": {"type": "integer", "minimum": 1, "maximum": parameters.MAX_LIMIT, "default": parameters.DEFAULT_LIMIT},
}
CURSOR = {
    "name": "cursor",
    "in": "query",
    "description": "`next` of the page before, with the same filters. Pages never shift: they are pinned to a size.",
    "schema": {"type": "string"},
}
CERTAIN = {
    "name": "certain",
    "in": "query",
    "description": "Whether dates must lie in the range asked for, rather than may.",
    "schema": {"enum": ["true", "false"], "default": "false"},
}
ON = {
    "name": "on",
    "in": "query",
    "description": "The day as of which things are overdue or not. If not given, that of the instant in `as_of`, or "
    "the one on which the last entry of the size in `as_of` was recorded, or today (UTC). All pages of a list are as "
    "of the day of the first.",
    "schema": {"type": "string", "format": "date"},
}
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body are recorded once and answered the same, however often they are sent.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_TAG = '(W/)?"[0-9]{1,9}(\\.[0-9a-f]+)?"'
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The revision that the stream must have: an ETag as it was given, or several of which one has to "
    "match, or * for whichever it has, if it is there. A weak one never matches (RFC 9110, section 13.1.1).",
    "schema": {"type": "string", "pattern": f"^(\\*|{_TAG}(, {_TAG})*)$"},
}


def in_path(name: str, schema: Described) -> Described:
    """Describe a parameter in the address."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def in_query(name: str, schema: Described, says: str) -> Described:
    """Describe a parameter of the query that may be left out."""
    return {"name": name, "in": "query", "description": says, "schema": schema}


def json_body(name: str) -> Described:
    """Describe a body of JSON by its schema's name."""
    return {"required": True, "content": {"application/json": {"schema": {"$ref": REF + name}}}}


def filter_parameters(one: Filter) -> list[Described]:
    """Describe the query parameters of a list's filter."""

    def parameter(name: str, schema: Described, says: str) -> Described:
        return {"name": name, "in": "query", "description": says, "schema": schema}

    match one.form:
        case "dates":
            day = {"type": "string", "format": "date"}
            return [
                parameter(f"{one.name}_from", day, f"First day of the range: {one.says}."),
                parameter(f"{one.name}_to", day, f"Last day of the range: {one.says}."),
            ]
        case "overdue":
            flag = {"enum": ["true", "false"]}
            return [parameter(one.name, flag, f"{one.says[0].upper()}{one.says[1:]}."), ON]
        case "id":
            schema = {"type": "string", "pattern": f"^{parameters.PREFIXES[one.kind]}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$"}
        case "choice":
            schema = {"enum": list(one.choices)}
        case "country":
            schema = {"type": "string", "pattern": "^[A-Z]{2}$"}
        case _:
            schema = {"type": "string", "minLength": 1, "maxLength": parameters.MAX_TEXT}
    return [parameter(one.name, schema, one.says[0].upper() + one.says[1:] + ".")]


def described_read(name: str, **headers: Described) -> Described:
    """Describe the answers of a read: the thing, or that the client has it already."""
    tags = {"ETag": text_header("Validates the answer; of a stream a weak one."), "Registry-Size": SIZE_HEADER}
    return {
        "200": {
            "description": "The answer.",
            "headers": {**tags, **headers},
            "content": {"application/json": {"schema": {"$ref": REF + name}}},
        },
        "304": {"description": "The client has it already.", "headers": tags},
    }


def text_header(says: str, *, required: bool = True) -> Described:
    """Describe a header that is a text."""
    return {"description": says, "required": required, "schema": {"type": "string"}}


def error_responses(statuses: tuple[HTTPStatus, ...]) -> Described:
    """Describe the errors of these statuses."""
    return {str(int(one)): {"$ref": f"#/components/responses/{int(one)}"} for one in sorted(set(statuses))}


def problem_response(status: HTTPStatus, says: str) -> Described:
    """Describe an error as problem details, with the headers that its status calls for."""
    described: Described = {
        "description": says,
        "content": {"application/problem+json": {"schema": {"$ref": REF + "Problem"}}},
    }
    described["headers"] = {"Registry-Size": KNOWN_SIZE}
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        described["headers"] |= {"Retry-After": {"required": True, "schema": {"type": "integer"}}}
    if status is HTTPStatus.UNAUTHORIZED:
        described["headers"] |= {"WWW-Authenticate": text_header("How to present a token (RFC 6750).")}
    return described
