"""`registry log adopt`: another name for a log that is not what its checkpoints vouch for."""

from __future__ import annotations

import sys

import asyncpg

from events.log.checkpoints import Checkpoints, Origin
from events.log.read import Pool
from services.registry.access.actions import Action
from services.registry.access.record import Looked, record
from services.registry.cli.failures import Unusable
from services.registry.cli.keys import on_keys
from services.registry.cli.operator import operator
from services.registry.clock import now
from services.registry.settings import ORIGIN
from services.registry.signing.keyring import KeyRing

MAX_REASON = 500


def adopt(origin: str, reason: str) -> int:
    """Make the new name's key, publish it, and take the name."""
    try:
        ORIGIN.read(origin)
    except ValueError:
        raise Unusable(f"{origin!r} cannot be the log's name. Allowed: {ORIGIN.allowed}.") from None
    if not 0 < len(reason.strip()) <= MAX_REASON:
        raise Unusable(f"The reason has 1 to {MAX_REASON} characters.")

    async def work(pool: Pool, ring: KeyRing, before: str) -> str:
        checkpoints = Checkpoints(pool)
        adopted = await checkpoints.origins()
        if origin in {before, *(name for one in adopted for name in (one.origin, one.replaces))}:
            raise Unusable(f"The log has or had the name {origin}: take another.")
        last = await checkpoints.latest(before)
        remembered = ring.remembered()
        note = last.note.encode() if last else None
        if remembered is not None and remembered[0].origin == before:
            note = remembered[1] if last is None or remembered[0].size >= last.checkpoint.size else note
        await record(pool, Looked(operator(), Action.ADOPT_LOG, {"origin": origin, "replaces": before}))
        key = next(iter(ring.keys(origin)), None) or ring.create(origin)
        await checkpoints.add_verifier(key.verifier, now())
        try:
            await checkpoints.adopt(
                Origin(
                    origin=origin,
                    size=await checkpoints.log_size(),
                    replaces=before,
                    last_checkpoint=note.decode() if note else None,
                    reason=reason.strip(),
                    adopted_at=now(),
                )
            )
        except asyncpg.UniqueViolationError:
            raise Unusable(f"The log has or had the name {origin}: take another.") from None
        return key.verifier.text

    verifier, _, before = on_keys(work)
    sys.stderr.write(
        f"Checkpoints are signed as {origin} from now on, no longer as {before}. Tell who verifies the log.\n"
    )
    sys.stdout.write(f"{verifier}\n")
    return 0
