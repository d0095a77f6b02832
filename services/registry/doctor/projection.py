"""Whether the read models and the checkpoints keep up with the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from services.registry.doctor.finding import Finding, age_of, failed, ok, skipped, warning

AREA: Final = "projector"
FAR_BEHIND: Final = 10_000
"""Entries: from there on, /health/ready answers 503."""
BEHIND: Final = 1_000
SILENT: Final = timedelta(seconds=60)
"""A projector asks something every five seconds."""
UNSIGNED: Final = timedelta(minutes=1)
UNSIGNED_TOO_LONG: Final = timedelta(hours=1)
START: Final = "Start `registry project`, or read what it logs."


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """How far the log and the live read models are; `heard` is when the projector last asked anything, if visible."""

    size: int
    position: int | None
    version: str | None
    running: bool
    heard: datetime | None
    now: datetime


class Unsigned(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries the last checkpoint covers (None: there is none), and since when one is without."""

    covered: int | None
    signed_at: datetime | None
    size: int
    since: datetime | None
    now: datetime


def judge(projection: Projection, version: str) -> list[Finding]:
    """Say how the read models are; `version` is that of the ones that this program builds."""
    return [_running(projection), _position(projection, version)]


def _running(projection: Projection) -> Finding:
    if not projection.running:
        return failed(AREA, "running", "no projector is at work on this database", START)
    if projection.heard is None:
        return ok(AREA, "running", "a projector is at work; when it was last heard of, only pg_monitor sees")
    silence = max(projection.now - projection.heard, timedelta())
    found = f"a projector is at work, heard of {age_of(silence.total_seconds())} ago"
    return warning(AREA, "running", found, START) if silence > SILENT else ok(AREA, "running", found)


def _position(projection: Projection, version: str) -> Finding:
    if projection.position is None:
        return failed(AREA, "position", "the read models have not been built yet", START)
    behind = projection.size - projection.position
    found = f"the read models show {projection.position:,} of {projection.size:,} entries"
    if behind > FAR_BEHIND:
        return failed(AREA, "position", found, f"{START} Readers are refused meanwhile.")
    if behind > BEHIND:
        return warning(AREA, "position", found, START)
    if projection.version != version:
        advice = "Run the same version everywhere; a newer `registry project` builds them anew."
        return warning(AREA, "position", f"{found}, and were built by another version of the program", advice)
    return ok(AREA, "position", found)


def judge_checkpoint(unsigned: Unsigned, *, signs: bool) -> Finding:
    """Say how old the last checkpoint is; `signs` is whether any is to be expected."""
    if unsigned.covered is None or unsigned.signed_at is None:
        found = "no checkpoint was signed yet"
        if not signs:
            return skipped(AREA, "checkpoint", f"{found}, since REGISTRY_KEY_DIR is not set")
    else:
        age = age_of(max((unsigned.now - unsigned.signed_at).total_seconds(), 0.0))
        found = f"the last checkpoint is {age} old and covers {unsigned.covered:,} of {unsigned.size:,} entries"
    if unsigned.since is None or (waits := unsigned.now - unsigned.since) <= UNSIGNED:
        return ok(AREA, "checkpoint", found)
    advice = "See that `registry serve` runs with REGISTRY_KEY_DIR, and look for signing_stopped in what it logs."
    found += f"; an entry has been without one for {age_of(waits.total_seconds())}"
    return (failed if waits > UNSIGNED_TOO_LONG else warning)(AREA, "checkpoint", found, advice)
