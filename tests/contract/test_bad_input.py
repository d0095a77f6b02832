"""Bad input: each gets a problem that names every offending field, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.support.refusals import nothing_left_behind, refused
from tests.support.world import TEXT, World, cite, meeting, party, source

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"Content-Type": "application/json"}
MEETINGS = "/v1/cooperations/$cooperation/meetings"
TOPICS = "/v1/cooperations/$cooperation/topics"


async def post(world: World, path: str, body: Any, **headers: str) -> Any:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return await world.service.client.post(world.fill(path), json=world.fill(body), headers=names)


async def post_raw(world: World, path: str, body: bytes, headers: dict[str, str] = JSON) -> Any:
    return await world.service.client.post(world.fill(path), content=body, headers=headers)


# What is no JSON, or no body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}{}",
        b"{'name': 'single quotes'}",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "a line\nfeed"}',
        b'{"name": "\xff"}',
        b'{"name": "\xed\xa0\x80"}',  # a surrogate in UTF-8, which has no form for it
        b'\xef\xbb\xbf{"name": "byte order mark"}',
        '{"name": "UTF-16"}'.encode("utf-16"),
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"name":' * 100_000,
        b'{"name":"\\ud800","note":' + b"[" * 100_000,
    ],
    ids=lambda body: f"{len(body)} bytes {body[:24]!r}",
)
async def test_what_is_no_json_or_is_nested_beyond_measure_is_malformed(world: World, body: bytes):
    async with nothing_left_behind(world.service):
        for path in ("/v1/parties", "/v1/people", "/v1/batch"):
            refused(await post_raw(world, path, body), 400, "malformed", "")


async def test_a_body_that_is_not_utf_8_is_told_where(world: World):
    problem = refused(await post_raw(world, "/v1/parties", b'{"name": "a\xffb"}'), 400, "malformed", "")
    assert problem["detail"] == "The body is not JSON: it is not UTF-8 (byte 11 is wrong)."


@pytest.mark.parametrize("body", [b"null", b"[]", b'"text"', b"1", b"true"])
async def test_a_body_that_is_no_object_is_refused_as_a_whole(world: World, body: bytes):
    async with nothing_left_behind(world.service):
        for path in ("/v1/parties", "/v1/people", MEETINGS, "/v1/batch"):
            refused(await post_raw(world, path, body), 422, "invalid-field", "")


async def test_a_member_that_a_body_names_twice_is_named_beside_all_else_wherever_bodies_are_taken(world: World):
    party = (
        b'{"name": "A", "kind": "company", "name": "B", "country": "zz", "identifiers": [{"value": "1", "value": "1"}]}'
    )
    fields = ["/name", "/country", "/identifiers/0/scheme", "/identifiers/0/value"]
    good = b'{"name": "A: \\"b\\": c", "kind": "company", "country": "FR", "na\\u006de": "A"}'
    batch = b'{"commands": [], "commands": [{"command": "register-party", "data": {}, "data": %b}]}'
    async with nothing_left_behind(world.service):
        refused(await post_raw(world, "/v1/parties", party), 422, "invalid-field", *fields)
        refused(await post_raw(world, "/v1/parties", good), 422, "invalid-field", "/name")
        below = [f"/commands/0/data{field}" for field in ("", *fields)]
        refused(await post_raw(world, "/v1/batch", batch % party), 422, "invalid-field", "/commands", *below)
        correction = b'{"reason": "misread", "replacement": %b, "reason": "misread"}' % good
        answer = await post_raw(world, "/v1/log/entries/0/correct", correction)
        refused(answer, 422, "invalid-field", "/reason", "/replacement/name")


async def test_what_is_nested_deeper_than_anything_here_is_pointed_at_beside_all_else(world: World):
    deep = b"[" * 30 + b"]" * 30
    body = b'{"name": 1, "kind": "company", "country": "zz", "sectors": %b, "x": %b, "name": "x"}' % (deep, deep)
    too_deep = ["/sectors" + "/0" * 24, "/x" + "/0" * 24]
    fields = [*too_deep, "/name", "/country", "/sectors/0", "/x"]
    async with nothing_left_behind(world.service):
        problem = refused(await post_raw(world, "/v1/parties", body), 422, "invalid-field", *fields)
        said = {one["pointer"] for one in problem["errors"] if "24 levels" in one["detail"]}
        assert said == set(too_deep)
        correction = b'{"replacement": {"name": "x", "kind": 1, "country": "FR", "note": %b}, "more": 1}' % deep
        fields = ["/reason", "/more", "/replacement/kind", "/replacement/note", "/replacement/note" + "/0" * 23]
        refused(await post_raw(world, "/v1/log/entries/0/correct", correction), 422, "invalid-field", *fields)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (rb'{"name": "\ud800", "kind": "company", "country": "FR"}', ["/name"]),
        (rb'{"name": "\udc00 alone", "kind": "\ud800", "country": "\udfff"}', ["/name", "/kind", "/country"]),
        (rb'{"name": "x", "kind": "company", "country": "FR", "sectors": ["ok", "\ud83d"]}', ["/sectors/1"]),
        (rb'{"name": "x", "kind": "company", "country": "FR", "id": "\ud800"}', ["/id"]),
        (rb'{"name": "x", "kind": "company", "country": "FR", "\ud800": 1}', [r"/\ud800"]),
        (rb'{"name": "x", "kind": "company", "country": "FR", "note": "\ud800\ud800"}', ["/note"]),
        (rb'{"name": "x", "kind": "company", "country": "FR", "classification": "\ud800"}', ["/classification"]),
    ],
)
async def test_half_of_a_surrogate_pair_is_named_where_it_stands(world: World, text: bytes, fields: list[str]):
    async with nothing_left_behind(world.service):
        refused(await post_raw(world, "/v1/parties", text), 422, "invalid-field", *fields)
        batch = b'{"commands": [{"command": "register-party", "data": %b}]}' % text
        below = [f"/commands/0/data{field}" for field in fields]
        refused(await post_raw(world, "/v1/batch", batch), 422, "invalid-field", *below)


async def test_half_of_a_surrogate_pair_is_named_in_a_batch_outside_of_bodies_too(world: World):
    body = rb'{"\ud800": 1, "commands": [{"command": "\ud800", "subject": "\ud800", "data": {}, "\udfff": 1}]}'
    async with nothing_left_behind(world.service):
        fields = [r"/\ud800", "/commands/0/command", r"/commands/0/\udfff"]
        refused(await post_raw(world, "/v1/batch", body), 422, "invalid-field", *fields)


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 30, b"-" + b"9" * 5000, b"1.5", b"1e2", b"0", b"-1"])
async def test_a_number_that_is_none_of_the_allowed_ones_is_named(world: World, number: bytes):
    valid = b'"title": "t", "publisher": "p", "published": "2019", "language": "en", "media_type": "text/plain"'
    body = b'{%b, "sha256": "%b", "size": %b}' % (valid, b"0" * 64, number)
    async with nothing_left_behind(world.service):
        refused(await post_raw(world, "/v1/sources", body), 422, "invalid-field", "/size")


# Fields


FIELDS: list[tuple[str, str, Any, list[str]]] = [
    (
        "unknown fields",
        "/v1/parties",
        party("x", extra=1, meeting_id="x", identifiers=[{"scheme": "A", "value": "1", "issuer": "x"}]),
        ["/extra", "/meeting_id", "/identifiers/0/issuer"],
    ),
    ("a field with a slash and a tilde in its name", "/v1/parties", {**party("x"), "a/b~c": 1}, ["/a~1b~0c"]),
    ("an empty field name", "/v1/parties", {**party("x"), "": 1}, ["/"]),
    ("fields of the event that are not the client's", "/v1/people", {"name": "x", "sealed": "eA=="}, ["/sealed"]),
    ("no fields", "/v1/parties", {}, ["/name", "/kind", "/country"]),
    ("no fields of a topic", TOPICS, {"topic": {}}, ["/topic/kind", "/topic/subject"]),
    (
        "wrong types",
        "/v1/parties",
        {
            "name": 1,
            "kind": [],
            "country": None,
            "part_of": {},
            "identifiers": {},
            "alternative_names": "x",
            "sectors": ["ok", 1, None],
            "citations": [[], {"source": 1, "start": "0", "end": 1.5}],
            "note": False,
            "classification": ["public"],
            "id": 7,
        },
        [
            "/name",
            "/kind",
            "/country",
            "/part_of",
            "/identifiers",
            "/alternative_names",
            "/sectors/1",
            "/sectors/2",
            "/citations/0",
            "/citations/1/source",
            "/citations/1/start",
            "/citations/1/end",
            "/note",
            "/classification",
            "/id",
        ],
    ),
    (
        "truth values for numbers",
        "/v1/sources",
        {**source("0" * 64, size=True), "citations": [{"source": "$report", "start": False, "end": True}]},
        ["/size", "/citations/0/start", "/citations/0/end"],
    ),
    ("a null id", "/v1/parties", party("x", id=None), ["/id"]),
    ("a null id of a thing", MEETINGS, meeting(id=None), ["/id"]),
    ("a null id of a topic", TOPICS, {"id": None, "topic": {"kind": "dialogue", "subject": "x"}}, ["/id"]),
    ("a bad id beside a bad topic", TOPICS, {"id": "x", "topic": []}, ["/id", "/topic"]),
    (
        "two ids that differ",
        MEETINGS,
        meeting(id="meeting_00000000000000000000000001", meeting_id="meeting_00000000000000000000000002"),
        ["/id"],
    ),
    (
        "control characters",
        "/v1/parties",
        party("a\x00b", note="\x01", alternative_names=["fine", "a\nline", "\x7f", "\x85"], sectors=["a\tb"]),
        ["/name", "/note", "/alternative_names/1", "/alternative_names/2", "/alternative_names/3", "/sectors/0"],
    ),
    ("control characters in what is sealed", "/v1/people", {"name": "a\x00", "contact": "\x1b"}, ["/name", "/contact"]),
    (
        "over-long text",
        "/v1/parties",
        party("x" * 301, note="x" * 4001, sectors=["x" * 61], identifiers=[{"scheme": "x" * 41, "value": "x" * 301}]),
        ["/name", "/note", "/sectors/0", "/identifiers/0/scheme", "/identifiers/0/value"],
    ),
    ("over-long personal details", "/v1/people", {"name": "x" * 301, "contact": "x" * 4001}, ["/name", "/contact"]),
    ("text that is over-long only decomposed is not", "/v1/parties", {**party("e\u0301" * 301)}, ["/name"]),
    ("text of nothing but white space", "/v1/parties", party(" \u00a0\n"), ["/name"]),
    ("too many items", "/v1/parties", party("x", sectors=[f"s{n}" for n in range(51)]), ["/sectors"]),
    (
        "the same twice",
        "/v1/parties",
        party("x", sectors=["a", "b", "a"], identifiers=[{"scheme": "A", "value": "1"}, {"value": "1", "scheme": "A"}]),
        ["/sectors/2", "/identifiers/1"],
    ),
    (
        "the same twice once in normal form",
        "/v1/parties",
        party("x", alternative_names=["e\u0301", " \u00e9 "]),
        ["/alternative_names/1"],
    ),
    (
        "countries that there are not",
        "/v1/parties",
        party("x", country="ZZ"),
        ["/country"],
    ),
    (
        "countries that there are not in a territory and a place",
        TOPICS,
        {"topic": {"kind": "dialogue", "subject": "x", "territory": ["AZ", "fr", "FRA", "XK", "AZ "]}},
        ["/topic/territory/1", "/topic/territory/2", "/topic/territory/3", "/topic/territory/4"],
    ),
    (
        "ids of another kind",
        MEETINGS,
        {
            "held": "2019",
            "participants": [{"party": "$person", "person": "$ministry"}, {"party": "$cooperation"}],
            "occasion": "$report",
            "topics": ["$meeting", "$topic"],
            "citations": [{"source": "$occasion", "start": 0, "end": 1}],
            "id": "$topic",
        },
        [
            "/participants/0/party",
            "/participants/0/person",
            "/participants/1/party",
            "/occasion",
            "/topics/0",
            "/citations/0/source",
            "/id",
        ],
    ),
    ("an id of another kind for a new thing", "/v1/parties", party("x", id="$person"), ["/id"]),
    (
        "texts that are not what one sees",
        "/v1/parties",
        party("Nex\u200bter", note="\u202egpj.exe", alternative_names=["\ufeff", "a\u2028b", "a\ufdd0"]),
        ["/name", "/note", "/alternative_names/0", "/alternative_names/1", "/alternative_names/2"],
    ),
    (
        "a name of a person that nobody sees",
        "/v1/people",
        {"name": "\u00ad", "contact": "\u2066x"},
        ["/name", "/contact"],
    ),
    ("an id in upper case", "/v1/parties", party("x", id="party_00000000000000000000000ABC"), ["/id"]),
    ("an id beyond 128 bits", "/v1/parties", party("x", id="party_8zzzzzzzzzzzzzzzzzzzzzzzzz"), ["/id"]),
    ("an id with a line feed behind it", "/v1/parties", party("x", part_of="$ministry\u000b"), ["/part_of"]),
    (
        "citations beyond the text and the wrong way round",
        MEETINGS,
        meeting(
            citations=[
                {"source": "$report", "start": 0, "end": len(TEXT) + 1},
                {"source": "$report", "start": 5, "end": 5},
                {"source": "$report", "start": -1, "end": 0},
            ]
        ),
        ["/citations/0/end", "/citations/1/start", "/citations/2/start", "/citations/2/end"],
    ),
    (
        "a classification that there is not",
        MEETINGS,
        meeting(classification="secret"),
        ["/classification"],
    ),
]


@pytest.mark.parametrize(("path", "body", "fields"), [case[1:] for case in FIELDS], ids=[case[0] for case in FIELDS])
async def test_every_offending_field_is_named(world: World, path: str, body: Any, fields: list[str]):
    async with nothing_left_behind(world.service):
        refused(await post(world, path, body), 422, "invalid-field", *fields)


NO_DATES = ["2019-13", "July", "2019-02-30", "", "2019-6-1", "20190618", "2019-06-31/2019-07-01", "2019-07/2019-06"]
NO_DATES += ["2019-06-18T24:00:00", "0000", "2019-06?~", "../..", " ", "٢٠١٩", "2019-06\x00", "1" * 5000]


@pytest.mark.parametrize("date", NO_DATES, ids=lambda date: f"{len(date)} characters {date[:20]}")
async def test_a_date_that_is_none_is_named_with_the_reason(world: World, date: str):
    async with nothing_left_behind(world.service):
        for path, body, field in (
            (MEETINGS, meeting(date), "/held"),
            ("/v1/people/$person/appoint", {"party": "$ministry", "post": "adviser", "from": date}, "/from"),
            (
                "/v1/cooperations/$cooperation/roadmaps",
                {"agreed": "2019", "milestones": [{"title": "x"}, {"title": "y", "due": date}]},
                "/milestones/1/due",
            ),
        ):
            problem = refused(await post(world, path, body), 422, "invalid-field", field)
            assert len(problem["errors"][0]["detail"]) > 10


async def test_the_reason_says_what_is_wrong_with_the_date(world: World):
    for date, reason in (("2019-13", "no month 13"), ("2019-02-30", "February 2019 has 28 days"), ("July", "such as")):
        problem = refused(await post(world, MEETINGS, meeting(date)), 422, "invalid-field", "/held")
        assert reason in problem["errors"][0]["detail"]


async def test_fields_headers_and_parameters_that_are_wrong_are_named_at_once(world: World):
    async with nothing_left_behind(world.service):
        answer = await post(
            world,
            MEETINGS + "?dry_run=true",
            {"held": "July", "participants": [{"party": "$no_party"}], "citations": [{"source": "$unfiled"}]},
            If_Match="W/3",
            Idempotency_Key="with a space",
        )
        fields = ["/held", "/participants/0/party", "/citations/0/start", "/citations/0/end"]
        refused(answer, 422, "invalid-field", *fields, "?dry_run", "@If-Match", "@Idempotency-Key")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"held": "July", "participants": [{"party": "$ministry"}]}, ["/held", "/participants"]),
        (
            {"held": "2999-06-19", "participants": [{"party": "$ministry"}], "summary": 7},
            ["/summary", "/participants", "/held"],
        ),
        (
            {"held": "2999-06-19", "participants": "two", "topics": ["topic_0123456789abcdefghjkmnpqrs"]},
            ["/participants", "/topics/0", "/held"],
        ),
        (
            {"held": "July", "participants": [{"party": "$ministry"}, {"party": "$stranger"}]},
            ["/held", "/participants/1/party"],
        ),
    ],
    ids=["a rule", "two rules", "an inner reference", "a stranger"],
)
async def test_what_rules_forbid_is_named_beside_fields_that_cannot_be_read(
    world: World, body: object, fields: list[str]
):
    async with nothing_left_behind(world.service):
        refused(await post(world, MEETINGS, body), 422, "invalid-field", *fields)


# Entries and bodies that are too large


LARGE = {"topic": {"kind": "joint-production", "subject": "x", "products": [f"{n:03d}{'€' * 297}" for n in range(100)]}}


async def test_an_entry_that_is_too_large_is_refused(world: World):
    async with nothing_left_behind(world.service):
        problem = refused(await post(world, TOPICS, LARGE), 413, "entry-too-large", "")
        assert "65535" in problem["detail"]


async def test_an_entry_that_is_too_large_is_named_in_a_batch(world: World):
    commands = [
        {"command": "register-party", "data": party("x")},
        {"command": "raise-topic", "subject": "cooperation/$cooperation", "data": LARGE},
        {"command": "raise-topic", "subject": "cooperation/$other", "data": LARGE},
    ]
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/batch", {"commands": commands})
        refused(answer, 413, "entry-too-large", "/commands/1/data", "/commands/2/data")


async def test_a_body_over_the_limit_is_refused_whether_or_not_it_says_its_length(world: World):
    limit = world.service.parts.settings.max_body

    async def in_parts():
        for _ in range(limit // 65_536 + 1):
            yield b" " * 65_536

    async with nothing_left_behind(world.service):
        for path in ("/v1/parties", "/v1/batch"):
            refused(await post_raw(world, path, b" " * (limit + 1)), 413, "body-too-large", "")
            answer = await world.service.client.post(path, content=in_parts(), headers=JSON)
            refused(answer, 413, "body-too-large", "")
        problem = refused(await post_raw(world, "/v1/parties", b" " * limit), 400, "malformed", "")
        assert "JSON" in problem["detail"]


async def test_a_document_over_the_limit_of_another_hash_or_no_text_is_refused(world: World):
    client, most = world.service.client, world.service.parts.settings.max_document
    plain = {"Content-Type": "text/plain"}
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    async def endless():
        for _ in range(most // 2**20 + 1):
            yield b"x" * 2**20

    async with nothing_left_behind(world.service):
        refused(
            await client.put(f"/v1/documents/{'0' * 64}", content=endless(), headers=plain), 413, "body-too-large", ""
        )
        refused(
            await client.put(f"/v1/documents/{empty}", content=b"x", headers=plain), 422, "invalid-field", "?sha256"
        )
        refused(await client.put(f"/v1/documents/{empty}", content=b"", headers=plain), 422, "invalid-field", "")
        for content in (b"\xff", b"a\x00b"):
            path = f"/v1/documents/{hashlib.sha256(content).hexdigest()}"
            refused(await client.put(path, content=content, headers=plain), 422, "invalid-field", "")
        for address in ("0" * 63, "A" * 64, "x", "%00"):
            refused(
                await client.put(f"/v1/documents/{address}", content=b"x", headers=plain), 404, "not-found", "?sha256"
            )


@pytest.mark.parametrize(
    "media_type",
    [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json5", "json", "\xff"],
)
async def test_a_body_of_another_kind_is_refused(world: World, media_type: str | None):
    headers = {} if media_type is None else {"Content-Type": media_type}
    async with nothing_left_behind(world.service):
        for path in ("/v1/parties", MEETINGS, "/v1/batch"):
            answer = await post_raw(world, path, b"{}", {k: v.encode("latin-1") for k, v in headers.items()})  # type: ignore[arg-type]
            refused(answer, 415, "unsupported-media-type", "@Content-Type")


@pytest.mark.parametrize(
    "media_type", ["application/json", "text/html", "text/plain; charset=latin-1", "text/plain;x=1"]
)
async def test_a_document_of_another_kind_is_refused(world: World, media_type: str):
    async with nothing_left_behind(world.service):
        answer = await world.service.client.put(
            f"/v1/documents/{'0' * 64}", content=b"x", headers={"Content-Type": media_type}
        )
        refused(answer, 415, "unsupported-media-type", "@Content-Type")


async def test_a_body_of_two_kinds_at_once_is_of_none(world: World):
    client = world.service.client
    async with nothing_left_behind(world.service):
        for kinds in (("application/json", "text/plain"), ("multipart/form-data", "application/json")):
            headers = [("Content-Type", kind) for kind in kinds]
            for path in ("/v1/parties", "/v1/sources", "/v1/batch"):
                body = json.dumps(party("x"))
                refused(
                    await client.post(path, content=body, headers=headers),
                    415,
                    "unsupported-media-type",
                    "@Content-Type",
                )
        headers = [("Content-Type", kind) for kind in ("text/plain", "application/pdf")]
        answer = await client.put(f"/v1/documents/{hashlib.sha256(b'x').hexdigest()}", content=b"x", headers=headers)
        refused(answer, 415, "unsupported-media-type", "@Content-Type")


# References and rules


async def test_references_to_nothing_are_all_named(world: World):
    body = {
        "held": "2019",
        "participants": [{"party": "$ministry", "person": "$no_person"}, {"party": "$company"}],
        "occasion": "$no_occasion",
        "topics": ["$topic", "$no_topic", "$other_topic"],
        "citations": [cite("One sentence."), {"source": "$no_source", "start": 0, "end": 1}],
    }
    async with nothing_left_behind(world.service):
        fields = ["/participants/0/person", "/occasion", "/topics/1", "/topics/2", "/citations/1/source"]
        refused(await post(world, MEETINGS, body), 422, "unknown-reference", *fields)


async def test_what_is_not_in_the_cooperation_is_named_beside_fields_that_are_wrong(world: World):
    subject, brought = "cooperation/$cooperation", "topic_01j0000000e00800000000000a"
    visit = {
        "visitors": [{"party": "$company"}],
        "host": "$ministry",
        "place": {"country": "AZ"},
        "window": "July",
        "purpose": "x",
        "topics": ["$topic", "$no_topic", "x", "$no_topic"],
        "meeting": "meeting_01j0000000e00800000000000a",
    }
    fields = ["/window", "/topics/1", "/topics/2", "/topics/3", "/meeting"]
    async with nothing_left_behind(world.service):
        answer = await post(world, "/v1/cooperations/$cooperation/visits", visit)
        refused(answer, 422, "invalid-field", *fields)
        topic = {"id": brought, "topic": {"kind": "dialogue", "subject": "x"}}
        held = meeting(held="July", topics=["$topic", "$other_topic", brought])
        commands = [
            {"command": "raise-topic", "subject": subject, "data": topic},
            {"command": "record-meeting", "subject": subject, "data": held},
            {"command": "record-meeting", "subject": "cooperation/$other", "data": meeting(topics=[brought])},
        ]
        answer = await post(world, "/v1/batch", {"commands": commands})
        fields = ["/commands/1/data/held", "/commands/1/data/topics/1", "/commands/2/data/topics/0"]
        refused(answer, 422, "invalid-field", *fields)


async def test_what_a_rule_forbids_is_named_beside_references_to_nothing(world: World):
    body = {
        "held": "2999",
        "participants": [{"party": "$ministry", "person": "$no_person"}, {"party": "$no_party"}],
        "topics": ["$no_topic"],
    }
    alone = {"held": "2019", "occasion": "$no_occasion", "participants": [{"party": "$ministry"}]}
    async with nothing_left_behind(world.service):
        fields = ["/participants/0/person", "/participants/1/party", "/topics/0", "/held"]
        refused(await post(world, MEETINGS, body), 422, "unknown-reference", *fields)
        refused(await post(world, MEETINGS, alone), 422, "unknown-reference", "/occasion", "/participants")


async def test_a_party_that_is_not_registered_is_no_party(world: World):
    async with nothing_left_behind(world.service):
        body = meeting(participants=[{"party": "$ministry"}, {"party": "$no_party"}])
        refused(await post(world, MEETINGS, body), 422, "unknown-reference", "/participants/1/party")
        opened = {"title": "x", "parties": ["$no_party", "$ministry"]}
        refused(await post(world, "/v1/cooperations", opened), 422, "unknown-reference", "/parties/0")
        body = party("x", part_of="$no_party")
        refused(await post(world, "/v1/parties", body), 422, "unknown-reference", "/part_of")


async def test_a_meeting_of_another_cooperation_is_none_here(world: World):
    async with nothing_left_behind(world.service):
        body = {"held": "2019", "subject": "x", "meeting": "$meeting", "topics": ["$topic"]}
        answer = await post(world, "/v1/cooperations/$other/negotiations", body)
        refused(answer, 422, "unknown-reference", "/meeting", "/topics/0")


async def test_what_is_under_no_cooperation_is_not_found(world: World):
    async with nothing_left_behind(world.service):
        for key in ("$no_cooperation", "$ministry", "x", "%00", "coop_" + "z" * 26, "x" * 4000):
            refused(await post(world, f"/v1/cooperations/{key}/meetings", meeting()), 404, "not-found", "?id")
        appointed = {"party": "$ministry", "post": "x"}
        refused(await post(world, "/v1/people/$no_person/appoint", appointed), 404, "not-found", "?id")
        refused(await post(world, "/v1/people/$ministry/appoint", appointed), 404, "not-found", "?id")


async def test_a_source_without_a_document_cannot_be_cited(world: World):
    async with nothing_left_behind(world.service):
        body = meeting(citations=[cite("The end."), {"source": "$unfiled", "start": 0, "end": 1}])
        refused(await post(world, MEETINGS, body), 409, "document-missing", "/citations/1/source")


async def test_an_identifier_that_is_taken_is_named(world: World):
    taken = {"scheme": "XI-LEI", "value": "969500"}
    async with nothing_left_behind(world.service):
        body = party("x", identifiers=[{"scheme": "FR-RCS", "value": "969500"}, taken])
        refused(await post(world, "/v1/parties", body), 409, "already-claimed", "/identifiers/1")
        twice = [{"command": "register-party", "data": party(name, identifiers=[taken])} for name in "xy"]
        fields = ["/commands/0/data/identifiers/0", "/commands/1/data/identifiers/0"]
        answer = await post(world, "/v1/batch", {"commands": twice})
        problem = answer.json()
        assert answer.status_code == 409
        assert {one["pointer"] for one in problem["errors"]} <= set(fields)
        assert problem["code"] == "already-claimed"


@pytest.mark.parametrize(
    ("path", "body", "code", "fields"),
    [
        (MEETINGS, meeting(participants=[{"party": "$ministry"}]), "too-few-parties", ["/participants"]),
        (MEETINGS, meeting(participants=[{"party": "$ministry"}] * 2), "too-few-parties", ["/participants"]),
        (MEETINGS, meeting(participants=[]), "too-few-parties", ["/participants"]),
        (
            MEETINGS,
            meeting(participants=[{"party": "$ministry"}, {"party": "$stranger"}, {"party": "$company"}]),
            "not-a-party",
            ["/participants/1/party"],
        ),
        (MEETINGS, meeting("2999-01-01"), "date-not-reached", ["/held"]),
        (MEETINGS, meeting(id="$meeting"), "already-exists", ["/id"]),
        ("/v1/parties", party("x", id="$ministry"), "already-exists", ["/id"]),
        ("/v1/people", {"name": "x", "id": "$person"}, "already-exists", ["/id"]),
        ("/v1/cooperations/$concluded/meetings", meeting(), "cooperation-closed", ["?id"]),
        ("/v1/cooperations/$concluded/conclude", {"reason": "again"}, "cooperation-closed", ["?id"]),
        ("/v1/cooperations/$concluded/resume", {"reason": "again"}, "cooperation-closed", ["?id"]),
        ("/v1/cooperations/$suspended/meetings", meeting(), "cooperation-suspended", ["?id"]),
        ("/v1/cooperations/$cooperation/resume", {"reason": "x"}, "cooperation-not-suspended", ["?id"]),
    ],
)
async def test_a_rule_that_is_broken_is_named(world: World, path: str, body: Any, code: str, fields: list[str]):
    async with nothing_left_behind(world.service):
        refused(await post(world, path, body), 409, code, *fields)
