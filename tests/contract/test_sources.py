"""Sources that are corrected, withdrawn, or stand over one document: what cites them says what it said, or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import pytest

from projections.around import Around
from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import Service
from tests.support.world import TEXT, party, source

WHY = {"reason": "a mistake"}
ORDER = {"authority": "Court", **WHY}
SAME = TEXT + " And more of it."
OTHER = "Something else altogether, and long enough to be cut from as the first is."
SHORT = "One"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"


def sha256_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def over(text: str, **more: Any) -> dict[str, Any]:
    return source(sha256_of(text), **{"size": len(text.encode()), **more})


async def filed(service: Service, text: str = TEXT) -> tuple[str, int]:
    """File a text and a source over it: its id, and the position that says so."""
    await service.file(text)
    answer = await service.post("/v1/sources", over(text))
    return answer["id"], answer["entries"][0]["position"]


async def cited(service: Service, source_: str, end: int = 13, **more: Any) -> str:
    body = party("Citing", citations=[{"source": source_, "start": 0, "end": end}], **more)
    identifier: str = (await service.post("/v1/parties", body))["id"]
    return identifier


async def quotation(service: Service, party_: str, **query: Any) -> str | None:
    (citation,) = (await service.get(f"/v1/parties/{party_}", **query))["citations"]
    quoted: str | None = citation["quotation"]
    return quoted


async def correct(service: Service, position: int, replacement: dict[str, Any]) -> Any:
    return await service.client.post(f"/v1/log/entries/{position}/correct", json={"replacement": replacement, **WHY})


async def withdraw(service: Service, source_: str) -> Any:
    return await service.post(f"/v1/sources/{source_}/withdraw", ORDER)


async def can_be_read(service: Service, text: str) -> bool:
    answer = await service.client.get(f"/v1/documents/{sha256_of(text)}")
    assert answer.status_code in (200, 404)
    return answer.status_code == 200


# Corrected


async def test_a_source_gets_another_document_only_if_all_that_cites_it_says_the_same(service: Service) -> None:
    identifier, position = await filed(service)
    citing = await cited(service, identifier)
    pdf = hashlib.sha256(PDF).hexdigest()
    answer = await service.client.put(f"/v1/documents/{pdf}", content=PDF, headers={"Content-Type": "application/pdf"})
    assert answer.status_code == 201
    for text in (OTHER, SHORT, SAME):
        await service.file(text)
    for replacement in (
        over(OTHER),
        over(SHORT),
        over("not on file"),
        source(pdf, media_type="application/pdf", size=len(PDF)),
    ):
        async with nothing_left_behind(service):
            answer = await correct(service, position, replacement)
            problem = refused(answer, 409, "rested-upon", "/replacement/sha256")
            assert f"party/{citing}" in problem["detail"]
    assert (await correct(service, position, over(SAME))).status_code == 201
    assert await quotation(service, citing) == "One sentence."


async def test_a_source_that_nothing_cites_gets_any_document(service: Service) -> None:
    identifier, position = await filed(service)
    await service.file(OTHER)
    assert (await correct(service, position, over(OTHER))).status_code == 201
    citing = await cited(service, identifier, end=14)
    assert await quotation(service, citing) == "Something else"


async def test_taking_back_a_correction_of_a_document_misquotes_nothing_either(service: Service) -> None:
    identifier, position = await filed(service)
    await service.file(OTHER)
    corrected = (await correct(service, position, over(OTHER))).json()["entries"][0]["position"]
    citing = await cited(service, identifier, end=14)
    async with nothing_left_behind(service):
        answer = await service.client.post(f"/v1/log/entries/{corrected}/retract", json=WHY)
        refused(answer, 409, "rested-upon", "?position")
    assert await quotation(service, citing) == "Something else"


async def test_what_cites_a_source_in_the_request_that_corrects_it_is_held_against_both_documents(
    service: Service,
) -> None:
    identifier, position = await filed(service)
    await service.file(OTHER)
    correcting = {
        "command": "correct-entry",
        "subject": f"source/{identifier}",
        "data": {"corrects": position, "replacement": over(OTHER), **WHY},
    }
    citations = [{"source": identifier, "start": 0, "end": 14}]
    citing = {"command": "register-party", "data": party("Citing", citations=citations)}
    for commands in ([correcting, citing], [citing, correcting]):
        async with nothing_left_behind(service):
            answer = await service.client.post("/v1/batch", json={"commands": commands})
            assert (answer.status_code, answer.json()["code"]) == (409, "rested-upon"), answer.text


async def test_what_a_source_cites_of_itself_is_of_the_document_that_it_is_corrected_to(service: Service) -> None:
    identifier, position = await filed(service, SHORT)
    await service.file(OTHER)
    citations = [{"source": identifier, "start": 0, "end": 14}]
    assert (await correct(service, position, over(OTHER, citations=citations))).status_code == 201
    (citation,) = (await service.get(f"/v1/sources/{identifier}"))["citations"]
    assert citation["quotation"] == "Something else"
    async with nothing_left_behind(service):
        answer = await correct(service, position, over(SHORT, citations=citations))
        refused(answer, 422, "invalid-field", "/replacement/citations/0/end")


# Withdrawn


async def test_withdrawing_a_source_destroys_each_document_that_it_ever_was(service: Service) -> None:
    identifier, position = await filed(service)
    citing = await cited(service, identifier)
    await service.file(SAME)
    assert (await correct(service, position, over(SAME))).status_code == 201
    size = (await service.parts.log.head()).size
    assert await quotation(service, citing, as_of=size - 1) == "One sentence."
    await withdraw(service, identifier)
    for text in (TEXT, SAME):
        assert not await can_be_read(service, text)
    assert await quotation(service, citing) is None
    assert await quotation(service, citing, as_of=size - 1) is None


async def test_a_document_is_destroyed_with_the_last_source_over_it(service: Service) -> None:
    one, _ = await filed(service)
    other, _ = await filed(service)
    of_one, of_other = await cited(service, one), await cited(service, other)
    size = (await service.parts.log.head()).size
    await withdraw(service, one)
    assert await can_be_read(service, TEXT)
    assert await quotation(service, of_one) is None
    assert await quotation(service, of_one, as_of=size) is None
    assert await quotation(service, of_other) == "One sentence."
    await withdraw(service, other)
    assert not await can_be_read(service, TEXT)
    assert await quotation(service, of_other) is None


async def test_two_sources_over_one_document_are_withdrawn_in_one_request(service: Service) -> None:
    both = [(await filed(service))[0] for _ in range(2)]
    commands = [{"command": "withdraw-source", "subject": f"source/{one}", "data": ORDER} for one in both]
    await service.post("/v1/batch", {"commands": commands})
    assert not await can_be_read(service, TEXT)


async def test_nothing_is_filed_over_a_document_that_was_destroyed(service: Service) -> None:
    identifier, _ = await filed(service)
    await service.file(OTHER)
    other = await service.post("/v1/sources", over(OTHER))
    await withdraw(service, identifier)
    async with nothing_left_behind(service):
        refused(await service.client.post("/v1/sources", json=over(TEXT)), 409, "source-withdrawn", "/sha256")
        answer = await correct(service, other["entries"][0]["position"], over(TEXT))
        refused(answer, 409, "source-withdrawn", "/replacement/sha256")
        refused(await service.client.post("/v1/sources", **form(TEXT)), 409, "source-withdrawn", "/sha256")


async def test_taking_back_a_correction_brings_no_destroyed_document_back(service: Service) -> None:
    identifier, position = await filed(service)
    await service.file(SAME)
    corrected = (await correct(service, position, over(SAME))).json()["entries"][0]["position"]
    another, _ = await filed(service)
    await withdraw(service, another)  # the first stands over the other document now
    async with nothing_left_behind(service):
        answer = await service.client.post(f"/v1/log/entries/{corrected}/retract", json=WHY)
        refused(answer, 409, "source-withdrawn", "?position")
    assert await can_be_read(service, SAME)
    await withdraw(service, identifier)
    assert not await can_be_read(service, SAME)


async def test_what_document_a_withdrawn_source_was_is_not_corrected(service: Service) -> None:
    identifier, position = await filed(service)
    await withdraw(service, identifier)
    await service.file(OTHER)
    async with nothing_left_behind(service):
        answer = await correct(service, position, over(OTHER))
        refused(answer, 409, "source-withdrawn", "/replacement/sha256")
    assert (await correct(service, position, over(TEXT, title="Yearly report"))).status_code == 201


def form(text: str, **metadata: Any) -> dict[str, Any]:
    about = {"title": "Report", "publisher": "Press", "published": "2019-06-19", "language": "en", **metadata}
    return {
        "files": {
            "metadata": (None, json.dumps(about), "application/json"),
            "document": ("report", text.encode(), "text/plain"),
        }
    }


async def test_the_sources_of_a_page_are_asked_for_together_however_many_it_cites(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        source_, _ = await filed(service, f"{TEXT} {number}")
        await cited(service, source_)
    asked: list[list[str]] = []
    read_models = service.parts.read_models
    look = read_models.around

    async def counted(ids: Iterable[str], size: int, now: int, stream: str | None = None) -> Around:
        asked.append(sorted({one for one in ids if one.startswith("src_")}))
        return await look(asked[-1], size, now, stream)

    monkeypatch.setattr(read_models, "around", counted)
    page = await service.get("/v1/parties")
    quoted = [one["citations"][0]["quotation"] for one in page["items"] if one.get("citations")]
    assert quoted == [TEXT[:13]] * 3
    (together,) = asked
    assert len(together) == 3
