"""The page of a process that serves the API."""

from __future__ import annotations

import asyncio
import math

from events.errors import RegistryError
from services.registry import base_backups
from services.registry.metrics import catalogue
from services.registry.metrics.page import PATIENCE, Page, ask
from services.registry.metrics.requests import Requests
from services.registry.parts import Parts


async def page(parts: Parts, requests: Requests) -> bytes:
    """Return the page as it is now."""
    made = Page()
    _write_log(made, parts)
    _write_requests(made, requests)
    await _write_backup(made, parts)
    if await ask(made, parts.pool):
        await _write_checkpoint(made, parts)
    return await made.text()


def _write_log(page: Page, parts: Parts) -> None:
    log, counts, pool = parts.log, parts.log.counts, parts.pool
    page.distribution(catalogue.APPEND_SECONDS, log.latency)
    page.distribution(catalogue.APPEND_BATCH, log.batch_entries)
    page.value(catalogue.COMMANDS, counts.commands)
    page.value(catalogue.ENTRIES, counts.entries)
    page.value(catalogue.BATCHES, counts.batches)
    page.value(catalogue.REPLAYS, counts.replays)
    page.value(catalogue.REBUILT, counts.rebuilt)
    page.value(catalogue.RESENT, counts.resent)
    page.value(catalogue.QUEUE_COMMANDS, log.waiting)
    page.value(catalogue.QUEUE_BYTES, log.waiting_bytes)
    page.value(catalogue.QUEUE_LIMIT, parts.settings.queue_limit)
    idle = pool.get_idle_size()
    page.value(catalogue.POOL, idle, "idle")
    page.value(catalogue.POOL, pool.get_size() - idle, "used")
    page.value(catalogue.POOL_LIMIT, pool.get_max_size())
    page.value(catalogue.SIGNING_STOPPED, parts.signer is not None and parts.signer.stopped is not None)


def _write_requests(page: Page, requests: Requests) -> None:
    for (method, route, status), count in requests.answered.items():
        page.value(catalogue.HTTP_REQUESTS, count, method, route, status)
    for (method, route), seconds in requests.seconds.items():
        page.distribution(catalogue.HTTP_SECONDS, seconds, method, route)


async def _write_backup(page: Page, parts: Parts) -> None:
    """Write how old the newest base backup is; nothing where nobody tells."""
    if (path := parts.settings.backup_status_file) is None:
        return
    try:
        finished = (await asyncio.to_thread(base_backups.read, path)).finished
    except base_backups.Untold:
        return
    age = math.inf if finished is None else (parts.clock() - finished).total_seconds()
    page.value(catalogue.BACKUP_AGE, max(0.0, age))


async def _write_checkpoint(page: Page, parts: Parts) -> None:
    """Write how old the published checkpoint is; nothing while it cannot be known."""
    try:
        async with asyncio.timeout(PATIENCE):
            signed = await parts.publication.latest()
    except (RegistryError, TimeoutError):
        return
    page.value(catalogue.CHECKPOINT_ENTRIES, 0 if signed is None else signed.checkpoint.size)
    if signed is not None:
        age = (parts.clock() - signed.signed_at).total_seconds()
        page.value(catalogue.CHECKPOINT_AGE, max(0.0, age))
