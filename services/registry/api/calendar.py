"""The calendar of visits and rounds (RFC 5545), for calendar programs that subscribe to it.

A visit or round whose days are known is an all-day event; one that is known less exactly ("in July") spans all the days
on which it may be, and is tentative. One with an open end stands at the other: on the days on which it may begin, or if
its start is open, on those on which it may end; it is tentative too, and its description says so. One of which neither
is known is in no calendar. Its UID stays the same whatever happens to it and its SEQUENCE grows with each change and
each amendment of one, so that a subscribed calendar moves it, or shows that it was cancelled: by itself, or because its
cooperation ended before it was held. What was once in the calendar that was asked for stays there: it is shown as
cancelled too if it was retracted, it has no window any more, or it is not of the party or country any more, be it
because a merger of parties was taken back.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from datetime import date, timedelta
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec
from icalendar import Calendar, Component, Event
from litestar import Response, get

from events.edtf import EdtfDate
from events.errors import Corrupt
from projections.reader import Dated
from projections.visits import VISITS
from services.registry.access.roles import READ
from services.registry.api import query
from services.registry.api.query import Asking
from services.registry.api.render import Rendering
from services.registry.api.replies import Reply
from services.registry.parts import Parts
from services.registry.version import VERSION

MEDIA_TYPE = "text/calendar"
PAGE = 500
LAST_DAY = date(9999, 12, 30)  # of which there is a day after, which RFC 5545 wants for the end
MAX_SEQUENCE = 2**31 - 1  # RFC 5545, section 3.3.8
FILTERS = ("cooperation", "party", "country")
"""Those that lists of both have, but for `status`: what came to match it no more would not be seen to be cancelled."""

_Item: TypeAlias = dict[str, Any]
_Model: TypeAlias = Literal["visits", "rounds"]
_MODELS: tuple[_Model, ...] = get_args(_Model)
_OPEN: Final = {"": "unknown", "..": "open"}
_DAYS = re.compile(r"\d{4}-\d\d-\d\d(T.*|/\d{4}-\d\d-\d\d)?")


class _Days(msgspec.Struct, frozen=True):
    """The first and the last day of an event, whether it is known to take all of them, and the date that has them."""

    first: date
    last: date
    known: bool
    of: EdtfDate


@get("/v1/calendar.ics", opt={**READ, "token_in_address": True}, name="calendar")
async def calendar(request: Asking) -> Response[bytes]:
    """Serve the calendar, narrowed by cooperation, party and country."""
    parts: Parts = request.app.state.parts
    asked = query.of_calendar(request, VISITS, FILTERS)
    at = await query.resolve(parts, request, asked)
    reply = Reply(parts.answers, request, at)
    if ready := reply.ready():
        return ready
    made = Calendar()
    _add(
        made,
        prodid=f"-//Cooperation Registry//{VERSION}//EN",
        version="2.0",
        calscale="GREGORIAN",
        method="PUBLISH",
        x_wr_calname="Visits and rounds",
    )
    for of in _MODELS:
        async for page in _pages(parts, of, asked, at.size):
            names = (await Rendering.of(parts, [dated.found for dated in page], at)).names()
            for dated in page:
                made.add_component(_event(parts, of, dated, msgspec.json.decode(dated.found.body), names))
    return reply.made(made.to_ical(), media_type=MEDIA_TYPE, keep=True)


def _add(component: Component, **properties: object) -> None:
    for name, value in properties.items():
        component.add(name.replace("_", "-"), value)  # pyright: ignore[reportUnknownMemberType]


async def _pages(parts: Parts, of: _Model, asked: query.Filtered, size: int) -> AsyncIterator[list[Dated]]:
    after = ""
    while True:
        dated = await parts.read_models.calendar(of, size, asked.filters, after=after, limit=PAGE)
        if dated:
            yield dated
        if len(dated) < PAGE:
            return
        after = dated[-1].found.id


def _event(parts: Parts, of: _Model, dated: Dated, item: _Item, names: Mapping[str, Any]) -> Event:
    days = _days(item)
    status = _status(dated, item, known=days.known)
    place = item["place"]
    event = Event()
    _add(
        event,
        uid=f"{item['id']}@{parts.settings.origin.partition('/')[0]}",
        sequence=min(dated.changes, MAX_SEQUENCE),
        dtstamp=dated.changed,
        last_modified=dated.changed,
        dtstart=days.first,
        dtend=min(days.last, LAST_DAY) + timedelta(days=1),  # exclusive (RFC 5545, section 3.6.1)
        status=status,
        transp="OPAQUE" if status == "CONFIRMED" else "TRANSPARENT",
        summary=_summary(of, item),
        location=", ".join(place[key] for key in ("venue", "city", "country") if place.get(key)),
        description=_description(of, item, status, days, names),
    )
    return event


def _summary(of: _Model, item: _Item) -> str:
    return f"Visit: {item['purpose']}" if of == "visits" else f"Round: {item['subject']}"


def _days(item: _Item) -> _Days:
    """Return the days on which something was held, or else of its window: of what has both ends, or else of one end."""
    stated = [EdtfDate.parse(one) for one in (item["held"], item["window"]) if one]
    for when in stated:
        if when.earliest is not None and when.latest is not None:
            known = when is stated[0] and bool(_DAYS.fullmatch(when.text)) and not when.qualified
            return _Days(when.earliest, when.latest, known=known, of=when)
    for when in stated:
        start, _, end = when.text.partition("/")
        at = EdtfDate.parse(start if when.latest is None else end)
        if at.earliest is not None and at.latest is not None:
            return _Days(at.earliest, at.latest, known=False, of=when)
    raise Corrupt(f"{item['id']} has no days, but stands in the calendar")


def _status(dated: Dated, item: _Item, *, known: bool) -> str:
    if dated.ended or not dated.stands or item["status"] == "cancelled":
        return "CANCELLED"
    return "CONFIRMED" if known else "TENTATIVE"


def _description(of: _Model, item: _Item, status: str, days: _Days, names: Mapping[str, Any]) -> str:
    """Say who takes part and how the time was stated: parties only, since a calendar lies about in many places."""
    parties = [one["party"] for one in item["visitors" if of == "visits" else "participants"]]
    if of == "visits":
        parties.append(item["host"])
    labels = [str(names.get(party, party)) for party in dict.fromkeys(parties)]
    became = "Cancelled" if status == "CANCELLED" else item["status"].capitalize()
    stated = EdtfDate.parse(item["held"] or item["window"])
    return f"{', '.join(labels)}. {became}: {stated} (EDTF){_opened(stated, days)}."


def _opened(stated: EdtfDate, days: _Days) -> str:
    """Say which end of a stated date is open, if one is, and what the event's days are if they are the other."""
    if stated.earliest is not None and stated.latest is not None:
        return ""
    start, _, end = stated.text.partition("/")
    which, how, does = ("end", _OPEN[end], "begin") if stated.latest is None else ("start", _OPEN[start], "end")
    said = f", the {which} being {how}"
    if days.of != stated:
        return said
    return f"{said}: it may {does} on {'this day' if days.first == days.last else 'these days'}"


HANDLERS = [calendar]
