"""The JSON Schema of every event version: what `dataschema` in an entry points to.

That is `https://<origin>/v1/schemas/<type>`, and an origin is where the log is read: an address that ends in `/log`,
unless it was chosen without. So schemas are served below `/log` too, where a service stands at its origin less `/log`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
from litestar import Response, get

from events.codec import EVENT_TYPES
from events.errors import FieldProblem, NotFound
from services.registry.access.roles import ANY
from services.registry.api import query, replies
from services.registry.api.query import Asking
from services.registry.api.schemas import hook
from services.registry.parts import Parts

SCHEMA_JSON = "application/schema+json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def schema_of(event_type: str) -> bytes:
    """Return the schema of an event's `data`. Raises KeyError for a type that is none."""
    schema: dict[str, Any] = msgspec.json.schema(EVENT_TYPES[event_type], schema_hook=hook)
    return msgspec.json.encode({"$schema": DIALECT, "$id": event_type, **schema})


@get("/v1/schemas", opt=ANY, name="list-schemas")
async def list_schemas(request: Asking) -> Response[bytes]:
    """Name every event version, and where its schema is."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    items = [{"type": one, "schema": f"/v1/schemas/{one}"} for one in sorted(EVENT_TYPES)]
    return replies.answer(request, msgspec.json.encode({"items": items}), (await parts.log.head()).size)


@get(["/v1/schemas/{type:str}", "/log/v1/schemas/{type:str}"], opt=ANY, name="get-schema")
async def get_schema(request: Asking) -> Response[bytes]:
    """Serve the schema of one event version."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    event_type: str = request.path_params["type"]
    if event_type not in EVENT_TYPES:
        raise NotFound(
            "There is no such event type; /v1/schemas has all.", [FieldProblem("no such type", parameter="type")]
        )
    size = (await parts.log.head()).size
    return replies.answer(request, schema_of(event_type), size, media_type=SCHEMA_JSON)


HANDLERS = [list_schemas, get_schema]
