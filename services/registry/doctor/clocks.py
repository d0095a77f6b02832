"""Whether this machine, the database's and the log agree on what time it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from services.registry.doctor.finding import Finding, age_of, failed, ok, warning

AREA: Final = "clock"
WARN: Final = timedelta(seconds=1)
FAIL: Final = timedelta(seconds=10)
SYNCHRONISE: Final = "Synchronise the clocks of both machines (chrony, systemd-timesyncd) and look again."


class Reading(msgspec.Struct, frozen=True):
    """The database's clock, read between two looks at this machine's."""

    before: datetime
    theirs: datetime
    after: datetime

    @property
    def off(self) -> timedelta:
        """How far this machine's clock is from the database's at least: what the way there took is not counted."""
        return max(self.before - self.theirs, self.theirs - self.after, timedelta())


def judge(reading: Reading, last_entry: datetime | None) -> list[Finding]:
    """Say how far the clocks are apart, and whether the log is ahead of both."""
    return [_apart(reading), _last(reading, last_entry)]


def _apart(reading: Reading) -> Finding:
    ahead = "ahead of" if reading.before > reading.theirs else "behind"
    found = f"this machine's clock is {age_of(reading.off.total_seconds())} {ahead} the database's"
    if reading.off > FAIL:
        return failed(AREA, "difference", found, SYNCHRONISE)
    if reading.off > WARN:
        return warning(AREA, "difference", found, SYNCHRONISE)
    return ok(AREA, "difference", "this machine's clock and the database's agree to the second")


def _last(reading: Reading, last: datetime | None) -> Finding:
    if last is None:
        return ok(AREA, "last-entry", "nothing is recorded yet")
    ahead = last - max(reading.after, reading.theirs)
    if ahead <= WARN:
        return ok(AREA, "last-entry", f"the last entry was recorded at {last:%F %T}Z, which is past")
    found = f"the last entry says {last:%F %T}Z, {age_of(ahead.total_seconds())} from now"
    advice = "Find the clock that was wrong. Until that time has come, new entries bear the time of the last one."
    return (failed if ahead > FAIL else warning)(AREA, "last-entry", found, advice)
