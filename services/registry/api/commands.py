"""Commands over HTTP: new things go to their collection, transitions to a verb under the thing, several to a batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from events.catalogue import COMMANDS
from events.errors import FieldProblem, InvalidField, NotFound
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


class Route(NamedTuple):
    """Where a command is posted to, and where what it brought is read."""

    path: str
    location: str


ROUTES: Mapping[str, Route] = {
    "register-party": Route("/v1/parties", "/v1/parties/{id}"),
    "register-person": Route("/v1/people", "/v1/people/{id}"),
    "appoint-person": Route("/v1/people/{stream_id:str}/appoint", "/v1/people/{stream}"),
    "announce-occasion": Route("/v1/occasions", "/v1/occasions/{id}"),
    "send-delegation": Route("/v1/occasions/{stream_id:str}/delegations", "/v1/occasions/{stream}"),
    "file-source": Route("/v1/sources", "/v1/sources/{id}"),
    "open-cooperation": Route("/v1/cooperations", "/v1/cooperations/{id}"),
    "raise-topic": Route("/v1/cooperations/{stream_id:str}/topics", "/v1/cooperations/{stream}"),
    "record-meeting": Route("/v1/cooperations/{stream_id:str}/meetings", "/v1/meetings/{id}"),
    "record-negotiations": Route("/v1/cooperations/{stream_id:str}/negotiations", "/v1/negotiations/{id}"),
    "agree-roadmap": Route("/v1/cooperations/{stream_id:str}/roadmaps", "/v1/roadmaps/{id}"),
    "schedule-visit": Route("/v1/cooperations/{stream_id:str}/visits", "/v1/visits/{id}"),
    "schedule-round": Route("/v1/cooperations/{stream_id:str}/rounds", "/v1/rounds/{id}"),
    "reach-agreement": Route("/v1/cooperations/{stream_id:str}/agreements", "/v1/agreements/{id}"),
    "suspend-cooperation": Route("/v1/cooperations/{stream_id:str}/suspend", "/v1/cooperations/{stream}"),
    "resume-cooperation": Route("/v1/cooperations/{stream_id:str}/resume", "/v1/cooperations/{stream}"),
    "conclude-cooperation": Route("/v1/cooperations/{stream_id:str}/conclude", "/v1/cooperations/{stream}"),
    "abandon-cooperation": Route("/v1/cooperations/{stream_id:str}/abandon", "/v1/cooperations/{stream}"),
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
        query.nothing(request)
        subject = None
        if not kind.opens:
            key = request.path_params["stream_id"]
            if not is_id(aggregate.prefix, key):
                raise NotFound(f"There is no {aggregate.kind} with this id.")
            subject = f"{aggregate.kind}/{key}"
        asked = Asked(command, subject, await body_of(request))
        answer = await _execute(request, [asked], if_match(request))
        (result,) = answer.results
        location = route.location.format(id=result.id, stream=result.subject.partition("/")[2])
        recorded = Recorded(result.id, result.subject, result.revision, (_entry(result),), answer.size)
        return _response(recorded, answer, {"Location": location, "ETag": f'"{result.revision}"'})

    return post(route.path, opt=RECORD, name=command)(record)


@post("/v1/batch", opt=RECORD, name="batch")
async def batch(request: Asking) -> Response[BatchRecorded]:
    """Record several commands: all or nothing. Later ones may refer to what earlier ones bring."""
    query.nothing(request)
    if "if-match" in request.headers:
        raise InvalidField.of([FieldProblem("a batch has no one revision that it could match", header="If-Match")])
    answer = await _execute(request, _batch(await body_of(request)), None)
    results = tuple(BatchResult(one.id, one.subject, one.revision, (_entry(one),)) for one in answer.results)
    return _response(BatchRecorded(results, answer.size), answer, {})


async def body_of(request: Asking) -> object:
    """Decode a request's JSON. Raises `UnsupportedMediaType`, `Malformed`; Litestar refuses one that is too large."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"Send application/json, not {media_type or 'a body without a Content-Type'}.")
    try:
        return msgspec.json.decode(await request.body())
    except RecursionError:
        raise Malformed("The JSON is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as refused:
        raise Malformed(f"The body is not JSON: {refused}.") from None


def if_match(request: Asking) -> int | None:
    """Return the revision that a client expects, from an entity tag as it was given: `"3"` or `"3.9f2c…"`."""
    given = request.headers.get("if-match")
    if given is None:
        return None
    found = re.fullmatch(r'"([0-9]{1,9})(\.[0-9a-f]+)?"', given.strip())
    if found is None:
        raise InvalidField.of(
            [FieldProblem('expected a revision in quotes, such as "3", or the ETag of the thing', header="If-Match")]
        )
    return int(found[1])


def _batch(body: object) -> list[Asked]:
    """Take a batch apart. Raises `InvalidField` naming every part that is not as it has to be."""
    if not isinstance(body, dict) or not isinstance(cast("dict[str, Any]", body).get("commands"), list):
        raise InvalidField.of([FieldProblem("expected an array of commands", "/commands")])
    given = cast("dict[str, Any]", body)
    problems = [FieldProblem("unknown field", f"/{name}") for name in given if name != "commands"]
    commands: list[object] = given["commands"]
    if not 1 <= len(commands) <= MAX_COMMANDS:
        problems.append(FieldProblem(f"expected 1 to {MAX_COMMANDS} commands", "/commands"))
    asked: list[Asked] = []
    for number, one in enumerate(commands[:MAX_COMMANDS]):
        at = f"/commands/{number}"
        if not isinstance(one, dict):
            problems.append(FieldProblem("expected an object", at))
            continue
        fields = cast("dict[str, Any]", one)
        problems += [FieldProblem("unknown field", f"{at}/{name}") for name in fields if name not in _BATCH_FIELDS]
        if fields.get("command") not in COMMANDS:
            problems.append(FieldProblem("expected one of " + ", ".join(COMMANDS), f"{at}/command"))
        if not isinstance(fields.get("subject"), str | None):
            problems.append(FieldProblem("expected text", f"{at}/subject"))
        asked.append(Asked(fields.get("command", ""), fields.get("subject"), fields.get("data", {}), f"{at}/data"))
    if problems:
        raise InvalidField.of(problems)
    return asked


_BATCH_FIELDS = {"command", "subject", "data"}


async def _execute(request: Asking, asked: list[Asked], expected: int | None) -> Answer:
    parts: Parts = request.app.state.parts
    principal: Principal = request.auth
    return await parts.commands.execute(
        asked, Actor(principal.name, principal.party), key=_idempotency_key(request), expected=expected
    )


def _idempotency_key(request: Asking) -> str | None:
    given = request.headers.get("idempotency-key")
    if given is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", given):
        raise InvalidField.of(
            [FieldProblem("expected 1 to 255 visible ASCII characters without spaces", header="Idempotency-Key")]
        )
    return given


def _response(body: Any, answer: Answer, headers: dict[str, str]) -> Response[Any]:
    headers["Registry-Size"] = str(answer.size)
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(body, status_code=HTTP_200_OK if answer.replayed else HTTP_201_CREATED, headers=headers)


def _entry(result: Result) -> EntryRef:
    return EntryRef(result.position, result.type, result.entry_id)


HANDLERS = [*(_handler(command, route) for command, route in ROUTES.items()), batch]
