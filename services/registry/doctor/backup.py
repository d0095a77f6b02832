"""How old the newest backup is, as far as PostgreSQL knows: its archiver, or who receives WAL as it is written.

Base backups are not seen from here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from services.registry.doctor.finding import Finding, age_of, failed, ok, size_of, warning
from services.registry.doctor.replication import Slot

AREA: Final = "backup"
RECEIVER: Final = "registry_backup"
"""The replication slot by which backups receive WAL, and their login."""
LATE_BYTES: Final = 64 * 1024**2
OLD: Final = timedelta(hours=24)
BACKLOG: Final = 10
BACKLOG_TOO_LONG: Final = 100
"""WAL files that wait to be archived, of 16 MiB each where nobody chose otherwise."""


class Archiving(msgspec.Struct, frozen=True, kw_only=True):
    """What the archiver says of itself; times are the server's, `now` included."""

    mode: str
    archived_count: int
    last_archived_time: datetime | None
    failed_count: int
    last_failed_time: datetime | None
    now: datetime


class Backlog(msgspec.Struct, frozen=True):
    """WAL files that wait to be archived, and the bytes of all WAL files."""

    waiting: int
    size: int


def judge(archiving: Archiving, receiver: Slot | None = None) -> Finding:
    """Say how old the archive is, and whether the archiver fails, or the one that receives WAL in its place."""
    if receiver is not None and archiving.mode == "off":
        return _received(receiver)
    if archiving.mode == "off":
        advice = "Set archive_mode, and archive_command or archive_library, and take base backups; keep them elsewhere."
        return warning(AREA, "archive", "no continuous backup: archive_mode is off", advice)
    last, missed = archiving.last_archived_time, archiving.last_failed_time
    age = "nothing was archived yet" if last is None else f"archived last {age_of(_since(archiving, last))} ago"
    found = f"{age}; {archiving.failed_count} attempts failed"
    if missed is not None and (last is None or missed > last):
        found = f"the last attempt failed, {age_of(_since(archiving, missed))} ago; {found}"
        return failed(AREA, "archive", found, "Read the server's log for what archive_command says, and mend it.")
    if last is None or archiving.now - last > OLD:
        advice = (
            "Set archive_timeout, so that what is recorded on a quiet day is archived too; try SELECT pg_switch_wal()."
        )
        return warning(AREA, "archive", found, advice)
    return ok(AREA, "archive", found)


def _received(slot: Slot) -> Finding:
    look = "Look at it: docker compose ps backup, docker compose logs backup, docker compose exec backup backup check."
    if slot.state == "lost":
        found = "WAL was removed before the backup had received it: nothing after that can be restored"
        advice = f"SELECT pg_drop_replication_slot('{slot.name}'), start the backup again, and take a base backup."
        return failed(AREA, "archive", found, advice)
    behind = size_of(max(slot.holds, 0))
    if not slot.active:
        return failed(AREA, "archive", f"nobody receives WAL for the backup, which lacks {behind}", look)
    if slot.holds > LATE_BYTES or slot.state == "unreserved":
        return warning(AREA, "archive", f"WAL is received for the backup, which lacks {behind}", look)
    return ok(AREA, "archive", f"WAL is received as it is written; {behind} are not confirmed yet")


def _since(archiving: Archiving, moment: datetime) -> float:
    return max((archiving.now - moment).total_seconds(), 0.0)


def judge_backlog(backlog: Backlog) -> Finding:
    """Say whether WAL piles up."""
    found = f"{backlog.waiting} WAL files wait to be archived; all WAL takes {size_of(backlog.size)}"
    advice = "Mend or quicken archive_command: WAL is kept until it is archived, and fills the disk."
    if backlog.waiting > BACKLOG_TOO_LONG:
        return failed(AREA, "wal", found, advice)
    if backlog.waiting > BACKLOG:
        return warning(AREA, "wal", found, advice)
    return ok(AREA, "wal", found)
