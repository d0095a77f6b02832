"""Commands over HTTP: new things go to their collection, transitions to a verb under the thing, several to a batch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from events.catalogue import COMMANDS
from events.errors import CommandIdReused, FieldProblem, NotFound, RegistryError, RuleBroken, WrongExpectedVersion
from events.shape import escape
from services.registry.access.roles import RECORD
from services.registry.access.tokens import Principal
from services.registry.api import query
from services.registry.api.query import Asking
from services.registry.bodies import Asked
from services.registry.commands import Actor, Answer, Result
from services.registry.ids import is_id
from services.registry.parts import Parts
from services.registry.problems import Malformed, UnsupportedMediaType

MAX_COMMANDS = 1_000
MAX_DIGITS = 400  # of a number; a decimal one has 309 at the most before it is infinite


class Route(NamedTuple):
    """Where a command is posted to, and where what it brought is read."""

    path: str
    location: str


ROUTES: Mapping[str, Route] = {
    "register-party": Route("/v1/parties", "/v1/parties/{id}"),
    "register-person": Route("/v1/people", "/v1/people/{id}"),
    "appoint-person": Route("/v1/people/{id:str}/appoint", "/v1/people/{stream}"),
    "announce-occasion": Route("/v1/occasions", "/v1/occasions/{id}"),
    "send-delegation": Route("/v1/occasions/{id:str}/delegations", "/v1/occasions/{stream}"),
    "file-source": Route("/v1/sources", "/v1/sources/{id}"),
    "open-cooperation": Route("/v1/cooperations", "/v1/cooperations/{id}"),
    "raise-topic": Route("/v1/cooperations/{id:str}/topics", "/v1/cooperations/{stream}"),
    "record-meeting": Route("/v1/cooperations/{id:str}/meetings", "/v1/meetings/{id}"),
    "record-negotiations": Route("/v1/cooperations/{id:str}/negotiations", "/v1/negotiations/{id}"),
    "agree-roadmap": Route("/v1/cooperations/{id:str}/roadmaps", "/v1/roadmaps/{id}"),
    "schedule-visit": Route("/v1/cooperations/{id:str}/visits", "/v1/visits/{id}"),
    "schedule-round": Route("/v1/cooperations/{id:str}/rounds", "/v1/rounds/{id}"),
    "reach-agreement": Route("/v1/cooperations/{id:str}/agreements", "/v1/agreements/{id}"),
    "suspend-cooperation": Route("/v1/cooperations/{id:str}/suspend", "/v1/cooperations/{stream}"),
    "resume-cooperation": Route("/v1/cooperations/{id:str}/resume", "/v1/cooperations/{stream}"),
    "conclude-cooperation": Route("/v1/cooperations/{id:str}/conclude", "/v1/cooperations/{stream}"),
    "abandon-cooperation": Route("/v1/cooperations/{id:str}/abandon", "/v1/cooperations/{stream}"),
}


class EntryRef(msgspec.Struct, frozen=True):
    """An entry that was recorded."""

    position: int
    type: str
    id: str


class Recorded(msgspec.Struct, frozen=True):
    """What a command brought: the thing's id, its stream and that stream's revision, the entries, the log's size."""

    id: str
    subject: str
    revision: int
    entries: tuple[EntryRef, ...]
    size: int


class BatchResult(msgspec.Struct, frozen=True):
    """What one command of a batch brought."""

    id: str
    subject: str
    revision: int
    entries: tuple[EntryRef, ...]


class BatchRecorded(msgspec.Struct, frozen=True):
    """What a batch brought, command by command in its order."""

    results: tuple[BatchResult, ...]
    size: int


def _handler(command: str, route: Route) -> HTTPRouteHandler:
    aggregate, kind = COMMANDS[command]

    async def record(request: Asking) -> Response[Recorded]:
        subject = None
        if not kind.opens:
            key = request.path_params["id"]
            if not is_id(aggregate.prefix, key):
                raise NotFound(f"There is no {aggregate.kind} with this id.", [_NO_SUCH_ID])
            subject = f"{aggregate.kind}/{key}"
        head = _Head(request)
        asked = Asked(command, subject, await body_of(request))
        answer = await _execute(request, [asked], head)
        (result,) = answer.results
        location = route.location.format(id=result.id, stream=result.subject.partition("/")[2])
        recorded = Recorded(result.id, result.subject, result.revision, (_entry(result),), answer.size)
        return _response(recorded, answer, {"Location": location, "ETag": f'"{result.revision}"'})

    return post(route.path, opt=RECORD, name=command)(record)


@post("/v1/batch", opt=RECORD, name="batch")
async def batch(request: Asking) -> Response[BatchRecorded]:
    """Record several commands: all or nothing. Later ones may refer to what earlier ones bring."""
    head = _Head(request)
    if "if-match" in request.headers:
        head.wrong("If-Match", "a batch has no one revision that it could match")
    answer = await _execute(request, _batch(await body_of(request), head.problems), head)
    results = tuple(BatchResult(one.id, one.subject, one.revision, (_entry(one),)) for one in answer.results)
    return _response(BatchRecorded(results, answer.size), answer, {})


class _Head:
    """What a request says beside its body: its idempotency key, the revision expected, and what is wrong with it."""

    def __init__(self, request: Asking) -> None:
        self.problems = query.surplus(request)
        self.key = request.headers.get("idempotency-key")
        if self.key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", self.key):
            self.wrong("Idempotency-Key", "expected 1 to 255 visible ASCII characters without spaces")
        self.expected: int | None = None
        if (tag := request.headers.get("if-match")) is not None:
            # An entity tag as it was given: `"3"` by a command, `"3.9f2c…"` by a read.
            if found := re.fullmatch(r'"([0-9]{1,9})(\.[0-9a-f]+)?"', tag.strip()):
                self.expected = int(found[1])
            else:
                self.wrong("If-Match", 'expected a revision in quotes, such as "3", or the ETag of the thing')

    def wrong(self, header: str, detail: str) -> None:
        if all(one.header != header for one in self.problems):
            self.problems.append(FieldProblem(detail, header=header))


async def body_of(request: Asking) -> object:
    """Decode a request's JSON. Raises `UnsupportedMediaType`, `Malformed`; Litestar refuses one that is too large."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"Send application/json, not {media_type or 'a body without a Content-Type'}.")
    body = await request.body()
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise Malformed("The JSON is nested too deeply.", [FieldProblem("nested too deeply", pointer="")]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as refused:
        return _leniently(body, refused)


def _leniently(body: bytes, refused: Exception) -> object:
    """Decode what is JSON all the same, so that the fields can be named: half surrogate pairs, endless numbers.

    Raises `Malformed`.
    """
    try:
        return json.loads(body.decode(), parse_constant=_no_constant, parse_int=_integer)
    except (ValueError, RecursionError):
        detail = f"The body is not JSON: {refused}."
        raise Malformed(detail, [FieldProblem("not JSON", pointer="")]) from None


def _no_constant(name: str) -> object:
    raise ValueError(name)


def _integer(digits: str) -> int | float:
    """Read what Python takes for a number at once; any other is far out of every bound that there is."""
    return int(digits) if len(digits) < MAX_DIGITS else float("inf")


def _batch(body: object, problems: list[FieldProblem]) -> list[Asked]:
    """Take a batch apart, and add to the problems what is not as it has to be."""
    if not isinstance(body, dict):
        problems.append(FieldProblem("expected an object", ""))
        return []
    given = cast("dict[str, Any]", body)
    problems += [FieldProblem("unknown field", f"/{escape(name)}") for name in given if name != "commands"]
    commands: object = given.get("commands")
    if not isinstance(commands, list):
        problems.append(FieldProblem("expected an array of commands", "/commands"))
        return []
    asked = cast("list[object]", commands)
    if not 1 <= len(asked) <= MAX_COMMANDS:
        problems.append(FieldProblem(f"expected 1 to {MAX_COMMANDS} commands", "/commands"))
    found = [_asked(one, f"/commands/{number}", problems) for number, one in enumerate(asked[:MAX_COMMANDS])]
    return [one for one in found if one]


def _asked(one: object, at: str, problems: list[FieldProblem]) -> Asked | None:
    if not isinstance(one, dict):
        problems.append(FieldProblem("expected an object", at))
        return None
    given = cast("dict[str, object]", one)
    fields = ("command", "subject", "data")
    problems += [FieldProblem("unknown field", f"{at}/{escape(name)}") for name in given if name not in fields]
    subject = "" if given.get("subject", "") is None else given.get("subject")  # null is no way to leave it out
    return Asked(given.get("command"), subject, given.get("data"), f"{at}/data")


_NO_SUCH_ID = FieldProblem("names nothing here", parameter="id")


async def _execute(request: Asking, asked: list[Asked], head: _Head) -> Answer:
    """Record what is asked for; a refusal that no field of the body explains names the header or the id that does."""
    parts: Parts = request.app.state.parts
    principal: Principal = request.auth
    actor = Actor(principal.name, principal.party)
    try:
        return await parts.commands.execute(
            asked, actor, key=head.key, expected=head.expected, problems=tuple(head.problems)
        )
    except WrongExpectedVersion as refused:
        raise _naming(refused, FieldProblem("is not the revision that it has", header="If-Match")) from None
    except CommandIdReused as refused:
        raise _naming(refused, FieldProblem("was used for another request", header="Idempotency-Key")) from None
    except NotFound as refused:
        raise _naming(refused, _NO_SUCH_ID) from None
    except RuleBroken as refused:
        raise _naming(refused, FieldProblem("is not in a state that allows this", parameter="id")) from None


def _naming(refused: RegistryError, problem: FieldProblem) -> RegistryError:
    refused.problems = refused.problems or (problem,)
    return refused


def _response(body: Any, answer: Answer, headers: dict[str, str]) -> Response[Any]:
    headers["Registry-Size"] = str(answer.size)
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, status_code=HTTP_200_OK if answer.replayed else HTTP_201_CREATED, headers=headers)


def _entry(result: Result) -> EntryRef:
    return EntryRef(result.position, result.type, result.entry_id)


HANDLERS = [*(_handler(command, route) for command, route in ROUTES.items()), batch]
