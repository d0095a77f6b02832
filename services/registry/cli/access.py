"""`registry access list`."""

from __future__ import annotations

import sys

import msgspec
from rich.console import Console
from rich.table import Table

from services.registry.access.record import Action, Seen, Wanted, list_seen
from services.registry.cli import moments
from services.registry.cli.database import on_database

PIPED_WIDTH = 200  # columns, where there is no terminal whose width would count


def list_all(*, who: str | None, what: Action | None, since: str | None, limit: int) -> int:
    """Print a table, the newest first; that there is more goes to standard error."""
    wanted = Wanted(who=who, what=what, since=moments.parse(since) if since else None)
    seen = on_database("registry access", lambda database: list_seen(database, wanted, limit + 1))
    table = Table(header_style="bold")
    for column in ("at", "who", "what", "detail", "from", "request"):
        table.add_column(column, overflow="fold", no_wrap=column == "at")
    for one in seen[:limit]:
        table.add_row(*_cells(one))
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    if len(seen) > limit:
        sys.stderr.write("There is more than is shown here; see --limit.\n")
    return 0


def _cells(seen: Seen) -> tuple[str, ...]:
    who = f"{seen.who} ({seen.token_id})" if seen.token_id else seen.who
    detail = msgspec.json.encode(seen.detail).decode()
    return f"{seen.at:%F %T}Z", who, seen.what, detail, seen.from_address or "", seen.request_id or ""
