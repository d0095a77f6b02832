from __future__ import annotations

from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.entry import canonical
from events.log import NewSalt
from events.vault import salted_hash
from services.registry.ids import new_id
from tests.contract.test_story_by_hand import a_cooperation, two_parties
from tests.support.cluster import Database
from tests.support.service import Service, StoppedClock, running


async def a_visit(service: Service) -> tuple[str, str, str, str]:
    cooperation, one, other = await a_cooperation(service)
    visit = await service.post(
        f"/v1/cooperations/{cooperation}/visits",
        {
            "visitors": [{"party": other}],
            "host": one,
            "place": {"country": "AZ"},
            "window": "2019-07",
            "purpose": "to go on",
        },
    )
    return cooperation, visit["id"], one, other


async def test_a_visit_is_rescheduled_held_and_then_promised_no_more(service: Service) -> None:
    cooperation, visit, one, other = await a_visit(service)
    open_now = await service.get("/v1/commitments", overdue="true", on="2019-08-01")
    assert [item["id"] for item in open_now["items"]] == [visit]
    assert open_now["items"][0]["overdue"] is True
    assert (await service.get("/v1/commitments", overdue="true", on="2019-07-31"))["items"] == []
    address = f"/v1/cooperations/{cooperation}/visits/{visit}"
    moved = await service.post(f"{address}/reschedule", {"window": "2019-09", "reason": "summer"})
    assert moved["id"] == visit
    assert (await service.get(f"/v1/visits/{visit}"))["window"] == "2019-09"
    held = {"held": "2019-09-10", "participants": [{"party": one}, {"party": other}], "outcome": "went well"}
    await service.post(f"{address}/held", held)
    read = await service.get(f"/v1/visits/{visit}")
    assert read["status"] == "held"
    assert read["outcome"] == "went well"
    assert [change["type"] for change in read["changes"]] == [
        "registry.visit-rescheduled.v1",
        "registry.visit-held.v1",
    ]
    assert (await service.get("/v1/commitments"))["items"] == []
    refused = await service.post(f"{address}/cancel", {"reason": "too late"}, status=409)
    assert refused["code"] == "not-scheduled"


async def test_a_correction_stands_in_the_originals_place_from_then_on(service: Service) -> None:
    cooperation, visit, _, other = await a_visit(service)
    position = (await service.get(f"/v1/visits/{visit}"))["position"]
    original: dict[str, Any] = (await service.get(f"/v1/log/entries/{position}"))["data"]
    size = (await service.get(f"/v1/visits/{visit}"))["as_of"]["size"]
    replacement = {**original, "window": "2019-08"}
    del replacement["visit_id"]
    corrected = await service.post(
        f"/v1/log/entries/{position}/correct", {"replacement": replacement, "reason": "misread"}
    )
    read = await service.get(f"/v1/visits/{visit}")
    assert read["window"] == "2019-08"
    assert read["corrections"][0]["position"] == corrected["entries"][0]["position"]
    assert read["corrections"][0]["reason"] == "misread"
    assert (await service.get(f"/v1/visits/{visit}", as_of=str(size)))["window"] == "2019-07"
    await service.post(f"/v1/log/entries/{position}/retract", {"reason": "never was"})
    assert (await service.get("/v1/visits", party=other))["items"] == []
    await service.get(f"/v1/visits/{visit}", status=404)
    assert (await service.get(f"/v1/cooperations/{cooperation}"))["stage"] == "contact"


async def test_a_correction_that_would_break_history_names_the_rule(service: Service) -> None:
    cooperation, visit, *_ = await a_visit(service)
    position = (await service.get(f"/v1/visits/{visit}"))["position"]
    address = f"/v1/cooperations/{cooperation}/visits/{visit}"
    await service.post(f"{address}/cancel", {"reason": "no"})
    refused = await service.post(f"/v1/log/entries/{position}/retract", {"reason": "never was"}, status=409)
    assert refused["code"] == "rested-upon"
    assert "would break a rule" in refused["detail"]
    wrong = await service.post(
        f"/v1/log/entries/{position}/correct", {"replacement": {"window": "July"}, "reason": "misread"}, status=422
    )
    pointers = {problem["pointer"] for problem in wrong["errors"]}
    assert {"/replacement/window", "/replacement/host", "/replacement/visitors"} <= pointers


async def test_merged_parties_are_found_as_one(service: Service) -> None:
    cooperation, _, one, other = await a_visit(service)
    survivor = await service.post("/v1/parties", {"name": "Testers Group", "kind": "company", "country": "FR"})
    await service.post(f"/v1/parties/{other}/merge", {"into": survivor["id"], "reason": "bought"})
    assert (await service.get(f"/v1/parties/{other}"))["merged_into"] == survivor["id"]
    for party in (other, survivor["id"]):
        assert len((await service.get("/v1/visits", party=party))["items"]) == 1
    meeting = {"held": "2019-06-18", "participants": [{"party": one}, {"party": survivor["id"]}]}
    await service.post(f"/v1/cooperations/{cooperation}/meetings", meeting)
    await service.post(f"/v1/parties/{survivor['id']}/merge", {"into": other, "reason": "circle"}, status=409)


async def test_a_party_that_was_merged_twice_is_everywhere_what_it_lives_on_in(service: Service) -> None:
    first, second, last, partner = [
        (await service.post("/v1/parties", {"name": name, "kind": "company", "country": country}))["id"]
        for name, country in (("Alpha", "FR"), ("Beta", "DE"), ("Gamma", "IT"), ("Partner", "AZ"))
    ]
    body = {"title": "Alpha and Partner", "parties": [first, partner], "fields": ["research"]}
    cooperation = (await service.post("/v1/cooperations", body))["id"]
    both = [{"party": first}, {"party": partner}]
    await service.post(f"/v1/cooperations/{cooperation}/meetings", {"held": "2019-06-18", "participants": both})
    person = (await service.post("/v1/people", {"name": "Ada Example"}))["id"]
    await service.post(f"/v1/people/{person}/appoint", {"party": first, "post": "head"})
    show = {"name": "Show", "kind": "forum", "place": {"country": "IT"}, "dates": "2019", "organiser": first}
    occasion = (await service.post("/v1/occasions", show))["id"]
    sizes: dict[str | None, int] = {None: (await service.get("/v1/parties"))["as_of"]["size"]}
    for loser, winner in ((first, second), (second, last)):
        sizes[winner] = (await service.post(f"/v1/parties/{loser}/merge", {"into": winner, "reason": "one"}))["size"]
    for survivor, country, size in zip((None, second, last), ("FR", "DE", "IT"), sizes.values(), strict=True):
        then: dict[str, Any] = {"as_of": str(size)}
        expected = {second: "Beta", last: "Gamma"}.get(survivor or "")
        read = await service.get(f"/v1/parties/{first}", **then)
        (hit,) = (found := await service.get("/v1/search", q="alpha", limit=1, **then))["items"]
        (post,) = (of := await service.get(f"/v1/people/{person}", **then))["posts"]
        listed = (await service.get("/v1/parties", **then))["items"]
        assert [one["survivor"] for one in listed if one["id"] == first] == [survivor]
        told = (await service.get(f"/v1/parties/{first}/timeline", **then))["items"]
        posts = [one["item"]["survivor"] for one in told if one["kind"] == "post"]
        assert (hit["id"], posts) == (first, [survivor])
        assert [one["survivor"] for one in (read, hit, post)] == [survivor] * 3
        meeting = (await service.get("/v1/meetings", **then))["items"][0]["id"]
        lists = ("meetings", "cooperations", "occasions", "people")
        others = (f"meetings/{meeting}", f"cooperations/{cooperation}/timeline", f"parties/{first}/timeline")
        naming = [await service.get(f"/v1/{one}", **then) for one in (*lists, *others)]
        for one in (read, found, of, *naming):
            assert one["survivors"].get(first) == survivor
            assert one["names"].get(survivor) == expected
            assert set(one["survivors"]) <= {first, second}
        by_country = (await service.get("/v1/statistics", by="country", **then))["items"]
        assert [(one["key"], one["meetings"]) for one in by_country] == sorted([("AZ", 1), (country, 1)])
        for one in ("FR", "DE", "IT", "AZ"):
            cooperations = (await service.get("/v1/cooperations", country=one, **then))["items"]
            assert len(cooperations) == (one in {country, "AZ"})
    for party in (first, second, last):
        for name, query, key in (
            ("cooperations", {"party": party}, cooperation),
            ("people", {"party": party}, person),
            ("people", {"ever": party}, person),
            ("occasions", {"party": party}, occasion),
            ("occasions", {"organiser": party}, occasion),
        ):
            (item,) = (await service.get(f"/v1/{name}", **query))["items"]
            assert item["id"] == key
        told = (await service.get(f"/v1/parties/{party}/timeline", limit=500))["items"]
        assert {"meeting", "post", "occasion", "cooperation"} <= {one["kind"] for one in told}


async def test_a_post_at_a_merged_party_is_held_once_and_left_by_either_name(service: Service) -> None:
    loser, survivor, stranger = [
        (await service.post("/v1/parties", {"name": name, "kind": "company", "country": "FR"}))["id"]
        for name in ("Loser", "Survivor", "Stranger")
    ]
    person = (await service.post("/v1/people", {"name": "Ada Example"}))["id"]
    on = f"/v1/people/{person}"
    appointed = await service.post(f"{on}/appoint", {"party": loser, "post": "adviser"})
    merged = await service.post(f"/v1/parties/{loser}/merge", {"into": survivor, "reason": "bought"})
    refused = await service.post(f"{on}/appoint", {"party": survivor, "post": "adviser"}, status=409)
    assert (refused["code"], refused["errors"][0]["pointer"]) == ("already-exists", "/post")
    left = await service.post(f"{on}/leave-post", {"party": survivor, "post": "adviser"})
    (post,) = (await service.get(on))["posts"]
    assert (post["party"], post["left"]) == (loser, True)
    position = left["entries"][0]["position"]
    as_survivor = {"replacement": {"party": survivor, "post": "adviser"}, "reason": "as it is called now"}
    await service.post(f"/v1/log/entries/{position}/correct", as_survivor)
    (post,) = (await service.get(on))["posts"]
    assert (post["party"], post["survivor"], post["left"]) == (loser, survivor, True)
    as_loser = {"replacement": {"party": loser, "post": "adviser", "until": "2019-05"}, "reason": "not said before"}
    await service.post(f"/v1/log/entries/{position}/correct", as_loser)
    corrected = await service.post(f"/v1/log/entries/{appointed['entries'][0]['position']}/correct", as_survivor)
    (post,) = (await service.get(on))["posts"]
    assert (post["party"], post["left"]) == (survivor, True)
    why = {"reason": "never was"}
    refused = await service.post(f"/v1/log/entries/{merged['entries'][0]['position']}/retract", why, status=409)
    assert refused["code"] == "rested-upon"
    elsewhere = {"replacement": {"party": stranger, "post": "adviser"}, "reason": "misread"}
    head = {"replacement": {"party": survivor, "post": "head"}, "reason": "misread"}
    for wrong, field in ((elsewhere, "party"), (head, "post")):
        address = f"/v1/log/entries/{appointed['entries'][0]['position']}/correct"
        refused = await service.post(address, wrong, status=409)
        assert refused["code"] == "not-in-post"
        assert [one["pointer"] for one in refused["errors"]] == [f"/replacement/{field}"]
    await service.post(f"/v1/log/entries/{corrected['entries'][0]['position']}/retract", why)
    (post,) = (await service.get(on))["posts"]
    assert (post["party"], post["left"]) == (loser, True)
    await service.post(f"{on}/appoint", {"party": survivor, "post": "adviser"})
    refused = await service.post(f"{on}/appoint", {"party": loser, "post": "adviser"}, status=409)
    assert refused["code"] == "already-exists"


async def test_of_those_registered_together_none_can_be_guessed_from_the_log_once_one_is_erased(
    service: Service,
) -> None:
    one, other = new_id("person"), new_id("person")
    both = {
        "commands": [
            {"command": "register-person", "data": {"id": key, "name": f"Guessed {number}"}}
            for number, key in enumerate((one, other))
        ]
    }
    first = await service.post("/v1/batch", both, Idempotency_Key="together")
    assert await service.post("/v1/batch", both, status=200, Idempotency_Key="together") == first
    async with service.parts.pool.acquire() as connection:
        kept = await connection.fetch("SELECT salt FROM vault.command_salt")
        why = {"authority": "the court", "reason": "asked to be forgotten"}
        await service.post(f"/v1/people/{one}/erase", why)
        (left,) = await connection.fetch("SELECT owner, salt FROM vault.command_salt")
        assert left["owner"] == f"person/{other}"
        recorded = msgspec.json.decode(await connection.fetchval("SELECT bytes FROM log.entry WHERE position = 0"))
    said = canonical.encode(
        [
            {"command": "register-person", "subject": None, "data": one["data"], "at": f"/commands/{number}/data"}
            for number, one in enumerate(both["commands"])
        ]
    )
    owners = [NewSalt(owner="", salt=one["salt"]) for one in kept]
    assert recorded["commandhash"] in {salted_hash(salts, said).hex() for salts in permutations(owners)}
    assert recorded["commandhash"] != salted_hash([NewSalt(owner="", salt=left["salt"])], said).hex()
    # What cannot be recognised any more is refused as another request, as docs/errors.md says.
    refused = await service.post("/v1/batch", both, status=422, Idempotency_Key="together")
    assert refused["code"] == "command-id-reused"


async def test_an_erased_person_is_nowhere_at_any_size(service: Service) -> None:
    person = await service.post("/v1/people", {"name": "Ada Example", "contact": "ada@example.org"})
    size = person["size"]
    assert (await service.get(f"/v1/people/{person['id']}"))["name"] == "Ada Example"
    await service.post(
        f"/v1/people/{person['id']}/erase", {"authority": "the court", "reason": "asked to be forgotten"}
    )
    for as_of in (str(size), str(size + 1)):
        read = await service.get(f"/v1/people/{person['id']}", as_of=as_of)
        assert read["name"] == {"erased": True}
        assert read["contact"] == {"erased": True}
    again = {"party": (await a_cooperation(service))[1], "post": "adviser"}
    refused = await service.post(f"/v1/people/{person['id']}/appoint", again, status=409)
    assert refused["code"] == "person-erased"


def told_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (one["kind"], one["item"].get("id") or one["item"].get("type") or one["item"]["post"]) for one in page["items"]
    ]


async def test_a_timeline_tells_of_everything_in_order(service: Service) -> None:
    cooperation, visit, one, other = await a_visit(service)
    meeting = {"held": "2019-06-18", "participants": [{"party": one}, {"party": other}]}
    met = (await service.post(f"/v1/cooperations/{cooperation}/meetings", meeting))["id"]
    topic = {"topic": {"kind": "dialogue", "subject": "talks"}}
    raised = (await service.post(f"/v1/cooperations/{cooperation}/topics", topic))["id"]
    await service.post(f"/v1/cooperations/{cooperation}/suspend", {"reason": "a pause"})
    await service.post(f"/v1/parties/{one}/rename", {"name": "Ministry of More Tests"})
    person = (await service.post("/v1/people", {"name": "Ada Example"}))["id"]
    await service.post(f"/v1/people/{person}/appoint", {"party": one, "post": "adviser"})
    told = [
        ("meeting", met),
        ("visit", visit),
        ("cooperation", cooperation),
        ("change", "registry.cooperation-suspended.v1"),
        ("topic", raised),
    ]
    of_party = [("party", one), ("change", "registry.party-renamed.v1"), ("post", "adviser")]
    for address, expected in (
        (f"/v1/cooperations/{cooperation}/timeline", told),
        (f"/v1/parties/{one}/timeline", told + of_party),
    ):
        page = await service.get(address)
        assert told_of(page)[:2] == told[:2]
        assert sorted(told_of(page)) == sorted(expected)
        pages = [await service.get(address, limit=1)]
        while pages[-1]["next"]:
            pages.append(await service.get(address, limit=1, cursor=pages[-1]["next"]))
        assert [one for each in pages for one in told_of(each)] == told_of(page)
    by_country = await service.get("/v1/statistics", by="country")
    assert [(item["key"], item["meetings"], item["visits"]) for item in by_country["items"]] == [
        ("AZ", 1, 1),
        ("FR", 1, 1),
    ]
    by_month = await service.get("/v1/statistics", by="month")
    assert [(item["key"], item["meetings"], item["visits"]) for item in by_month["items"]] == [
        ("2019-06", 1, 0),
        ("2019-07", 0, 1),
    ]
    assert [item["key"] for item in (await service.get("/v1/statistics", by="stage"))["items"]] == ["suspended"]
    assert (await service.get("/v1/statistics", by="field"))["items"] == []


async def test_statistics_count_the_same_things_whatever_they_are_counted_by(service: Service) -> None:
    counts = ("meetings", "visits", "rounds")

    async def counted() -> list[tuple[int, ...]]:
        answers = [
            (await service.get("/v1/statistics", by=by))["items"] for by in ("country", "field", "stage", "month")
        ]
        return [tuple(sum(item[one] for item in items if item["key"] != "FR") for one in counts) for items in answers]

    parties = await two_parties(service)
    both = [{"party": one} for one in parties]
    body = {"title": "Counted", "parties": parties, "fields": ["research"]}
    cooperation = (await service.post("/v1/cooperations", body))["id"]
    address = f"/v1/cooperations/{cooperation}"
    await service.post(f"{address}/meetings", {"held": "2019-06-18", "participants": both})
    ids: list[str] = []
    for window in ("2031-04", "2031-05", "2031-06"):
        visit = {"visitors": both[1:], "host": parties[0], "place": {"country": "AZ"}, "purpose": "to see"}
        ids.append((await service.post(f"{address}/visits", {**visit, "window": window}))["id"])
    round_ = {"participants": both, "place": {"country": "AZ"}, "subject": "talks", "window": "2031-04"}
    await service.post(f"{address}/rounds", round_)
    assert await counted() == [(1, 3, 1)] * 4
    await service.post(f"{address}/visits/{ids[0]}/cancel", {"reason": "no"})
    assert await counted() == [(1, 2, 1)] * 4
    await service.post(f"{address}/visits/{ids[1]}/held", {"held": "2019-07-01", "participants": both})
    assert await counted() == [(1, 2, 1)] * 4
    await service.post(f"{address}/conclude", {"reason": "done"})
    assert await counted() == [(1, 1, 0)] * 4
    by_month = (await service.get("/v1/statistics", by="month"))["items"]
    assert [(item["key"], item["cooperations"], item["visits"]) for item in by_month] == [
        ("2019-06", 1, 0),
        ("2019-07", 1, 1),
    ]


async def test_a_month_is_known_if_it_was_stated_without_doubt(service: Service) -> None:
    cooperation, *parties = await a_cooperation(service)
    both = [{"party": one} for one in parties]
    for held in ("2019-06?", "2019-06~", "2019-05/2019-06", "2019-06/..", "2019", "2019-06-03/2019-06-04"):
        await service.post(f"/v1/cooperations/{cooperation}/meetings", {"held": held, "participants": both})
    by_month = (await service.get("/v1/statistics", by="month"))["items"]
    assert [(item["key"], item["meetings"]) for item in by_month] == [("2019-06", 1)]


async def test_a_commitment_rests_on_the_entry_that_says_when_it_is_due(service: Service) -> None:
    cooperation, visit, *_ = await a_visit(service)
    roadmap = {"agreed": "2019-06", "milestones": [{"title": "Drawings", "due": "2020"}]}
    agreed = await service.post(f"/v1/cooperations/{cooperation}/roadmaps", roadmap)
    (milestone,) = (await service.get(f"/v1/roadmaps/{agreed['id']}"))["milestones"]
    for key, address, field in (
        (visit, f"/v1/cooperations/{cooperation}/visits/{visit}", "window"),
        (
            milestone["id"],
            f"/v1/cooperations/{cooperation}/roadmaps/{agreed['id']}/milestones/{milestone['id']}",
            "due",
        ),
    ):
        promised = await service.get(f"/v1/commitments/{key}")
        await service.post(
            f"/v1/log/entries/{promised['position']}/correct",
            {"replacement": await replaced(service, promised["position"], note="as promised"), "reason": "a note"},
        )
        moved = await service.post(
            f"{address}/reschedule", {field: "2021", "note": "moved", "classification": "public"}
        )
        position = moved["entries"][0]["position"]
        read = await service.get(f"/v1/commitments/{key}")
        assert (read["due"], read["position"], read["note"]) == ("2021", position, "moved")
        assert read["classification"] == "internal"  # which the promise is
        correction = {"replacement": await replaced(service, position, **{field: "2022"}), "reason": "misread"}
        await service.post(f"/v1/log/entries/{position}/correct", correction)
        read = await service.get(f"/v1/commitments/{key}")
        assert (read["due"], read["position"]) == ("2022", position)
        assert [made["reason"] for made in read["corrections"]] == ["a note", "misread"]
        await service.post(f"/v1/log/entries/{position}/retract", {"reason": "never"})
        read = await service.get(f"/v1/commitments/{key}")
        assert (read["due"], read["position"]) == (promised["due"], promised["position"])


async def replaced(service: Service, position: int, **changed: Any) -> dict[str, Any]:
    return {**(await service.get(f"/v1/log/entries/{position}"))["data"], **changed}


async def test_a_single_commitment_is_overdue_as_of_the_day_asked_about(service: Service) -> None:
    _, visit, *_ = await a_visit(service)
    for on, overdue in (("2019-07-31", False), ("2019-08-01", True)):
        assert (await service.get(f"/v1/commitments/{visit}", on=on))["overdue"] is overdue
    refused = await service.get(f"/v1/commitments/{visit}", on="July", status=422)
    assert [problem["parameter"] for problem in refused["errors"]] == ["on"]
    await service.get(f"/v1/visits/{visit}", on="2019-07-31", status=422)


@pytest.mark.parametrize("window", ["2019-07?", "2019-07~", "2019-06/2019-07%", "2019-07/.."])
async def test_what_is_not_certainly_past_is_not_overdue(service: Service, window: str) -> None:
    cooperation, visit, *_ = await a_visit(service)
    await service.post(f"/v1/cooperations/{cooperation}/visits/{visit}/reschedule", {"window": window})
    then: dict[str, Any] = {"on": "2019-09-01"}
    assert (await service.get(f"/v1/commitments/{visit}", **then))["overdue"] is False
    assert (await service.get("/v1/commitments", overdue="true", **then))["items"] == []
    for query in ({"overdue": "false"}, {"overdue": "false", "due_to": "2019-08-31"}):
        (item,) = (await service.get("/v1/commitments", **query, **then))["items"]
        assert (item["id"], item["overdue"]) == (visit, False)
    assert (await service.get("/v1/commitments", due_to="2019-08-31", certain="true", **then))["items"] == []


async def test_pages_of_what_is_overdue_are_all_of_the_day_of_the_first(database: Database, tmp_path: Path) -> None:
    clock = StoppedClock(datetime(2026, 3, 31, 23, 59, tzinfo=UTC))
    async with running(database, tmp_path, clock=clock) as service:
        cooperation, one, other = await a_cooperation(service)
        visit = {"visitors": [{"party": other}], "host": one, "place": {"country": "AZ"}, "purpose": "to go on"}
        for window in ("2026-03-29", "2026-03-30", "2026-03-31"):
            await service.post(f"/v1/cooperations/{cooperation}/visits", {**visit, "window": window})
        for overdue, due in (("true", ["2026-03-29", "2026-03-30"]), ("false", ["2026-03-31"]), (None, [])):
            query: dict[str, Any] = {"overdue": overdue} if overdue else {}
            clock.moment = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
            pages = [await service.get("/v1/commitments", limit=1, **query)]
            clock.moment = datetime(2026, 4, 1, 0, 1, tzinfo=UTC)
            while pages[-1]["next"]:
                pages.append(await service.get("/v1/commitments", limit=1, cursor=pages[-1]["next"], **query))
            items = [item for page in pages for item in page["items"]]
            assert [item["due"] for item in items] == (due or ["2026-03-29", "2026-03-30", "2026-03-31"])
            assert [item["overdue"] for item in items] == [item["due"] < "2026-03-31" for item in items]


async def test_what_is_overdue_as_of_a_size_is_so_on_the_day_on_which_it_was_reached(
    database: Database, tmp_path: Path
) -> None:
    clock = StoppedClock(datetime(2026, 3, 31, 23, 59, tzinfo=UTC))
    async with running(database, tmp_path, clock=clock) as service:
        cooperation, one, other = await a_cooperation(service)
        visit = {"visitors": [{"party": other}], "host": one, "place": {"country": "AZ"}, "purpose": "to go on"}
        made = [
            await service.post(f"/v1/cooperations/{cooperation}/visits", {**visit, "window": window})
            for window in ("2026-03-30", "2026-03-31")
        ]
        early, late = (one["id"] for one in made)
        size = (await service.get("/v1/commitments"))["as_of"]["size"]
        clock.moment = datetime(2026, 4, 2, 12, 0, tzinfo=UTC)
        asked: list[tuple[dict[str, Any], list[str]]] = [
            ({"as_of": size}, [early]),
            ({"as_of": size, "on": "2026-04-01"}, [early, late]),
            ({"as_of": size, "on": "2026-03-30"}, []),
            ({"as_of": "2026-04-01T00:00:00Z"}, [early, late]),
            ({}, [early, late]),
        ]
        for query, overdue in asked:
            listed = await service.get("/v1/commitments", overdue="true", **query)
            assert [item["id"] for item in listed["items"]] == overdue, query
            for key in (early, late):
                item = await service.get(f"/v1/commitments/{key}", **query)
                assert item["overdue"] is (key in overdue), query
        assert (await service.get("/v1/commitments", overdue="true", as_of=0))["items"] == []
        first = await service.get("/v1/commitments", limit=1, as_of=size)
        rest = await service.get("/v1/commitments", limit=1, as_of=size, cursor=first["next"])
        assert [item["overdue"] for item in (*first["items"], *rest["items"])] == [True, False]


async def test_what_others_rest_on_is_not_retracted(service: Service) -> None:
    cooperation, visit, one, _ = await a_visit(service)
    registered = (await service.get(f"/v1/parties/{one}"))["position"]
    opened = (await service.get(f"/v1/cooperations/{cooperation}"))["position"]
    scheduled = (await service.get(f"/v1/visits/{visit}"))["position"]
    refused = await service.post(f"/v1/log/entries/{registered}/retract", {"reason": "no such party"}, status=409)
    assert refused["code"] == "rested-upon"
    assert f"cooperation/{cooperation}" in refused["detail"]
    for position in (scheduled, opened, registered):  # the other way round nothing is in the way
        await service.post(f"/v1/log/entries/{position}/retract", {"reason": "never was"})
    await service.get(f"/v1/parties/{one}", status=404)
    assert (await service.get("/v1/cooperations"))["items"] == []


async def test_who_took_part_in_a_held_visit_finds_it_at_the_date_on_which_it_was_held(service: Service) -> None:
    parties = [
        (await service.post("/v1/parties", {"name": name, "kind": "company", "country": "FR"}))["id"]
        for name in ("Guest", "Host", "Third")
    ]
    guest, host, third = parties
    cooperation = (await service.post("/v1/cooperations", {"title": "Three", "parties": parties}))["id"]
    address = f"/v1/cooperations/{cooperation}"
    promised = {"place": {"country": "FR"}, "window": "2019-01"}
    visit = (
        await service.post(
            f"{address}/visits", {**promised, "visitors": [{"party": guest}], "host": host, "purpose": "to see"}
        )
    )["id"]
    both = [{"party": guest}, {"party": host}]
    round_ = (await service.post(f"{address}/rounds", {**promised, "participants": both, "subject": "talks"}))["id"]
    came = [{"party": host}, {"party": third}]
    await service.post(f"{address}/meetings", {"held": "2019-02-10", "participants": both})
    for things, key in (("visits", visit), ("rounds", round_)):
        await service.post(f"{address}/{things}/{key}/held", {"held": "2019-03-03", "participants": came})
        assert [item["id"] for item in (await service.get(f"/v1/{things}", party=third))["items"]] == [key]
        assert len((await service.get(f"/v1/{things}", window_to="2019-01-31"))["items"]) == 1
        for held, expected in (("2019-03-03", [key]), ("2019-03-04", []), ("2019-01-01", [])):
            found = await service.get(f"/v1/{things}", held_from=held, held_to=held, certain="true")
            assert [item["id"] for item in found["items"]] == expected
    told = (await service.get(f"/v1/parties/{third}/timeline"))["items"]
    assert {"visit", "round"} <= {item["kind"] for item in told}
    dated = [one["kind"] for one in (await service.get(f"{address}/timeline"))["items"] if one["item"].get("held")]
    assert dated[0] == "meeting"
    by_month = await service.get("/v1/statistics", by="month")
    assert [(item["key"], item["meetings"], item["visits"], item["rounds"]) for item in by_month["items"]] == [
        ("2019-02", 1, 0, 0),
        ("2019-03", 0, 1, 1),
    ]
