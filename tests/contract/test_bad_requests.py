"""Bad queries, cursors, tokens, addresses, and failures: each gets a problem that names what is wrong."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from events.errors import Corrupt
from projections import LISTED
from services.registry.access import tokens
from services.registry.api import openapi
from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import OPERATOR
from tests.support.world import World, meeting, party

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTS = [f"/v1/{model.name}" for model in LISTED]
SECRET = "SELECT secret FROM vault.key -- /srv/secret.py"


async def get(world: World, path: str, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.service.client.get(world.fill(path), headers=names)


# Queries


@pytest.mark.parametrize("path", LISTS)
async def test_every_list_names_every_parameter_that_is_wrong(world: World, path: str):
    query = "limit=-1&as_of=yesterday&cursor=forged&colour=red&%00=1&as%20of=1"
    answer = await get(world, f"{path}?{query}", Registry_Min_Size="-1")
    fields = ["?limit", "?as_of", "?cursor", "?colour", "?\0", "?as of", "@Registry-Min-Size"]
    refused(answer, 422, "invalid-field", *fields)


@pytest.mark.parametrize("path", LISTS)
async def test_every_single_thing_takes_nothing_but_an_as_of(world: World, path: str):
    answer = await get(world, f"{path}/$ministry?limit=1&as_of=yesterday", Registry_Min_Size="x")
    refused(answer, 422, "invalid-field", "?limit", "?as_of", "@Registry-Min-Size")


@pytest.mark.parametrize(
    "limit", ["-1", "0", "501", "abc", "", "1.5", "1e2", "%2B5", "5%20", "0x10", "%D9%A5", "9" * 5000, "50,50", "null"]
)
async def test_a_limit_that_is_none_is_refused(world: World, limit: str):
    refused(await get(world, f"/v1/meetings?limit={limit}"), 422, "invalid-field", "?limit")
    refused(await get(world, f"/v1/log/entries?limit={limit}"), 422, "invalid-field", "?limit")


UNKNOWN_AS_OF = [
    "1000000",
    "9" * 18,
    "9" * 5000,
    "-1",
    "",
    "yesterday",
    "2019-06",
    "2019-06-20",
    "2019-06-20T12",
    "2019-06-20T12:00:00",
    "2019-06-20T12:00:00%2B4",
    "2019-06-20T12:00:00[Europe/Paris]",
    "2019-02-30T12:00:00Z",
    "2019-06-20T25:00:00Z",
    "2019-W25-4T12:00:00Z",
    "20190620T120000Z",
    "2999-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00%2B14:00",
    "0000-01-01T00:00:00Z",
    "%D9%A2%D9%A0%D9%A1%D9%A9-06-20T12:00:00Z",
    "%00",
]


@pytest.mark.parametrize("as_of", UNKNOWN_AS_OF, ids=lambda as_of: f"{len(as_of)} characters {as_of[:40]}")
async def test_an_as_of_that_is_unknown_is_refused(world: World, as_of: str):
    for path in ("/v1/parties", "/v1/meetings", "/v1/parties/$ministry"):
        problem = refused(await get(world, f"{path}?as_of={as_of}"), 422, "invalid-field", "?as_of")
        assert problem["detail"] == "The query is not valid; see errors."


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (
            "/v1/parties?kind=club&country=fr&part_of=$person&sector=&identifier=%00",
            "kind country part_of sector identifier",
        ),
        ("/v1/parties?country=ZZ", "country"),
        ("/v1/parties?limit=501&foo=1&country=zz&as_of=999999", "limit foo country as_of"),
        ("/v1/parties?foo=1&as_of=9999-01-01T00:00:00Z", "foo as_of"),
        ("/v1/parties?as_of=999999&as_of=888888", "as_of"),
        ("/v1/parties/$ministry?foo=1&as_of=999999", "foo as_of"),
        ("/v1/parties/$ministry/timeline?limit=0&as_of=999999", "limit as_of"),
        ("/v1/statistics?by=nothing&as_of=999999", "by as_of"),
        ("/v1/search?q=&as_of=999999", "q as_of"),
        ("/v1/calendar.ics?country=zz&as_of=999999", "country as_of"),
        ("/v1/log/digest?foo=1&size=999999", "foo size"),
        ("/v1/parties?certain=true", "certain"),
        (f"/v1/parties?sector={'x' * 301}", "sector"),
        ("/v1/meetings?party=$person&held_from=2019-13&held_to=July&certain=yes", "party held_from held_to certain"),
        ("/v1/meetings?held_from=2019-06-02&held_to=2019-06-01", "held_to"),
        ("/v1/meetings?held_from=2019-06&held_to=2019-02-30", "held_from held_to"),
        ("/v1/meetings?party=$ministry&party=$company&party=$ministry", "party"),
        ("/v1/meetings?topic=$topic%00", "topic"),
        ("/v1/meetings?limit=1&limit=1", "limit"),
        ("/v1/meetings?held=2019", "held"),
        ("/v1/visits?status=late&window_from=x", "status window_from"),
        ("/v1/cooperations?stage=begun&field=%00", "stage field"),
        ("/v1/sources?published_to=0000-01-01&sha256=", "published_to sha256"),
        ("/v1/log/entries?from=-1&limit=501&subject=x&type=y&after=1", "from limit subject type after"),
        ("/v1/log/entries?from=9223372036854775808", "from"),
        ("/v1/log/entries?subject=party/%00", "subject"),
        ("/v1/log/entries/0?limit=1", "limit"),
        (
            "/v1/access?who=&what=look&from=yesterday&to=2019-06-20&limit=0&cursor=x&as_of=1",
            "who what from to limit cursor as_of",
        ),
        (f"/v1/access?who={'x' * 301}&what=read-entry&what=read-entry", "who what"),
        ("/v1/access?from=2019-06-20T12:00:00Z&to=2019-06-20T11:59:59Z", "to"),
        ("/v1/access?from=2019-02-30T12:00:00Z&to=2019-06-20T12:00:00%00", "from to"),
    ],
)
async def test_every_parameter_that_is_wrong_is_named_once(world: World, path: str, fields: str):
    problem = refused(await get(world, path), 422, "invalid-field", *(f"?{name}" for name in fields.split()))
    assert problem["detail"] == "The query is not valid; see errors."


PARAMETERS = sorted(
    (path, one["name"])
    for path, methods in openapi.document()["paths"].items()
    for one in methods.get("get", {}).get("parameters", ())
    if one["in"] == "query" and one["name"] != "token"  # such a token is none, which is 401
)


@pytest.mark.parametrize("value", ["%FF", "%ED%A0%80", "%C3", "%F4%90%80%80"])
async def test_every_parameter_of_every_route_that_is_not_utf_8_is_named(world: World, value: str):
    assert ("/v1/search", "q") in PARAMETERS
    needed = {"/v1/search": "q=ministry", "/v1/statistics": "by=country", "/v1/log/consistency": "from=0"}
    for path, name in PARAMETERS:
        beside = "" if needed.get(path, "").startswith(f"{name}=") else needed.get(path, "")
        address = path.replace("{id}", "$ministry" if "parties" in path else "$cooperation")
        answer = await get(world, f"{re.sub('{.*?}', '0', address)}?{beside}&{name}={value}")
        problem = refused(answer, 422, "invalid-field", f"?{name}")
        assert problem["errors"][0]["detail"] == "is not UTF-8"


async def test_a_replacement_character_that_was_sent_as_such_is_text(world: World):
    for path in ("/v1/parties?sector=%EF%BF%BD", "/v1/search?q=%EF%BF%BD"):
        assert (await get(world, path)).json()["items"] == []


@pytest.mark.parametrize("value", ["%", "%zz", "%EF%BF%BF", "a%0Ab"])
async def test_text_that_is_no_text_finds_nothing_and_breaks_nothing(world: World, value: str):
    answer = await get(world, f"/v1/parties?sector={value}")
    assert answer.status_code in (200, 422), answer.text
    assert answer.status_code != 200 or answer.json()["items"] == []
    refused(await get(world, f"/v1/parties?country={value}"), 422, "invalid-field", "?country")


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("key", ["x", "%00", "%FF", "party_", "$no_party", "$no_party%0A", "x" * 4000, "'"])
async def test_a_thing_that_there_is_not_is_not_found(world: World, path: str, key: str):
    refused(await get(world, f"{path}/{key}"), 404, "not-found", "?id")


async def test_a_thing_is_not_found_before_it_was_recorded(world: World):
    refused(await get(world, "/v1/parties/$ministry?as_of=0"), 404, "not-found", "?id")
    assert (await get(world, "/v1/parties/$ministry?as_of=1")).status_code == 200


@pytest.mark.parametrize(
    "position", ["abc", "-1", "1_0", "%2B0", "00", "0%20", "1.0", "1000000", "9" * 40, "9" * 5000, "%00"]
)
async def test_an_entry_that_there_is_not_is_not_found(world: World, position: str):
    refused(await get(world, f"/v1/log/entries/{position}"), 404, "not-found", "?position")


# Cursors


async def cursor_of(world: World, path: str) -> str:
    following: str | None = (await world.service.get(path, limit=1))["next"]
    assert following
    return following


async def test_a_cursor_with_any_bit_turned_is_refused(world: World):
    cursor = await cursor_of(world, "/v1/parties")
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    for bit in range(0, len(raw) * 8, 3):
        forged = bytearray(raw)
        forged[bit // 8] ^= 1 << bit % 8
        text = base64.urlsafe_b64encode(forged).decode().rstrip("=")
        refused(await get(world, f"/v1/parties?cursor={text}"), 422, "invalid-field", "?cursor")


async def test_a_cursor_with_any_character_changed_is_refused(world: World):
    cursor = await cursor_of(world, "/v1/parties")
    for at in range(len(cursor)):
        for other in "A-" if cursor[at] not in "A-" else "B":
            forged = cursor[:at] + other + cursor[at + 1 :]
            refused(await get(world, f"/v1/parties?cursor={forged}"), 422, "invalid-field", "?cursor")
    for forged in (cursor[:-1], cursor + "A", cursor + "=", cursor + "%0A", cursor[4:], "", "%C3%A9", "=", "A" * 5000):
        refused(await get(world, f"/v1/parties?cursor={forged}"), 422, "invalid-field", "?cursor")
    refused(await get(world, f"/v1/parties?cursor={cursor}&cursor={cursor}"), 422, "invalid-field", "?cursor")
    assert (await get(world, f"/v1/parties?cursor={cursor}")).status_code == 200


async def test_a_cursor_of_another_list_or_other_filters_is_refused(world: World):
    cursor = await cursor_of(world, "/v1/parties")
    for path in (
        "/v1/cooperations?",
        "/v1/people?",
        "/v1/parties?country=FR&",
        "/v1/parties?as_of=3&",
    ):
        refused(await get(world, f"{path}cursor={cursor}"), 422, "invalid-field", "?cursor")
    filtered = (await get(world, "/v1/parties?kind=company&limit=1")).json()["next"]
    assert (await get(world, f"/v1/parties?kind=company&cursor={filtered}")).status_code == 200
    for query in ("", "kind=ministry&", "kind=company&country=FR&"):
        refused(await get(world, f"/v1/parties?{query}cursor={filtered}"), 422, "invalid-field", "?cursor")


# Tokens


READ, RECORD = "/v1/parties", "/v1/batch"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dGVzdDp0ZXN0",
        "Token reg_x",
        "reg_x",
        "Bearer reg_x, Bearer reg_y",
        "Bearer reg x",
        "Bearer r\xe9g",
        'Bearer "reg_x"',
    ],
)
async def test_without_a_token_or_with_a_malformed_one_nothing_is_answered(world: World, header: str | None):
    async with nothing_left_behind(world.service), world.service.anonymous() as client:
        headers = {} if header is None else {"Authorization": header.encode("latin-1")}
        for answer in (
            await client.get(READ, headers=headers),  # type: ignore[arg-type]
            await client.post(RECORD, json=party("x"), headers=headers),  # type: ignore[arg-type]
        ):
            refused(answer, 401, "unauthenticated", "@Authorization")
            assert answer.headers["www-authenticate"] == 'Bearer realm="registry"'


async def test_two_tokens_at_once_are_none(world: World):
    token, _ = await world.service.token("reader")
    async with world.service.anonymous() as client:
        twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {token}")]
        refused(await client.get(READ, headers=twice), 401, "unauthenticated", "@Authorization")


async def test_an_unknown_a_revoked_and_an_expired_token_are_refused(world: World):
    service = world.service
    unknown = f"reg_{'x' * 43}"
    revoked, token = await service.token("reader", "recorder")
    await tokens.revoke(service.parts.pool, token.id, by=OPERATOR, now=service.parts.clock())
    expired, _ = await service.token("reader", "recorder", expires_at=service.parts.clock() + timedelta(days=1))
    expire = "UPDATE access.token SET created_at = now() - interval '2 days', expires_at = now() - interval '1 day'"
    connection = await asyncpg.connect(service.database.owner_dsn)
    await connection.execute(f"{expire} WHERE expires_at IS NOT NULL")
    await connection.close()
    async with nothing_left_behind(service), world.service.anonymous() as client:
        for bad in (unknown, revoked, expired, "x" * 10_000, revoked + "x", "%00"):
            headers = {"Authorization": f"Bearer {bad}"}
            for answer in (
                await client.get(READ, headers=headers),
                await client.post(RECORD, json=party("x"), headers=headers),
            ):
                if bad == "%00":  # not even of the form
                    refused(answer, 401, "unauthenticated", "@Authorization")
                    continue
                refused(answer, 401, "unauthenticated", "@Authorization")
                assert answer.headers["www-authenticate"] == 'Bearer realm="registry", error="invalid_token"'
                assert bad not in answer.text


async def test_the_wrong_role_is_refused_before_the_body_is_read(world: World):
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read += 1
        yield b"{}"

    async with await world.service.client_of("reader") as client, nothing_left_behind(world.service):
        for method, path in (("POST", READ), ("POST", RECORD), ("PUT", f"/v1/documents/{'0' * 64}")):
            answer = await client.request(method, path, content=body())
            problem = refused(answer, 403, "forbidden", "@Authorization")
            assert "recorder" in problem["detail"]
    assert read == 0


# Addresses and methods


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v2/parties",
        "/v1/nothing",
        "/v1/parties/$ministry/rename/now",
        "/v1/log",
        "/health",
        "//v1/parties",
        "/%00",
        "/v1/parties/$ministry%2Fx",
        f"/docs/assets/{'x' * 4000}",
        "/docs/assets/nothing.js",
        "/docs/assets/..%2F..%2Fpyproject.toml",
        "/docs/assets/%00",
        "/docs/assets/",
        "/openapi.yaml",
        "/metrics/x",
        "/v1/" + "x/" * 500,
    ],
)
async def test_where_nothing_is_served_nothing_is_found(world: World, path: str):
    async with world.service.anonymous() as client:
        answer = await client.get(world.fill(path))
        refused(answer, 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/parties", "GET, HEAD, OPTIONS, POST"),
        ("DELETE", "/v1/parties/$ministry", "GET, HEAD, OPTIONS"),
        ("PATCH", "/v1/parties/$ministry", "GET, HEAD, OPTIONS"),
        ("GET", "/v1/batch", "OPTIONS, POST"),
        ("POST", f"/v1/documents/{'0' * 64}", "GET, HEAD, OPTIONS, PUT"),
        ("POST", "/v1/log/entries", "GET, HEAD, OPTIONS"),
        ("TRACE", "/v1/log/entries/0", "GET, HEAD, OPTIONS"),
        ("POST", "/health/live", "GET, HEAD, OPTIONS"),
        ("POST", "/docs", "GET, HEAD, OPTIONS"),
        ("BREW", "/openapi.json", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_method_that_is_not_served_is_told_those_that_are(world: World, method: str, path: str, allowed: str):
    async with nothing_left_behind(world.service):
        answer = await world.service.client.request(method, world.fill(path))
        refused(answer, 405, "method-not-allowed")
        assert answer.headers["allow"] == allowed


async def test_a_head_request_has_the_headers_of_its_refusal_and_no_body(world: World):
    answer = await world.service.client.head("/v1/nothing")
    assert answer.status_code == 404
    assert answer.content == b""
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["registry-size"]) == (await world.service.parts.log.head()).size


# Failures


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (RuntimeError(SECRET), 500, "internal"),
        (KeyError(SECRET), 500, "internal"),
        (Corrupt(SECRET), 500, "corrupt"),
        (asyncpg.UndefinedTableError(SECRET), 500, "internal"),
        (httpx.HTTPError(SECRET), 500, "internal"),
        (ConnectionResetError(SECRET), 503, "database-unavailable"),
        (asyncpg.TooManyConnectionsError(SECRET), 503, "database-unavailable"),
        (TimeoutError(SECRET), 503, "database-unavailable"),
    ],
)
async def test_a_failure_tells_nothing_of_what_is_inside(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int, code: str
):
    async def fail(*_: Any, **__: Any) -> None:
        raise failure

    service = world.service
    monkeypatch.setattr(type(service.parts.read_models), "page", fail)
    monkeypatch.setattr(type(service.parts.commands), "execute", fail)
    async with nothing_left_behind(service):
        for answer in (
            await service.client.get("/v1/parties?sector=asked-for-by-nobody-before"),
            await service.client.post("/v1/parties", json=party("x")),
            await service.client.post(world.fill("/v1/cooperations/$cooperation/meetings"), json=world.fill(meeting())),
        ):
            refused(answer, status, code)
            assert all(word not in answer.text for word in ("SELECT", "secret", "vault", "Error", ".py", "Traceback"))
            assert ("retry-after" in answer.headers) == (status == 503)
