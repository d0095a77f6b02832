"""The page of a process that projects, or stands by."""

from __future__ import annotations

from events.log.read import Pool
from projections.projector import Projector
from services.registry.metrics import catalogue
from services.registry.metrics.page import Page, ask


async def page(projector: Projector, pool: Pool) -> bytes:
    """Return the page as it is now; the pool is of the projector's role."""
    made = Page()
    made.value(catalogue.PROJECTOR_ACTIVE, projector.active)
    made.value(catalogue.PROJECTOR_LOSSES, projector.interruptions)
    await ask(made, pool)
    return await made.text()
