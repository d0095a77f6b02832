"""Single parameters of a query, and the headers beside it: each taken, and named where it is not as it has to be.

What is not there, or wrong, is None (0 for the least size, the default for a limit): `Given` remembers what was wrong.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from events.shape import countries
from projections.model import Filter
from projections.reader import Lies, Overdue
from services.registry.api.cursors import Cursor, open_cursor
from services.registry.api.given import Given
from services.registry.ids import is_id

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_TEXT = 300
MAX_SIZE = 2**63 - 1
POSITION = re.compile("0|[1-9][0-9]{0,17}")

_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
"""RFC 3339, section 5.6."""

PREFIXES = {
    "party": "party",
    "person": "person",
    "occasion": "occ",
    "source": "src",
    "cooperation": "coop",
    "topic": "topic",
    "meeting": "meeting",
}
"""The prefix of the ids that a filter of a kind takes."""


def as_of(given: Given) -> int | datetime | None:
    """A size of the log or an instant."""
    text = given.take("as_of")
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    if (moment := _moment(text)) is None:
        given.wrong("as_of", "expected a log size, such as 57, or an RFC 3339 instant, such as 2019-06-20T12:00:00Z")
    return moment


def instant(given: Given, name: str) -> datetime | None:
    """An instant of RFC 3339."""
    text = given.take(name)
    moment = None if text is None else _moment(text)
    if text is not None and moment is None:
        given.wrong(name, "expected an RFC 3339 instant, such as 2019-06-20T12:00:00Z")
    return moment


def _moment(text: str) -> datetime | None:
    try:
        # `+` in a query means a space, so an offset that was not escaped is forgiven.
        if _INSTANT.fullmatch(instant := text.replace(" ", "+")):
            return datetime.fromisoformat(instant.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # no such day or time, or none within the years 1 to 9999 in UTC
        pass
    return None


def least(given: Given) -> int:
    """The header `Registry-Min-Size`: the least size that the answer has to include."""
    sizes = given.headers("Registry-Min-Size")
    if not sizes:
        return 0
    if len(sizes) > 1:
        given.wrong_header("Registry-Min-Size", "given more than once")
    elif re.fullmatch(r"[0-9]{1,18}", sizes[0]):
        return int(sizes[0])
    else:
        given.wrong_header("Registry-Min-Size", "expected a log size, such as 57")
    return 0


def limit(given: Given) -> int:
    """How many items a page has at the most."""
    return number(given, "limit", 1, MAX_LIMIT) or DEFAULT_LIMIT


def number(given: Given, name: str, least: int, most: int) -> int | None:
    """Take a parameter that is a whole number, None if it is not there or not as it has to be."""
    text = given.take(name)
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,19}", text) and least <= int(text) <= most:
        return int(text)
    given.wrong(name, f"expected a whole number from {least} to {most}")
    return None


def certain(given: Given) -> bool:
    """Whether uncertain dates have to lie within a range altogether."""
    text = given.take("certain")
    if text not in (None, "true", "false"):
        given.wrong("certain", "expected true or false")
    return text == "true"


def value(given: Given, one: Filter) -> str | None:
    """The value of a filter for what is as it says: an id, a country, a choice or a text."""
    text = given.take(one.name)
    if text is None:
        return None
    wrong = ""
    match one.form:
        case "id":
            wrong = "" if is_id(PREFIXES[one.kind], text) else f"expected an id, {PREFIXES[one.kind]}_…"
        case "country":
            wrong = "" if text in countries() else "expected a country code of ISO 3166-1 alpha-2, such as AZ or FR"
        case "choice":
            wrong = "" if text in one.choices else "expected one of " + ", ".join(one.choices)
        case _:
            wrong = "" if 0 < len(text) <= MAX_TEXT else f"expected 1 to {MAX_TEXT} characters"
    if wrong:
        given.wrong(one.name, wrong)
    return text


def dates(given: Given, one: Filter, *, certain: bool) -> Lies | None:
    """The range, `…_from` and `…_to`, that a filter's dates lie in."""
    first, last = day(given, f"{one.name}_from"), day(given, f"{one.name}_to")
    if first and last and first > last:
        given.wrong(f"{one.name}_to", f"lies before {one.name}_from")
    return Lies(first, last, certain) if first or last else None


def overdue(given: Given, one: Filter, first: date | None) -> Overdue:
    """Whether what is listed is overdue, on the day `on` or else on that of the first page, if this is another."""
    text = given.take(one.name)
    if text not in (None, "true", "false"):
        given.wrong(one.name, "expected true or false")
    return Overdue(None if text is None else text == "true", day(given, "on") or first)


def day(given: Given, name: str) -> date | None:
    """A day, as ISO 8601 has it."""
    text = given.take(name)
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return date.fromisoformat(text)
        given.wrong(name, "expected a day, such as 2019-07-10")
    except ValueError as refused:
        given.wrong(name, f"not a day: {refused}")
    return None


def cursor(given: Given, context: str, key: bytes) -> Cursor | None:
    """A cursor that was given for the same query."""
    text = given.take("cursor")
    cursor = None if text is None else open_cursor(text, context, key)
    if text is not None and cursor is None:
        given.wrong("cursor", "is not one that this list gave for these filters; start again without it")
    return cursor
