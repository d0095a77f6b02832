from __future__ import annotations

import importlib
import io
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
import structlog
from litestar import Litestar, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.testing import TestClient

import events
import projections
import services
from events.errors import Corrupt, FieldProblem, InvalidField, QueueFull, RegistryError, WrongExpectedVersion
from services.registry import journal, problems

DOCUMENTED = Path(__file__).parents[2] / "docs" / "errors.md"
SECRET = "Farrukh Vezirov, SELECT * FROM vault.key"


def every_error(kind: type[RegistryError] = RegistryError) -> list[type[RegistryError]]:
    return [kind, *(error for made_of_it in kind.__subclasses__() for error in every_error(made_of_it))]


def import_everything():
    """Import all modules of the product, since a class is known as a subclass only then."""
    for package in (events, projections, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)


class Body(msgspec.Struct):
    held: int


@get("/broken")
async def broken() -> None:
    raise RuntimeError(SECRET)


@get("/raise/{code:str}")
async def refused(code: FromPath[str]) -> None:
    raise {
        "corrupt": Corrupt(SECRET),
        "queue-full": QueueFull("10,000 commands are waiting"),
        "unauthenticated": problems.Unauthenticated("Send a token.", presented=False),
        "revoked": problems.Unauthenticated("The token is revoked.", presented=True),
        "moved": WrongExpectedVersion({"party/a": (3, 4)}),
        "invalid": InvalidField.of(
            [FieldProblem("no month 13", pointer="/held"), FieldProblem("no", header="If-Match")]
        ),
        "gone": ConnectionResetError(SECRET),
        "slow": TimeoutError(SECRET),
    }[code]


@get("/items")
async def items(limit: Annotated[int, QueryParameter(ge=1, le=500)] = 50) -> int:
    return limit


@post("/items", request_max_body_size=1000)
async def record(data: JSONBody[Body]) -> Body:
    return data


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    journal.configure("info", "json", stream)
    yield stream
    structlog.reset_defaults()


@pytest.fixture
def client(lines: io.StringIO) -> Iterator[TestClient[journal.Journal]]:
    app = Litestar(
        [broken, refused, items, record, problems.explained],
        exception_handlers=problems.HANDLERS,
        logging_config=None,
        openapi_config=None,
    )
    with TestClient(journal.Journal(app), raise_server_exceptions=False) as client:
        yield client


def told(response: Any, status: int, code: str) -> dict[str, Any]:
    """The problem of an answer, whose form is the same for every error."""
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert set(told) == {"type", "title", "status", "detail", "code", "errors"}
    assert (response.status_code, told["status"]) == (status, status)
    assert told["code"] == code
    assert told["type"] == f"/docs/errors#{code}"
    assert SECRET not in response.text
    return told


def test_every_error_has_a_status_of_its_own_and_is_documented_with_it():
    import_everything()
    text = DOCUMENTED.read_text()
    for kind in every_error():
        assert kind in problems.STATUSES, kind
        assert f"\n| `{kind.code}` | {problems.STATUSES[kind]:d} |" in text, kind
        assert problems.title(kind).endswith("."), kind


def test_no_code_is_documented_or_used_twice():
    documented = re.findall(r"^\| `([a-z-]+)` \|", DOCUMENTED.read_text(), re.MULTILINE)
    assert sorted(documented) == sorted({kind.code for kind in every_error()})


def test_an_unforeseen_failure_says_nothing_of_itself(client: TestClient[journal.Journal], lines: io.StringIO):
    told(client.get("/broken"), 500, "internal")
    failed, ended = map(json.loads, lines.getvalue().splitlines())
    assert failed["error"] == "RuntimeError"
    assert failed["frames"][-1].endswith(" broken")
    assert SECRET not in lines.getvalue()
    assert ended["status"] == 500


def test_a_failure_that_has_a_name_says_nothing_of_itself_either(
    client: TestClient[journal.Journal], lines: io.StringIO
):
    told(client.get("/raise/corrupt"), 500, "corrupt")
    assert json.loads(lines.getvalue().splitlines()[0])["error"] == "Corrupt"


@pytest.mark.parametrize("code", ["gone", "slow"])
def test_a_database_that_does_not_answer_is_unavailable(client: TestClient[journal.Journal], code: str):
    response = client.get(f"/raise/{code}")
    told(response, 503, "database-unavailable")
    assert response.headers["retry-after"] == "1"


def test_a_full_queue_says_when_to_try_again(client: TestClient[journal.Journal]):
    response = client.get("/raise/queue-full")
    assert told(response, 503, "queue-full")["detail"] == "10,000 commands are waiting"
    assert response.headers["retry-after"] == "1"


def test_a_missing_token_is_challenged_without_an_error_and_a_bad_one_with_it(client: TestClient[journal.Journal]):
    missing, bad = client.get("/raise/unauthenticated"), client.get("/raise/revoked")
    told(missing, 401, "unauthenticated")
    assert missing.headers["www-authenticate"] == 'Bearer realm="registry"'
    assert bad.headers["www-authenticate"] == 'Bearer realm="registry", error="invalid_token"'


def test_a_stream_that_moved_is_a_failed_precondition(client: TestClient[journal.Journal]):
    told(client.get("/raise/moved"), 412, "wrong-expected-version")


def test_every_offending_field_is_named_in_exactly_one_place(client: TestClient[journal.Journal]):
    assert told(client.get("/raise/invalid"), 422, "invalid-field")["errors"] == [
        {"detail": "no month 13", "pointer": "/held"},
        {"detail": "no", "header": "If-Match"},
    ]


@pytest.mark.parametrize("limit", ["-1", "501", "many"])
def test_a_parameter_that_is_not_allowed_is_named(client: TestClient[journal.Journal], limit: str):
    (error,) = told(client.get("/items", params={"limit": limit}), 422, "invalid-field")["errors"]
    assert error["parameter"] == "limit"


def test_a_field_that_is_not_allowed_is_pointed_to(client: TestClient[journal.Journal]):
    (error,) = told(client.post("/items", json={"held": "x"}), 422, "invalid-field")["errors"]
    assert error["pointer"] == "/held"


def test_malformed_json_is_malformed(client: TestClient[journal.Journal]):
    told(client.post("/items", content=b"{", headers={"content-type": "application/json"}), 400, "malformed")


def test_nothing_is_served_at_an_unknown_address(client: TestClient[journal.Journal]):
    told(client.get("/none"), 404, "not-found")


def test_a_wrong_method_is_told_the_right_ones(client: TestClient[journal.Journal]):
    response = client.delete("/items")
    told(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, OPTIONS, POST"


def test_a_body_over_the_limit_is_refused(client: TestClient[journal.Journal]):
    told(client.post("/items", content=b"0" * 1001), 413, "body-too-large")


async def test_a_client_that_hangs_up_within_its_body_is_no_failure_of_ours(
    client: TestClient[journal.Journal], lines: io.StringIO
):
    sent: list[Any] = []
    events = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    scope = {"type": "http", "method": "POST", "path": "/items", "query_string": b"", "headers": [], "state": {}}

    async def receive() -> Any:
        return next(events)

    async def send(message: Any) -> None:
        sent.append(message)

    await client.app(scope, receive, send)  # type: ignore[arg-type]
    assert sent[0]["status"] == 400
    assert [json.loads(line)["event"] for line in lines.getvalue().splitlines()] == ["request"]


def test_every_problem_type_is_explained_where_it_points_to(client: TestClient[journal.Journal]):
    page = client.get("/docs/errors").text
    assert all(f'id="{kind.code}"' in page for kind in every_error())


def test_a_request_leaves_one_line_with_its_route_and_nothing_of_its_content(
    client: TestClient[journal.Journal], lines: io.StringIO
):
    response = client.get("/raise/queue-full", params={"q": "Vezirov"}, headers={"authorization": "Bearer reg_secret"})
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert line["request_id"] == response.headers["request-id"]
    assert line.keys() == {"event", "level", "timestamp", "request_id", "method", "route", "status", "milliseconds"}
    assert (line["method"], line["route"], line["status"]) == ("GET", "/raise/{code}", 503)


def test_lines_for_a_person_carry_the_same(lines: io.StringIO):
    journal.configure("warning", "console", lines)
    journal.logger().info("unseen")
    journal.logger().warning("seen", size=57)
    assert "unseen" not in lines.getvalue()
    assert "57" in lines.getvalue()
