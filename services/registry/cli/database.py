"""The database as a command uses it that is done with one piece of work."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import uvloop

from events.log.migrate import check
from events.log.servers import connect
from services.registry.settings import load

T = TypeVar("T")


def on_database(name: str, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Do it as the service's role, on a connection that the database's administrator sees under `name`.

    Raises `InvalidSettings`, and what `check` raises of a database that is not as this program needs it.
    """
    dsn = load(os.environ, needed=["database_url"]).database_url

    async def run() -> T:
        await check(dsn)
        database = await connect(dsn, server_settings={"application_name": name})
        try:
            return await work(database)
        finally:
            await database.close()

    return uvloop.run(run())
