"""What may stand as a connection URI of PostgreSQL (libpq, 34.1.1.2), as far as asyncpg will read it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

MAX_PORT: Final = 65535
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_SERVERS: Final = ("any", "primary", "standby", "read-write", "read-only", "prefer-standby")
_SERVER = re.compile(r"(\[[0-9A-Fa-f:.]+(%25[A-Za-z0-9._~-]+)?\]|[^\[\]:/?#@]*)(:(?P<port>[^:]*))?")


class Refused(ValueError):
    """A value that may not stand there; the message says why in words that show nothing of it."""


def read(text: str) -> str:
    """Return a URI that asyncpg will read as it is meant.

    Raises ValueError for what is none at all, and `Refused` for one that asyncpg would take for another, or fail over.
    """
    if not re.fullmatch(r"postgres(ql)?://\S+", text):
        raise ValueError
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise Refused("a % stands before two hexadecimal digits, and itself is written %25")
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError:
        raise Refused("it is no URI: an IPv6 address stands in brackets, and a parameter is name=value") from None
    if "#" in text:
        raise Refused("a # is written %23")
    servers = [_SERVER.fullmatch(one) for one in parts.netloc.rpartition("@")[2].split(",")]
    ports = [port for one in query.get("port", []) for port in one.split(",")]
    for server in servers:
        if server is None:
            raise Refused("a server is host:port, with an IPv6 address in brackets, and commas between several")
        ports.append(server["port"] or "")
    if not all(re.fullmatch(r"[0-9]{0,5}", port) and 1 <= int(port or 1) <= MAX_PORT for port in ports):
        raise Refused(f"a port is a whole number from 1 to {MAX_PORT}")
    for parameter, known in (("sslmode", _SSL_MODES), ("target_session_attrs", _SERVERS)):
        if not set(query.get(parameter, [])) <= set(known):
            raise Refused(f"{parameter} is one of {', '.join(known)}")
    return text
