"""The calendar of visits and rounds (RFC 5545), for calendar programs that subscribe to it.

A visit or round whose days are known is an all-day event; one that is known less exactly ("in July") spans all the days
on which it may be, and is tentative. One without any bound is in no calendar. Its UID stays the same whatever happens
to it and its SEQUENCE grows with each change, so that a subscribed calendar moves it, or shows that it was cancelled:
by itself, or because its cooperation ended before it was held.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

import msgspec
from icalendar import Calendar, Component, Event
from litestar import Response, get

from events.edtf import EdtfDate
from projections.cooperations import COOPERATIONS
from projections.model import ReadModel
from projections.reader import Found
from projections.rounds import ROUNDS
from projections.visits import VISITS
from services.registry.access.roles import READ
from services.registry.api import query, render
from services.registry.api.query import Asking
from services.registry.parts import Parts
from services.registry.version import VERSION

MEDIA_TYPE = "text/calendar"
PAGE = 500
ENDED = ("concluded", "abandoned")
LAST_DAY = date(9999, 12, 30)  # of which there is a day after, which RFC 5545 wants for the end
FILTERS = ("cooperation", "party", "country", "status")
_Item: TypeAlias = dict[str, Any]
_DAYS = re.compile(r"\d{4}-\d\d-\d\d(/\d{4}-\d\d-\d\d)?")


@get("/v1/calendar.ics", opt={**READ, "token_in_address": True}, name="calendar")
async def calendar(request: Asking) -> Response[bytes]:
    """Serve the calendar, narrowed by the filters that lists of visits and rounds have in common."""
    parts: Parts = request.app.state.parts
    asked = query.of_calendar(request, VISITS, FILTERS)
    size = await query.resolve(parts, asked)
    made = Calendar()
    _add(
        made,
        prodid=f"-//Cooperation Registry//{VERSION}//EN",
        version="2.0",
        calscale="GREGORIAN",
        method="PUBLISH",
        x_wr_calname="Visits and rounds",
    )
    for model in (VISITS, ROUNDS):
        async for found in _pages(parts, model, asked, size):
            names = await render.names(parts, found, size)
            ended = await _ended(parts, found, size)
            for event in _events(parts, model, found, names, ended):
                made.add_component(event)
    return render.answer(request, made.to_ical(), size, media_type=MEDIA_TYPE)


def _add(component: Component, **properties: object) -> None:
    for name, value in properties.items():
        component.add(name.replace("_", "-"), value)  # pyright: ignore[reportUnknownMemberType]


async def _pages(parts: Parts, model: ReadModel, asked: query.Filtered, size: int) -> AsyncIterator[list[Found]]:
    after: tuple[str, str] | None = None
    while True:
        found = await parts.read_models.page(model, size, asked.filters, after=after, limit=PAGE)
        if found:
            yield found
        if len(found) < PAGE:
            return
        after = (found[-1].sort, found[-1].id)


async def _ended(parts: Parts, found: Iterable[Found], size: int) -> dict[str, _Item]:
    """Return what ended the cooperations of things that are scheduled still: these will not take place either."""
    items: Iterable[_Item] = (msgspec.json.decode(one.body) for one in found)
    ended: dict[str, _Item] = {}
    for key in {item["cooperation"] for item in items if item["status"] == "scheduled"}:
        cooperation = await parts.read_models.one(COOPERATIONS, key, size)
        item: _Item = msgspec.json.decode(cooperation.body) if cooperation else {}
        if item.get("stage") in ENDED:
            ended[key] = item["changes"][-1]
    return ended


def _events(
    parts: Parts, model: ReadModel, found: Iterable[Found], names: Mapping[str, Any], ended: Mapping[str, _Item]
) -> Iterable[Event]:
    for one in found:
        item: _Item = msgspec.json.decode(one.body)
        end = ended.get(item["cooperation"]) if item["status"] == "scheduled" else None
        stated = item["held"] or item["window"]
        when = EdtfDate.parse(stated) if stated else None
        if when is not None and when.earliest is not None and when.latest is not None and when.earliest <= LAST_DAY:
            told = [item, *item["changes"], *item["corrections"], *([end] if end else [])]
            recorded = datetime.fromisoformat(max(one["recorded_at"] for one in told))
            status = "CANCELLED" if end else _status(item, when)
            place = item["place"]
            event = Event()
            _add(
                event,
                uid=f"{item['id']}@{parts.settings.origin.partition('/')[0]}",
                sequence=len(told) - 1,
                dtstamp=recorded,
                last_modified=recorded,
                dtstart=when.earliest,
                dtend=min(when.latest, LAST_DAY) + timedelta(days=1),  # exclusive (RFC 5545, section 3.6.1)
                status=status,
                transp="OPAQUE" if status == "CONFIRMED" else "TRANSPARENT",
                summary=_summary(model, item),
                location=", ".join(place[key] for key in ("venue", "city", "country") if place.get(key)),
                description=_description(model, item, names),
            )
            yield event


def _summary(model: ReadModel, item: _Item) -> str:
    return f"Visit: {item['purpose']}" if model is VISITS else f"Round: {item['subject']}"


def _status(item: _Item, when: EdtfDate) -> str:
    if item["status"] == "cancelled":
        return "CANCELLED"
    return "CONFIRMED" if _DAYS.fullmatch(when.text) and not when.qualified else "TENTATIVE"


def _description(model: ReadModel, item: _Item, names: Mapping[str, Any]) -> str:
    """Say who takes part and how the time was stated: parties only, since a calendar lies about in many places."""
    parties = [one["party"] for one in item["visitors" if model is VISITS else "participants"]]
    if model is VISITS:
        parties.append(item["host"])
    labels = [str(names.get(party, party)) for party in dict.fromkeys(parties)]
    return f"{', '.join(labels)}. {item['status'].capitalize()}: {item['held'] or item['window']} (EDTF)."


HANDLERS = [calendar]
