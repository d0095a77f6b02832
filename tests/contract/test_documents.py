from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import threading
import zlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from events import vault
from services.registry import media
from services.registry.api import documents, openapi
from services.registry.media import PIECE
from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service

TEXT = "Both sides met. They agreed on a roadmap."
METADATA = {"title": "Report", "publisher": "Press", "published": "2019-06-19", "language": "en"}
ZIP_BOMB = b"PK\x03\x04" + zlib.compress(bytes(10_000_000))
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
        (ZIP_BOMB, "application/zip", 415),
        (ZIP_BOMB, "application/octet-stream", 422),
        (ZIP_BOMB, "text/plain", 422),
        (HTML, "application/xhtml+xml", 415),
        (HTML, "application/pdf", 415),
        (b"\x00\x01\x02", "text/plain", 422),
        (b"", "text/plain", 422),
        (b"\xff\xfe", "text/plain", 422),
    ],
    ids=[
        "html",
        "zip bomb",
        "zip bomb unnamed",
        "zip bomb as text",
        "xhtml",
        "html as another",
        "control characters",
        "empty",
        "not UTF-8",
    ],
)
async def test_what_is_not_taken_is_refused_and_leaves_nothing(
    service: Service, content: bytes, media_type: str, status: int
) -> None:
    assert (await put(service, content, media_type)).status_code == status
    assert (await form(service, content, media_type)).status_code in (415, 422)
    assert await service.parts.pool.fetchval("SELECT count(*) FROM log.document") == 0
    assert (await service.parts.log.head()).size == 0


async def test_what_would_have_to_be_unpacked_is_not_taken(service: Service) -> None:
    packed = gzip.compress(bytes(10_000_000))
    sha256 = hashlib.sha256(packed).hexdigest()
    for address, method, media_type in (
        (f"/v1/documents/{sha256}", "PUT", "text/plain"),
        ("/v1/sources", "POST", "multipart/form-data; boundary=x"),
        ("/v1/sources", "POST", "application/json"),
    ):
        headers = {"Content-Type": media_type, "Content-Encoding": "gzip"}
        answer = await service.client.request(method, address, content=packed, headers=headers)
        refused(answer, 415, "unsupported-media-type", "@Content-Encoding")
    assert await service.parts.pool.fetchval("SELECT count(*) FROM log.document") == 0


async def test_bytes_that_do_not_match_their_hash_are_refused(service: Service) -> None:
    refused = await put(service, TEXT.encode(), "text/plain", "0" * 64)
    assert refused.status_code == 422
    assert [problem["parameter"] for problem in refused.json()["errors"]] == ["sha256"]
    wrong = await form(service, TEXT.encode(), "text/plain", sha256="0" * 64, size=1)
    assert {problem["pointer"] for problem in wrong.json()["errors"]} == {"/sha256", "/size"}


async def test_a_document_is_not_filed_while_a_source_says_otherwise_of_it(service: Service) -> None:
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    said = {**METADATA, "sha256": sha256, "size": len(TEXT), "media_type": "text/plain"}
    wrong = {**said, "size": len(TEXT) + 1, "media_type": "application/pdf"}
    await service.post("/v1/sources", said)
    filed = await service.post("/v1/sources", wrong)
    over_another = await service.post("/v1/sources", {**wrong, "sha256": "0" * 64})
    async with nothing_left_behind(service):
        problem = refused(await put(service, TEXT.encode(), "text/plain"), 409, "document-differs", *["?sha256"] * 2)
        assert all(filed["id"] in one["detail"] for one in problem["errors"])
        refused(await form(service, TEXT.encode(), "text/plain"), 409, "document-differs", *["/document"] * 2)
    position = filed["entries"][0]["position"]
    correction = {"replacement": said, "reason": "miscounted"}
    corrected = await service.post(f"/v1/log/entries/{position}/correct", correction)
    assert (await put(service, TEXT.encode(), "text/plain")).status_code == 201
    assert (await form(service, TEXT.encode(), "text/plain")).status_code == 201
    at = f"/v1/log/entries/{corrected['entries'][0]['position']}/retract"
    async with nothing_left_behind(service):
        answer = await service.client.post(at, json={"reason": "it was right"})
        problem = refused(answer, 409, "document-differs", "?position")
        assert filed["id"] in problem["detail"]
    assert (await service.get(f"/v1/sources/{filed['id']}"))["size"] == len(TEXT)
    assert (await service.get(f"/v1/sources/{over_another['id']}"))["size"] == len(TEXT) + 1


async def test_a_document_is_filed_whatever_a_source_says_of_it_that_stands_no_more(service: Service) -> None:
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    wrong = {**METADATA, "sha256": sha256, "size": 1, "media_type": "text/plain"}
    retracted, withdrawn = [await service.post("/v1/sources", wrong) for _ in range(2)]
    position = retracted["entries"][0]["position"]
    mistake = (await service.post(f"/v1/log/entries/{position}/retract", {"reason": "never was"}))["entries"][0]
    refused(await put(service, TEXT.encode(), "text/plain"), 409, "document-differs", "?sha256")
    why = {"authority": "the publisher", "reason": "by mistake"}
    await service.post(f"/v1/sources/{withdrawn['id']}/withdraw", why)
    assert (await put(service, TEXT.encode(), "text/plain")).status_code == 201
    answer = await service.client.post(f"/v1/log/entries/{mistake['position']}/retract", json={"reason": "it was"})
    refused(answer, 409, "document-differs", "?position")


async def test_a_withdrawn_document_is_gone_and_its_quotations_with_it(service: Service) -> None:
    source = (await form(service, TEXT.encode(), "text/plain")).json()["id"]
    cited = [{"source": source, "start": 0, "end": 15}]
    body = {"name": "Party", "kind": "company", "country": "FR", "citations": cited}
    party = (await service.post("/v1/parties", body))["id"]
    (citation,) = (await service.get(f"/v1/parties/{party}"))["citations"]
    assert (citation["quotation"], citation["withdrawn"]) == ("Both sides met.", False)
    await service.post(f"/v1/sources/{source}/withdraw", {"authority": "the publisher", "reason": "by mistake"})
    (citation,) = (await service.get(f"/v1/parties/{party}"))["citations"]
    assert (citation["quotation"], citation["withdrawn"]) == (None, True)
    assert (await service.get(f"/v1/sources/{source}"))["withdrawn"] is True
    sha256 = hashlib.sha256(TEXT.encode()).hexdigest()
    for headers in ({}, {"If-None-Match": f'"{sha256}"'}):
        assert (await service.client.get(f"/v1/documents/{sha256}", headers=headers)).status_code == 404
    refused(await put(service, TEXT.encode(), "text/plain"), 409, "source-withdrawn", "?sha256")
    assert "409" in openapi.document()["paths"]["/v1/documents/{sha256}"]["put"]["responses"]
    assert (await service.post("/v1/parties", body, status=409))["code"] == "source-withdrawn"


async def test_a_source_is_held_against_its_document_however_it_comes(service: Service) -> None:
    sha256 = await service.file(TEXT)
    said = {**METADATA, "sha256": sha256, "size": len(TEXT), "media_type": "text/plain"}
    wrong = {**said, "size": len(TEXT) + 1, "media_type": "application/pdf"}
    filed = await service.post("/v1/sources", said)
    position = filed["entries"][0]["position"]
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/sources", json={**wrong, "language": "?"})
        refused(answer, 422, "invalid-field", "/size", "/media_type", "/language")
        answer = await service.client.post(
            f"/v1/log/entries/{position}/correct", json={"reason": "misread", "replacement": wrong}
        )
        refused(answer, 422, "invalid-field", "/replacement/size", "/replacement/media_type")
        answer = await service.client.post("/v1/batch", json={"commands": [{"command": "file-source", "data": wrong}]})
        refused(answer, 422, "invalid-field", "/commands/0/data/size", "/commands/0/data/media_type")


async def test_a_form_that_is_refused_names_everything_and_leaves_no_document(service: Service) -> None:
    async with nothing_left_behind(service):
        answer = await form(service, TEXT.encode(), "text/html", size=1, language="?", surplus=1)
        refused(answer, 422, "invalid-field", "/document", "/size", "/language", "/surplus")
        answer = await form(service, TEXT.encode(), "text/plain", size=1, sha256="0" * 64, language="?")
        refused(answer, 422, "invalid-field", "/size", "/sha256", "/language")
        for content in (b"\x00", b"\xff", b""):
            refused(await form(service, content, "text/plain", title=1), 422, "invalid-field", "/document", "/title")
        answer = await service.client.post(
            "/v1/sources",
            files={"metadata": (None, "[]"), "other": (None, "x")},
            headers={"If-Match": "3"},
        )
        refused(answer, 422, "invalid-field", "/document", "/metadata", "/other", "@If-Match")
        answer = await service.client.post("/v1/sources", files={"metadata": (None, json.dumps({**METADATA, "x": 1}))})
        refused(answer, 422, "invalid-field", "/document", "/x")


@pytest.mark.parametrize(
    ("metadata", "fields"),
    [
        (rb'{"title": "\ud800", "publisher": "x", "size": 1e400}', ["/title", "/published", "/language", "/size"]),
        (rb'{"title": "x", "publisher": "x", "published": "2019", "language": "en", "\udfff": 1}', [r"/\udfff"]),
        (
            b'{"title": "a","title": "b", "publisher": "x", "published": "2019","language": "en", "x": {"": 1, "": 1}}',
            ["/title", "/x", "/x/"],
        ),
    ],
    ids=["a value", "a name", "twice"],
)
async def test_metadata_that_is_only_just_json_is_looked_at_as_any_other_body(
    service: Service, metadata: bytes, fields: list[str]
) -> None:
    files = {"metadata": (None, metadata), "document": ("report", HTML, "text/html")}
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/sources", files=files)
        refused(answer, 422, "invalid-field", "/document", *fields)


@pytest.mark.parametrize(
    "metadata",
    [b"{bad", b"", b"[" * 100_000, b'{"title": "\xed\xa0\x80"}'],
    ids=["bad", "empty", "nested", "not UTF-8"],
)
async def test_metadata_that_are_no_json_are_malformed_as_every_other_body(service: Service, metadata: bytes) -> None:
    files = {"metadata": (None, metadata), "document": ("report", HTML, "text/html")}
    async with nothing_left_behind(service):
        refused(await service.client.post("/v1/sources", files=files), 400, "malformed", "/metadata")


async def test_a_form_that_a_rule_refuses_leaves_no_document(service: Service) -> None:
    files = {"metadata": (None, json.dumps(METADATA)), "document": ("report", TEXT.encode(), "text/plain")}
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/sources", files=files, headers={"If-Match": '"3"'})
        refused(answer, 412, "wrong-expected-version", "@If-Match")
    key = {"Idempotency-Key": "once"}
    assert (await service.client.post("/v1/sources", files=files, headers=key)).status_code == 201
    other = {**files, "document": ("report", b"Another text.", "text/plain")}
    async with nothing_left_behind(service):
        answer = await service.client.post("/v1/sources", files=other, headers=key)
        refused(answer, 422, "command-id-reused", "@Idempotency-Key")


async def test_a_form_sent_again_after_the_withdrawal_is_answered_as_before(service: Service) -> None:
    files = {"metadata": (None, json.dumps(METADATA)), "document": ("report", TEXT.encode(), "text/plain")}
    key = {"Idempotency-Key": "once"}
    first = await service.client.post("/v1/sources", files=files, headers=key)
    assert first.status_code == 201
    why = {"authority": "the publisher", "reason": "by mistake"}
    await service.post(f"/v1/sources/{first.json()['id']}/withdraw", why)
    async with nothing_left_behind(service):
        again = await service.client.post("/v1/sources", files=files, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_source_that_comes_with_its_document_may_cite_it(service: Service) -> None:
    source = "src_00000000000000000000000001"
    cited = {"source": source, "start": 0, "end": 15}
    async with nothing_left_behind(service):
        answer = await form(service, TEXT.encode(), "text/plain", id=source, citations=[{**cited, "end": 99}])
        refused(answer, 422, "invalid-field", "/citations/0/end")
    filed = await form(service, TEXT.encode(), "text/plain", id=source, citations=[cited])
    assert filed.status_code == 201, filed.text
    assert (await service.get(f"/v1/sources/{source}"))["citations"][0]["quotation"] == "Both sides met."


async def test_a_source_that_the_log_refuses_leaves_no_document(service: Service) -> None:
    citing = source_with(1)
    citations = [{"source": citing, "start": 0, "end": 4} for _ in range(1_000)]
    async with nothing_left_behind(service):
        answer = await form(service, TEXT.encode(), "text/plain", id=citing, note="é" * 4_000, citations=citations)
        refused(answer, 413, "entry-too-large", "")


async def test_of_forms_that_are_sent_at_once_for_one_source_the_refused_ones_leave_no_document(
    service: Service,
) -> None:
    for number in range(4):
        texts = [f"{TEXT} {number} {nth}".encode() for nth in range(6)]
        answers = await asyncio.gather(*(form(service, one, "text/plain", id=source_with(number)) for one in texts))
        assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
        for text, answer in zip(texts, answers, strict=True):
            given = await service.client.get(f"/v1/documents/{hashlib.sha256(text).hexdigest()}")
            assert (given.status_code == 200) == (answer.status_code == 201)


async def test_a_repetition_files_the_document_that_the_first_request_did_not_come_to(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"metadata": (None, json.dumps(METADATA)), "document": ("report", TEXT.encode(), "text/plain")}
    key = {"Idempotency-Key": '"once"'}

    async def lost(*_: object, **__: object) -> None:
        raise OSError("the process was killed here")

    with monkeypatch.context() as patched:
        patched.setattr(service.parts.vault, "file", lost)
        assert (await service.client.post("/v1/sources", files=files, headers=key)).status_code == 503
    again = await service.client.post("/v1/sources", files=files, headers=key)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert (await service.client.get(f"/v1/documents/{hashlib.sha256(TEXT.encode()).hexdigest()}")).status_code == 200


def source_with(number: int) -> str:
    return f"src_{number:026}"


async def test_a_document_is_hashed_once_as_it_comes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    sha256 = hashlib.sha256

    class Counting:
        def __init__(self, content: bytes = b"") -> None:
            self._digest = sha256()
            if content:
                self.update(content)

        def update(self, content: bytes) -> None:
            hashed.append(len(content))
            self._digest.update(content)

        def hexdigest(self) -> str:
            return self._digest.hexdigest()

    async def come() -> AsyncIterator[bytes]:
        for start in range(0, len(TEXT), 10):
            yield TEXT[start : start + 10].encode()

    for module in (documents, vault):
        monkeypatch.setattr(module, "hashlib", SimpleNamespace(sha256=Counting))
    address = f"/v1/documents/{sha256(TEXT.encode()).hexdigest()}"
    filed = await service.client.put(address, content=come(), headers={"Content-Type": "text/plain"})
    assert filed.status_code == 201, filed.text
    assert list(filter(None, hashed)) == [10, 10, 10, 10, 1]  # the last that comes may be empty


@pytest.mark.parametrize("step", ["looked at", "sealed"])
async def test_others_are_answered_while_a_document_is(
    service: Service, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    begun, others = threading.Event(), threading.Event()
    seal, search = vault.seal, media.CONTROL.search
    answered: list[bool] = []

    def wait() -> None:
        begun.set()
        answered.append(others.wait(5))

    def searching(text: str) -> Any:
        if step == "looked at":
            wait()
        return search(text)

    def sealing(key: bytes, owner: str, content: bytes) -> bytes:
        if step == "sealed" and owner.startswith("document/"):
            wait()
        return seal(key, owner, content)

    monkeypatch.setattr(vault, "seal", sealing)
    monkeypatch.setattr(media, "CONTROL", SimpleNamespace(search=searching))
    for filing in (put(service, TEXT.encode(), "text/plain"), form(service, HTML, "text/plain")):
        begun.clear()
        others.clear()
        filed = asyncio.create_task(filing)
        assert await asyncio.to_thread(begun.wait, 10)
        assert (await service.client.get("/health/live")).status_code == 200
        others.set()
        assert (await filed).status_code == 201
    assert answered == [True, True]


async def test_others_are_answered_while_a_document_is_given_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, others = threading.Event(), threading.Event()
    unseal = vault.unseal
    answered: list[bool] = []

    def unsealing(key: bytes, owner: str, sealed: bytes) -> bytes:
        if owner.startswith("document/"):
            begun.set()
            answered.append(others.wait(5))
        return unseal(key, owner, sealed)

    sha256 = await service.file(TEXT)
    monkeypatch.setattr(vault, "unseal", unsealing)
    given = asyncio.create_task(service.client.get(f"/v1/documents/{sha256}"))
    assert await asyncio.to_thread(begun.wait, 10)
    assert (await service.client.get("/health/live")).status_code == 200
    others.set()
    assert (await given).text == TEXT
    assert answered == [True]


async def test_a_text_is_looked_at_across_the_pieces_that_it_is_looked_at_in(service: Service) -> None:
    before = b"x" * (PIECE - 1)
    for end, characters in (("é", 1), ("é" + "€" * PIECE, 1 + PIECE)):
        filed = await put(service, before + end.encode(), "text/plain")
        assert (filed.status_code, filed.json()["characters"]) == (201, len(before) + characters)
    for end, says in (
        (b"\xc3", f"byte {len(before)} is wrong"),
        (b"\xc3x", f"byte {len(before)} is wrong"),
        ("é".encode() + b"\xff", f"byte {len(before) + 2} is wrong"),
        ("éé".encode() + b"\x00", f"a control character at {len(before) + 2}"),
    ):
        problem = refused(await put(service, before + end, "text/plain"), 422, "invalid-field", "")
        assert says in problem["errors"][0]["detail"]
