"""The one place that reads the clock; everything else is handed a `Clock`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Answers the present instant, in UTC and aware of it. It may step back: the log's own time never does."""


def now() -> datetime:
    """Return the system's present instant in UTC."""
    return datetime.now(UTC)
