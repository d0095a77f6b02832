"""A request handed to the application part by part, so that a test decides when the client takes what."""

from __future__ import annotations

from typing import Any

from litestar import Litestar


async def lines(app: Litestar, path: str, token: str, send: Any, receive: Any) -> None:
    """Ask for all lines that a path has."""
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"accept", b"application/x-ndjson")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "server": ("registry.test", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)  # type: ignore[arg-type]
