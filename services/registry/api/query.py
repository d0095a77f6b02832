"""The query of a read: every parameter checked, every one that is wrong or unknown named.

Also the headers that every route shares. Cursors are in `cursors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec
import pycountry

from events.errors import FieldProblem, InvalidField
from projections.model import Filter, ReadModel
from projections.reader import FilterValue, Lies, Overdue
from services.registry.access.actions import Action
from services.registry.access.record import Wanted
from services.registry.api.cursors import Cursor, open_cursor
from services.registry.api.given import Asking, Given
from services.registry.ids import is_id
from services.registry.parts import Parts

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


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When an answer is for: `as_of` a size, an instant, or None for now, and the least size that it has to include.

    `problems` is what is wrong with the whole query: `resolve` refuses it, as only then it is known what the log has.
    """

    as_of: int | datetime | None
    least: int
    problems: tuple[FieldProblem, ...] = ()

    def day(self, today: date) -> date:
        """Return the day (UTC) that is asked about: that of the instant, if there is one, and else `today`."""
        return self.as_of.date() if isinstance(self.as_of, datetime) else today


class Query(Moment, frozen=True, kw_only=True):
    """A checked query; `context` is what a cursor is bound to, `on` the day as of which things are overdue."""

    filters: Mapping[str, FilterValue]
    on: date | None = None
    limit: int
    cursor: Cursor | None
    context: str


def of_list(request: Asking, model: ReadModel, key: bytes, today: date) -> Query:
    """Read the query of a list; what is overdue is so on the day asked about, or `today`, unless it says otherwise.

    All pages are of the day of the first.
    """
    given = Given(request)
    context = msgspec.json.encode([model.name, given.asked()]).decode()
    moment = Moment(as_of=_as_of(given), least=_least(given))
    limit = _limit(given)
    cursor = _cursor(given, context, key)
    day = cursor.on if cursor and cursor.on else moment.day(today)
    certain = _certain(given) if any(one.form == "dates" for one in model.filters) else False
    filters: dict[str, FilterValue] = {}
    on: date | None = None
    for one in model.filters:
        if one.form == "dates":
            value = _dates(given, one, certain=certain)
        elif one.form == "overdue":
            value = _overdue(given, one, day)
            on = value.on
        else:
            value = _value(given, one)
        if value is not None:
            filters[one.name] = value
    return Query(
        as_of=moment.as_of,
        least=moment.least,
        filters=filters,
        on=on,
        limit=limit,
        cursor=cursor,
        context=context,
        problems=given.problems(),
    )


class Page(Moment, frozen=True, kw_only=True):
    """A checked query of a list without filters; `context` is what a cursor is bound to."""

    limit: int
    cursor: Cursor | None
    context: str


def of_page(request: Asking, what: str, key: bytes) -> Page:
    """Read the query of a list without filters; a cursor is bound to `what`."""
    given = Given(request)
    context = msgspec.json.encode([what, given.asked()]).decode()
    return Page(
        as_of=_as_of(given),
        least=_least(given),
        limit=_limit(given),
        cursor=_cursor(given, context, key),
        context=context,
        problems=given.problems(),
    )


class Filtered(Moment, frozen=True, kw_only=True):
    """A checked query of everything that matches some filters."""

    filters: Mapping[str, FilterValue]


def of_calendar(request: Asking, model: ReadModel, names: tuple[str, ...]) -> Filtered:
    """Read the query of the calendar: some of a read model's filters, and a token, which was looked at before."""
    given = Given(request)
    given.take("token")
    values = {one.name: _value(given, one) for one in model.filters if one.name in names}
    return Filtered(
        as_of=_as_of(given),
        least=_least(given),
        filters={name: value for name, value in values.items() if value is not None},
        problems=given.problems(),
    )


def of_search(request: Asking, key: bytes) -> tuple[Page, str]:
    """Read the query of a search: what for, as of when, which page."""
    given = Given(request)
    context = msgspec.json.encode(["search", given.asked()]).decode()
    text = given.take("q") or ""
    if not 0 < len(text) <= MAX_TEXT:
        given.wrong("q", f"expected 1 to {MAX_TEXT} characters")
    asked = Page(
        as_of=_as_of(given),
        least=_least(given),
        limit=_limit(given),
        cursor=_cursor(given, context, key),
        context=context,
        problems=given.problems(),
    )
    return asked, text


def of_statistics(request: Asking, choices: tuple[str, ...]) -> tuple[Moment, str]:
    """Read the query of statistics: by what, as of when."""
    given = Given(request)
    by = given.take("by")
    if by not in choices:
        given.wrong("by", "expected one of " + ", ".join(choices))
    return Moment(as_of=_as_of(given), least=_least(given), problems=given.problems()), str(by)


def of_one(request: Asking, model: ReadModel, today: date) -> tuple[Moment, date | None]:
    """Read the query of a single thing: `as_of`, and the day as of which it is overdue or not, if it can be."""
    given = Given(request)
    moment = Moment(as_of=_as_of(given), least=_least(given))
    overdue = any(one.form == "overdue" for one in model.filters)
    on = (_day(given, "on") or moment.day(today)) if overdue else None
    return Moment(as_of=moment.as_of, least=moment.least, problems=given.problems()), on


def of_digest(request: Asking) -> Moment:
    """Read the query of a digest: `size` and nothing else."""
    given = Given(request)
    return Moment(as_of=number(given, "size", 0, MAX_SIZE), least=_least(given), problems=given.problems())


class EntriesQuery(msgspec.Struct, frozen=True):
    """Which entries of the log are asked for; no limit is all of them."""

    first: int
    limit: int | None
    subject: str | None
    type: str | None
    least: int


def of_entries(request: Asking) -> EntriesQuery:
    """Read the query of the log's entries. Raises `InvalidField`."""
    given = Given(request)
    first = number(given, "from", 0, MAX_SIZE)
    limit = number(given, "limit", 1, MAX_LIMIT)
    subject, kind = given.take("subject"), given.take("type")
    if subject is not None and not re.fullmatch(r"[a-z]{1,20}/[a-z]{1,20}_[0-9a-z]{26}", subject):
        given.wrong("subject", "expected the name of a stream, such as cooperation/coop_…")
    if kind is not None and not re.fullmatch(r"registry\.[a-z-]{1,60}\.v[0-9]{1,4}", kind):
        given.wrong("type", "expected the type of an event, such as registry.meeting-held.v1")
    least = _least(given)
    given.finish()
    return EntriesQuery(first or 0, limit, subject, kind, least)


def of_entry(request: Asking) -> int:
    """Read the query of one entry: the least size that the log has to have and nothing else. Raises `InvalidField`."""
    given = Given(request)
    least = _least(given)
    given.finish()
    return least


class AccessQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page of the access record is asked for; `context` is what a cursor is bound to."""

    wanted: Wanted
    limit: int
    cursor: Cursor | None
    context: str


def of_access(request: Asking, key: bytes) -> AccessQuery:
    """Read the query of the access record. Raises `InvalidField`."""
    given = Given(request)
    context = msgspec.json.encode(["access", given.asked()]).decode()
    who, what = given.take("who"), given.take("what")
    if who is not None and not 0 < len(who) <= MAX_TEXT:
        given.wrong("who", f"expected 1 to {MAX_TEXT} characters")
    if what is not None and what not in set(Action):
        given.wrong("what", "expected one of " + ", ".join(Action))
    since, until = _instant(given, "from"), _instant(given, "to")
    if since and until and since > until:
        given.wrong("to", "lies before from")
    limit, cursor = _limit(given), _cursor(given, context, key)
    given.finish()
    wanted = Wanted(who=who, what=what, since=since, until=until)
    return AccessQuery(wanted=wanted, limit=limit, cursor=cursor, context=context)


def nothing(request: Asking) -> None:
    """Refuse every parameter. Raises `InvalidField`."""
    Given(request).finish()


def surplus(request: Asking) -> list[FieldProblem]:
    """Name every parameter: for a route that takes none and has more to say of what is wrong."""
    return list(Given(request).problems())


async def resolve(parts: Parts, asked: Moment, cursor: Cursor | None = None, parameter: str = "as_of") -> int:
    """Return the size that an answer is for, when the read models have come that far; `parameter` asks for it.

    Raises `InvalidField` naming every offending parameter, a size that the log has not reached and an instant that lies
    ahead among them, and `ReadModelBehind` when it takes longer than the settings allow.
    """
    if asked.problems:
        named = any(one.parameter == parameter for one in asked.problems)
        ahead = [] if named else await _ahead(parts, asked.as_of, parameter)
        raise InvalidField("The query is not valid; see errors.", [*asked.problems, *ahead])
    if asked.least:
        await parts.read_models.wait_for(asked.least, parts.settings.min_size_wait)
    position = await parts.read_models.position()
    size = cursor.size if cursor else await _size(parts, asked.as_of, position, parameter)
    if size > position:
        await parts.read_models.wait_for(size, parts.settings.min_size_wait)
    return size


async def reached(parts: Parts, least: int) -> int:
    """Return the log's size, when it is at least so much.

    To wait is to wait for the read models, which tell when they move. Raises `ReadModelBehind`.
    """
    size = (await parts.log.head()).size
    if size < least:
        await parts.read_models.wait_for(least, parts.settings.min_size_wait)
        size = (await parts.log.head()).size
    return size


async def _size(parts: Parts, as_of: int | datetime | None, position: int, parameter: str) -> int:
    if as_of is None:
        return position
    known = isinstance(as_of, int) and as_of <= position
    if not known and (ahead := await _ahead(parts, as_of, parameter)):
        raise InvalidField.of(ahead)
    return as_of if isinstance(as_of, int) else await parts.log.size_at(as_of)


async def _ahead(parts: Parts, as_of: int | datetime | None, parameter: str) -> list[FieldProblem]:
    """Say that what is asked for lies ahead, if it does."""
    if isinstance(as_of, datetime) and as_of > parts.clock():
        return [FieldProblem("lies in the future; what will be known then is not", parameter=parameter)]
    if isinstance(as_of, int) and as_of > (head := (await parts.log.head()).size):
        return [FieldProblem(f"the log has {head} entries", parameter=parameter)]
    return []


def _as_of(given: Given) -> int | datetime | None:
    text = given.take("as_of")
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    if (moment := _moment(text)) is None:
        given.wrong("as_of", "expected a log size, such as 57, or an RFC 3339 instant, such as 2019-06-20T12:00:00Z")
    return moment


def _instant(given: Given, name: str) -> datetime | None:
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


def _least(given: Given) -> int:
    text = given.header("Registry-Min-Size")
    if text is None:
        return 0
    if re.fullmatch(r"[0-9]{1,18}", text):
        return int(text)
    given.wrong_header("Registry-Min-Size", "expected a log size, such as 57")
    return 0


def _limit(given: Given) -> int:
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


def _certain(given: Given) -> bool:
    text = given.take("certain")
    if text not in (None, "true", "false"):
        given.wrong("certain", "expected true or false")
    return text == "true"


def _value(given: Given, one: Filter) -> str | None:
    text = given.take(one.name)
    if text is None:
        return None
    wrong = ""
    match one.form:
        case "id":
            wrong = "" if is_id(PREFIXES[one.kind], text) else f"expected an id, {PREFIXES[one.kind]}_…"
        case "country":
            known = re.fullmatch("[A-Z]{2}", text) and pycountry.countries.get(alpha_2=text)
            wrong = "" if known else "expected a country code of ISO 3166-1 alpha-2, such as AZ or FR"
        case "choice":
            wrong = "" if text in one.choices else "expected one of " + ", ".join(one.choices)
        case _:
            wrong = "" if 0 < len(text) <= MAX_TEXT else f"expected 1 to {MAX_TEXT} characters"
    if wrong:
        given.wrong(one.name, wrong)
    return text


def _dates(given: Given, one: Filter, *, certain: bool) -> Lies | None:
    first, last = _day(given, f"{one.name}_from"), _day(given, f"{one.name}_to")
    if first and last and first > last:
        given.wrong(f"{one.name}_to", f"lies before {one.name}_from")
    return Lies(first, last, certain) if first or last else None


def _overdue(given: Given, one: Filter, day: date) -> Overdue:
    text = given.take(one.name)
    if text not in (None, "true", "false"):
        given.wrong(one.name, "expected true or false")
    return Overdue(None if text is None else text == "true", _day(given, "on") or day)


def _day(given: Given, name: str) -> date | None:
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


def _cursor(given: Given, context: str, key: bytes) -> Cursor | None:
    text = given.take("cursor")
    cursor = None if text is None else open_cursor(text, context, key)
    if text is not None and cursor is None:
        given.wrong("cursor", "is not one that this list gave for these filters; start again without it")
    return cursor
