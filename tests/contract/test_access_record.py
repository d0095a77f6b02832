"""Who looked: what is above public is on record before it is given, and auditors can see it."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from litestar.exceptions import LitestarException

from services.registry.access.actions import Action
from services.registry.access.addresses import Networks
from services.registry.access.record import Looked, Who, record
from services.registry.api import log
from services.registry.clock import now
from tests.support import by_hand
from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.refusals import refused
from tests.support.service import OPERATOR, Service, execute
from tests.support.world import party

ENTRIES = "/v1/log/entries"
NDJSON = {"Accept": "application/x-ndjson"}
OF_TOKENS = {"create-token", "revoke-token"}


async def record_parties(service: Service, *classifications: str) -> None:
    """Record a party of each classification, at positions from the log's end on."""
    data = [party(f"Party {number}", classification=one) for number, one in enumerate(classifications)]
    commands = [{"command": "register-party", "data": one} for one in data]
    await service.post("/v1/batch", {"commands": commands})


async def seen(service: Service, **query: Any) -> list[dict[str, Any]]:
    """What was read, the oldest first."""
    answer = await service.client.get("/v1/access", params={"limit": 500, **query})
    assert answer.status_code == 200, answer.text
    return [one for one in reversed(answer.json()["items"]) if one["what"] not in OF_TOKENS]


async def no_room(service: Service) -> None:
    """Make it impossible to record who looks."""
    columns = "who, token_id, what, detail, from_address, request_id"
    await execute(service.database.owner_dsn, f"REVOKE INSERT ({columns}) ON access.record FROM registry_service")


# Reading entries


async def test_a_page_with_entries_above_public_is_recorded_once_with_who_what_when_and_from_where(service: Service):
    await record_parties(service, "public", "internal", "restricted", "public", "confidential")
    token, kept = await service.token("follower", name="the archive")
    before = now()
    async with service.anonymous() as client:
        answer = await client.get(ENTRIES, headers={"Authorization": f"Bearer {token}"})
    (one,) = await seen(service)
    assert one.keys() == {"id", "at", "who", "token_id", "what", "detail", "from_address", "request_id"}
    assert (one["who"], one["token_id"], one["what"]) == ("the archive", kept.id, "read-entries")
    assert one["detail"] == {"positions": [[1, 2], [4, 4]]}
    assert one["request_id"] == answer.headers["request-id"]
    assert one["from_address"] == "127.0.0.1"
    assert before - timedelta(seconds=1) < datetime.fromisoformat(one["at"]) < before + timedelta(seconds=60)


async def test_public_entries_and_none_at_all_are_read_without_a_record(service: Service):
    await record_parties(service, "public", "public", "internal")
    for query in ("?limit=2", "?from=3", "?from=1000", "/0", "?type=registry.person-registered.v1"):
        assert (await service.client.get(f"{ENTRIES}{query}")).status_code == 200
        if query[0] == "?":
            assert (await service.client.get(f"{ENTRIES}{query}", headers=NDJSON)).status_code == 200
    refused(await service.client.get(f"{ENTRIES}/3"), 404, "not-found", "?position")
    assert await seen(service) == []


@pytest.mark.parametrize("classification", ["internal", "restricted", "confidential"])
async def test_one_entry_above_public_is_recorded_each_time_it_is_read(service: Service, classification: str):
    await record_parties(service, "public", classification)
    for _ in range(2):
        assert (await service.client.get(f"{ENTRIES}/1")).status_code == 200
    assert [(one["what"], one["detail"]) for one in await seen(service)] == [
        ("read-entry", {"positions": [[1, 1]]})
    ] * 2


async def test_filters_leave_on_record_what_was_given_and_no_more(service: Service):
    await record_parties(service, *["internal"] * 4)
    entry = (await service.client.get(f"{ENTRIES}/2")).json()
    await service.client.get(ENTRIES, params={"subject": entry["subject"]})
    await service.client.get(ENTRIES, params={"from": 1, "limit": 2, "type": entry["type"]})
    assert [one["detail"]["positions"] for one in await seen(service, what="read-entries")] == [[[2, 2]], [[1, 2]]]


async def test_to_be_told_that_one_has_it_already_is_not_recorded(service: Service):
    await record_parties(service, "internal")
    for path in (ENTRIES, f"{ENTRIES}/0"):
        tag = (await service.client.get(path)).headers["etag"]
        assert (await service.client.get(path, headers={"If-None-Match": tag})).status_code == 304
    assert [one["what"] for one in await seen(service)] == ["read-entries", "read-entry"]
    tag = (await service.client.get(ENTRIES, headers=NDJSON)).headers["etag"]
    assert (await service.client.get(ENTRIES, headers={**NDJSON, "If-None-Match": tag})).status_code == 304
    assert [one["what"] for one in await seen(service)] == ["read-entries", "read-entry", "stream-entries"]


async def test_who_asks_for_the_headers_only_is_recorded_as_who_reads(service: Service):
    await record_parties(service, "internal")
    for path, headers in ((ENTRIES, {}), (f"{ENTRIES}/0", {}), (ENTRIES, NDJSON)):
        assert (await service.client.head(path, headers=headers)).status_code == 200
    assert [one["what"] for one in await seen(service)] == ["read-entries", "read-entry", "stream-entries"]
    await no_room(service)
    for path, headers in ((ENTRIES, {}), (f"{ENTRIES}/0", {}), (ENTRIES, NDJSON)):
        answer = await service.client.head(path, headers=headers)
        assert (answer.status_code, answer.content) == (503, b"")


# A stream of lines


async def test_of_a_stream_each_part_is_recorded_with_what_it_holds(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log, "PAGE", 3)
    await record_parties(service, *["internal"] * 4, "public", "public", "public", "public", "public", "internal")
    answer = await service.client.get(ENTRIES, headers=NDJSON)
    assert answer.content.count(b"\n") == 10
    rows = await seen(service)
    assert {one["what"] for one in rows} == {"stream-entries"}
    assert [one["detail"]["positions"] for one in rows] == [[[0, 2]], [[3, 3]], [[9, 9]]]
    assert {one["request_id"] for one in rows} == {answer.headers["request-id"]}


async def test_what_a_client_that_hung_up_was_not_sent_is_not_on_record(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log, "PAGE", 2)
    await record_parties(service, *["internal"] * 10)
    parts: list[bytes] = []
    gone = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        if message.get("body"):
            parts.append(message["body"])
        if len(parts) == 2:
            gone.set()
            await asyncio.Event().wait()  # nobody takes any more

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    await asyncio.wait_for(stream(service, send, receive), 30)
    assert [one["detail"]["positions"] for one in await seen(service)] == [[[0, 1]], [[2, 3]]]


async def stream(service: Service, send: Any, receive: Any) -> None:
    """Ask for all entries as lines, by hand."""
    token, _ = await service.token("follower")
    await by_hand.lines(service.app, ENTRIES, token, send, receive)


# What cannot be recorded


async def test_what_cannot_be_recorded_is_not_given(service: Service):
    await record_parties(service, "public", "internal")
    await no_room(service)
    for path, headers in ((ENTRIES, {}), (f"{ENTRIES}/1", {}), (ENTRIES, NDJSON)):
        answer = await service.client.get(path, headers=headers)
        refused(answer, 503, "access-not-recorded")
        assert answer.headers["retry-after"] == "1"
        assert "Party" not in answer.text
        assert "permission" not in answer.text
    assert (await service.client.get(f"{ENTRIES}/0")).status_code == 200
    assert (await service.client.get(f"{ENTRIES}?limit=1")).status_code == 200


async def test_a_stream_is_cut_short_where_it_cannot_be_recorded_any_more(
    service: Service, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log, "PAGE", 2)
    await record_parties(service, *["internal"] * 6)
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if len([one for one in sent if one.get("body")]) == 1:
            await no_room(service)

    with pytest.raises(LitestarException, match="after response started"):  # of which servers make an abort
        await stream(service, send, asyncio.Event().wait)
    assert b"".join(one.get("body", b"") for one in sent).count(b"\n") == 2
    assert all(one.get("more_body", True) for one in sent), "it never said that it was complete"
    assert [one["detail"]["positions"] for one in await seen(service)] == [[[0, 1]]]


async def test_that_it_cannot_be_recorded_is_in_the_journal(service: Service, monkeypatch: pytest.MonkeyPatch):
    failures: list[BaseException] = []
    monkeypatch.setattr("services.registry.problems.journal.failure", failures.append)
    await record_parties(service, "internal")
    await no_room(service)
    await service.client.get(ENTRIES)
    assert [type(one.__cause__).__name__ for one in failures] == ["InsufficientPrivilegeError"]


# From where


@pytest.mark.parametrize(
    ("trusted", "told", "found"),
    [
        ("", "192.0.2.7", "127.0.0.1"),
        ("10.0.0.0/8", "192.0.2.7", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("127.0.0.0/8, 192.0.2.7", "198.51.100.1, 192.0.2.7", "198.51.100.1"),
    ],
)
async def test_a_forwarded_address_is_believed_of_trusted_proxies_only(
    database: Database, tmp_path: Path, trusted: str, told: str, found: str
):
    networks = Networks.parse(trusted) if trusted else Networks()
    async with services.running(database, tmp_path, project=False, trusted_proxies=networks) as service:
        await record_parties(service, "internal")
        await service.client.get(ENTRIES, headers={"X-Forwarded-For": told})
        assert [one["from_address"] for one in await seen(service)] == [found]
    await check_log(database.admin_dsn)


# Seeing it


async def fill(service: Service, *names: str) -> None:
    for name in names:
        who = Who(name=name, token_id="token_01h455vb4pex5vsknk084sn02q" if name == "b" else None)
        await record(service.parts.pool, Looked(who, Action.EXPORT_LOG, {"size": 7}))


async def test_the_newest_come_first_and_pages_do_not_shift(service: Service):
    await fill(service, *"abcdefg")
    first = (await service.client.get("/v1/access?limit=3&what=export-log")).json()
    assert [one["who"] for one in first["items"]] == ["g", "f", "e"]
    await fill(service, "h")
    answer = await service.client.get("/v1/access", params={"limit": 3, "what": "export-log", "cursor": first["next"]})
    assert [one["who"] for one in answer.json()["items"]] == ["d", "c", "b"]
    last = await service.client.get(httpx.URL(answer.links["next"]["url"]))
    assert [one["who"] for one in last.json()["items"]] == ["a"]
    assert last.json()["next"] is None


async def test_it_is_narrowed_by_who_by_what_and_by_time(service: Service):
    await fill(service, *"abc")
    assert [one["who"] for one in await seen(service, who="a")] == ["a"]
    assert [one["who"] for one in await seen(service, who="token_01h455vb4pex5vsknk084sn02q")] == ["b"]
    assert await seen(service, who="nobody") == []
    assert await seen(service, who="token_00000000000000000000000000") == []
    assert await seen(service, what="rotate-key") == []
    middle = (await seen(service, who="b"))[0]["at"]
    assert [one["who"] for one in await seen(service, **{"from": middle})] == ["b", "c"]
    assert [one["who"] for one in await seen(service, to=middle)] == ["a"]
    assert await seen(service, **{"from": middle, "to": middle}) == []


async def test_to_look_at_the_record_is_not_recorded_and_validates_as_any_read(service: Service):
    await fill(service, "a")
    first = await service.client.get("/v1/access")
    again = await service.client.get("/v1/access", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert first.headers["registry-size"] == "0"


async def test_a_cursor_of_other_filters_is_refused(service: Service):
    await fill(service, *"ab")
    cursor = (await service.client.get("/v1/access?limit=1")).json()["next"]
    answer = await service.client.get("/v1/access", params={"cursor": cursor, "who": "a"})
    refused(answer, 422, "invalid-field", "?cursor")


async def test_a_new_and_a_revoked_token_are_on_record_with_who_did_it(service: Service):
    _, kept = await service.token("reader", "auditor", name="ministry")
    items = (await service.client.get("/v1/access?what=create-token&limit=1")).json()["items"]
    (one,) = items
    assert (one["who"], one["token_id"], one["from_address"]) == (OPERATOR.name, None, None)
    assert one["detail"] == {"token": kept.id, "roles": ["reader", "auditor"]}


async def test_nothing_of_what_was_read_is_in_the_record(service: Service):
    await service.post("/v1/people", {"name": "Ada Example", "contact": "ada@example.org"})
    await record_parties(service, "confidential")
    for path in (ENTRIES, f"{ENTRIES}/0", f"{ENTRIES}/1"):
        await service.client.get(path)
    rows = await service.parts.pool.fetch("SELECT r::text AS row FROM access.record AS r")
    told = json.dumps([row["row"] for row in rows])
    assert len(rows) > 3
    assert not any(word in told for word in ("Ada", "Example", "Party", "person_", "party_"))
