from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import pytest

from tests.support.service import Service

TEXT = "Both sides met. They agreed on a roadmap."
METADATA = {"title": "Report", "publisher": "Press", "published": "2019-06-19", "language": "en"}
HTML = b"<!doctype html><script>alert(1)</script>"


async def put(service: Service, content: bytes, media_type: str, sha256: str | None = None) -> Any:
    return await service.client.put(
        f"/v1/documents/{sha256 or hashlib.sha256(content).hexdigest()}",
        content=content,
        headers={"Content-Type": media_type},
    )


async def form(service: Service, content: bytes, media_type: str, **metadata: Any) -> Any:
    return await service.client.post(
        "/v1/sources",
        files={
            "metadata": (None, json.dumps({**METADATA, **metadata}), "application/json"),
            "document": ("report", content, media_type),
        },
    )


async def test_a_document_is_given_back_as_it_was_and_never_rendered(service: Service) -> None:
    for content, media_type in (
        (TEXT.encode(), "text/plain"),
        (b"%PDF-1.7 x", "application/pdf"),
        (HTML, "text/plain"),
    ):
        assert (await put(service, content, media_type)).status_code == 201
        again = await put(service, content, "application/octet-stream")
        assert again.status_code == 200
        assert again.json()["media_type"] == media_type
        given = await service.client.get(f"/v1/documents/{hashlib.sha256(content).hexdigest()}")
        assert given.content == content
        assert given.headers["content-type"] == (f"{media_type}; charset=utf-8" if "text" in media_type else media_type)
        again = await service.client.get(given.request.url, headers={"If-None-Match": given.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert given.headers["content-disposition"].startswith("attachment")
        assert given.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in given.headers["content-security-policy"]


async def test_a_source_comes_with_its_document_in_one_request(service: Service) -> None:
    filed = await form(service, TEXT.encode(), "text/plain")
    assert filed.status_code == 201, filed.text
    read = await service.get(f"/v1/sources/{filed.json()['id']}")
    assert (read["sha256"], read["size"]) == (hashlib.sha256(TEXT.encode()).hexdigest(), len(TEXT))
    assert (await service.client.get(f"/v1/documents/{read['sha256']}")).text == TEXT


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (HTML, "text/html", 415),
        (b"PK\x03\x04" + zlib.compress(bytes(10_000_000)), "application/zip", 415),
        (b"\x00\x01\x02", "text/plain", 422),
        (b"", "text/plain", 422),
        (b"\xff\xfe", "text/plain", 422),
    ],
    ids=["html", "zip bomb", "control characters", "empty", "not UTF-8"],
)
async def test_what_is_not_taken_is_refused_and_leaves_nothing(
    service: Service, content: bytes, media_type: str, status: int
) -> None:
    assert (await put(service, content, media_type)).status_code == status
    assert (await form(service, content, media_type)).status_code in (415, 422)
    assert await service.parts.pool.fetchval("SELECT count(*) FROM log.document") == 0
    assert (await service.parts.log.head()).size == 0


async def test_bytes_that_do_not_match_their_hash_are_refused(service: Service) -> None:
    refused = await put(service, TEXT.encode(), "text/plain", "0" * 64)
    assert refused.status_code == 422
    assert [problem["parameter"] for problem in refused.json()["errors"]] == ["sha256"]
    wrong = await form(service, TEXT.encode(), "text/plain", sha256="0" * 64, size=1)
    assert {problem["pointer"] for problem in wrong.json()["errors"]} == {"/sha256", "/size"}


async def test_a_withdrawn_document_is_gone_and_its_quotations_with_it(service: Service) -> None:
    source = (await form(service, TEXT.encode(), "text/plain")).json()["id"]
    cited = [{"source": source, "start": 0, "end": 15}]
    body = {"name": "Party", "kind": "company", "country": "FR", "citations": cited}
    party = (await service.post("/v1/parties", body))["id"]
    assert (await service.get(f"/v1/parties/{party}"))["citations"][0]["quotation"] == "Both sides met."
    await service.post(f"/v1/sources/{source}/withdraw", {"authority": "the publisher", "reason": "by mistake"})
    assert (await service.get(f"/v1/parties/{party}"))["citations"][0]["quotation"] is None
    assert (await service.get(f"/v1/sources/{source}"))["withdrawn"] is True
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    for headers in ({}, {"If-None-Match": f'"{sha256}"'}):
        assert (await service.client.get(f"/v1/documents/{sha256}", headers=headers)).status_code == 404
    assert (await put(service, TEXT.encode(), "text/plain")).status_code == 409
    refused = await service.post("/v1/parties", body, status=409)
    assert refused["code"] == "source-withdrawn"
