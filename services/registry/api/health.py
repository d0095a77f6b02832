"""Whether the service lives, and whether it can serve now."""

from __future__ import annotations

import functools
from http import HTTPStatus

import msgspec
from litestar import Response, get

from events.log.migrate import DatabaseTooNew, Migration, MigrationEdited, load, missing
from events.log.read import reachable
from services.registry.access.roles import OPEN
from services.registry.api.query import Asking
from services.registry.parts import Parts
from services.registry.problems import NotReady

MAX_LAG = 10_000  # entries that the read models may be behind before readers are better sent elsewhere


class Health(msgspec.Struct, frozen=True):
    """How the service is; `size` and `position` are of the log and of the read models."""

    status: str
    size: int | None = None
    position: int | None = None


@get("/health/live", opt=OPEN, name="live")
async def live() -> Health:
    """Answer as long as the process does."""
    return Health("live")


@get("/health/ready", opt=OPEN, name="ready")
async def ready(request: Asking) -> Response[Health]:
    """Answer `200` if this process can serve, else `503`.

    The database is reached and has what this program needs, the master key is that of the vault, and the read models
    are there and not far behind. And it is not about to stop: then proxies have time to hear that, as it still serves.
    """
    if request.app.state.leaving.is_set():
        raise NotReady("This replica is about to stop. Others serve.")
    parts: Parts = request.app.state.parts
    size = (await parts.log.head()).size
    with reachable():
        await _see_to_database(parts)
    position = await parts.read_models.live_position()
    if position is None:
        raise NotReady("The read models have not been built yet: is the projector running?")
    if size - position > MAX_LAG:
        raise NotReady(f"The read models show {position} of {size} entries: is the projector running?")
    return Response(Health("ready", size, position), status_code=HTTPStatus.OK, headers={"Registry-Size": str(size)})


async def _see_to_database(parts: Parts) -> None:
    """Raise `NotReady` for a database that was exchanged or restored under the service, or that has another's keys."""
    try:
        lacking = await missing(parts.pool, _migrations())
    except DatabaseTooNew:  # it is being upgraded: replicas go on until they are replaced
        lacking = ()
    except MigrationEdited:
        raise NotReady("The database was migrated by a program that is not this one in another version.") from None
    if lacking:
        raise NotReady(f"The database lacks {len(lacking)} migrations: run `registry migrate`.")
    if not await parts.vault.fits():
        raise NotReady("The master key is not the one that the vault's keys are wrapped by.")


@functools.cache
def _migrations() -> tuple[Migration, ...]:
    return load()


HANDLERS = [live, ready]
