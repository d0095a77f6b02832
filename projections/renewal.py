"""Building the read models anew, comparing them with those that are shown, and showing them in their place if they may.

If the program has not changed, only what is the same may: a difference means that those were altered, or that what rows
say was changed and the number of the read model was not raised, and somebody has to look. Those of another version of
the program are left as they are, beside the new ones (ADR 0036). Whatever is not shown is removed again (ADR 0015).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from events.log.failure import TRANSIENT
from projections import MODELS, rebuild
from projections.comparison import Compared, compare
from projections.engine import QUERIES, VERSION, Connection, Progress, Projection
from projections.model import ReadModel
from projections.shares import Helpers

LOCK: Final = int.from_bytes(b"rebuilds", "big") >> 1
"""The advisory lock of whoever renews: one at a time in a database."""

log = structlog.get_logger("renewal")


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: the generation that is shown now, if it is another, and how the new one compared with the old.

    It is `beside` the live one where that is of another version. `size` is what both were compared at. Nothing was
    compared where nothing was shown to this version.
    """

    generation: int | None
    beside: bool
    position: int
    size: int
    compared: tuple[Compared, ...]

    @property
    def differing(self) -> Sequence[Compared]:
        """The read models that differ."""
        return [one for one in self.compared if not one.same]


async def renew(
    connection: Connection,
    alone: ReadModel | None = None,
    *,
    check: bool = False,
    accept: bool = False,
    progress: Progress = lambda _position: None,
    helpers: Helpers | None = None,
) -> Renewed:
    """Build all read models or one `alone` beside those that are shown, compare, and switch unless it is a `check`.

    `accept` switches to what differs. One read model alone takes a generation of this version. Readers notice nothing;
    nothing is left of what is not shown, whatever happens.
    """
    await rebuild.tidy(connection)
    shown = await connection.fetchrow(QUERIES["shown"], VERSION)
    projection = await rebuild.begin(connection, MODELS, alone)
    generation: int | None = None
    compared: Sequence[Compared] = ()
    size = 0
    try:
        await rebuild.catch_up(connection, projection, alone, progress, helpers)
        if shown is not None:
            size = min(await connection.fetchval(QUERIES["position"], VERSION), projection.position)
            models = MODELS if alone is None else (alone,)
            compared = await compare(connection, shown["id"], projection.generation, models, size)
        if not check and (accept or all(one.same for one in compared)):
            await rebuild.switch(connection, projection, alone)
            generation = projection.generation
    finally:
        if generation is None:
            await _abandon(connection, projection)
    beside = False
    if generation is not None:
        await rebuild.tidy(connection)
        now = await connection.fetchrow(QUERIES["shown"], VERSION)
        beside = now is not None and now["state"] == "beside"
    return Renewed(
        generation=generation,
        beside=beside,
        position=projection.position,
        size=size,
        compared=tuple(compared),
    )


async def _abandon(connection: Connection, projection: Projection) -> None:
    """Remove what was built, or leave it to the projector if the database cannot be reached any more."""
    try:
        await rebuild.drop(connection, projection.generation)
    except TRANSIENT as lost:
        log.warning("rebuild_left_behind", generation=projection.generation, error=type(lost).__name__)
