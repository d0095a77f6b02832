"""What the HTTP server takes of a request's head, and for how long it waits for one (ADR 0024).

What it refuses itself, no application sees: it is answered with a status and no content, or with nothing.
"""

from __future__ import annotations

from typing import Any, Final

from granian.constants import HTTPModes
from granian.http import HTTP1Settings

MAX_BYTES: Final = 128 * 1024
"""Of a head: a target of 65,534 bytes, which is the server's own bound, and the header fields."""


def bounded(seconds: float) -> dict[str, Any]:
    """Return a server's arguments: HTTP/1.1, and a time for a head to come, or for a connection to have another.

    HTTP/2 is left out because the time would not hold: while it is unknown which of the two a connection speaks, and
    in HTTP/2, a silent one is kept for ever, and the server takes only so many.
    """
    heads = HTTP1Settings(header_read_timeout=round(seconds * 1000), max_buffer_size=MAX_BYTES)
    return {"http": HTTPModes.http1, "http1_settings": heads}
