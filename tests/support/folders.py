"""Folders as others see them: served over HTTP as plain files, or searched byte by byte."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

WAL_SEGMENT = 16 * 1024**2  # bytes: a database's files are more than one of them


@contextmanager
def web_server(folder: Path) -> Iterator[str]:
    """A web server that knows nothing but files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def files_with(folder: Path, texts: Iterable[str]) -> list[str]:
    """The files of a database, its write-ahead log included, that have one of some texts in them."""
    sought = [text.encode() for text in texts]
    found: list[str] = []
    looked_at = 0
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            looked_at += len(content)
            found += [f"{path}: {text.decode()}" for text in sought if text in content]
    assert looked_at > WAL_SEGMENT
    return found
