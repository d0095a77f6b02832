from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from services.registry.access import tokens
from services.registry.api import sending, streams
from tests.contract.test_transitions import a_visit
from tests.support.cluster import Database
from tests.support.service import OPERATOR, Service, running


async def as_form(service: Service, path: str, form: str) -> str:
    size = str((await service.parts.log.head()).size)
    answer = await service.client.get(path, headers={"Accept": form, "Registry-Min-Size": size})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith(form)
    assert answer.headers["registry-size"] == size
    return answer.text


async def test_a_list_is_streamed_to_its_end_as_ndjson_and_csv(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAGE", 3)
    for number in range(8):
        await service.post("/v1/parties", {"name": f"Party {number}", "kind": "company", "country": "FR"})
    pages = (await service.get("/v1/parties", limit=500))["items"]
    lines = (await as_form(service, "/v1/parties", "application/x-ndjson")).splitlines()
    said = [json.loads(line) for line in lines]
    assert [{key: value for key, value in line.items() if key not in ("names", "survivors")} for line in said] == pages
    assert all(line["names"][line["id"]] == line["name"] for line in said)
    rows = list(csv.DictReader(io.StringIO(await as_form(service, "/v1/parties?country=FR", "text/csv"))))
    assert [row["name"] for row in rows] == [item["name"] for item in pages]
    assert [json.loads(row["identifiers"]) for row in rows] == [[]] * 8


@pytest.mark.parametrize("revoked", [True, False])
async def test_a_stream_is_cut_off_once_its_token_is_revoked(
    service: Service, monkeypatch: pytest.MonkeyPatch, *, revoked: bool
) -> None:
    monkeypatch.setattr(streams, "PAGE", 1)
    monkeypatch.setattr(sending, "LOOKED_AFTER", 0.0)
    for number in range(4):
        await service.post("/v1/parties", {"name": f"Party {number}", "kind": "company", "country": "FR"})
    await as_form(service, "/v1/parties", "application/x-ndjson")  # they are projected
    secret, made = await service.token("reader")
    rendered, made_of = list[Any](), streams.Rendering.of

    async def of(*asked: Any) -> Any:
        rendered.append(await made_of(*asked))
        if revoked and len(rendered) == 2:
            await tokens.revoke(service.parts.pool, made.id, by=OPERATOR, now=service.parts.clock())
        return rendered[-1]

    monkeypatch.setattr(streams.Rendering, "of", of)
    headers = {"Accept": "application/x-ndjson", "Authorization": f"Bearer {secret}"}
    answer = await service.anonymous().get("/v1/parties", headers=headers)
    assert len(answer.text.splitlines()) == (1 if revoked else 4)
    assert len(rendered) == (2 if revoked else 4)


async def test_a_cell_is_no_formula_and_people_and_commitments_have_their_columns(service: Service) -> None:
    await service.post("/v1/parties", {"name": "=cmd()", "kind": "company", "country": "FR"})
    assert "'=cmd()" in await as_form(service, "/v1/parties", "text/csv")
    await service.post("/v1/people", {"name": "Ada Example"})
    people = list(csv.DictReader(io.StringIO(await as_form(service, "/v1/people", "text/csv"))))
    assert [row["name"] for row in people] == ["Ada Example"]
    assert "sealed" not in people[0]
    await a_visit(service)
    promised = list(csv.DictReader(io.StringIO(await as_form(service, "/v1/commitments", "text/csv"))))
    assert [row["overdue"] for row in promised] == ["true"]


async def test_timelines_and_what_was_found_are_streamed_to_their_end_as_every_list_is(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PAGE", 3)
    cooperation, _, one, other = await a_visit(service)
    for day in range(10, 18):
        held = {"held": f"2019-06-{day}", "participants": [{"party": one}, {"party": other}], "summary": "=radar()"}
        await service.post(f"/v1/cooperations/{cooperation}/meetings", held)
    survivor = (await service.post("/v1/parties", {"name": "Radar AG", "kind": "company", "country": "DE"}))["id"]
    await service.post(f"/v1/parties/{other}/merge", {"into": survivor, "reason": "bought"})
    for name in ("Radar Ada", "Radar Bea", "Radar Cleo", "Radar Dora"):
        await service.post("/v1/people", {"name": name})
    for path, columns in (
        (f"/v1/cooperations/{cooperation}/timeline", ["kind", "item"]),
        (f"/v1/parties/{other}/timeline", ["kind", "item"]),
        ("/v1/search?q=radar", ["id", "kind", "title", "cooperation", "survivor"]),
    ):
        address, _, text = path.partition("?q=")
        query: dict[str, Any] = {"q": text} if text else {}
        page = await service.get(address, limit=500, **query)
        assert len(page["items"]) > 9, path
        lines = [json.loads(line) for line in (await as_form(service, path, "application/x-ndjson")).splitlines()]
        rows = list(csv.DictReader(io.StringIO(await as_form(service, path, "text/csv"))))
        for line, row, item in zip(lines, rows, page["items"], strict=True):
            names, survivors = line.pop("names"), line.pop("survivors")
            assert line == item
            assert names.items() <= page["names"].items()
            assert survivors.items() <= page["survivors"].items()
            assert list(row) == [*columns, "names", "survivors"]
            assert (json.loads(row.pop("names")), json.loads(row.pop("survivors"))) == (names, survivors)
            said = {key: "" if item[key] is None else item[key] for key in columns}
            assert {key: json.loads(row[key]) if key == "item" else row[key].lstrip("'") for key in columns} == said


async def test_a_timeline_in_lines_is_bounded_by_a_limit_and_says_where_the_next_page_is(service: Service) -> None:
    cooperation, *_ = await a_visit(service)
    for path in (f"/v1/cooperations/{cooperation}/timeline?limit=1", "/v1/search?q=te&limit=1"):
        size = str((await service.parts.log.head()).size)
        first = await service.client.get(path, headers={"Accept": "application/x-ndjson", "Registry-Min-Size": size})
        (line,) = first.text.splitlines()
        following = first.links["next"]["url"]
        second = await service.client.get(following, headers={"Accept": "application/x-ndjson"})
        assert second.status_code == 200
        assert line not in second.text.splitlines()
        whole = await service.client.get(path.replace("limit=1", ""), headers={"Accept": "application/x-ndjson"})
        assert whole.text.splitlines()[:2] == [line, second.text.splitlines()[0]]
        again = {"Accept": "application/x-ndjson", "If-None-Match": whole.headers["etag"]}
        assert (await service.client.get(path.replace("limit=1", ""), headers=again)).status_code == 304


async def test_every_event_version_has_a_schema_that_real_entries_obey(service: Service) -> None:
    await a_visit(service)
    entries = (await service.get("/v1/log/entries"))["items"]
    known = {item["type"]: item["schema"] for item in (await service.get("/v1/schemas"))["items"]}
    for entry in entries:
        assert entry["dataschema"].endswith(known[entry["type"]])
        schema = await service.get(known[entry["type"]])
        assert jsonschema_rs.validator_for(schema).is_valid(entry["data"])
        assert not jsonschema_rs.validator_for(schema).is_valid({**entry["data"], "unknown": 1})
    await service.get("/v1/schemas/registry.nothing.v1", status=404)


@pytest.mark.parametrize(
    ("origin", "root"),
    [
        ("registry.test/log", "https://registry.test"),
        ("example.gov/registry/log", "https://example.gov/registry"),  # behind a proxy that takes /registry away
        ("log.example.gov", "https://log.example.gov"),
    ],
)
async def test_what_an_entry_says_is_its_schema_is_served_where_its_origin_says(
    database: Database, tmp_path: Path, origin: str, root: str
) -> None:
    async with running(database, tmp_path, origin=origin, key_dir=None) as service:
        recorded = await service.post("/v1/parties", {"name": "Party", "kind": "company", "country": "FR"})
        entry = await service.get(f"/v1/log/entries/{recorded['entries'][0]['position']}")
        assert entry["source"] == f"https://{origin}"
        assert entry["dataschema"].startswith(f"{root}/")
        schema = await service.get(entry["dataschema"].removeprefix(root))
        assert schema["$id"] == entry["type"]
        assert jsonschema_rs.validator_for(schema).is_valid(entry["data"])
