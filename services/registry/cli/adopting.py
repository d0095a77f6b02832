"""`registry log adopt`: another name for a log that is not what its checkpoints vouch for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

import asyncpg

from events.log import Reader
from events.log.checkpoints import Checkpoints, Origin
from events.log.read import Pool
from events.merkle.adoption import MAX_REASON, Adoption, Last, is_reason
from events.merkle.checkpoint import Checkpoint
from services.registry.access.actions import Action
from services.registry.access.record import Looked, record
from services.registry.cli.failures import Unusable
from services.registry.cli.keys import on_keys
from services.registry.cli.operator import operator
from services.registry.clock import now
from services.registry.settings import ORIGIN
from services.registry.signing.adoptions import sign
from services.registry.signing.keyring import KeyRing


def adopt(origin: str, reason: str) -> int:
    """Make the new name's key, publish it, sign what is said of it with both names' keys, and take the name."""
    try:
        ORIGIN.read(origin)
    except ValueError:
        raise Unusable(f"{origin!r} cannot be the log's name. Allowed: {ORIGIN.allowed}.") from None
    if not is_reason(reason.strip()):
        raise Unusable(f"The reason is one line of 1 to {MAX_REASON} characters.")

    async def work(pool: Pool, ring: KeyRing, before: str) -> tuple[str, str]:
        checkpoints = Checkpoints(pool)
        lost = _lost(ring, before)
        before = lost[-1][0].origin if lost else before
        adopted = await checkpoints.origins()
        had = {before, *(name for one in adopted for name in (one.origin, one.replaces))}
        if origin in had | {one.origin for one, _ in ring.adoptions()}:
            raise Unusable(f"The log has or had the name {origin}: take another.")
        await record(pool, Looked(operator(), Action.ADOPT_LOG, {"origin": origin, "replaces": before}))
        await _bring_back(checkpoints, ring, lost)
        key = next(iter(ring.keys(origin)), None) or ring.create(origin)
        await checkpoints.add_verifier(key.verifier, now())
        last, head, at = await _last(checkpoints, ring, before), await Reader(pool).head(), now()
        adoption = Adoption(
            origin=origin,
            key=key.verifier,
            replaces=before,
            size=head.size,
            root=head.frontier.root(),
            last=Last(last[0].size, last[0].root) if last else None,
            adopted_at=at.isoformat(),
            reason=reason.strip(),
        )
        statement = sign(adoption, (*ring.keys(origin), *ring.keys(before)))
        try:
            await checkpoints.adopt(
                Origin(
                    origin=origin,
                    size=head.size,
                    replaces=before,
                    last_checkpoint=last[1].decode() if last else None,
                    reason=adoption.reason,
                    adopted_at=at,
                    statement=statement,
                )
            )
        except asyncpg.UniqueViolationError:
            raise Unusable(f"The log has or had the name {origin}: take another.") from None
        ring.keep_adoption(statement)
        return key.verifier.text, before

    (verifier, before), _, _ = on_keys(work)
    sys.stderr.write(
        f"Checkpoints are signed as {origin} from now on, no longer as {before}. Tell who verifies the log.\n"
    )
    sys.stdout.write(f"{verifier}\n")
    return 0


async def _last(checkpoints: Checkpoints, ring: KeyRing, origin: str) -> tuple[Checkpoint, bytes] | None:
    """Return the last checkpoint that is known to have been signed under a name, by the database or the key ring."""
    stored, remembered = await checkpoints.latest(origin), ring.remembered()
    ours = remembered is not None and remembered[0].origin == origin
    if remembered is not None and ours and (stored is None or remembered[0].size >= stored.checkpoint.size):
        return remembered
    return (stored.checkpoint, stored.note.encode()) if stored else None


def _lost(ring: KeyRing, origin: str) -> list[tuple[Adoption, str]]:
    """Return the names that were taken after this one, as the key ring knows and a database from before does not."""
    following = {adoption.replaces: (adoption, statement) for adoption, statement in ring.adoptions()}
    lost: list[tuple[Adoption, str]] = []
    while origin in following:
        lost.append(following.pop(origin))
        origin = lost[-1][0].origin
    return lost


async def _bring_back(checkpoints: Checkpoints, ring: KeyRing, lost: Sequence[tuple[Adoption, str]]) -> None:
    """Put names back into the database, with the keys that were theirs."""
    for adoption, statement in lost:
        for key in (adoption.key, *(one.verifier for one in reversed(ring.keys(adoption.origin)))):
            await checkpoints.add_verifier(key, now())
        await checkpoints.adopt(
            Origin(
                origin=adoption.origin,
                size=adoption.size,
                replaces=adoption.replaces,
                last_checkpoint=None,
                reason=adoption.reason,
                adopted_at=datetime.fromisoformat(adoption.adopted_at),
                statement=statement,
            )
        )
