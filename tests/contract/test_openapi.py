"""The OpenAPI document: valid, of every route and no other, true of real answers, and shown without any network."""

from __future__ import annotations

import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import jsonschema_rs
import pytest
import schemathesis

from events.catalogue import AMENDING, COMMANDS
from projections import LISTED
from services.registry import problems
from services.registry.api import openapi
from services.registry.api.commands import AMENDMENTS, ROUTES
from services.registry.sample import story
from services.registry.version import VERSION
from tests.support.history import steps
from tests.support.service import Service
from tests.support.world import TEXT, World, meeting

README = Path(__file__).parents[2] / "README.md"
UNDOCUMENTED = {
    "/docs",
    "/docs/start.js",
    "/docs/assets/{name}",
    "/docs/errors",
    "/openapi.json",
}
"""What shows or explains the document."""

LISTS = {f"/v1/{model.name}" for model in LISTED}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def validator(document: dict[str, Any], schema: dict[str, Any]) -> jsonschema_rs.Validator:
    """A validator of a schema that may refer to the document's components; formats are checked."""
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "components": document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def documented(document: dict[str, Any], request: str) -> dict[str, Any]:
    """The operation that a method and a real path are of."""
    method, _, path = request.partition(" ")
    for template, methods in document["paths"].items():
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), path) and method.lower() in methods:
            return methods[method.lower()]
    raise AssertionError(f"{request} is not documented")


# The document


async def test_the_document_is_served_to_anybody(service: Service, document: dict[str, Any]):
    async with service.anonymous() as client:
        answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document
    assert document["info"]["version"] == VERSION


def test_the_document_is_valid_openapi(document: dict[str, Any]):
    assert document["openapi"].startswith("3.1.")
    schemathesis.openapi.from_dict(document).validate()
    for name, schema in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        validator(document, {"$ref": f"#/components/schemas/{name}"})
    for reference in references(document):
        resolve(document, reference)


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for one in value for found in references(one)]
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [found for one in value.values() for found in references(one)]
    return []


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def test_every_schema_is_used(document: dict[str, Any]):
    used = {one.rpartition("/")[2] for one in references(document) if one.startswith("#/components/schemas/")}
    assert document["components"]["schemas"].keys() - used == set()


def test_every_operation_has_a_name_a_summary_and_its_errors(document: dict[str, Any]):
    found = operations(document)
    names = [one["operationId"] for one in found.values()]
    assert len(names) == len(set(names))
    for request, operation in found.items():
        assert operation["summary"].strip(), request
        assert operation["tags"], request
        statuses = set(operation["responses"])
        assert "405" in statuses, request
        if operation.get("security") != []:
            assert {"401", "403", "500", "503"} <= statuses, request
        if "{" in request and "sha256" not in request:
            assert "404" in statuses, request
        if operation.get("requestBody"):
            assert {"413", "415", "422"} <= statuses, request


async def test_every_route_is_in_the_document_and_the_other_way_round(service: Service, document: dict[str, Any]):
    served: dict[str, bool] = {}
    for route in service.app.routes:
        path = re.sub(r":\w+\}", "}", str(route.path))
        for handler in getattr(route, "route_handlers", ()):
            for method in handler.http_methods - {"OPTIONS"}:
                served[f"{method} {path}"] = bool(handler.opt.get("open"))
    kept_out = {request for request in served if request.partition(" ")[2] in UNDOCUMENTED}
    assert len(kept_out) == 2 * len(UNDOCUMENTED)  # each is served to GET and HEAD
    found = operations(document)
    heads = {request for request in served if request.startswith("HEAD ")}
    assert heads == {request.replace("GET", "HEAD", 1) for request in served if request.startswith("GET ")}
    assert "HEAD" in document["info"]["description"]  # in words: it is the same for every GET
    kept_out |= heads
    assert found.keys() == served.keys() - kept_out
    for request, operation in found.items():
        assert (operation.get("security") == []) == served[request], request


def test_every_command_is_in_the_document_of_batches(document: dict[str, Any]):
    kinds = document["components"]["schemas"]["Batch"]["properties"]["commands"]["items"]["oneOf"]
    assert {one["properties"]["command"]["const"] for one in kinds} == COMMANDS.keys() | AMENDING.keys()
    assert COMMANDS.keys() == ROUTES.keys()
    assert AMENDING.keys() == AMENDMENTS.keys()


def test_every_path_parameter_is_declared(document: dict[str, Any]):
    for request, operation in operations(document).items():
        declared = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert declared == set(re.findall(r"\{(\w+)\}", request)), request


# Real requests and answers


async def test_real_requests_and_answers_are_as_documented(service: Service, document: dict[str, Any]):
    world = World(service)
    for name, address, asked in steps(await service.file(TEXT)):
        path, body = world.fill(address), world.fill(asked)
        operation = documented(document, f"POST {path}")
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        validator(document, schema).validate(body)
        answer = await service.client.post(path, json=body)
        check(document, operation, answer)
        world.ids[name] = answer.json()["id"]
    await service.get("/v1/parties")
    for request, operation in operations(document).items():
        method, _, path = request.partition(" ")
        if method == "GET" and "{" not in path:
            for query in ("", "?limit=1" if "/v1/" in path else ""):
                answer = await service.client.get(path + query)
                check(document, operation, answer)
                for item in answer.json()["items"] if path in LISTS else ():
                    single = f"{path}/{item['id']}"
                    check(document, documented(document, f"GET {single}"), await service.client.get(single))
    check(document, documented(document, "GET /v1/log/entries/0"), await service.client.get("/v1/log/entries/0"))


async def test_answers_to_batches_replays_and_documents_are_as_documented(service: Service, document: dict[str, Any]):
    world = World(service)
    batch = {
        "commands": [
            {"command": "register-party", "data": {"name": name, "kind": "company", "country": "FR"}} for name in "ab"
        ]
    }
    operation = documented(document, "POST /v1/batch")
    validator(document, {"$ref": "#/components/schemas/Batch"}).validate(batch)
    for _ in range(2):
        answer = await service.client.post("/v1/batch", json=batch, headers={"Idempotency-Key": "k"})
        check(document, operation, answer)
    for _ in range(2):
        address = "/v1/documents/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        answer = await service.client.put(address, content=b"abc", headers={"Content-Type": "text/plain"})
        check(document, documented(document, f"PUT {address}"), answer)
    refusals = [
        ("/v1/parties", {"name": 1}),
        ("/v1/cooperations/x/meetings", {}),
        ("/v1/cooperations/coop_00000000000000000000000000/meetings", world.fill(meeting())),
    ]
    for path, body in refusals:
        check(document, documented(document, f"POST {path}"), await service.client.post(path, json=body))


def check(document: dict[str, Any], operation: dict[str, Any], answer: Any) -> None:
    """Hold an answer against what its operation says of it: status, media type, headers, body."""
    said = operation["responses"][str(int(answer.status_code))]
    if "$ref" in said:
        said = resolve(document, said["$ref"])
    media_type = answer.headers["content-type"].partition(";")[0]
    body = answer.json() if media_type.endswith("json") else answer.text
    validator(document, said["content"][media_type]["schema"]).validate(body)
    for name, header in said.get("headers", {}).items():
        assert name in answer.headers or not header.get("required"), name


def test_the_documented_bodies_refuse_what_the_service_refuses(document: dict[str, Any]):
    party = validator(document, {"$ref": "#/components/schemas/RegisterParty"})
    good = {"name": "x", "kind": "company", "country": "FR"}
    assert party.is_valid(good)
    for bad in (
        {},
        {**good, "extra": 1},
        {**good, "name": ""},
        {**good, "name": "x" * 301},
        {**good, "name": "a\u0000"},
        {**good, "kind": "club"},
        {**good, "country": "fr"},
        {**good, "id": None},
        {**good, "id": "person_00000000000000000000000000"},
        {**good, "sectors": ["a", "a"]},
        {**good, "citations": [{"source": "x", "start": 0, "end": 1}]},
        {**good, "classification": "secret"},
    ):
        assert not party.is_valid(bad), bad


# The pages


class References(HTMLParser):
    """Everything that a page refers to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)


async def test_the_docs_load_nothing_from_elsewhere(service: Service):
    async with service.anonymous() as client:
        page = await client.get("/docs")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        policy: str = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none';")
        assert "http" not in policy
        assert "*" not in policy
        found = References(page.text).found
        assert found
        for reference in found:
            assert reference == "data:," or reference.startswith("/docs/"), reference
            if reference.startswith("/"):
                assert (await client.get(reference)).status_code == 200, reference
        styles = (await client.get("/docs/assets/swagger-ui.css")).text
        assert not re.search(r"url\((?!\s*['\"]?data:)", styles)
        assert "@import" not in styles
        start = (await client.get("/docs/start.js")).text
        assert "validatorUrl: null" in start  # by default the page would send the document to be validated
        assert "http" not in start


async def test_every_error_is_explained_where_its_type_points(service: Service):
    async with service.anonymous() as client:
        page = await client.get("/docs/errors")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for error in problems.STATUSES:
        assert f'id="{error.code}"' in page.text
    assert References(page.text).found == []


# The README


def curls() -> list[tuple[str, str, dict[str, str], str | None]]:
    """The requests of the README's curl lines: method, URL, headers, body."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [_curl(shlex.split(line)[1:]) for line in lines if line.startswith("curl ")]


def _curl(words: list[str]) -> tuple[str, str, dict[str, str], str | None]:
    method, url, headers, body = "GET", "", dict[str, str](), None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(":")
            headers[name] = value.strip()
        elif word == "-d":
            body = words.pop(0)
        elif word != "-s":
            url = word
    return method, url, headers, body


async def test_the_readmes_requests_are_documented_and_answered(service: Service, document: dict[str, Any]):
    await story.record(service.parts.commands, service.parts.vault)
    await service.get("/v1/parties")
    requests = curls()
    assert len(requests) >= 3
    answers: list[Any] = []
    for method, url, headers, body in requests:
        assert headers.pop("Authorization") == "Bearer $TOKEN"
        address = urlsplit(url)
        operation = documented(document, f"{method} {address.path}")
        declared = {one["name"] for one in operation["parameters"]}
        assert {name for name, _ in parse_qsl(address.query)} | (headers.keys() - {"Content-Type"}) <= declared
        path = f"{address.path}?{address.query}".rstrip("?")
        answer = await service.client.request(method, path, content=body, headers=headers)
        assert answer.status_code in (200, 201), answer.text
        check(document, operation, answer)
        answers.append(answer.json())
    visits = next(one for one, asked in zip(answers, requests, strict=True) if "/v1/visits" in asked[1])
    assert [item["window"] for item in visits["items"]] == ["2019-07"]
