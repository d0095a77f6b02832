"""Whether there is room, as far as it can be seen from this process."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import msgspec

from services.registry.doctor.finding import Finding, failed, ok, size_of, skipped, warning

AREA: Final = "disk"
LITTLE: Final = (0.10, 1024**3)
TOO_LITTLE: Final = (0.02, 256 * 1024**2)
"""Shares of the disk, and bytes: with less than either, there is little."""


class Space(msgspec.Struct, frozen=True, kw_only=True):
    """The database's size in bytes, and the folder of the server's data, if that is on this machine and known."""

    size: int
    here: bool
    folder: str | None


def judge_free(name: str, folder: Path, total: int, free: int) -> Finding:
    """Say whether there is room on the disk of a folder."""
    share = free / total if total else 0.0
    found = f"{size_of(free)} of {size_of(total)} are free ({share:.0%}) where {folder} is"
    advice = f"Make room on the disk of {folder}, or enlarge it."
    if share < TOO_LITTLE[0] or free < TOO_LITTLE[1]:
        return failed(AREA, name, found, advice)
    if share < LITTLE[0] or free < LITTLE[1]:
        return warning(AREA, name, found, advice)
    return ok(AREA, name, found)


def look(name: str, folder: Path) -> Finding:
    """Measure the disk of a folder."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError as error:
        return skipped(AREA, name, f"{folder} cannot be looked at: {error.strerror}")
    return judge_free(name, folder, usage.total, usage.free)


def judge(space: Space) -> list[Finding]:
    """Say how large the database is, and what room it has if that can be seen."""
    size = ok(AREA, "database-size", f"the database takes {size_of(space.size)}")
    if space.here and space.folder is not None:
        return [size, look("database", Path(space.folder))]
    why = "its folder is shown to monitors only" if space.here else "the server is on another machine"
    advice = "Watch the free space on the database's machine." + (
        " GRANT pg_monitor TO registry_service shows it here." if space.here else ""
    )
    return [size, skipped(AREA, "database", f"the disk of the database is not visible: {why}", advice)]
