"""What only the database knows: the sizes of the log, of the read models, of what is being built."""

from __future__ import annotations

from typing import Final

import msgspec

from events.log.read import Pool, reachable
from events.sql import load
from projections.engine import BUILDERS, VERSION

_PROGRESS: Final = load("services.registry.metrics", "figures.sql")["progress"]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How far everything is, at one moment.

    `behind` is the age (seconds) of the oldest entry that the read models do not show, 0 if they show all; `built` how
    far the newest of the generations is that are being built, None if none is.
    """

    size: int
    shown: int
    behind: float
    building: int
    built: int | None


async def read(pool: Pool) -> Figures:
    """Ask the database, as the service's role or as the projector's. Raises `LogUnavailable`."""
    with reachable():
        row = await pool.fetchrow(_PROGRESS, BUILDERS, VERSION)
    if row is None:
        raise LookupError("log.head has no row")
    return Figures(
        size=row["size"],
        shown=row["shown"],
        behind=max(0.0, row["behind"] or 0.0),  # the database's clock may go behind the service's
        building=row["building"],
        built=row["built"],
    )
