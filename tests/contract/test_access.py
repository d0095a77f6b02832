"""Who may use what: every route there is stands in a table here, and every role is tried on every route."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from services.registry.access import gate
from services.registry.access.roles import Role
from tests.support.refusals import nothing_left_behind, refused
from tests.support.service import execute
from tests.support.world import PERSON, World

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = None
READ = {"reader", "auditor"}
RECORD = {"recorder"}
FOLLOW = {"follower", "auditor"}
AUDIT = {"auditor"}
ANY = {role.value for role in Role}
OPERATE = {"operator"}

ROUTES: dict[str, set[str] | None] = {
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    "GET /openapi.json": OPEN,
    "GET /docs": OPEN,
    "GET /docs/start.js": OPEN,
    "GET /docs/assets/{name:str}": OPEN,
    "GET /docs/errors": OPEN,
    "POST /v1/parties": RECORD,
    "POST /v1/people": RECORD,
    "POST /v1/people/{id:str}/appoint": RECORD,
    "POST /v1/occasions": RECORD,
    "POST /v1/occasions/{id:str}/delegations": RECORD,
    "POST /v1/sources": RECORD,
    "POST /v1/cooperations": RECORD,
    "POST /v1/cooperations/{id:str}/topics": RECORD,
    "POST /v1/cooperations/{id:str}/meetings": RECORD,
    "POST /v1/cooperations/{id:str}/negotiations": RECORD,
    "POST /v1/cooperations/{id:str}/roadmaps": RECORD,
    "POST /v1/cooperations/{id:str}/visits": RECORD,
    "POST /v1/cooperations/{id:str}/rounds": RECORD,
    "POST /v1/cooperations/{id:str}/agreements": RECORD,
    "POST /v1/cooperations/{id:str}/suspend": RECORD,
    "POST /v1/cooperations/{id:str}/resume": RECORD,
    "POST /v1/cooperations/{id:str}/conclude": RECORD,
    "POST /v1/cooperations/{id:str}/abandon": RECORD,
    "POST /v1/parties/{id:str}/rename": RECORD,
    "POST /v1/parties/{id:str}/amend": RECORD,
    "POST /v1/parties/{id:str}/merge": RECORD,
    "POST /v1/people/{id:str}/leave-post": RECORD,
    "POST /v1/people/{id:str}/erase": RECORD,
    "POST /v1/occasions/{id:str}/amend": RECORD,
    "POST /v1/occasions/{id:str}/cancel": RECORD,
    "POST /v1/sources/{id:str}/withdraw": RECORD,
    "POST /v1/cooperations/{id:str}/roadmaps/{roadmap_id:str}/milestones/{milestone_id:str}/meet": RECORD,
    "POST /v1/cooperations/{id:str}/roadmaps/{roadmap_id:str}/milestones/{milestone_id:str}/miss": RECORD,
    "POST /v1/cooperations/{id:str}/roadmaps/{roadmap_id:str}/milestones/{milestone_id:str}/reschedule": RECORD,
    "POST /v1/cooperations/{id:str}/visits/{visit_id:str}/reschedule": RECORD,
    "POST /v1/cooperations/{id:str}/visits/{visit_id:str}/cancel": RECORD,
    "POST /v1/cooperations/{id:str}/visits/{visit_id:str}/held": RECORD,
    "POST /v1/cooperations/{id:str}/rounds/{round_id:str}/reschedule": RECORD,
    "POST /v1/cooperations/{id:str}/rounds/{round_id:str}/cancel": RECORD,
    "POST /v1/cooperations/{id:str}/rounds/{round_id:str}/held": RECORD,
    "POST /v1/cooperations/{id:str}/agreements/{agreement_id:str}/amend": RECORD,
    "POST /v1/cooperations/{id:str}/agreements/{agreement_id:str}/terminate": RECORD,
    "POST /v1/log/entries/{position:str}/correct": RECORD,
    "POST /v1/log/entries/{position:str}/retract": RECORD,
    "POST /v1/batch": RECORD,
    "PUT /v1/documents/{sha256:str}": RECORD,
    "GET /v1/parties": READ,
    "GET /v1/parties/{id:str}": READ,
    "GET /v1/people": READ,
    "GET /v1/people/{id:str}": READ,
    "GET /v1/occasions": READ,
    "GET /v1/occasions/{id:str}": READ,
    "GET /v1/sources": READ,
    "GET /v1/sources/{id:str}": READ,
    "GET /v1/cooperations": READ,
    "GET /v1/cooperations/{id:str}": READ,
    "GET /v1/meetings": READ,
    "GET /v1/meetings/{id:str}": READ,
    "GET /v1/negotiations": READ,
    "GET /v1/negotiations/{id:str}": READ,
    "GET /v1/roadmaps": READ,
    "GET /v1/roadmaps/{id:str}": READ,
    "GET /v1/visits": READ,
    "GET /v1/visits/{id:str}": READ,
    "GET /v1/rounds": READ,
    "GET /v1/rounds/{id:str}": READ,
    "GET /v1/agreements": READ,
    "GET /v1/agreements/{id:str}": READ,
    "GET /v1/commitments": READ,
    "GET /v1/commitments/{id:str}": READ,
    "GET /v1/cooperations/{id:str}/timeline": READ,
    "GET /v1/parties/{id:str}/timeline": READ,
    "GET /v1/search": READ,
    "GET /v1/statistics": READ,
    "GET /v1/calendar.ics": READ,
    "GET /v1/documents/{sha256:str}": READ,
    "GET /v1/schemas": ANY,
    "GET /v1/schemas/{type:str}": ANY,
    "GET /log/v1/schemas/{type:str}": ANY,
    "GET /v1/log/entries": FOLLOW,
    "GET /v1/log/entries/{position:str}": FOLLOW,
    "GET /v1/log/entries/{position:str}/proof": AUDIT,
    "GET /v1/log/consistency": AUDIT,
    "GET /v1/cooperations/{id:str}/evidence": AUDIT,
    "GET /log/checkpoint": OPEN,
    "GET /log/keys": OPEN,
    "GET /log/origins": OPEN,
    "GET /log/tile/{level:str}/{place:path}": OPEN,
    "GET /log/tile/entries/{place:path}": AUDIT,
    "GET /v1/access": AUDIT,
    "GET /v1/log/digest": AUDIT,
    "GET /metrics": OPERATE,
}
ROUTES |= {route.replace("GET", "HEAD", 1): roles for route, roles in ROUTES.items() if route.startswith("GET ")}
"""Each route with the roles that open it; what answers GET answers HEAD. A route that is not here must not be there."""


def routes_of(world: World) -> set[str]:
    """What the router really serves, whatever the routes say of themselves; OPTIONS tells methods, to anybody."""
    served: set[str] = set()
    for route in world.service.app.routes:
        template = str(route.path)
        methods: set[str] = set(getattr(route, "methods", {"ANY"}))
        served |= {f"{method} {template}" for method in methods - {"OPTIONS"}}
    return served


async def test_there_is_no_route_that_the_table_does_not_have(world: World):
    assert routes_of(world) == ROUTES.keys()


async def test_every_route_declares_what_the_table_says(world: World):
    declared = {
        f"{method} {path}": roles if roles is None else {role.value for role in roles}
        for path, method, roles in gate.declared(world.service.app)
        if method != "OPTIONS"
    }
    assert declared == ROUTES


class Body:
    """A body that knows whether it was read."""

    def __init__(self) -> None:
        self.was_read = False

    async def __call__(self) -> AsyncIterator[bytes]:
        self.was_read = True
        yield b"not JSON"


async def ask(client: httpx.AsyncClient, route: str) -> tuple[httpx.Response, Body]:
    """Send what is no good to a route, so that whoever passes is refused for another reason."""
    method, _, template = route.partition(" ")
    body = Body()
    path = template.replace("{id:str}", "x").replace("{sha256:str}", "x").replace("{position:str}", "x")
    content = body() if method in ("POST", "PUT") else None
    path = path.replace("{name:str}", "swagger-ui.css").replace("{level:str}/{place:path}", "0/000.p/1")
    answer = await client.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert len(answer.headers.get_list("registry-size")) == 1, route
    assert answer.headers.get("content-type", "").count("charset") <= 1, route
    return answer, body


@pytest.mark.parametrize("role", [role.value for role in Role])
async def test_a_role_opens_its_routes_and_no_other(world: World, role: str):
    async with await world.service.client_of(role) as client, nothing_left_behind(world.service):
        for route, roles in ROUTES.items():
            answer, body = await ask(client, route)
            if roles is not None and role not in roles:
                if route.startswith("HEAD"):
                    assert (answer.status_code, answer.content) == (403, b""), route
                    continue
                problem = refused(answer, 403, "forbidden", "@Authorization")
                assert not body.was_read, route
                assert all(one in problem["detail"] for one in roles), route
            else:
                assert answer.status_code not in (401, 403), route


async def test_a_token_without_roles_opens_nothing(world: World):
    token, made = await world.service.token("reader")
    async with world.service.anonymous() as client:
        client.headers["Authorization"] = f"Bearer {token}"
        await set_roles(world, made.id, ["a-role-of-tomorrow"])
        for route, roles in ROUTES.items():
            answer, body = await ask(client, route)
            assert (answer.status_code == 403) == (roles is not None), route
            assert answer.status_code != 403 or not body.was_read, route


async def set_roles(world: World, token: str, roles: list[str]) -> None:
    await execute(world.service.database.owner_dsn, "UPDATE access.token SET roles = $2 WHERE id = $1", token, roles)


async def test_a_token_with_several_roles_opens_the_routes_of_each(world: World):
    async with await world.service.client_of("recorder", "follower") as client:
        for route, roles in ROUTES.items():
            answer, _ = await ask(client, route)
            shut = roles is not None and not roles & {"recorder", "follower"}
            assert (answer.status_code == 403) == shut, route


async def test_a_stranger_passes_the_open_routes_only(world: World):
    async with nothing_left_behind(world.service), world.service.anonymous() as client:
        for route, roles in ROUTES.items():
            answer, body = await ask(client, route)
            if roles is None:
                assert answer.status_code == 200, route
            elif route.startswith("HEAD"):
                assert (answer.status_code, answer.content) == (401, b""), route
            else:
                refused(answer, 401, "unauthenticated", "@Authorization")
                assert not body.was_read, route


async def test_what_is_open_says_nothing_of_content(world: World):
    told = [*world.ids.values(), *PERSON.split()]
    async with world.service.anonymous() as client:
        for route, roles in ROUTES.items():
            if roles is None:
                answer, _ = await ask(client, route)
                assert not any(word in answer.text for word in told), route


async def test_what_methods_there_are_is_told_to_anybody_and_nothing_else(world: World):
    async with world.service.anonymous() as client:
        for template in {route.partition(" ")[2] for route in ROUTES}:
            path = template.replace("{id:str}", world.ids["person"]).replace("{sha256:str}", "x")
            answer = await client.options(path.replace("{position:str}", "0").replace("{name:str}", "x"))
            assert answer.status_code == 204, template
            assert answer.content == b""
            methods = {route.partition(" ")[0] for route in ROUTES if route.partition(" ")[2] == template}
            assert set(answer.headers["allow"].split(", ")) == {*methods, "OPTIONS"}
