"""`registry migrate`."""

from __future__ import annotations

import os
import sys

import uvloop

from events.log import migrate as migrations
from services.registry.settings import load


def migrate(*, check: bool) -> int:
    """Apply what is pending, or only look."""
    dsn = load(os.environ, needed=["owner_database_url"]).owner_database_url
    if check:
        uvloop.run(migrations.check(dsn))
        sys.stdout.write("The database is up to date.\n")
        return 0
    applied = uvloop.run(migrations.migrate(dsn))
    for migration in applied:
        sys.stdout.write(f"applied {migration.file}\n")
    if not applied:
        sys.stdout.write("The database was up to date.\n")
    return 0
