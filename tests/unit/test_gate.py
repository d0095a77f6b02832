from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.handlers import asgi
from litestar.testing import TestClient
from litestar.types import Scope

from services.registry import problems
from services.registry.access import gate, roles
from services.registry.access.roles import Role
from services.registry.access.tokens import Principal

PRINCIPALS = {role.value: Principal(f"token_{role}", role.value, frozenset({role})) for role in Role}
PRINCIPALS["none"] = Principal("token_none", "none", frozenset())


async def identify(presented: str, _scope: Scope) -> Principal:
    if presented not in PRINCIPALS:
        raise problems.Unauthenticated("The token is not known here.", presented=True)
    return PRINCIPALS[presented]


@get("/open", opt=roles.OPEN)
async def open_to_all() -> str:
    return "open"


@get("/read", opt=roles.READ)
async def read(request: Request[Any, Principal, Any]) -> str:
    return request.auth.name


@get("/follow", opt=roles.FOLLOW)
async def follow() -> str:
    return "entries"


@post("/record", opt=roles.RECORD)
async def record() -> None: ...


@get("/operate", opt=roles.OPERATE)
async def operate() -> None: ...


@get("/audit", opt=roles.AUDIT)
async def audit() -> None: ...


@get("/any", opt=roles.ANY)
async def anybody() -> None: ...


def application(*handlers: Any) -> Litestar:
    return Litestar(
        handlers,
        middleware=[gate.gate(identify)],
        exception_handlers=problems.HANDLERS,
        logging_config=None,
        openapi_config=None,
    )


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient[Litestar]]:
    with TestClient(application(open_to_all, read, follow, record, operate, audit, anybody)) as client:
        yield client


def status(client: TestClient[Litestar], path: str, token: str) -> int:
    method = "POST" if path == "/record" else "GET"
    return client.request(method, path, headers={"authorization": f"Bearer {token}"}).status_code


@pytest.mark.parametrize(
    ("path", "admitted"),
    [
        ("/read", {"reader", "auditor"}),
        ("/follow", {"follower", "auditor"}),
        ("/record", {"recorder"}),
        ("/operate", {"operator"}),
        ("/audit", {"auditor"}),
        ("/any", {"reader", "recorder", "follower", "auditor", "operator"}),
        ("/open", set(PRINCIPALS)),
    ],
)
def test_a_route_admits_the_roles_it_declares_and_no_other(client: TestClient[Litestar], path: str, admitted: set[str]):
    assert {token for token in PRINCIPALS if status(client, path, token) < 400} == admitted
    assert {status(client, path, token) for token in PRINCIPALS if token not in admitted} <= {403}


def test_a_refused_role_is_told_which_it_takes(client: TestClient[Litestar]):
    told = client.get("/read", headers={"authorization": "Bearer operator"}).json()
    assert told["code"] == "forbidden"
    assert told["detail"] == "This takes a token with one of the roles reader, auditor; this one has operator."


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic cmVhZGVyOg==", "reader", "Bearer reader reader"]
)
def test_without_a_bearer_token_there_is_a_challenge(client: TestClient[Litestar], header: str | None):
    response = client.get("/read", headers={} if header is None else {"authorization": header})
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="registry"'


def test_two_authorization_headers_are_refused(client: TestClient[Litestar]):
    response = client.get("/read", headers=[("authorization", "Bearer reader"), ("authorization", "Bearer auditor")])
    assert response.status_code == 401


def test_an_unknown_token_is_told_that_it_is_invalid(client: TestClient[Litestar]):
    response = client.get("/read", headers={"authorization": "Bearer stranger"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer realm="registry", error="invalid_token"'


def test_the_scheme_is_read_in_any_case_and_the_handler_knows_who_asks(client: TestClient[Litestar]):
    response = client.get("/read", headers={"authorization": "bEARER reader"})
    assert (response.status_code, response.text) == (200, "reader")


def test_the_methods_of_an_address_are_open_to_all(client: TestClient[Litestar]):
    response = client.options("/record")
    assert (response.status_code, response.headers["allow"]) == (204, "OPTIONS, POST")


def test_the_refusal_comes_before_the_body_is_read():
    app = application(record)
    with TestClient(app) as client:
        assert client.post("/record", content=b"0" * 20_000_000).status_code == 401


def test_an_application_whose_routes_are_all_declared_may_start():
    gate.check(application(open_to_all, read, record))


@get("/undeclared")
async def undeclared() -> None: ...


@get("/both", opt={**roles.OPEN, **roles.READ})
async def both() -> None: ...


@get("/nobody", opt=roles.needs())
async def nobody() -> None: ...


@asgi("/mounted", is_mount=True, copy_scope=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("handler", [undeclared, both, nobody, mounted])
def test_a_route_that_does_not_say_who_may_use_it_stops_the_start(handler: Any):
    with pytest.raises(gate.UndeclaredRoute, match=r"^/\w+: .* has to declare roles or to be open"):
        gate.check(application(read, handler))


def test_a_route_that_was_never_checked_is_closed_all_the_same():
    with TestClient(application(undeclared), raise_server_exceptions=False) as client:
        assert client.get("/undeclared", headers={"authorization": "Bearer reader"}).status_code == 500


def test_what_routes_declare_can_be_listed():
    listed = list(gate.declared(application(open_to_all, record)))
    assert ("/open", "GET", None) in listed
    assert ("/record", "POST", frozenset({Role.RECORDER})) in listed
