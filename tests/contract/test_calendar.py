from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from icalendar import Calendar

from tests.contract.test_transitions import a_visit
from tests.support.refusals import refused
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


class Followed:
    """One event as a subscriber sees it: at each look its SEQUENCE has risen, and it is there."""

    def __init__(self, service: Service, key: str, **query: str) -> None:
        self.service, self.key, self.query = service, key, query
        self.sequence = -1

    async def now(self) -> tuple[str, date]:
        event = (await subscribed(self.service, **self.query))[self.key]
        assert event["SEQUENCE"] > self.sequence
        self.sequence = event["SEQUENCE"]
        return str(event["STATUS"]), event.decoded("dtstart")


async def amended(service: Service, position: int, what: str, **body: Any) -> int:
    answer = await service.post(f"/v1/log/entries/{position}/{what}", {"reason": "misread", **body})
    return answer["entries"][0]["position"]


async def test_a_subscribed_calendar_follows_every_amendment(service: Service) -> None:
    cooperation, visit, _, _ = await a_visit(service)
    address = f"/v1/cooperations/{cooperation}/visits/{visit}"
    scheduled = (await service.get(f"/v1/visits/{visit}"))["position"]
    seen = Followed(service, visit)
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))
    moved = (await service.post(f"{address}/reschedule", {"window": "2019-09-10"}))["entries"][0]["position"]
    assert await seen.now() == ("CONFIRMED", date(2019, 9, 10))
    await amended(service, moved, "correct", replacement={"visit_id": visit, "window": "2019-09-11"})
    assert await seen.now() == ("CONFIRMED", date(2019, 9, 11))
    await amended(service, moved, "retract")
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))
    off = (await service.post(f"{address}/cancel", {"reason": "no"}))["entries"][0]["position"]
    assert await seen.now() == ("CANCELLED", date(2019, 7, 1))
    await amended(service, off, "retract")
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))
    opened = (await service.post(f"{address}/reschedule", {"window": "2019-08/.."}))["entries"][0]["position"]
    assert await seen.now() == ("TENTATIVE", date(2019, 8, 1))
    await amended(service, opened, "retract")
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))
    gone = await amended(service, scheduled, "retract")
    assert await seen.now() == ("CANCELLED", date(2019, 7, 1))
    await amended(service, gone, "retract")
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))
    end = await service.post(f"/v1/cooperations/{cooperation}/conclude", {"reason": "done"})
    assert await seen.now() == ("CANCELLED", date(2019, 7, 1))
    await amended(service, end["entries"][0]["position"], "retract")
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))


async def test_what_a_filter_no_longer_matches_is_cancelled_in_that_calendar(service: Service) -> None:
    _, visit, _, _ = await a_visit(service)
    read = await service.get(f"/v1/visits/{visit}")
    there = Followed(service, visit, country="AZ")
    assert await there.now() == ("TENTATIVE", date(2019, 7, 1))
    fields = ("visitors", "host", "window", "purpose")
    replacement = {**{one: read[one] for one in fields}, "place": {"country": "FR"}}
    await amended(service, read["position"], "correct", replacement=replacement)
    assert await there.now() == ("CANCELLED", date(2019, 7, 1))
    assert (await subscribed(service, country="FR"))[visit]["STATUS"] == "TENTATIVE"


async def test_what_leaves_a_party_with_a_merger_that_is_taken_back_is_cancelled_in_its_calendar(
    service: Service,
) -> None:
    cooperation, visit, _, guest = await a_visit(service)
    survivor, last = [
        (await service.post("/v1/parties", {"name": name, "kind": "company", "country": "FR"}))["id"]
        for name in ("Survivor", "Last")
    ]
    assert visit not in await subscribed(service, party=survivor)
    first = await service.post(f"/v1/parties/{guest}/merge", {"into": survivor, "reason": "bought"})
    await service.post(f"/v1/parties/{survivor}/merge", {"into": last, "reason": "bought"})
    seen = [Followed(service, visit, party=party) for party in (survivor, last)]
    own, anybodys = Followed(service, visit, party=guest), Followed(service, visit)
    size = (await service.get(f"/v1/visits/{visit}"))["as_of"]["size"]
    for one in (*seen, own, anybodys):
        assert await one.now() == ("TENTATIVE", date(2019, 7, 1))
    apart = await amended(service, first["entries"][0]["position"], "retract")
    for one in seen:
        assert await one.now() == ("CANCELLED", date(2019, 7, 1))
        then = await subscribed(service, **one.query, as_of=str(size))
        assert then[visit]["STATUS"] == "TENTATIVE"
    address = f"/v1/cooperations/{cooperation}/visits"
    other = {"visitors": [{"party": guest}], "host": guest, "place": {"country": "FR"}, "purpose": "to go on"}
    body = {**other, "host": (await service.get(f"/v1/visits/{visit}"))["host"], "window": "2019-08"}
    later = (await service.post(address, body))["id"]
    for party in (survivor, last):
        assert later not in await subscribed(service, party=party)  # it never was theirs
    for query in ({"party": guest}, {}):
        assert (await subscribed(service, **query))[visit]["STATUS"] == "TENTATIVE"
    await amended(service, apart, "retract")
    for one in seen:
        assert await one.now() == ("TENTATIVE", date(2019, 7, 1))
    await service.post(f"{address}/{visit}/reschedule", {"window": "2019-09"})
    for one in (*seen, own, anybodys):
        assert await one.now() == ("TENTATIVE", date(2019, 9, 1))


async def test_a_day_with_a_time_is_a_known_day(service: Service) -> None:
    cooperation, visit, _, _ = await a_visit(service)
    address = f"/v1/cooperations/{cooperation}/visits/{visit}"
    await service.post(f"{address}/reschedule", {"window": "2027-03-01T10:00:00Z"})
    event = (await subscribed(service))[visit]
    assert (event["STATUS"], event.decoded("dtstart"), event.decoded("dtend")) == (
        "CONFIRMED",
        date(2027, 3, 1),
        date(2027, 3, 2),
    )


async def test_what_was_held_is_not_cancelled_because_its_end_is_open(service: Service) -> None:
    cooperation, visit, one, other = await a_visit(service)
    seen = Followed(service, visit)
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))
    address = f"/v1/cooperations/{cooperation}/visits/{visit}"
    await service.post(f"{address}/reschedule", {"window": "2019-09-10"})
    assert await seen.now() == ("CONFIRMED", date(2019, 9, 10))
    held = {"held": "2019-06/..", "participants": [{"party": one}, {"party": other}]}
    await service.post(f"{address}/held", held)
    assert await seen.now() == ("TENTATIVE", date(2019, 9, 10))


@pytest.mark.parametrize(
    ("window", "first", "behind", "says"),
    [
        ("2027-09/..", date(2027, 9, 1), date(2027, 10, 1), "(EDTF), the end being open: it may begin on these days."),
        ("2027-09-05/", date(2027, 9, 5), date(2027, 9, 6), "(EDTF), the end being unknown: it may begin on this day."),
        ("../2027-06", date(2027, 6, 1), date(2027, 7, 1), "(EDTF), the start being open: it may end on these days."),
        (
            "/2027-06-30",
            date(2027, 6, 30),
            date(2027, 7, 1),
            "(EDTF), the start being unknown: it may end on this day.",
        ),
        ("../9999-12-30", date(9999, 12, 30), date(9999, 12, 31), "the start being open: it may end on this day."),
    ],
)
async def test_what_has_one_open_end_stands_at_the_other(
    service: Service, window: str, first: date, behind: date, says: str
) -> None:
    cooperation, moved, one, other = await a_visit(service)
    seen = Followed(service, moved)
    assert await seen.now() == ("TENTATIVE", date(2019, 7, 1))
    await service.post(f"/v1/cooperations/{cooperation}/visits/{moved}/reschedule", {"window": window})
    assert await seen.now() == ("TENTATIVE", first)
    about = {"place": {"country": "FR"}, "participants": [{"party": one}, {"party": other}], "subject": "next stage"}
    begun_so = (await service.post(f"/v1/cooperations/{cooperation}/rounds", {**about, "window": window}))["id"]
    for key in (moved, begun_so):
        event = (await subscribed(service))[key]
        assert (event.decoded("dtstart"), event.decoded("dtend")) == (first, behind)
        assert (event["STATUS"], event["TRANSP"]) == ("TENTATIVE", "TRANSPARENT")
        assert f"Scheduled: {window} " in str(event["DESCRIPTION"])
        assert says in str(event["DESCRIPTION"])
    await service.post(f"/v1/cooperations/{cooperation}/visits/{moved}/cancel", {"reason": "no longer wanted"})
    assert await seen.now() == ("CANCELLED", first)


async def test_what_has_lost_its_window_is_cancelled(service: Service) -> None:
    cooperation, _, one, other = await a_visit(service)
    about = {"place": {"country": "FR"}, "participants": [{"party": one}, {"party": other}], "subject": "next stage"}
    scheduled = await service.post(f"/v1/cooperations/{cooperation}/rounds", {**about, "window": "2027-09/.."})
    seen = Followed(service, scheduled["id"])
    assert await seen.now() == ("TENTATIVE", date(2027, 9, 1))
    taken = await amended(service, scheduled["entries"][0]["position"], "correct", replacement=about)
    assert await seen.now() == ("CANCELLED", date(2027, 9, 1))
    await amended(service, taken, "retract")
    assert await seen.now() == ("TENTATIVE", date(2027, 9, 1))


async def test_what_was_held_with_an_open_end_and_had_no_days_before_stands_where_it_began(service: Service) -> None:
    cooperation, visit, one, other = await a_visit(service)
    address = f"/v1/cooperations/{cooperation}"
    both = [{"party": one}, {"party": other}]
    about = {"place": {"country": "FR"}, "participants": both, "subject": "next stage"}
    began = (await service.post(f"{address}/rounds", about))["id"]
    await service.post(f"{address}/rounds/{began}/held", {"held": "2019-06-17/..", "participants": both})
    await service.post(f"{address}/visits/{visit}/held", {"held": "2019-06-17/..", "participants": both})
    events = await subscribed(service)
    assert (events[began]["STATUS"], events[began].decoded("dtstart")) == ("TENTATIVE", date(2019, 6, 17))
    assert "Held: 2019-06-17/.. (EDTF), the end being open: it may" in str(events[began]["DESCRIPTION"])
    assert events[visit].decoded("dtstart") == date(2019, 7, 1)
    assert str(events[visit]["DESCRIPTION"]).endswith("Held: 2019-06-17/.. (EDTF), the end being open.")


async def test_what_has_no_days_is_in_no_calendar_and_filters_narrow_it(service: Service) -> None:
    cooperation, visit, one, other = await a_visit(service)
    both = [{"party": one}, {"party": other}]
    undated = {"place": {"country": "FR"}, "participants": both, "subject": "next stage"}
    await service.post(f"/v1/cooperations/{cooperation}/rounds", undated)
    assert set(await subscribed(service)) == {visit}
    assert set(await subscribed(service, country="FR")) == set()
    assert set(await subscribed(service, party=other)) == {visit}


async def test_a_calendar_is_not_of_one_status_as_it_could_not_be_followed(service: Service) -> None:
    refused = await service.client.get("/v1/calendar.ics", params={"status": "scheduled"})
    assert refused.status_code == 422
    assert [problem["parameter"] for problem in refused.json()["errors"]] == ["status"]


async def test_a_token_in_the_address_is_a_readers_and_nothing_else(service: Service) -> None:
    stranger = await service.client_of("reader")
    del stranger.headers["Authorization"]
    reader, _ = await service.token("reader")
    recorder, _ = await service.token("reader", "recorder")
    assert (await stranger.get("/v1/calendar.ics", params={"token": reader})).status_code == 200
    refused(await stranger.get("/v1/calendar.ics", params={"token": recorder}), 403, "forbidden", "?token")
    for unknown in ("reg_nothing", "", [reader, reader]):
        answer = await stranger.get("/v1/calendar.ics", params={"token": unknown})
        refused(answer, 401, "unauthenticated", "?token")
    refused(await stranger.get("/v1/calendar.ics"), 401, "unauthenticated", "@Authorization")
    assert (await stranger.get("/v1/parties", params={"token": reader})).status_code == 401
