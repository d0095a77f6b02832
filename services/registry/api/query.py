"""The queries of reads: which parameters each takes, and which state of the log it is answered as of.

Every parameter that is wrong or unknown is named. What a single one may hold is in `parameters`, cursors in `cursors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from events.errors import FieldProblem
from events.log import Head
from projections.model import Listed
from projections.reader import FilterValue, Overdue
from services.registry.access.actions import Action
from services.registry.access.record import Wanted
from services.registry.api import parameters
from services.registry.api.cursors import Cursor
from services.registry.api.given import Asking, Given, invalid, present
from services.registry.parts import Parts


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When an answer is for: `as_of` a size, an instant, or None for now, and the least size that it has to include.

    `problems` is what is wrong with the whole query: `resolve` refuses it, as only then it is known what the log has.
    """

    as_of: int | datetime | None
    least: int
    problems: tuple[FieldProblem, ...] = ()


class AsOf(NamedTuple):
    """The size that an answer is for, how far the read models have come by `now`, and whether it stays at that size.

    `generation` is which read models it is read from, or later ones.
    """

    size: int
    now: int
    pinned: bool
    generation: int


class Page(Moment, frozen=True, kw_only=True):
    """A checked query of a list without filters; `context` is what a cursor is bound to."""

    limit: int
    cursor: Cursor | None
    context: str


class Query(Page, frozen=True, kw_only=True):
    """A checked query of a list; `on` is the day as of which things are overdue."""

    filters: Mapping[str, FilterValue]
    on: date | None = None


def of_list(request: Asking, model: Listed, key: bytes) -> Query:
    """Read the query of a list. All pages are of the day of the first, which is for `dated` to find if none is said."""
    given = Given(request)
    context = msgspec.json.encode([model.name, given.asked()]).decode()
    moment = Moment(as_of=parameters.as_of(given), least=parameters.least(given))
    limit = parameters.limit(given)
    cursor = parameters.cursor(given, context, key)
    certain = parameters.certain(given) if any(one.form == "dates" for one in model.filters) else False
    filters: dict[str, FilterValue] = {}
    on: date | None = None
    for one in model.filters:
        if one.form == "dates":
            value = parameters.dates(given, one, certain=certain)
        elif one.form == "overdue":
            value = parameters.overdue(given, one, cursor.on if cursor else None)
            on = value.on
        else:
            value = parameters.value(given, one)
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


def of_page(request: Asking, what: str, key: bytes) -> Page:
    """Read the query of a list without filters; a cursor is bound to `what`."""
    given = Given(request)
    context = msgspec.json.encode([what, given.asked()]).decode()
    return Page(
        as_of=parameters.as_of(given),
        least=parameters.least(given),
        limit=parameters.limit(given),
        cursor=parameters.cursor(given, context, key),
        context=context,
        problems=given.problems(),
    )


class Filtered(Moment, frozen=True, kw_only=True):
    """A checked query of everything that matches some filters."""

    filters: Mapping[str, FilterValue]


def of_calendar(request: Asking, model: Listed, names: tuple[str, ...]) -> Filtered:
    """Read the query of the calendar: some of a read model's filters, and a token, which was looked at before."""
    given = Given(request)
    given.take("token")
    values = {one.name: parameters.value(given, one) for one in model.filters if one.name in names}
    return Filtered(
        as_of=parameters.as_of(given),
        least=parameters.least(given),
        filters={name: value for name, value in values.items() if value is not None},
        problems=given.problems(),
    )


def of_search(request: Asking, key: bytes) -> tuple[Page, str]:
    """Read the query of a search: what for, as of when, which page."""
    given = Given(request)
    context = msgspec.json.encode(["search", given.asked()]).decode()
    text = given.take("q") or ""
    if not 0 < len(text) <= parameters.MAX_TEXT:
        given.wrong("q", f"expected 1 to {parameters.MAX_TEXT} characters")
    asked = Page(
        as_of=parameters.as_of(given),
        least=parameters.least(given),
        limit=parameters.limit(given),
        cursor=parameters.cursor(given, context, key),
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
    return Moment(as_of=parameters.as_of(given), least=parameters.least(given), problems=given.problems()), str(by)


def of_one(request: Asking, *, can_be_overdue: bool) -> tuple[Moment, date | None]:
    """Read the query of a single thing: `as_of`, and the day as of which it is overdue or not, if one is said."""
    given = Given(request)
    as_of, least = parameters.as_of(given), parameters.least(given)
    on = parameters.day(given, "on") if can_be_overdue else None
    return Moment(as_of=as_of, least=least, problems=given.problems()), on


def of_digest(request: Asking) -> Moment:
    """Read the query of a digest: `size` and nothing else."""
    given = Given(request)
    return Moment(
        as_of=parameters.number(given, "size", 0, parameters.MAX_SIZE),
        least=parameters.least(given),
        problems=given.problems(),
    )


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
    first = parameters.number(given, "from", 0, parameters.MAX_SIZE)
    limit = parameters.number(given, "limit", 1, parameters.MAX_LIMIT)
    subject, kind = given.take("subject"), given.take("type")
    if subject is not None and not re.fullmatch(r"[a-z]{1,20}/[a-z]{1,20}_[0-9a-z]{26}", subject):
        given.wrong("subject", "expected the name of a stream, such as cooperation/coop_…")
    if kind is not None and not re.fullmatch(r"registry\.[a-z-]{1,60}\.v[0-9]{1,4}", kind):
        given.wrong("type", "expected the type of an event, such as registry.meeting-held.v1")
    least = parameters.least(given)
    given.finish()
    return EntriesQuery(first or 0, limit, subject, kind, least)


def of_entry(request: Asking) -> int:
    """Read the query of one entry: the least size that the log has to have and nothing else. Raises `InvalidField`."""
    given = Given(request)
    least = parameters.least(given)
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
    if who is not None and not 0 < len(who) <= parameters.MAX_TEXT:
        given.wrong("who", f"expected 1 to {parameters.MAX_TEXT} characters")
    if what is not None and what not in set(Action):
        given.wrong("what", "expected one of " + ", ".join(Action))
    since, until = parameters.instant(given, "from"), parameters.instant(given, "to")
    if since and until and since > until:
        given.wrong("to", "lies before from")
    limit, cursor = parameters.limit(given), parameters.cursor(given, context, key)
    given.finish()
    wanted = Wanted(who=who, what=what, since=since, until=until)
    return AccessQuery(wanted=wanted, limit=limit, cursor=cursor, context=context)


def nothing(request: Asking) -> None:
    """Refuse every parameter. Raises `InvalidField`."""
    Given(request).finish()


def surplus(request: Asking) -> list[FieldProblem]:
    """Name every parameter: for a route that takes none and has more to say of what is wrong."""
    return list(Given(request).problems())


async def resolve(
    parts: Parts, request: Asking, asked: Moment, cursor: Cursor | None = None, parameter: str = "as_of"
) -> AsOf:
    """Return the size that an answer is for, when the read models have come that far; `parameter` asks for it.

    Raises `InvalidField` naming every offending parameter, a size that the log has not reached and an instant that lies
    ahead among them, and `ReadModelBehind` when it takes longer than the settings allow.
    """
    if asked.problems:
        named = any(one.parameter == parameter for one in asked.problems)
        ahead = [] if named else await _ahead(parts, asked.as_of, parameter)
        raise invalid([*asked.problems, *ahead])
    wait = parts.settings.min_size_wait
    generation, position = await parts.read_models.shown(asked.least, wait, present(request).live)
    size = cursor.size if cursor else await _size(parts, asked.as_of, position, parameter)
    if size > position:
        await parts.read_models.wait_for(size, wait)
    now = max(position, size)
    return AsOf(size, now, asked.as_of is not None or size < now, generation)


def can_be_overdue(model: Listed) -> bool:
    """Whether what is in a read model may be overdue, so that it matters on which day."""
    return any(one.form == "overdue" for one in model.filters)


async def day(parts: Parts, asked: Moment, size: int) -> date:
    """Return the day (UTC) that is asked about where none is said, `size` being what was resolved.

    It is that of the instant asked about, or on which the size asked about was reached; else today.
    """
    if isinstance(asked.as_of, datetime):
        return asked.as_of.date()
    last = await parts.log.read_all(size - 1, 1) if asked.as_of else []
    return (last[0].recorded_at if last else parts.clock()).date()


async def dated(parts: Parts, asked: Query, size: int) -> Query:
    """Return a list's query with the day as of which things are overdue, if they can be (see `day`)."""
    unsaid = {name: one for name, one in asked.filters.items() if isinstance(one, Overdue) and one.on is None}
    if not unsaid:
        return asked
    on = await day(parts, asked, size)
    return replace(
        asked, on=on, filters={**asked.filters, **{name: replace(one, on=on) for name, one in unsaid.items()}}
    )


async def reached(parts: Parts, least: int) -> Head:
    """Return the log's head, when it has at least so many entries.

    To wait is to wait for the read models, which tell when they move. Raises `ReadModelBehind`.
    """
    head = await parts.log.head()
    if head.size < least:
        await parts.read_models.hear_of(least, parts.settings.min_size_wait)
        head = await parts.log.head()
    return head


async def _size(parts: Parts, as_of: int | datetime | None, position: int, parameter: str) -> int:
    if as_of is None:
        return position
    known = isinstance(as_of, int) and as_of <= position
    if not known and (ahead := await _ahead(parts, as_of, parameter)):
        raise invalid(ahead)
    return as_of if isinstance(as_of, int) else await parts.log.size_at(as_of)


async def _ahead(parts: Parts, as_of: int | datetime | None, parameter: str) -> list[FieldProblem]:
    """Say that what is asked for lies ahead, if it does."""
    if isinstance(as_of, datetime) and as_of > parts.clock():
        return [FieldProblem("lies in the future; what will be known then is not", parameter=parameter)]
    if isinstance(as_of, int) and as_of > (head := (await parts.log.head()).size):
        return [FieldProblem(f"the log has {head} entries", parameter=parameter)]
    return []
