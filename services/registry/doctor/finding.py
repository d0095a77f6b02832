"""What one check says."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Verdict(StrEnum):
    """How something is: `skipped` says nothing about it, because it could not be looked at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True):
    """What was found of one thing, in words; `advice` is what to do, and empty where there is nothing to do."""

    area: str
    name: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(area: str, name: str, found: str) -> Finding:
    """Say that something is as it has to be."""
    return Finding(area, name, Verdict.OK, found)


def warning(area: str, name: str, found: str, advice: str) -> Finding:
    """Say that something works now, and what may come of it is to be decided by a person."""
    return Finding(area, name, Verdict.WARNING, found, advice)


def failed(area: str, name: str, found: str, advice: str) -> Finding:
    """Say that something does not work, or does not protect what it is there to protect."""
    return Finding(area, name, Verdict.FAILED, found, advice)


def skipped(area: str, name: str, why: str, advice: str = "") -> Finding:
    """Say why something was not looked at."""
    return Finding(area, name, Verdict.SKIPPED, why, advice)


KIBI: Final = 1024


def size_of(count: int) -> str:
    """Write a number of bytes as people do, in binary units."""
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < KIBI:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= KIBI
    return f"{value:.1f} TiB"


def age_of(seconds: float) -> str:
    """Write a span of time as people do, to a tenth of its unit at the most."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length * (2 if unit == "days" else 1):
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
