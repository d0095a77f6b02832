"""Documents that are no texts, and days at the end of time: what rests on them is read all the same."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.support.service import Service

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"


async def filed(service: Service, content: bytes, media_type: str) -> str:
    sha256 = hashlib.sha256(content).hexdigest()
    answer = await service.client.put(
        f"/v1/documents/{sha256}", content=content, headers={"Content-Type": "application/octet-stream"}
    )
    assert answer.status_code == 201, answer.text
    source: dict[str, Any] = await service.post(
        "/v1/sources",
        {
            "title": "Scan",
            "publisher": "Ministry",
            "published": "2019",
            "language": "en",
            "sha256": sha256,
            "size": len(content),
            "media_type": media_type,
        },
    )
    identifier: str = source["id"]
    return identifier


async def test_a_document_that_is_no_text_is_in_nobodys_way(service: Service):
    scan = await filed(service, PDF, "application/pdf")
    text = await filed(service, "Délais agreed.".encode(), "text/plain")
    cited = [{"source": text, "start": 0, "end": 6}]
    parties = [
        (await service.post("/v1/parties", {"name": name, "kind": "company", "country": "FR", "citations": cited}))[
            "id"
        ]
        for name in ("One", "Two")
    ]
    cooperation = (await service.post("/v1/cooperations", {"title": "A", "parties": parties, "fields": ["research"]}))[
        "id"
    ]
    await service.post(
        f"/v1/cooperations/{cooperation}/agreements",
        {"kind": "contract", "reached": "2019", "subject": "It", "document": scan},
    )

    assert {one["id"] for one in (await service.get("/v1/sources"))["items"]} == {scan, text}
    assert (await service.get(f"/v1/sources/{scan}"))["media_type"] == "application/pdf"
    (agreement,) = (await service.get("/v1/agreements"))["items"]
    assert agreement["document"] == scan
    assert (await service.get(f"/v1/cooperations/{cooperation}/timeline"))["items"]
    for party in (await service.get("/v1/parties"))["items"]:
        assert [one["quotation"] for one in party["citations"]] == ["Délais"]
    for accept in ("text/csv", "application/x-ndjson"):
        answer = await service.client.get("/v1/sources", headers={"Accept": accept})
        assert (answer.status_code, answer.text.count("\n")) == (200, 3 if accept == "text/csv" else 2)


async def test_only_documents_that_are_cited_are_opened_and_each_once(service: Service, monkeypatch: Any):
    texts = [await filed(service, f"The text number {number}.".encode(), "text/plain") for number in range(3)]
    cited = [{"source": texts[1], "start": 4, "end": 8}, {"source": texts[1], "start": 9, "end": 15}]
    for name in ("One", "Two"):
        await service.post("/v1/parties", {"name": name, "kind": "company", "country": "FR", "citations": cited})
    opened: list[str] = []
    text = service.parts.vault.text

    async def noted(sha256: str, key: bytes) -> str | None:
        opened.append(sha256)
        return await text(sha256, key)

    monkeypatch.setattr(service.parts.vault, "text", noted)
    assert len((await service.get("/v1/sources"))["items"]) == 3
    assert opened == []
    for party in (await service.get("/v1/parties"))["items"]:
        assert [one["quotation"] for one in party["citations"]] == ["text", "number"]
    assert len(opened) == 1


async def test_a_visit_at_the_end_of_time_is_in_the_calendar_or_left_out_but_never_in_the_way(service: Service):
    parties = [
        (await service.post("/v1/parties", {"name": name, "kind": "company", "country": "FR"}))["id"]
        for name in ("One", "Two")
    ]
    cooperation = (await service.post("/v1/cooperations", {"title": "A", "parties": parties, "fields": ["research"]}))[
        "id"
    ]
    for window in ("9999", "9999-12", "9999-12-31", "9999-12-30/9999-12-31", "2027-03-01"):
        await service.post(
            f"/v1/cooperations/{cooperation}/visits",
            {
                "visitors": [{"party": parties[0]}],
                "host": parties[1],
                "place": {"country": "FR"},
                "window": window,
                "purpose": f"In {window}",
            },
        )
    answer = await service.client.get("/v1/calendar.ics", headers={"Registry-Min-Size": "8"})
    assert answer.status_code == 200, answer.text
    assert answer.text.count("BEGIN:VEVENT") == 4
    assert "DTEND;VALUE=DATE:99991231" in answer.text


async def test_what_is_cited_in_the_parts_of_a_timeline_is_quoted_too(service: Service):
    text = await filed(service, b"Radars are to be discussed.", "text/plain")
    parties = [
        (await service.post("/v1/parties", {"name": name, "kind": "company", "country": "FR"}))["id"]
        for name in ("One", "Two")
    ]
    opened = await service.post("/v1/cooperations", {"title": "A", "parties": parties, "fields": ["research"]})
    topic = {"kind": "research", "subject": "radars"}
    citations = [{"source": text, "start": 0, "end": 6}]
    body = {"topic": topic, "citations": citations}
    await service.post(f"/v1/cooperations/{opened['id']}/topics", body)

    items = (await service.get(f"/v1/cooperations/{opened['id']}/timeline"))["items"]
    (told,) = [one["item"] for one in items if one["kind"] == "topic"]
    assert [one["quotation"] for one in told["citations"]] == ["Radars"]
