"""Owns an embedded PostgreSQL until its standard input ends; run as a script, by any user.

    embedded_child.py HOME

Writes one line of JSON: {"pid": …, "dsn": …} of the server, or {"error": …, "message": …}. Standard library and
`services.registry.embedded` (with what that imports of ours) only, so that a user who cannot read the virtual
environment can run it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from services.registry.embedded import EmbeddedPostgres, EmbeddedPostgresError


def main(home: Path) -> None:
    server = EmbeddedPostgres(home)
    try:
        server.start()
    except EmbeddedPostgresError as error:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)  # noqa: T201
        return
    print(json.dumps({"pid": server.pid, "dsn": server.dsn()}), flush=True)  # noqa: T201
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
