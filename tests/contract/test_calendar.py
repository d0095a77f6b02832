from __future__ import annotations

from datetime import date
from typing import Any

from icalendar import Calendar

from tests.contract.test_transitions import a_visit
from tests.support.service import Service


async def subscribed(service: Service, **query: str) -> dict[str, Any]:
    size = (await service.parts.log.head()).size
    answer = await service.client.get("/v1/calendar.ics", params=query, headers={"Registry-Min-Size": str(size)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/calendar")
    events = Calendar.from_ical(answer.content).walk("VEVENT")
    return {str(event["UID"]).partition("@")[0]: event for event in events}


async def test_a_subscribed_calendar_follows_a_visit(service: Service) -> None:
    cooperation, visit, _, _ = await a_visit(service)
    event = (await subscribed(service))[visit]
    assert (event.decoded("dtstart"), event.decoded("dtend")) == (date(2019, 7, 1), date(2019, 8, 1))
    assert event["STATUS"] == "TENTATIVE"
    assert event["SEQUENCE"] == 0
    assert "Testers SA" in str(event["DESCRIPTION"])
    address = f"/v1/cooperations/{cooperation}/visits/{visit}"
    await service.post(f"{address}/reschedule", {"window": "2019-09-10/2019-09-12"})
    moved = (await subscribed(service))[visit]
    assert (moved.decoded("dtstart"), moved.decoded("dtend")) == (date(2019, 9, 10), date(2019, 9, 13))
    assert (moved["STATUS"], moved["SEQUENCE"], moved["UID"]) == ("CONFIRMED", 1, event["UID"])
    await service.post(f"{address}/cancel", {"reason": "no longer wanted"})
    cancelled = (await subscribed(service))[visit]
    assert (cancelled["STATUS"], cancelled["SEQUENCE"]) == ("CANCELLED", 2)


async def test_what_has_no_days_is_in_no_calendar_and_filters_narrow_it(service: Service) -> None:
    cooperation, visit, one, other = await a_visit(service)
    both = [{"party": one}, {"party": other}]
    undated = {"place": {"country": "FR"}, "participants": both, "subject": "next stage"}
    await service.post(f"/v1/cooperations/{cooperation}/rounds", undated)
    assert set(await subscribed(service)) == {visit}
    assert set(await subscribed(service, country="FR")) == set()
    assert set(await subscribed(service, party=other, status="scheduled")) == {visit}


async def test_a_token_in_the_address_is_a_readers_and_nothing_else(service: Service) -> None:
    stranger = await service.client_of("reader")
    del stranger.headers["Authorization"]
    reader, _ = await service.token("reader")
    recorder, _ = await service.token("reader", "recorder")
    assert (await stranger.get("/v1/calendar.ics", params={"token": reader})).status_code == 200
    assert (await stranger.get("/v1/calendar.ics", params={"token": recorder})).status_code == 403
    assert (await stranger.get("/v1/calendar.ics", params={"token": "reg_nothing"})).status_code == 401
    assert (await stranger.get("/v1/calendar.ics")).status_code == 401
    assert (await stranger.get("/v1/parties", params={"token": reader})).status_code == 401
