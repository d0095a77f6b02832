"""Whether the service lives, and whether it can serve now."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
from litestar import Response, get

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
    """Answer `200` if the database is reached and the read models are there and not far behind, else `503`."""
    parts: Parts = request.app.state.parts
    size = (await parts.log.head()).size
    position = await parts.read_models.live_position()
    if position is None:
        raise NotReady("The read models have not been built yet: is the projector running?")
    if size - position > MAX_LAG:
        raise NotReady(f"The read models show {position} of {size} entries: is the projector running?")
    return Response(Health("ready", size, position), status_code=HTTPStatus.OK, headers={"Registry-Size": str(size)})


HANDLERS = [live, ready]
