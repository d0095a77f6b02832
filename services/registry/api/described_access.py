"""The access record in the OpenAPI document."""

from __future__ import annotations

from services.registry.access.actions import Action
from services.registry.api import parameters
from services.registry.api.described import (
    CURSOR,
    IF_NONE_MATCH,
    LIMIT,
    OF_READS,
    Described,
    described_read,
    error_responses,
    in_query,
    text_header,
)


def access_record() -> Described:
    """Describe the list of who looked."""
    instant = {"type": "string", "format": "date-time"}
    text = {"type": "string", "minLength": 1, "maxLength": parameters.MAX_TEXT}
    return {
        "operationId": "list-access",
        "summary": "Who looked at entries above public, exported, or did something with tokens and keys; newest first.",
        "tags": ["access"],
        "parameters": [
            in_query("who", text, "A token's name or id, or user@host."),
            in_query("what", {"enum": list(Action)}, "What was read or done."),
            in_query("from", instant, "The first instant."),
            in_query("to", instant, "The instant before which."),
            LIMIT,
            CURSOR,
            IF_NONE_MATCH,
        ],
        "responses": {
            **described_read("SeenList", Link=text_header("The next page, as rel=next.", required=False)),
            **error_responses(OF_READS),
        },
    }
