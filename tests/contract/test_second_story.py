"""A story of five years (`tests/stories/quiet_ferries`), recorded on its days and read back from the years after."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime
from typing import Any

import asyncpg
import jsonschema_rs
import pytest
import pytest_asyncio
from icalendar import Calendar

from events.codec import EVENT_TYPES
from projections import LISTED
from tests.stories.quiet_ferries.story import tell
from tests.stories.quiet_ferries.telling import Telling, text_of
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.projecting import assert_as_rebuilt
from tests.support.refusals import refused
from tests.support.service import StoppedClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

AFTER = "2025-06-30"
ERASED = {"erased": True}
UNCITED = {
    "registry.source-filed.v1",
    "registry.person-erased.v1",
    "registry.source-withdrawn.v1",
    # What the recorder got wrong, the papers know nothing of.
    "registry.entry-corrected.v1",
    "registry.entry-retracted.v1",
}


class Story(Telling):
    """The story as it was told, and the database that it is in."""

    def __init__(self, service: services.Service, clock: StoppedClock, database: Database) -> None:
        super().__init__(service, clock)
        self.database = database

    async def one(self, model: str, name: str, **query: Any) -> dict[str, Any]:
        """Read one thing by its name in the story."""
        read: dict[str, Any] = await self.service.get(f"/v1/{model}/{self.ids[name]}", **query)
        return read

    async def listed(self, model: str, **query: Any) -> list[str]:
        """List things by their names in the story; `$names` in a query are ids."""
        answer = await self.service.client.get(f"/v1/{model}", params=self.fill(query))
        assert answer.status_code == 200, answer.text
        return [self.name_of(item["id"]) for item in answer.json()["items"]]

    def name_of(self, key: str) -> str:
        """Return the name that a thing got when it was first told of."""
        return next(name for name, known in self.ids.items() if known == key)

    def at_end_of(self, day: str) -> str:
        """Return the size of the log when all of a day had been recorded."""
        return str(self.sizes[day])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    clock = StoppedClock(datetime(2021, 1, 1, tzinfo=UTC))
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path_factory.mktemp("story"), clock=clock) as running:
            story = Story(running, clock, database)
            await tell(story)
            story.today(AFTER)
            await running.get("/v1/parties")  # from here on the read models are there
            yield story
        await check_log(database.admin_dsn)


async def entries(story: Story) -> list[dict[str, Any]]:
    answer = await story.service.get("/v1/log/entries", limit=500)
    assert answer["next"] == answer["size"]
    found: list[dict[str, Any]] = answer["items"]
    return found


# The log


async def test_every_event_of_the_catalogue_occurs(story: Story) -> None:
    assert {entry["type"] for entry in await entries(story)} == EVENT_TYPES.keys()


async def test_every_entry_obeys_the_schema_that_it_names(story: Story) -> None:
    schemas: dict[str, jsonschema_rs.Validator] = {}
    for entry in await entries(story):
        served = entry["dataschema"].removeprefix("https://registry.test")
        if served not in schemas:
            schemas[served] = jsonschema_rs.validator_for(await story.service.get(served))
        schemas[served].validate(entry["data"])
    assert len(schemas) == len(EVENT_TYPES)


async def test_whatever_the_papers_say_cites_a_whole_sentence_of_them(story: Story) -> None:
    papers = {story.ids[name]: text_of(name) for name in story.ids if name.startswith(("20", "guests"))}
    uncited: set[str] = set()
    for entry in await entries(story):
        citations = entry["data"].get("citations", [])
        for cited in citations:
            assert (cited["start"], cited["end"]) in papers[cited["source"]].sentences()
        if not citations:
            uncited.add(entry["type"])
    assert uncited == UNCITED


async def test_the_log_and_the_read_models_are_as_they_have_to_be(story: Story) -> None:
    summary = await check_log(story.database.admin_dsn)
    assert summary.size == story.sizes["2025-04-07"]
    await assert_as_rebuilt(story.database)


# What stood when


@pytest.mark.parametrize(
    ("instant", "stages"),
    [
        ("2021-06-14T09:02:30Z", {}),
        ("2021-06-30T00:00:00Z", {"ferries": "contact", "cranes": "contact"}),
        ("2021-12-31T23:59:59+02:00", {"ferries": "negotiating", "cranes": "contact"}),
        ("2022-03-01T09:02:30Z", {"ferries": "roadmap", "cranes": "contact"}),
        ("2022-03-31T00:00:00Z", {"ferries": "agreed", "cranes": "negotiating", "repairs": "contact"}),
        ("2022-12-01T00:00:00Z", {"ferries": "agreed", "cranes": "suspended", "repairs": "contact"}),
        ("2023-07-01T00:00:00Z", {"ferries": "agreed", "cranes": "agreed", "repairs": "contact"}),
        ("2024-12-24T00:00:00Z", {"ferries": "agreed", "cranes": "abandoned", "repairs": "contact"}),
        ("2025-06-29T00:00:00Z", {"ferries": "concluded", "cranes": "abandoned", "repairs": "contact"}),
    ],
)
async def test_each_line_of_cooperation_stands_where_it_stood(
    story: Story, instant: str, stages: dict[str, str]
) -> None:
    listed = await story.service.get("/v1/cooperations", as_of=instant)
    assert {story.name_of(item["id"]): item["stage"] for item in listed["items"]} == stages
    for stage in set(stages.values()):
        named = {name for name, one in stages.items() if one == stage}
        assert set(await story.listed("cooperations", as_of=instant, stage=stage)) == named


async def test_what_suspended_resumed_and_ended_a_cooperation_is_told_with_its_reason(story: Story) -> None:
    cranes = await story.one("cooperations", "cranes")
    assert [(change["type"], change["details"]["reason"]) for change in cranes["changes"]] == [
        ("registry.cooperation-suspended.v1", "The workshop has to be rebuilt."),
        ("registry.cooperation-resumed.v1", "The workshop stands again."),
        ("registry.cooperation-abandoned.v1", "Its maker makes hoists only."),
    ]
    assert cranes["last_activity"] == "2023-06-05"
    ferries = await story.one("cooperations", "ferries")
    assert [change["type"] for change in ferries["changes"]] == ["registry.cooperation-concluded.v1"]
    assert ferries["changes"][0]["citations"][0]["quotation"].startswith("The Vaikus has been in service since")


@pytest.mark.parametrize(
    ("day", "promised", "overdue"),
    [
        ("2021-09-15", ["engineers_visit", "workshop_visit", "tallinn_round"], []),
        ("2021-12-01", ["tallinn_round"], []),
        ("2022-07-15", ["drawings", "battery", "pier", "trial", "some_time"], ["drawings"]),
        ("2022-12-01", ["pier", "trial", "some_time"], []),
        ("2023-06-11", ["pier", "trial", "narva_talks", "some_time"], ["pier", "trial", "narva_talks"]),
        ("2024-03-08", ["crane_visit", "some_time"], []),
        ("2024-03-09", ["crane_visit", "some_time"], ["crane_visit"]),
        ("2024-12-24", ["some_time"], []),
        ("2025-06-29", ["some_time"], []),
    ],
)
async def test_what_was_promised_is_known_and_what_was_overdue_on_a_day(
    story: Story, day: str, promised: list[str], overdue: list[str]
) -> None:
    then = {"as_of": f"{day}T12:00:00Z", "on": day}
    assert set(await story.listed("commitments", **then)) == set(promised)
    assert set(await story.listed("commitments", overdue="true", **then)) == set(overdue)
    assert set(await story.listed("commitments", overdue="false", **then)) == set(promised) - set(overdue)
    told = await story.service.get("/v1/commitments", as_of=then["as_of"], on=day)
    assert {story.name_of(item["id"]) for item in told["items"] if item["overdue"]} == set(overdue)


async def test_what_was_overdue_then_is_asked_of_the_day_that_is_asked_about(story: Story) -> None:
    assert await story.listed("commitments", overdue="true", as_of="2022-07-15T12:00:00Z") == ["drawings"]


# What became of what


async def test_milestones_were_met_missed_and_rescheduled(story: Story) -> None:
    roadmap = await story.one("roadmaps", "roadmap")
    fates = {story.name_of(one["id"]): (one["status"], one["due"]) for one in roadmap["milestones"]}
    assert fates == {
        "drawings": ("met", "2022-06"),
        "battery": ("missed", "2022-09-30"),
        "pier": ("met", "2023-03"),
        "trial": ("met", "2023-05"),
    }
    (pier,) = [one for one in roadmap["milestones"] if one["id"] == story.ids["pier"]]
    assert [(change["type"], change["details"].get("due")) for change in pier["changes"]] == [
        ("registry.milestone-rescheduled.v1", "2023-03"),
        ("registry.milestone-met.v1", None),
    ]


async def test_visits_and_rounds_were_rescheduled_held_and_cancelled(story: Story) -> None:
    visit = await story.one("visits", "engineers_visit")
    assert (visit["status"], visit["window"], visit["held"]) == (
        "held",
        "2021-11-01/2021-11-05",
        "2021-11-02/2021-11-04",
    )
    assert visit["changes"][0]["details"]["reason"] == "The masts are being painted."
    before = await story.one("visits", "engineers_visit", as_of=story.at_end_of("2021-06-14"))
    assert (before["status"], before["window"], before["held"]) == ("scheduled", "2021-09", None)
    talks = await story.one("rounds", "tallinn_round")
    assert (talks["status"], talks["window"], talks["outcome"]) == (
        "held",
        "2022-02",
        "A hull was chosen for the Vaikus.",
    )
    for model, name in (("visits", "workshop_visit"), ("rounds", "narva_talks")):
        assert (await story.one(model, name))["status"] == "cancelled"
    assert await story.listed("visits", status="cancelled", country="PT") == ["workshop_visit"]
    assert await story.listed("rounds", status="held") == ["tallinn_round"]


async def test_agreements_were_amended_and_terminated(story: Story) -> None:
    contract = await story.one("agreements", "memorandum")
    assert (contract["kind"], contract["reached"], contract["status"]) == ("contract", "2022-02-22", "in-force")
    assert contract["subject"] == "Building the Vaikus and a sister ship together"
    assert contract["names"][contract["document"]] == "Quayside Gazette of 2023-11-20"
    before = await story.one("agreements", "memorandum", as_of="2023-11-01T00:00:00Z")
    assert (before["kind"], before["subject"]) == ("memorandum", "Building the Vaikus together")
    ended = await story.one("agreements", "understanding")
    assert (ended["status"], ended["terminated"]) == ("terminated", "2024-08-31")
    assert await story.listed("agreements", status="in-force") == ["memorandum"]


async def test_occasions_were_moved_and_cancelled(story: Story) -> None:
    conference = await story.one("occasions", "conference")
    assert (conference["dates"], conference["status"]) == ("2021-06-09/2021-06-11", "announced")
    assert (await story.one("occasions", "conference", as_of="5"))["dates"] == "2021-06-08/2021-06-10"
    assert await story.listed("occasions", status="cancelled") == ["baltic_conference"]
    assert await story.listed("meetings", occasion="$conference") == ["crane_meeting", "first_meeting"]


async def test_a_party_has_the_name_that_it_had_and_is_found_by_either(story: Story) -> None:
    maker = story.ids["crane_maker"]
    for instant, name, sectors in (
        ("2023-06-01T00:00:00Z", "Guindastes do Tejo Azul", ["cranes"]),
        ("2023-07-01T00:00:00Z", "Tejo Azul Sistemas", ["cranes", "hoists"]),
    ):
        party = await story.one("parties", "crane_maker", as_of=instant)
        assert (party["name"], party["sectors"]) == (name, sectors)
        cranes = await story.one("cooperations", "cranes", as_of=instant)
        assert cranes["names"][maker] == name
    assert await story.listed("parties", identifier="YARDS:5150") == ["crane_maker"]


async def test_people_hold_and_held_their_posts(story: Story) -> None:
    head = await story.one("people", "head")
    assert [(post["post"], post["from"], post["until"], post["left"]) for post in head["posts"]] == [
        ("head", None, "2023-05", True),
        ("adviser", "2023-06", None, False),
    ]
    assert await story.listed("people", party="$department") == []
    assert await story.listed("people", ever="$department") == ["head"]
    assert await story.listed("people", party="$department", as_of="2022-01-01T00:00:00Z") == ["head"]
    assert await story.listed("people", party="$directorate") == ["head"]


# Corrections and retractions


async def test_personal_data_is_corrected_sealed_and_not_once_it_is_erased(story: Story) -> None:
    director = await story.one("people", "director")
    assert (director["name"], director["contact"]) == ("Rui Exemplo", "office@tejo-azul.example")
    assert [one["position"] for one in director["corrections"]] == [story.positions["reached_how"]]
    before = await story.one("people", "director", as_of=story.at_end_of("2021-05-31"))
    assert before["contact"] is None
    entry = await story.service.client.get(f"/v1/log/entries/{story.positions['reached_how']}")
    assert "tejo-azul" not in entry.text
    correction = {"replacement": {"name": "Somebody"}, "reason": "It was somebody else."}
    path = f"/v1/log/entries/{story.positions['engineer']}/correct"
    refused(await story.service.client.post(path, json=correction), 404, "not-found", "?position")


async def test_a_correction_of_a_correction_says_by_which_entry_and_why(story: Story) -> None:
    held = {
        "2021-06-14": "2021-06-09",
        "2022-10-24": "2021-06-09",
        "2022-11-07": "2021-06-10",
        "2024-09-30": "2021-06-10",
        "2025-04-07": "2021-06-09/2021-06-10",
    }
    for day, when in held.items():
        assert (await story.one("meetings", "first_meeting", as_of=story.at_end_of(day)))["held"] == when
    meeting = await story.one("meetings", "first_meeting")
    assert [(one["position"], one["recorded_at"][:10], one["reason"]) for one in meeting["corrections"]] == [
        (story.positions["on_10_June"], "2022-11-07", "The Gazette had the wrong day."),
        (
            story.positions["through_the_night"],
            "2025-04-07",
            "The correction was wrong in its turn: it was both days.",
        ),
    ]
    assert meeting["position"] == story.positions["first_meeting"]
    assert [cited["quotation"] for cited in meeting["citations"]] == [
        "Their first meeting, it turns out, lasted through the night from 9 to 10 June 2021."
    ]
    original = await story.service.get(f"/v1/log/entries/{meeting['position']}")
    assert original["data"]["held"] == "2021-06-09"
    assert await story.listed("meetings", cooperation="$ferries", held_to="2021-06-09") == ["first_meeting"]
    assert await story.listed("meetings", cooperation="$ferries", held_to="2021-06-09", certain="true") == []


async def test_what_was_retracted_is_gone_and_was_there(story: Story) -> None:
    await story.service.get(f"/v1/agreements/{story.ids['two_more_ferries']}", status=404)
    assert await story.one("agreements", "two_more_ferries", as_of="2022-11-01T00:00:00Z")
    assert await story.listed("meetings", cooperation="$ferries") == ["first_meeting"]
    retraction = await story.service.get(f"/v1/log/entries/{story.positions['no_contract']}")
    assert (retraction["data"]["retracts"], retraction["data"]["reason"]) == (
        story.positions["two_more_ferries"],
        "The Gazette was wrong.",
    )


async def test_what_was_retracted_by_mistake_is_there_again(story: Story) -> None:
    there = ["service_centre_talks"]
    mistake = story.positions["by_mistake"]
    for size, expected in ((mistake, there), (mistake + 1, []), (mistake + 2, there)):
        assert await story.listed("negotiations", cooperation="$cranes", as_of=str(size)) == expected


async def test_what_others_rest_on_cannot_be_retracted_and_the_answer_says_which(story: Story) -> None:
    for name, because, code in (
        ("building", "first_meeting", "rested-upon"),
        ("engineers_visit", "later", "rested-upon"),
        ("ferries", "building", "rested-upon"),
        ("roadmap", "drawings_met", "rested-upon"),
        ("cranes_rest", "taken_up_again", "cooperation-not-suspended"),
    ):
        address = f"/v1/log/entries/{story.positions[name]}/retract"
        answer = await story.service.client.post(address, json={"reason": "It never was."})
        problem = refused(answer, 409, code, "?position")
        assert f"entry {story.positions[because]} would break a rule" in problem["detail"]


# Parties that became one


async def test_merged_parties_are_found_under_both_ids(story: Story) -> None:
    both = ("dockyard", "meretuul")
    for party in both:
        met = await story.listed("meetings", party=f"${party}")
        assert met == ["repairs_again", "repair_meeting", "first_meeting"]
        assert set(await story.listed("cooperations", party=f"${party}")) == {"ferries", "repairs"}
        assert await story.listed("commitments", party=f"${party}") == ["some_time"]
        timeline = await story.service.get(f"/v1/parties/{story.ids[party]}/timeline")
        told = {story.name_of(thing["item"]["id"]) for thing in timeline["items"] if thing["kind"] in DATED}
        assert {"first_meeting", "repair_meeting", "memorandum", "conference"} <= told
    before = {"as_of": "2023-03-01T00:00:00Z"}
    assert await story.listed("meetings", party="$dockyard", **before) == ["repair_meeting"]
    assert await story.listed("meetings", party="$meretuul", **before) == ["first_meeting"]


async def test_a_merged_party_still_answers_and_names_its_survivor(story: Story) -> None:
    dockyard = await story.one("parties", "dockyard")
    assert (dockyard["name"], dockyard["merged_into"]) == ("Põhjatäht Dokid", story.ids["meretuul"])
    assert dockyard["names"][story.ids["meretuul"]] == "Meretuul Laevatehas"
    answer = await story.service.client.post(f"/v1/parties/{dockyard['id']}/rename", json={"name": "Again"})
    refused(answer, 409, "party-merged", "?id")


# What is forgotten


async def test_the_erased_person_is_in_no_answer_whatever_is_asked_and_as_of_when(story: Story) -> None:
    asked = [(f"/v1/{model.name}", {"as_of": str(size)}) for model in LISTED for size in story.sizes.values()]
    asked += [("/v1/search", {"q": word, "as_of": "14"}) for word in ("Tiit", "Naidis", "chief engineer")]
    asked += [("/v1/log/entries", {"limit": "500"}), ("/v1/calendar.ics", {})]
    asked += [(f"/v1/parties/{story.ids['meretuul']}/timeline", {}), (f"/v1/people/{story.ids['engineer']}", {})]
    for path, query in asked:
        for form in ("application/json", "text/csv", "application/x-ndjson"):
            answer = await story.service.client.get(path, params=query, headers={"Accept": form})
            assert answer.status_code == 200, answer.text
            names_nobody(answer.text, path)
    engineer = await story.one("people", "engineer", as_of=story.at_end_of("2021-05-31"))
    assert (engineer["name"], engineer["contact"]) == (ERASED, ERASED)
    visit = await story.one("visits", "engineers_visit")
    assert visit["names"][engineer["id"]] == ERASED
    (change,) = (await story.one("people", "engineer"))["changes"]
    assert change["details"]["authority"] == "Data protection officer of the registry"


async def test_the_erased_person_is_nowhere_in_the_database(story: Story) -> None:
    connection = await asyncpg.connect(story.database.admin_dsn)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        assert "log.entry" in {table["name"] for table in tables}
        for table in tables:
            for row in await connection.fetch(f"SELECT * FROM {table['name']}"):
                stored = " ".join(
                    value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in row.values()
                )
                names_nobody(stored, table["name"])
        owners = [row["owner"] for row in await connection.fetch("SELECT owner FROM vault.key")]
    finally:
        await connection.close()
    assert f"person/{story.ids['engineer']}" not in owners
    assert f"person/{story.ids['head']}" in owners


def names_nobody(text: str, where: str) -> None:
    folded = text.casefold()
    for trace in ("tiit", "näidis", "naidis", "n\\u00e4idis"):
        assert trace not in folded, where


async def test_the_withdrawn_source_is_quoted_no_more_at_any_size(story: Story) -> None:
    source = story.ids["guests-2021"]
    for size in (story.at_end_of("2021-05-31"), str(story.sizes["2025-04-07"])):
        for model in ("people", "parties"):
            listed = await story.service.get(f"/v1/{model}", as_of=size)
            quoted = [cited for item in listed["items"] for cited in item["citations"]]
            assert {cited["quotation"] is None for cited in quoted if cited["source"] == source} == {True}
            assert all(cited["quotation"] for cited in quoted if cited["source"] != source)
            assert listed["names"][source] == "Guests of the conference"
    withdrawn = await story.one("sources", "guests-2021")
    assert (withdrawn["withdrawn"], withdrawn["size"]) == (True, len(text_of("guests-2021").content))
    answer = await story.service.client.get(f"/v1/documents/{withdrawn['sha256']}")
    refused(answer, 404, "not-found", "?sha256")
    cited = {"citations": [{"source": source, "start": 0, "end": 5}], "name": "A", "kind": "company", "country": "NO"}
    answer = await story.service.client.post("/v1/parties", json=cited)
    refused(answer, 409, "source-withdrawn", "/citations/0/source")


# Overviews


DATED = {"meeting", "negotiations", "roadmap", "visit", "round", "agreement", "occasion"}
"""What in a timeline stands at the date it is said to be of, not at that of its recording."""


async def test_a_timeline_tells_what_happened_in_the_order_of_its_dates(story: Story) -> None:
    told = {
        "ferries": [
            ("meeting", "first_meeting"),
            ("visit", "engineers_visit"),
            ("negotiations", "who_pays"),
            ("round", "tallinn_round"),
            ("roadmap", "roadmap"),
            ("agreement", "memorandum"),
            ("round", "narva_talks"),
        ],
        "cranes": [
            ("meeting", "crane_meeting"),
            ("visit", "workshop_visit"),
            ("negotiations", "service_centre_talks"),
            ("agreement", "understanding"),
            ("visit", "crane_visit"),
        ],
        "repairs": [("round", "some_time"), ("meeting", "repair_meeting"), ("meeting", "repairs_again")],
    }
    for name, things in told.items():
        timeline = await story.service.get(f"/v1/cooperations/{story.ids[name]}/timeline")
        dated = [thing for thing in timeline["items"] if thing["kind"] in DATED]
        found = [(thing["kind"], story.name_of(thing["item"]["id"])) for thing in dated]
        assert sorted(found) == sorted(things)
        assert {thing["kind"] for thing in timeline["items"]} >= {"cooperation"}
        # The round's window begins before the roadmap that it led to; what is undated comes first.
        dates = [story_date(thing["item"]) for thing in dated]
        assert dates == sorted(dates)


def story_date(item: dict[str, Any]) -> str:
    stated = item.get("window") or item.get("held") or item.get("agreed") or item.get("reached") or ""
    return str(stated)[:7]


def counts(answer: dict[str, Any], *kinds: str) -> dict[str, tuple[int, ...]]:
    return {item["key"]: tuple(item[kind] for kind in kinds) for item in answer["items"]}


async def test_statistics_count_what_there_is_and_what_there_was(story: Story) -> None:
    by_country = await story.service.get("/v1/statistics", by="country")
    assert counts(by_country, "cooperations", "meetings", "agreements") == {
        "EE": (2, 3, 1),
        "NO": (3, 4, 2),
        "PT": (1, 1, 1),
    }
    by_field = await story.service.get("/v1/statistics", by="field")
    assert counts(by_field, "cooperations", "roadmaps") == {"cranes": (1, 0), "ferries": (2, 1), "shore-power": (1, 1)}
    by_stage = await story.service.get("/v1/statistics", by="stage")
    assert counts(by_stage, "cooperations") == {"abandoned": (1,), "concluded": (1,), "contact": (1,)}
    then = await story.service.get("/v1/statistics", by="stage", as_of="2022-11-01T00:00:00Z")
    assert counts(then, "cooperations", "agreements") == {"agreed": (1, 2), "contact": (1, 0), "suspended": (1, 0)}


async def test_a_month_counts_what_happened_in_it_and_not_what_did_not(story: Story) -> None:
    by_month = await story.service.get("/v1/statistics", by="month")
    assert counts(by_month, "cooperations", "meetings", "negotiations", "visits", "rounds", "agreements") == {
        "2021-06": (2, 2, 0, 0, 0, 0),
        "2021-11": (1, 0, 1, 1, 0, 0),
        "2022-01": (1, 0, 1, 0, 0, 0),
        "2022-02": (2, 1, 0, 0, 1, 1),
        "2023-03": (1, 1, 0, 0, 0, 0),
        "2023-06": (1, 0, 0, 0, 0, 1),
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pohjataht dokid", {"dockyard"}),
        ("guindastes", {"crane_maker"}),
        ("SISTEMAS", {"crane_maker"}),
        ("hoists", {"crane_maker"}),
        ("5150", {"crane_maker"}),
        ("eksempel", {"head"}),
        ("vaikus", {"memorandum", "drawings", "trial", "tallinn_round"}),
        ("two more ferries", set[str]()),
        ("stille", {"directorate"}),
        ("quiet harbours", {"conference", "baltic_conference", "guests-2021"}),
        ("masts fit", {"engineers_visit"}),
    ],
)
async def test_things_are_found_by_their_words(story: Story, text: str, found: set[str]) -> None:
    assert set(await story.listed("search", q=text)) == found


async def test_a_calendar_shows_what_is_to_come_was_moved_held_and_cancelled(story: Story) -> None:
    token, _ = await story.service.token("reader", name="calendar")
    async with story.service.anonymous() as client:
        answer = await client.get("/v1/calendar.ics", params={"token": token})
        assert answer.status_code == 200, answer.text
    shown = {story.name_of(str(one["UID"]).partition("@")[0]): one for one in events_of(answer.content)}
    days = {
        name: (one.decoded("dtstart"), one.decoded("dtend"), str(one["STATUS"]), int(one["SEQUENCE"]))
        for name, one in shown.items()
    }
    assert days == {
        "engineers_visit": (date(2021, 11, 2), date(2021, 11, 5), "CONFIRMED", 2),
        "workshop_visit": (date(2021, 10, 1), date(2021, 11, 1), "CANCELLED", 1),
        "tallinn_round": (date(2022, 2, 21), date(2022, 2, 23), "CONFIRMED", 2),
        "narva_talks": (date(2023, 5, 1), date(2023, 6, 1), "CANCELLED", 1),
        "crane_visit": (date(2024, 3, 4), date(2024, 3, 9), "CANCELLED", 1),  # with its cooperation
    }
    assert str(shown["engineers_visit"]["LOCATION"]) == "Bergen, NO"
    then = await story.service.client.get("/v1/calendar.ics", params={"as_of": "2024-01-01T00:00:00Z"})
    statuses = {story.name_of(str(one["UID"]).partition("@")[0]): str(one["STATUS"]) for one in events_of(then.content)}
    assert statuses["crane_visit"] == "CONFIRMED"


def events_of(content: bytes) -> Iterable[Any]:
    return Calendar.from_ical(content).walk("VEVENT")


async def test_lists_come_as_tables_and_as_lines(story: Story) -> None:
    for model in LISTED:
        page = await story.service.get(f"/v1/{model.name}", limit=500)
        table = await story.service.client.get(f"/v1/{model.name}", headers={"Accept": "text/csv"})
        rows = list(csv.DictReader(io.StringIO(table.text)))
        assert [row["id"] for row in rows] == [item["id"] for item in page["items"]], model.name
        lines = await story.service.client.get(f"/v1/{model.name}", headers={"Accept": "application/x-ndjson"})
        for row, line, item in zip(rows, lines.text.splitlines(), page["items"], strict=True):
            names = {key: label for key, label in page["names"].items() if key in line}
            survivors = {key: party for key, party in page["survivors"].items() if key in line}
            assert json.loads(line) == {**item, "names": names, "survivors": survivors}, model.name
            assert row.keys() == {*item, "names", "survivors"}, model.name
            assert json.loads(row["citations"]) == item["citations"]
            assert json.loads(row["names"]) == names
    table = await story.service.client.get("/v1/visits", headers={"Accept": "text/csv"})
    statuses = {story.name_of(row["id"]): row["status"] for row in csv.DictReader(io.StringIO(table.text))}
    assert statuses == {"engineers_visit": "held", "workshop_visit": "cancelled", "crane_visit": "scheduled"}


# After the end


async def test_nothing_follows_the_end_of_a_cooperation(story: Story) -> None:
    size = (await story.service.parts.log.head()).size
    both = [{"party": story.ids["directorate"]}, {"party": story.ids["meretuul"]}]
    meeting = {"held": "2025-05", "participants": both}
    for name in ("ferries", "cranes"):
        path = f"/v1/cooperations/{story.ids[name]}/meetings"
        refused(await story.service.client.post(path, json=meeting), 409, "cooperation-closed", "?id")
    held = {"held": "2024-03-05", "participants": both}
    visit = story.fill("/v1/cooperations/$cranes/visits/$crane_visit/held")
    refused(await story.service.client.post(visit, json=held), 409, "cooperation-closed", "?id")
    assert (await story.service.parts.log.head()).size == size


async def test_a_thing_of_another_cooperation_is_not_found_and_it_is_said_which_id_that_was(story: Story) -> None:
    reason = {"reason": "It was not meant."}
    for path, wrong in (
        ("/v1/cooperations/$repairs/rounds/$tallinn_round/cancel", ["round_id"]),
        ("/v1/cooperations/$repairs/visits/$crane_visit/cancel", ["visit_id"]),
        ("/v1/cooperations/$repairs/roadmaps/$roadmap/milestones/$battery/miss", ["roadmap_id", "milestone_id"]),
        ("/v1/cooperations/$no_cooperation/rounds/$tallinn_round/cancel", ["id"]),
    ):
        answer = await story.service.client.post(story.fill(path), json=reason)
        refused(answer, 404, "not-found", *(f"?{one}" for one in wrong))
