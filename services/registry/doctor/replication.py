"""Whether the database is somewhere else too, and nothing keeps its WAL from being removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from services.registry.doctor.finding import Finding, age_of, failed, ok, size_of, warning

AREA: Final = "replication"
BEHIND_BYTES: Final = 64 * 1024**2
BEHIND_SECONDS: Final = 60.0
HELD_BYTES: Final = 1024**3
MONITOR: Final = (
    "GRANT pg_monitor TO registry_service; or to registry_owner, with REGISTRY_OWNER_DATABASE_URL set for this command."
)


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """A standby; `behind` (bytes) and `lag` (seconds) are until it has replayed, None if it did not tell."""

    name: str
    state: str | None
    sync_state: str | None
    behind: int | None
    lag: float | None


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A replication slot, and the bytes of WAL that it keeps."""

    name: str
    active: bool
    state: str
    holds: int


def judge_standbys(standbys: Sequence[Standby], wanted: str) -> Finding:
    """Say which standbys there are, and whether commits wait for one; `wanted` is synchronous_standby_names."""
    synchronous = [one for one in standbys if one.sync_state in ("sync", "quorum")]
    if wanted and not synchronous:
        found = f"commits wait for a standby of {wanted}, and none is connected: nothing can be recorded"
        advice = "Start the standby again, or take it out of synchronous_standby_names and reload."
        return failed(AREA, "standbys", found, advice)
    if not standbys:
        advice = "Set up a streaming standby, or be content with what the last backup holds."
        return warning(AREA, "standbys", "no standby is connected: the log is on one machine only", advice)
    found = "; ".join(map(_described, standbys))
    if late := [one.name for one in standbys if _late(one)]:
        advice = f"Look at the log of {', '.join(late)}, its disk and the network to it."
        return warning(AREA, "standbys", found, advice)
    return ok(AREA, "standbys", found)


def _late(standby: Standby) -> bool:
    return (
        standby.state != "streaming"
        or (standby.behind or 0) > BEHIND_BYTES
        or (standby.lag is not None and standby.lag > BEHIND_SECONDS)
    )


def _described(standby: Standby) -> str:
    kind = "synchronous" if standby.sync_state in ("sync", "quorum") else "asynchronous"
    behind = "at an unknown place" if standby.behind is None else f"{size_of(max(standby.behind, 0))} behind"
    lag = "" if standby.lag is None else f", {age_of(standby.lag)}"
    return f"{standby.name} is {kind}, {standby.state or 'in an unknown state'}, {behind}{lag}"


def judge_slots(slots: Sequence[Slot]) -> Finding:
    """Say whether slots hold back so much WAL that the disk fills, or have lost what they were to hold."""
    if not slots:
        return ok(AREA, "slots", "there are no replication slots")
    found = "; ".join(
        f"{one.name} is {'active' if one.active else 'not active'} and holds {size_of(max(one.holds, 0))} of WAL"
        + (f" ({one.state})" if one.state in ("unreserved", "lost") else "")
        for one in slots
    )
    if lost := [one.name for one in slots if one.state == "lost"]:
        advice = (
            f"What reads {', '.join(lost)} cannot go on: build it anew, and drop the slot (pg_drop_replication_slot). "
            "Of registry_backup the container `backup` does both."
        )
        return failed(AREA, "slots", found, advice)
    idle = [one.name for one in slots if not one.active]
    full = [one.name for one in slots if one.holds > HELD_BYTES or one.state == "unreserved"]
    if idle or full:
        named = ", ".join(dict.fromkeys(idle + full))
        advice = f"Start what reads {named}, or drop the slot (pg_drop_replication_slot): WAL is kept for it for ever."
        return warning(AREA, "slots", found, advice)
    return ok(AREA, "slots", found)
