"""What a superuser can do to the log behind the service's back: the triggers are out of the way meanwhile."""

from __future__ import annotations

from typing import Any

import asyncpg

TABLES = ("entry", "head", "tile", "checkpoint", "signature", "verifier", "origin")
OURS = """SELECT c.relname, t.tgname FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'log'::regnamespace AND NOT t.tgisinternal"""


async def tamper(admin_dsn: str, *statements: str, arguments: tuple[Any, ...] = ()) -> None:
    """Run statements with no trigger of the log in the way; arguments go to each of them."""
    connection = await asyncpg.connect(admin_dsn)
    try:
        async with connection.transaction():
            for table in TABLES:
                await connection.execute(f"ALTER TABLE log.{table} DISABLE TRIGGER ALL")
            for statement in statements:
                await connection.execute(statement, *arguments)
            for table in TABLES:
                await connection.execute(f"ALTER TABLE log.{table} ENABLE TRIGGER ALL")
            for table, trigger in await connection.fetch(OURS):
                await connection.execute(f"ALTER TABLE log.{table} ENABLE ALWAYS TRIGGER {trigger}")
    finally:
        await connection.close()
