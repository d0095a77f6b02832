"""How old backups are: WAL, as PostgreSQL's archiver or its receiver shows; base backups, as who takes them tells."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from services.registry.base_backups import Status
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


_LOOK: Final = (
    "Look at it: docker compose ps backup, docker compose logs backup, docker compose exec backup backup check."
)
LATE: Final = 30 / 24
TOO_LATE: Final = 50 / 24
"""Of the time between two base backups: where one is taken a day, 30 and 50 hours."""
AHEAD: Final = timedelta(minutes=1)


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
    if slot.state == "lost":
        found = "WAL was removed before the backup had received it: nothing after that can be restored"
        advice = (
            "Start the backup again (docker compose --profile backup up --detach): it begins anew, with a base backup."
        )
        return failed(AREA, "archive", found, advice)
    behind = size_of(max(slot.holds, 0))
    if not slot.active:
        return failed(AREA, "archive", f"nobody receives WAL for the backup, which lacks {behind}", _LOOK)
    if slot.holds > LATE_BYTES or slot.state == "unreserved":
        return warning(AREA, "archive", f"WAL is received for the backup, which lacks {behind}", _LOOK)
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


def judge_base(status: Status, now: datetime) -> Finding:
    """Say how old the newest base backup is, and whether the last attempt at one failed; `now` is this process's."""
    advice = f"{_LOOK} With another tool: see what it says, and take one."
    if status.finished is None:
        found = "there is no base backup that what is recorded now can be restored from"
        return failed(AREA, "base", found + _missed(status, now), advice)
    age, every = now - status.finished, timedelta(hours=status.hours)
    if age < -AHEAD:
        found = f"the newest base backup ended in {age_of(-age.total_seconds())} from now"
        return warning(AREA, "base", found, "Compare the clock of what takes base backups with that of this machine.")
    found = f"the newest base backup is {age_of(max(age.total_seconds(), 0.0))} old{_missed(status, now)}"
    if age > every * TOO_LATE or (status.failed is not None and status.failed > status.finished):
        return failed(AREA, "base", found, advice)
    if age > every * LATE:
        return warning(AREA, "base", found, advice)
    return ok(AREA, "base", found)


def _missed(status: Status, now: datetime) -> str:
    if status.failed is None or (status.finished is not None and status.failed <= status.finished):
        return ""
    return f"; the last attempt failed, {age_of(max((now - status.failed).total_seconds(), 0.0))} ago"


def untold(why: str) -> Finding:
    """Say that nobody tells how old the newest base backup is."""
    advice = (
        "Start what takes base backups (docker compose --profile backup up --detach), or have what you use write this "
        "file: docs/operations.md says how."
    )
    return warning(AREA, "base", f"how old the newest base backup is, is not known: {why}", advice)
