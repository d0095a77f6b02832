"""`python -m bench.bare PORT`: what one would write without a registry, served as `registry serve` serves.

Its database is that of `BENCH_BARE_DSN`, as the password in it is not for everyone who lists processes.

No tokens, no roles, no journal, no record of who looked, no order: a handler and one statement.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
import uuid_utils
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from litestar import Litestar, Request, Response, get, post

from events import sql
from events.catalogue.cooperation_events import CooperationOpened
from events.entry import canonical
from services.registry.cli.heads import bounded

DSN = "BENCH_BARE_DSN"
POOL = 10  # as REGISTRY_POOL_SIZE is unless it is set
HEAD_SECONDS = 30.0
_SERVED = sql.load("bench", "bare.sql")
_TABLE = sql.load("bench", "append.sql")
_events = msgspec.json.Decoder(CooperationOpened)


@get("/nothing")
async def nothing() -> Response[bytes]:
    """Answer that it is there."""
    return Response(b"")


@get("/unchanged")
async def unchanged() -> Response[None]:
    """Answer that nothing has changed."""
    return Response(None, status_code=304, headers={"ETag": '"bench"'})


@get("/served/{name:str}")
async def served(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Answer with the bytes that are kept under a name."""
    body = await request.app.state.pool.fetchval(_SERVED["serve"], request.path_params["name"])
    return Response(body, media_type="application/json")


@post("/recorded")
async def recorded(request: Request) -> Response[bytes]:  # type: ignore[type-arg]
    """Validate an event and insert it, in a stream of its own."""
    event = _events.decode(await request.body())
    new = UUID(bytes=uuid_utils.uuid7().bytes)
    await request.app.state.pool.execute(
        _TABLE["insert"],
        datetime.now(UTC),  # noqa: TID251 - a user has a clock
        f"cooperation/{new.hex}",
        0,
        new,
        event.event_type,
        new,
        0,
        canonical.encode(event),
    )
    return Response(b'{"id":"%b"}' % new.hex.encode(), status_code=201, media_type="application/json")


@asynccontextmanager
async def _open(app: Litestar) -> AsyncGenerator[None, None]:
    async with asyncpg.create_pool(os.environ[DSN], min_size=POOL, max_size=POOL) as pool:
        app.state.pool = pool
        yield


def worker() -> Litestar:
    """Make the application in granian's worker process."""
    return Litestar([nothing, unchanged, served, recorded], lifespan=[_open], openapi_config=None, logging_config=None)


def main() -> None:
    """Serve until told to end."""
    Server(
        f"{__name__}:worker" if __name__ != "__main__" else "bench.bare:worker",
        address="127.0.0.1",
        port=int(sys.argv[1]),
        interface=Interfaces.ASGI,
        factory=True,
        websockets=False,
        log_level=LogLevels.warning,
        **bounded(HEAD_SECONDS),
    ).serve()


if __name__ == "__main__":
    main()
