"""Whatever bytes are sent to the port: nothing, or an answer in HTTP, and a problem wherever there is one to give.

What the server refuses before there is a request has its status and no content (ADR 0024); both are told apart here.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio
import structlog
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from projections.projector import Projector
from services.registry import journal
from services.registry.access import tokens
from services.registry.cli.listening import listening
from services.registry.clock import now
from services.registry.main import create_service, open_registry
from services.registry.signing.keyring import KeyRing
from services.registry.under_way import UnderWay
from tests.support.check_log import check_log
from tests.support.cluster import Cluster
from tests.support.console import free_port
from tests.support.raw import Raw, answers, exchange
from tests.support.service import ALL_ROLES, OPERATOR, ORIGIN, settings_for

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODES = frozenset(
    re.findall(r"^\| `([a-z-]+)` \|", (Path(__file__).parents[2] / "docs/errors.md").read_text(), re.MULTILINE)
)
BY_THE_SERVER = {400, 414, 431}
"""The statuses that docs/errors.md says to have no content where no request was made out."""
HEAD_SECONDS = 2.0
BODY_SECONDS = 1.0
HOST = b"Host: registry.test\r\n"
JSON = b"Content-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"


class Port(msgspec.Struct, frozen=True):
    """A registry that is listened to, a token with every role, and what its journal says."""

    number: int
    token: bytes
    lines: io.StringIO

    def request(self, line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
        """Write a request with a token that is answered and then closed."""
        head = b"".join((HOST, b"Authorization: Bearer ", self.token, b"\r\n", CLOSE, *fields))
        return line + b" HTTP/1.1\r\n" + head + b"\r\n" + body


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Port]:
    """A registry as `registry up` serves it."""
    lines = io.StringIO()
    with cluster.database(projected=True) as database:
        folder = tmp_path_factory.mktemp("port")
        chosen = settings_for(database, folder, body_timeout=BODY_SECONDS)
        async with open_registry(chosen) as parts:
            for signing in KeyRing(folder / "keys").keys(ORIGIN):
                await parts.checkpoints.add_verifier(signing.verifier, now())
            token, _ = await tokens.create(parts.pool, name="tests", roles=ALL_ROLES, by=OPERATOR, now=now())
        projecting = asyncio.create_task(Projector(database.projector_dsn).run())
        try:
            number = free_port()
            under_way = UnderWay()
            app = create_service(chosen, under_way=under_way)
            async with listening(app, "127.0.0.1", number, head_timeout=HEAD_SECONDS, under_way=under_way):
                journal.configure("info", "json", lines)
                yield Port(number, token.encode(), lines)
        finally:
            structlog.reset_defaults()
            projecting.cancel()
            await asyncio.gather(projecting, return_exceptions=True)
        await check_log(database.admin_dsn)


async def served(port: Port) -> None:
    """See that the next who asks is answered."""
    (answer,) = await exchange(port.number, port.request(b"GET /health/live"))
    assert answer.status == 200


def is_problem(answer: Raw, status: int, code: str) -> list[dict[str, str]]:
    """Hold an answer against what an error has to be, and return the fields that it names."""
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["request-id"]
    said = json.loads(answer.body)
    assert (said["status"], said["code"]) == (status, code)
    assert code in CODES
    errors: list[dict[str, str]] = said["errors"]
    return errors


def is_sound(answer: Raw) -> None:
    """See that an answer is a success, a problem that is documented, or what the server says without content."""
    if answer.status < 400:
        return
    if not answer.headers.get("request-id"):
        is_the_servers(answer)
    elif answer.body:
        is_problem(answer, answer.status, json.loads(answer.body)["code"])
        assert answer.status < 500, answer
    else:
        assert answer.headers["content-type"] == "application/problem+json"  # to HEAD


def is_the_servers(answer: Raw) -> None:
    """See that an answer was given before there was a request: its status, no content, and the end."""
    assert answer.status in BY_THE_SERVER, answer
    assert not answer.body
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-length"] == "0"


# Before there is a request


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # TLS
        (b"hello world\r\n\r\n", 400),
        (b"GET /health/live\r\n\r\n", 400),  # HTTP/0.9
        (b"GET /health/live HTTP/1.2\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/live HTTP/2.0\r\n" + HOST + b"\r\n", 400),
        (b"G@T /health/live HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /v1/parties/\0 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET \\ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Note: a\0b\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Note : a\r\n\r\n", 400),
        (b"GET /health/live HTTP/1.1\r\n" + HOST + b"Note: a\r\n b\r\n\r\n", 400),  # RFC 9112, section 5.2
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Note: " + b"a" * 600_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + HOST + b"Note: a\r\n" * 120 + b"\r\n", 431),
        (b"POST /v1/parties HTTP/1.1\r\n" + HOST + b"Content-Length: abc\r\n\r\n", 400),
        (b"POST /v1/parties HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST /v1/parties HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST /v1/parties HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST /v1/parties HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    ],
)
async def test_what_is_no_request_is_answered_with_a_status_and_the_end(port: Port, sent: bytes, status: int):
    (answer,) = await exchange(port.number, sent)
    is_the_servers(answer)
    assert answer.status == status
    await served(port)


@pytest.mark.parametrize("sent", [b"", b"PRI ", b"GET /health/live HTTP/1.1\r\nHo", b"\r\n"])
async def test_a_head_that_does_not_come_in_time_is_the_end_of_the_connection(port: Port, sent: bytes):
    async with asyncio.timeout(HEAD_SECONDS * 3):
        assert await exchange(port.number, sent) == []


async def test_a_connection_that_asks_no_more_is_closed(port: Port):
    async with asyncio.timeout(HEAD_SECONDS * 3):
        (answer,) = await exchange(port.number, b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.status == 200


async def test_silent_connections_keep_nobody_out_for_longer_than_a_head_may_take(port: Port):
    silent = [await asyncio.open_connection("127.0.0.1", port.number) for _ in range(300)]  # it takes 128 at a time
    try:
        await served(port)
    finally:
        for _, writer in silent:
            writer.transport.abort()


# Requests of an unusual form


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"Host:\r\n",
        b"Host: a\r\nHost: b\r\n",
        b"Host: a b\r\n",
        b"Host: \xff\r\n",
        b"Host: a/b\r\n",
        b"Host: a:b\r\n",
    ],
)
@pytest.mark.parametrize("target", [b"/health/live", b"/v1/parties", b"/nowhere"])
async def test_a_request_names_one_host(port: Port, fields: bytes, target: bytes):
    (answer,) = await exchange(port.number, b"GET " + target + b" HTTP/1.1\r\n" + CLOSE + fields + b"\r\n")
    assert is_problem(answer, 400, "malformed") == [{"detail": "expected one host", "header": "Host"}]
    assert answer.headers["registry-size"] == "0"


async def test_http_1_0_needs_no_host(port: Port):
    (answer,) = await exchange(port.number, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert answer.status == 200
    (answer,) = await exchange(port.number, b"GET /nowhere HTTP/1.0\r\n\r\n")
    is_problem(answer, 404, "not-found")


async def test_a_target_in_absolute_form_is_served(port: Port):
    (answer,) = await exchange(port.number, port.request(b"GET http://registry.test/health/live"))
    assert answer.status == 200
    (answer,) = await exchange(port.number, port.request(b"GET http://registry.test/nowhere"))
    is_problem(answer, 404, "not-found")


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (b"OPTIONS *", 404, "not-found"),
        (b"GET *", 404, "not-found"),
        (b"GET registry.test:80", 404, "not-found"),
        (b"CONNECT registry.test:80", 404, "not-found"),
        (b"CONNECT /v1/parties", 405, "method-not-allowed"),
        (b"TRACE /v1/parties", 405, "method-not-allowed"),
        (b"BREW /v1/parties", 405, "method-not-allowed"),
        (b"get /v1/parties", 405, "method-not-allowed"),
        (b"BREW /nowhere", 404, "not-found"),
        (b"PRI *", 404, "not-found"),
        (b"GET /" + b"a" * 60_000, 404, "not-found"),
        (b"GET /v1/parties/%00", 404, "not-found"),
        (b"GET /v1/parties/%ff", 404, "not-found"),
        (b"GET /v1/parties/\xc3\xa9", 404, "not-found"),
        (b"GET /v1/search?q=%00", 422, "invalid-field"),
    ],
)
async def test_a_request_that_asks_for_nothing_here_gets_a_problem(port: Port, line: bytes, status: int, code: str):
    (answer,) = await exchange(port.number, port.request(line))
    is_problem(answer, status, code)


@pytest.mark.parametrize(
    "name", [b"Accept", b"Authorization", b"Content-Type", b"Cookie", b"If-Match", b"Idempotency-Key", b"Expect"]
)
@pytest.mark.parametrize("line", [b"GET /v1/parties", b"POST /v1/parties"])
async def test_a_header_that_is_no_text_is_no_failure(port: Port, line: bytes, name: bytes):
    field = name + b": \xff\xe9\x80\r\n"
    (answer,) = await exchange(port.number, port.request(line, JSON, field, b"Content-Length: 2\r\n", body=b"{}"))
    is_sound(answer)
    await served(port)


# Bodies


async def test_a_body_is_asked_for_where_the_client_waits_to_be(port: Port):
    head = port.request(b"POST /v1/parties", JSON, b"Expect: 100-continue\r\nContent-Length: 2\r\n")
    go, answer = await exchange(port.number, head, b"{}")
    assert go.status == 100
    is_problem(answer, 422, "invalid-field")


@pytest.mark.parametrize("body", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\nzz\r\n", b"2\r\n{}0\r\n\r\n", b"-1\r\n"])
async def test_broken_chunks_get_a_problem(port: Port, body: bytes):
    sent = port.request(b"POST /v1/parties", JSON, b"Transfer-Encoding: chunked\r\n", body=body)
    (answer,) = await exchange(port.number, sent)
    assert is_problem(answer, 400, "malformed") == []
    await served(port)


async def test_a_length_beside_chunks_is_not_believed_and_ends_the_connection(port: Port):
    both = b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"
    smuggled = b"0\r\n\r\n" + port.request(b"GET /health/live")
    kept = port.request(b"POST /v1/parties", JSON, both, body=smuggled).replace(CLOSE, b"")
    (answer,) = await exchange(port.number, kept)
    is_problem(answer, 400, "malformed")


@pytest.mark.parametrize("line", [b"POST /v1/parties", b"PUT /v1/documents/" + b"0" * 64])
@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_a_body_that_does_not_come_in_time_is_told_and_ends_the_connection(
    port: Port, line: bytes, framing: bytes
):
    kind = JSON if line.startswith(b"POST") else b"Content-Type: text/plain\r\n"
    (answer,) = await exchange(port.number, port.request(line, kind, framing).replace(CLOSE, b""))
    assert is_problem(answer, 408, "not-in-time") == []
    assert answer.headers["connection"] == "close"
    await served(port)


async def test_a_body_that_drips_has_no_longer(port: Port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
    writer.write(port.request(b"POST /v1/parties", JSON, b"Content-Length: 1000\r\n"))

    async def drip() -> None:
        while True:
            writer.write(b" ")
            await asyncio.sleep(BODY_SECONDS / 10)

    dripping = asyncio.create_task(drip())
    try:
        async with asyncio.timeout(BODY_SECONDS * 5):
            (answer,) = answers(await reader.readuntil(b"}"))
        is_problem(answer, 408, "not-in-time")
    finally:
        dripping.cancel()
        writer.transport.abort()


@pytest.mark.parametrize("body", [b"", b"{"])
async def test_a_client_that_goes_in_the_middle_of_its_body_leaves_no_failure(port: Port, body: bytes):
    sent = port.request(b"POST /v1/parties", JSON, b"Content-Length: 100\r\n", body=body)
    for answer in await exchange(port.number, sent, half_close=True):
        is_problem(answer, 400, "malformed")
    await served(port)


# Anything


KNOWN = b"Host: a\r\nAuthorization: Bearer TOKEN\r\n" + JSON
REQUESTS = (
    b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET /v1/parties?limit=1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer TOKEN\r\n\r\n",
    b"HEAD /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /v1/parties HTTP/1.1\r\n" + KNOWN + b"Content-Length: 2\r\n\r\n{}",
    b"POST /v1/batch HTTP/1.1\r\n" + KNOWN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """Draw a request of which pieces are left out, replaced or repeated."""
    sent = draw(st.sampled_from(REQUESTS))
    for _ in range(draw(st.integers(1, 3))):
        at, to = sorted((draw(st.integers(0, len(sent))), draw(st.integers(0, len(sent)))))
        put = draw(
            st.one_of(st.binary(max_size=8), st.sampled_from([b"\r\n", b"\n", b" ", b":", b"\0", sent[at:to] * 2]))
        )
        sent = sent[:at] + put + sent[to if draw(st.booleans()) else at :]
    return sent


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.one_of(st.binary(max_size=200), mangled(), st.lists(mangled(), max_size=3).map(b"".join)),
    end=st.sampled_from([None, b"\r\n\r\n\0\r\n\r\n"]),
)
@example(sent=b"", end=None)
@example(sent=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 50, end=None)
async def test_whatever_is_sent_the_answer_is_sound_and_the_next_is_served(port: Port, sent: bytes, end: bytes | None):
    # The end is the client's, which may then miss its answer, or what can be no request, at which the server closes.
    written = sent.replace(b"TOKEN", port.token) + (end or b"")
    for answer in await exchange(port.number, written, half_close=end is None):
        is_sound(answer)
    await served(port)


async def test_the_journal_has_every_request_and_nothing_of_what_it_said(port: Port):
    before = len(port.lines.getvalue())
    (answer,) = await exchange(port.number, port.request(b"POST /v1/parties?secret=1", JSON, b"Content-Length: 9\r\n"))
    written = port.lines.getvalue()[before:]
    line = next(
        one for one in map(json.loads, written.splitlines()) if one.get("request_id") == answer.headers["request-id"]
    )
    assert (line["event"], line["method"], line["route"], line["status"]) == ("request", "POST", "/v1/parties", 408)
    assert "secret" not in written
    assert not [one for one in port.lines.getvalue().splitlines() if json.loads(one).get("event") == "failed"]
