"""Instants as they are given on the command line (RFC 3339, or a day)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from cyclopts import Token


def converter(_kind: object, tokens: Sequence[Token]) -> str:
    """Check that an option's value is an instant and return it in full; `ValueError` says what is expected."""
    return parse(tokens[0].value).isoformat()


def parse(text: str) -> datetime:
    """Return the instant, in UTC where no offset is given; a day is its beginning. Raises `ValueError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is no instant: expected 2027-01-31 or 2027-01-31T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
