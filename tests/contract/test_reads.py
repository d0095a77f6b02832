"""Reading over HTTP: filters, as of any size and instant, pages that never shift, labels, entity tags, waiting."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio

from events.edtf import EdtfDate
from projections import LISTED, names
from projections.model import Listed
from services.registry.api import schemas
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Cluster
from tests.support.history import BEGIN, COOPERATIONS, FOUND, STEP, steps, visit
from tests.support.refusals import refused
from tests.support.service import StoppedClock, execute
from tests.support.world import TEXT, World, meeting, party

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTS = [model.name for model in LISTED]


class Told(World):
    """The history as it was told: after each step the size, the instant, and what every list answered."""

    def __init__(self, service: services.Service, clock: StoppedClock) -> None:
        super().__init__(service)
        self.clock = clock
        self.moments: list[tuple[int, datetime]] = []
        self.answers: list[dict[str, bytes]] = []

    @property
    def size(self) -> int:
        """The size of the log when all was told."""
        return self.moments[-1][0]

    def name_of(self, key: str) -> str:
        return next(name for name, known in self.ids.items() if known == key)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def told(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    clock = StoppedClock(BEGIN)
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path_factory.mktemp("told"), clock=clock) as running:
            told = Told(running, clock)
            sha256 = await running.file(TEXT)
            for name, path, body in steps(sha256):
                clock.moment += STEP
                answer = await told.record(name, path, body)
                told.moments.append((answer["size"], clock.moment))
                told.answers.append(await what_is_answered(told, [*LISTS, answer["subject"]]))
            clock.moment += STEP
            yield told
        await check_log(database.admin_dsn)


async def what_is_answered(told: Told, what: list[str], as_of: int | None = None) -> dict[str, bytes]:
    """What lists and single things (named by their stream) answer, byte for byte."""
    size = (await told.service.parts.log.head()).size
    return {one: (await get(told, address(one), as_of=as_of, min_size=size)).content for one in what}


def address(what: str) -> str:
    kind, _, key = what.partition("/")
    kinds = {"party": "parties", "person": "people", "occasion": "occasions", "source": "sources"}
    return f"/v1/{kinds.get(kind, 'cooperations')}/{key}" if key else f"/v1/{what}"


async def get(told: World, path: str, *, status: int = 200, min_size: int = 0, **query: Any) -> Any:
    more = urlencode({name: value for name, value in query.items() if value is not None})
    address = told.fill(path) + ("&" if "?" in path else "?") * bool(more) + more
    answer = await told.service.client.get(address, headers={"Registry-Min-Size": str(min_size)})
    assert answer.status_code == status, answer.text
    return answer


# Filters


def every_filter(model: Listed) -> set[str]:
    names: set[str] = set()
    for one in model.filters:
        names |= {f"{one.name}_from", f"{one.name}_to", "certain"} if one.form == "dates" else {one.name}
    return names


@pytest.mark.parametrize("model", LISTED, ids=LISTS)
async def test_every_filter_finds_what_it_should_and_nothing_else(told: Told, model: Listed):
    tried: set[str] = set()
    for query, expected in FOUND[model.name].items():
        answer = (await get(told, f"/v1/{model.name}?{query}", as_of=told.size)).json()
        assert {told.name_of(item["id"]) for item in answer["items"]} == expected, query
        tried |= {pair.partition("=")[0] for pair in query.split("&") if pair}
    missing = {name for name in every_filter(model) - tried if not name.endswith(("_from", "_to", "certain"))}
    assert not missing, f"no query tries {missing}"


DATES = [
    *("2019-07-10", "2019-07", "2019", "201X", "20XX", "2019-XX", "2019-07-XX", "2019-21", "2019-24"),
    *("2019-07?", "2019-07~", "2019%", "2019-06-17/2019-07-10", "2019-07/..", "../2019-07", "2019-07/", "/2019-07"),
]
DAYS = [None, "0001-01-01", "2019-03-01", "2019-06-30", "2019-07-01", "2019-07-10", "2019-07-31", "2020-01-01"]


async def test_dates_are_found_as_uncertain_as_they_were_stated(told: Told):
    windows: dict[str, str] = {}
    await told.record("dated", COOPERATIONS, {"title": "Dated", "parties": ["$ministry", "$company"]})
    for window in DATES:
        answer = await told.record(f"dated {window}", f"{COOPERATIONS}/$dated/visits", visit(window))
        windows[answer["id"]] = window
    size = (await told.service.parts.log.head()).size
    for first in DAYS:
        for last in DAYS:
            if first and last and first > last:
                continue
            for certain in ("true", "false"):
                answer = await get(
                    told,
                    "/v1/visits?cooperation=$dated&limit=500",
                    min_size=size,
                    window_from=first,
                    window_to=last,
                    certain=certain,
                )
                found = {windows[item["id"]] for item in answer.json()["items"]}
                assert found == expected(first, last, certain=certain == "true"), (first, last, certain)


def expected(first: str | None, last: str | None, *, certain: bool) -> set[str]:
    since, until = (datetime.fromisoformat(day).date() if day else None for day in (first, last))
    parsed = {window: EdtfDate.parse(window) for window in DATES}
    return {
        window
        for window, when in parsed.items()
        if (when.must_lie_in(since, until) if certain else when.may_lie_in(since, until))
    }


# As of


@pytest.mark.parametrize("name", LISTS)
async def test_every_list_is_given_again_as_of_every_size_and_instant(told: Told, name: str):
    for (size, instant), answers in zip(told.moments, told.answers, strict=True):
        by_size = await get(told, f"/v1/{name}?as_of={size}")
        assert by_size.content == answers[name]
        assert by_size.headers["registry-size"] == str(size)
        last = instant + STEP - timedelta(microseconds=1)
        text = (instant.isoformat(), last.isoformat().replace("+00:00", "Z"))[size % 2]
        by_instant = await get(told, f"/v1/{name}", as_of=text)
        assert by_instant.content == answers[name]
        assert by_instant.headers["etag"] == by_size.headers["etag"]


async def test_every_single_thing_is_given_again_as_of_every_size_and_instant(told: Told):
    for (size, instant), answers in zip(told.moments, told.answers, strict=True):
        for stream in (what for what in answers if "/" in what):
            assert (await get(told, f"{address(stream)}?as_of={size}")).content == answers[stream]
            assert (await get(told, address(stream), as_of=instant.isoformat())).content == answers[stream]


async def test_an_instant_is_the_same_in_every_time_zone(told: Told):
    size, instant = told.moments[9]
    local = instant + timedelta(hours=4)
    for text in (local.strftime("%Y-%m-%dT%H:%M:%S+04:00"), instant.strftime("%Y-%m-%dt%H:%M:%S.000000000z")):
        assert (await get(told, "/v1/parties", as_of=text)).json()["as_of"]["size"] == size
    unescaped = local.strftime("%Y-%m-%dT%H:%M:%S+04:00")
    assert (await get(told, f"/v1/parties?as_of={unescaped}")).json()["as_of"]["size"] == size


async def test_before_anything_was_recorded_there_is_nothing(told: Told):
    as_of_nothing = {"size": 0, "recorded_at": None}
    for name in LISTS:
        for as_of in ("0", "1900-01-01T00:00:00Z", "0001-01-01T00:00:00Z"):
            answer = (await get(told, f"/v1/{name}?as_of={as_of}")).json()
            assert answer == {"items": [], "next": None, "names": {}, "survivors": {}, "as_of": as_of_nothing}


async def test_a_filter_finds_what_it_would_have_found_then(told: Told):
    sizes = {size: index for index, (size, _) in enumerate(told.moments)}
    stages: list[str] = []
    for size in sizes:
        answer = await get(told, "/v1/cooperations?party=$works", as_of=str(size))
        stages += [item["stage"] for item in answer.json()["items"]]
    distinct = [stage for number, stage in enumerate(stages) if number == 0 or stages[number - 1] != stage]
    assert distinct == ["contact", "negotiating", "roadmap", "agreed", "suspended", "agreed"]


async def test_things_recorded_at_one_instant_are_all_there_at_it_and_time_never_goes_back(told: Told):
    told.clock.moment += STEP
    instant = told.clock.moment
    before = (await told.service.parts.log.head()).size
    for number in range(3):
        await told.record(f"same {number}", "/v1/parties", party(f"Same {number}"))
    told.clock.moment -= 10 * STEP
    await told.record("late", "/v1/parties", party("Late"))
    told.clock.moment += 11 * STEP
    answer = await get(told, "/v1/parties", as_of=instant.isoformat(), min_size=before + 4)
    assert answer.json()["as_of"]["size"] == before + 4
    earlier = (instant - timedelta(microseconds=1)).isoformat()
    assert (await get(told, "/v1/parties", as_of=earlier)).json()["as_of"]["size"] == before


# Pages


async def walk(told: Told, first: Any, after: Any = None) -> list[Any]:
    """All pages from one on, following the links; `after` is done once in between."""
    pages = [first]
    while (link := pages[-1].headers.get("link")) is not None:
        found = re.fullmatch(r'<(/v1/[^>]+)>; rel="next"', link)
        assert found, link
        if after is not None:
            await after()
            after = None
        pages.append(await get(told, found[1]))
    return pages


@pytest.mark.parametrize("name", LISTS)
async def test_pages_of_one_make_the_whole(told: Told, name: str):
    for query in ("", "&as_of=20", "&as_of=2026-03-01T12:25:30Z"):
        whole = (await get(told, f"/v1/{name}?limit=500{query}")).json()
        assert whole["next"] is None
        for limit in (1, 3):
            pages = [page.json() for page in await walk(told, await get(told, f"/v1/{name}?limit={limit}{query}"))]
            assert [item for page in pages for item in page["items"]] == whole["items"]
            assert all(len(page["items"]) == limit for page in pages[:-1])
            assert {page["as_of"]["size"] for page in pages} == {whole["as_of"]["size"]}
            assert pages[-1]["next"] is None
            assert all(page["next"] for page in pages[:-1])
            assert {key: label for page in pages for key, label in page["names"].items()} == whole["names"]


async def test_a_cursor_taken_before_new_entries_keeps_its_pages(told: Told):
    async def more() -> None:
        for number in range(3):
            names = [f"{letter} new {number}" for letter in "AMZ"]
            for name in names:
                await told.record(name, "/v1/parties", party(name))
        await told.record("more", COOPERATIONS, {"title": "More", "parties": ["$ministry", "$company"]})
        for held in ("0001", "2019-06-18", "2026-01-01"):
            await told.record("more met", f"{COOPERATIONS}/$more/meetings", meeting(held))
        await told.service.get("/v1/parties")

    for path in ("/v1/parties?limit=2", "/v1/meetings?limit=1", "/v1/parties?limit=1&country=FR"):
        whole = await get(told, re.sub("limit=.", "limit=500", path))
        pages = await walk(told, await get(told, path), more)
        assert len(pages) > 1
        assert [item for page in pages for item in page.json()["items"]] == whole.json()["items"]
        assert {page.headers["registry-size"] for page in pages} == {whole.headers["registry-size"]}
        again = await get(told, re.sub("limit=.", "limit=500", path))
        assert len(again.json()["items"]) > len(whole.json()["items"])


async def test_the_cursor_in_the_body_is_the_one_of_the_link_and_takes_another_limit(told: Told):
    first = await get(told, "/v1/parties?limit=1&country=FR&sector=aerospace")
    cursor = first.json()["next"]
    if cursor is None:  # one company only
        first = await get(told, "/v1/parties?limit=1")
        cursor = first.json()["next"]
    assert f"cursor={cursor}" in first.headers["link"]
    rest = (await get(told, "/v1/parties", limit="500", cursor=cursor)).json()
    size = first.json()["as_of"]["size"]
    whole = (await get(told, f"/v1/parties?limit=500&as_of={size}")).json()
    assert first.json()["items"] + rest["items"] == whole["items"]


async def test_a_list_has_fifty_items_unless_asked_otherwise(told: Told):
    batch = [{"command": "register-party", "data": party(f"Party {number}", "DE")} for number in range(60)]
    await told.service.post("/v1/batch", {"commands": batch})
    listed = await told.service.get("/v1/parties", country="DE")
    assert len(listed["items"]) == 50
    assert listed["next"]
    assert len((await told.service.get("/v1/parties", country="DE", limit=500))["items"]) == 60


# Forms


@pytest.mark.parametrize("model", LISTED, ids=LISTS)
async def test_every_list_is_given_as_lines_and_as_a_table_too(told: Told, model: Listed):
    address = f"/v1/{model.name}?as_of={told.size}&limit=3"
    whole = await get(told, address)
    items, names = whole.json()["items"], whole.json()["names"]
    lines = await told.service.client.get(address, headers={"Accept": "application/x-ndjson"})
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    said = [json.loads(line) for line in lines.text.splitlines()]
    assert {key: label for item in said for key, label in item["names"].items()} == names
    survivors = whole.json()["survivors"]
    assert {key: party for item in said for key, party in item["survivors"].items()} == survivors
    assert [{key: value for key, value in item.items() if key not in ("names", "survivors")} for item in said] == items
    table = await told.service.client.get(address, headers={"Accept": "text/csv, application/json;q=0.5"})
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.content.count(b"\r\n") == len(items) + 1
    for row, item in zip(csv.DictReader(io.StringIO(table.text, newline="")), said, strict=True):
        assert row.keys() == item.keys()
        assert list(row)[-2:] == ["names", "survivors"]
        for name, cell in row.items():
            assert cell == ("" if item[name] is None else item[name]) or json.loads(cell) == item[name]
    for answer in (lines, table):
        assert answer.headers.get("link") == whole.headers.get("link")
        assert answer.headers["registry-size"] == whole.headers["registry-size"]
        assert answer.headers["vary"] == "Accept"
    assert len({answer.headers["etag"] for answer in (whole, lines, table)}) == 3


async def test_a_cell_may_hold_anything_that_a_text_may(told: Told):
    note = 'a "quoted" note, over\ntwo lines; with = and é'
    recorded = await told.record("odd", "/v1/parties", party("Odd, Ltd", "PT", note=note))
    answer = await told.service.client.get(
        "/v1/parties?country=PT", headers={"Accept": "text/csv", "Registry-Min-Size": str(recorded["size"])}
    )
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert (row["name"], row["note"]) == ("Odd, Ltd", note)


@pytest.mark.parametrize(
    "accept",
    [
        *("*/*", "application/*", "text/html, */*;q=0.1", "image/png", "", "nonsense;;", "a/b;q=x"),
        *("text/csv;q=0", "application/x-ndjson;q=0.000, */*", "*/*;q=0"),  # not acceptable
        *("text/csv;q=1e400", "text/csv;q=inf", "text/csv;q=nan", "text/csv;q=2", "text/csv;q=-1"),  # no weights
    ],
)
async def test_who_asks_for_nothing_that_there_is_gets_json(told: Told, accept: str):
    answer = await told.service.client.get("/v1/parties", headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"


async def test_what_is_asked_for_in_several_fields_is_asked_for_in_one(told: Told):
    for fields in (["application/json;q=0.1", "text/csv"], ["text/csv", "application/json;q=0.1"], ["", "text/csv"]):
        answer = await told.service.client.get("/v1/parties", headers=[("Accept", field) for field in fields])
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"


# Names, quotations, personal data


NAMED = re.compile(r"\b(?:party|person|occ|src|coop|topic|milestone)_[0-7][0-9a-z]{25}\b")


@pytest.mark.parametrize("name", LISTS)
async def test_every_id_that_has_a_label_comes_with_it(told: Told, name: str):
    answer = await get(told, f"/v1/{name}", as_of=told.size)
    names, survivors = answer.json()["names"], answer.json()["survivors"]
    items = answer.text[: answer.text.rindex('"names":')]
    assert set(names) == {*NAMED.findall(items), *survivors.values()}
    for item in answer.json()["items"]:
        single = (await get(told, f"/v1/{name}/{item['id']}", as_of=told.size)).json()
        assert single["names"].items() <= names.items()
        assert single["survivors"].items() <= survivors.items()
        assert {key: value for key, value in single.items() if key not in schemas.OF_ANSWERS} == item


async def test_the_document_says_which_things_have_labels_and_which_have_none():
    said = str(schemas.NAMES["description"])
    with_one, without = said.split("Meetings, ")
    words = {"party": "parties", "person": "people", "occ": "occasions", "src": "sources", "coop": "cooperations"}
    prefixes = ["person", *(prefix for model in names.NAMED for prefix in model.prefixes)]
    assert all(words.get(prefix, f"{prefix}s") in with_one for prefix in prefixes)
    for model in LISTED:
        if model.name not in (*words.values(), "meetings", "commitments"):
            assert model.name in without


async def test_labels_are_what_things_are_called(told: Told):
    names: dict[str, str] = {}
    for name in LISTS:
        names |= (await get(told, f"/v1/{name}")).json()["names"]
    for name, label in {
        "ministry": "Ministry",
        "ada": "Ada Example",
        "show": "Air Show",
        "report": "Report",
        "first": "First",
        "vehicles": "vehicles",
    }.items():
        assert names[told.ids[name]] == label
    assert {"Drawings", "A first vehicle"} <= set(names.values())


async def test_every_citation_comes_with_its_words_wherever_it_stands(told: Told):
    item = (await get(told, "/v1/parties/$ministry")).json()
    assert [cited["quotation"] for cited in item["citations"]] == ["One sentence."]
    post = (await get(told, "/v1/people/$ada")).json()["posts"][0]
    assert [cited["quotation"] for cited in post["citations"]] == ["The end."]
    delegation = (await get(told, "/v1/occasions/$show")).json()["delegations"][0]
    assert [cited["quotation"] for cited in delegation["citations"]] == ["One sentence."]
    topic = (await get(told, "/v1/cooperations/$first")).json()["topics"][0]
    assert [cited["quotation"] for cited in topic["citations"]] == ["they agreed on a roadmap."]
    roadmap = (await get(told, "/v1/roadmaps?cooperation=$first")).json()["items"][0]
    assert [cited["quotation"] for cited in roadmap["citations"]] == ["Another one: they agreed on a roadmap."]


async def test_what_can_no_longer_be_opened_reads_so_at_every_size(cluster: Cluster, tmp_path: Path):
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path) as running:
            world = World(running)
            for name, path, body in steps(await running.file(TEXT)):
                await world.record(name, path, body)
            await running.get("/v1/parties")
            destroy = "DELETE FROM vault.key WHERE owner = $1 OR owner LIKE 'document/%'"
            await execute(database.owner_dsn, destroy, f"person/{world.ids['ada']}")
            for as_of in (None, "7", "20"):
                ada = (await get(world, "/v1/people/$ada", as_of=as_of)).json()
                assert ada["name"] == {"erased": True}
                assert ada["contact"] == {"erased": True}
                assert ada["names"][world.ids["ada"]] == {"erased": True}
            assert (await get(world, "/v1/people/$bob")).json()["name"] == "Bob Example"
            met = (await get(world, "/v1/meetings/$met")).json()
            assert met["names"][world.ids["ada"]] == {"erased": True}
            item = (await get(world, "/v1/parties/$ministry")).json()
            assert [cited["quotation"] for cited in item["citations"]] == [None]


# Entity tags


@pytest.mark.parametrize(
    "path",
    [
        *(f"/v1/{name}" for name in LISTS),
        "/v1/parties/$ministry",
        "/v1/log/entries/0",
        "/v1/schemas",
        "/v1/schemas/registry.party-registered.v1",
    ],
)
async def test_what_the_client_has_already_is_not_sent_again(told: Told, path: str):
    client = told.service.client
    answer = await get(told, path)
    tag = answer.headers["etag"]
    assert re.fullmatch(r'"([0-9]+\.)?[0-9a-f]{16}"', tag)
    for given in ([tag], [f"W/{tag}"], [f'"other", {tag}'], ['"other"', tag], [tag, '"other"'], ["*"]):
        same = await client.get(told.fill(path), headers=[("If-None-Match", one) for one in given])
        assert same.status_code == 304
        assert same.content == b""
        assert same.headers["etag"] == tag
        assert same.headers["registry-size"] == answer.headers["registry-size"]
        assert "content-type" not in same.headers
    for given in ('"other"', tag.strip('"'), '""', ""):
        other = await client.get(told.fill(path), headers={"If-None-Match": given})
        assert other.status_code == 200
        assert other.content == answer.content


@pytest.mark.parametrize("accept", ["application/x-ndjson", "text/csv"])
@pytest.mark.parametrize("path", [*(f"/v1/{name}" for name in LISTS), "/v1/log/entries"])
async def test_a_stream_has_a_weak_tag_and_is_not_sent_again(told: Told, path: str, accept: str):
    client, headers = told.service.client, {"Accept": accept}
    answer = await client.get(path, headers=headers)
    tag = answer.headers["etag"]
    assert re.fullmatch(r'(W/)?"[0-9a-f]{16}"', tag)
    assert tag.startswith("W/") or answer.headers["content-type"] == "application/json"
    same = await client.get(path, headers={**headers, "If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    other = f"{path}?{'from' if 'log' in path else 'as_of'}=3"
    assert (await client.get(other, headers={**headers, "If-None-Match": tag})).status_code == 200


async def test_the_tag_of_a_stream_as_of_then_changes_with_an_erasure(cluster: Cluster, tmp_path: Path):
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path) as running:
            person = (await running.post("/v1/people", {"name": "Ada Example"}))["id"]
            await running.get("/v1/people")
            headers = {"Accept": "text/csv"}
            before = await running.client.get("/v1/people?as_of=1", headers=headers)
            await running.post(f"/v1/people/{person}/erase", {"authority": "a court", "reason": "asked to"})
            await running.get("/v1/people")
            again = {**headers, "If-None-Match": before.headers["etag"]}
            after = await running.client.get("/v1/people?as_of=1", headers=again)
            assert after.status_code == 200
            assert "Ada" in before.text
            assert "Ada" not in after.text


async def test_the_etag_of_a_single_thing_begins_with_its_streams_revision(told: Told):
    for path, revision in (
        ("/v1/parties/$ministry?as_of=32", 0),
        ("/v1/people/$ada?as_of=8", 0),
        ("/v1/people/$ada?as_of=9", 1),
        ("/v1/occasions/$show?as_of=32", 1),
        ("/v1/cooperations/$first?as_of=32", 9),
        ("/v1/meetings/$met?as_of=18", 2),
        ("/v1/meetings/$met?as_of=32", 9),
    ):
        assert (await get(told, path)).headers["etag"].startswith(f'"{revision}.'), path


async def test_an_answer_is_for_the_client_alone_and_asked_for_anew(told: Told):
    assert (await get(told, "/v1/parties")).headers["cache-control"] == "private, no-cache"
    assert (await get(told, "/v1/parties")).headers["content-type"] == "application/json"


# Waiting


async def test_a_read_that_asks_for_what_is_yet_to_come_waits_for_it(told: Told):
    size = (await told.service.parts.log.head()).size
    asked = [asyncio.create_task(get(told, path, min_size=size + 2)) for path in ("/v1/parties", "/v1/meetings")]
    await told.record("awaited", "/v1/parties", party("Awaited", "ES"))
    assert not any(task.done() for task in asked)
    await told.record("awaited too", "/v1/parties", party("Awaited too", "ES"))
    parties, meetings = await asyncio.gather(*asked)
    assert parties.headers["registry-size"] == str(size + 2)
    assert meetings.headers["registry-size"] == str(size + 2)
    listed = await get(told, "/v1/parties?country=ES")
    assert len(listed.json()["items"]) == 2


async def test_reads_that_come_too_early_are_told_to_come_again(cluster: Cluster, tmp_path: Path):
    with cluster.database() as database:
        async with services.running(database, tmp_path, project=False, min_size_wait=0.05) as never:
            for path in ("/v1/parties", "/v1/parties/party_00000000000000000000000000", "/health/ready"):
                answer = await never.client.get(path)
                refused(answer, 503, "not-ready" if "health" in path else "read-model-behind")
                assert answer.headers["retry-after"] == "1"
        async with services.running(database, tmp_path) as once:
            await once.post("/v1/parties", party("Seen"))
            seen = await once.get("/v1/parties")
        async with services.running(database, tmp_path, project=False, min_size_wait=0.05) as behind:
            recorded = await behind.post("/v1/parties", party("Not seen yet"))
            stale = await behind.client.get("/v1/parties")
            assert stale.status_code == 200
            assert stale.json() == seen
            for path, headers in (
                ("/v1/parties", {"Registry-Min-Size": str(recorded["size"])}),
                (f"/v1/parties?as_of={recorded['size']}", {}),
                (f"/v1/parties/{recorded['id']}", {"Registry-Min-Size": str(recorded["size"])}),
            ):
                answer = await behind.client.get(path, headers=headers)
                refused(answer, 503, "read-model-behind")
                assert answer.headers["retry-after"] == "1"
            ready = await behind.client.get("/health/ready")
            assert ready.json() == {"status": "ready", "size": 2, "position": 1}
        await check_log(database.admin_dsn)


# HEAD (RFC 9110, section 9.3.2)


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson", "text/csv"])
@pytest.mark.parametrize(
    "path",
    [
        *(f"/v1/{name}" for name in LISTS),
        "/v1/parties?limit=2",
        "/v1/cooperations/$cooperation",
        "/v1/parties/$ministry/timeline",
        "/v1/search?q=visit",
        "/v1/statistics?by=country",
        "/v1/calendar.ics",
        "/v1/schemas",
        "/v1/schemas/registry.party-registered.v1",
        "/v1/log/entries",
        "/v1/log/entries/0",
        f"/v1/documents/{hashlib.sha256(TEXT.encode()).hexdigest()}",
        "/log/keys",
        "/health/live",
        "/health/ready",
        "/openapi.json",
        "/docs",
        "/docs/errors",
        "/docs/assets/swagger-ui.css",
        "/v1/parties?limit=0",
        "/v1/parties/party_00000000000000000000000000",
    ],
)
async def test_head_has_the_headers_of_get_and_no_body(told: Told, path: str, accept: str):
    client, headers = told.service.client, {"Accept": accept}
    given = await client.get(told.fill(path), headers=headers)
    said = await client.head(told.fill(path), headers=headers)
    assert said.status_code == given.status_code
    assert said.content == b""
    assert told_of(said) == told_of(given)
    assert said.headers["content-type"].count("charset") <= 1
    if "content-length" in given.headers:
        assert int(said.headers["content-length"]) == len(given.content)
    if "etag" in given.headers:
        again = await client.head(told.fill(path), headers={**headers, "If-None-Match": given.headers["etag"]})
        assert again.status_code == 304


def told_of(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "request-id"}
