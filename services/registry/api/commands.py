"""Commands over HTTP: new things go to their collection, transitions to a verb under the thing, several to a batch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import msgspec
from litestar import Response, post
from litestar.handlers import HTTPRouteHandler
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from litestar.types import Empty

from events.catalogue import COMMANDS, CommandType
from events.errors import CommandIdReused, FieldProblem, NotFound, RegistryError, RuleBroken, WrongExpectedVersion
from events.shape import escape
from services.registry import expectation, lenience
from services.registry.access.roles import RECORD
from services.registry.access.tokens import Principal
from services.registry.api import documents, parameters, query, replies
from services.registry.api.given import headers_named
from services.registry.api.query import Asking
from services.registry.api.replies import JSON
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


_PARTY = "/v1/parties/{id:str}"
_PERSON = "/v1/people/{id:str}"
_OCCASION = "/v1/occasions/{id:str}"
_COOPERATION = "/v1/cooperations/{id:str}"
_MILESTONE = _COOPERATION + "/roadmaps/{roadmap_id:str}/milestones/{milestone_id:str}"
_VISIT = _COOPERATION + "/visits/{visit_id:str}"
_ROUND = _COOPERATION + "/rounds/{round_id:str}"
_AGREEMENT = _COOPERATION + "/agreements/{agreement_id:str}"

ROUTES: Mapping[str, Route] = {
    "register-party": Route("/v1/parties", "/v1/parties/{id}"),
    "rename-party": Route(_PARTY + "/rename", "/v1/parties/{stream}"),
    "amend-party": Route(_PARTY + "/amend", "/v1/parties/{stream}"),
    "merge-party": Route(_PARTY + "/merge", "/v1/parties/{stream}"),
    "register-person": Route("/v1/people", "/v1/people/{id}"),
    "appoint-person": Route(_PERSON + "/appoint", "/v1/people/{stream}"),
    "leave-post": Route(_PERSON + "/leave-post", "/v1/people/{stream}"),
    "erase-person": Route(_PERSON + "/erase", "/v1/people/{stream}"),
    "announce-occasion": Route("/v1/occasions", "/v1/occasions/{id}"),
    "send-delegation": Route(_OCCASION + "/delegations", "/v1/occasions/{stream}"),
    "amend-occasion": Route(_OCCASION + "/amend", "/v1/occasions/{stream}"),
    "cancel-occasion": Route(_OCCASION + "/cancel", "/v1/occasions/{stream}"),
    "file-source": Route("/v1/sources", "/v1/sources/{id}"),
    "withdraw-source": Route("/v1/sources/{id:str}/withdraw", "/v1/sources/{stream}"),
    "open-cooperation": Route("/v1/cooperations", "/v1/cooperations/{id}"),
    "raise-topic": Route(_COOPERATION + "/topics", "/v1/cooperations/{stream}"),
    "record-meeting": Route(_COOPERATION + "/meetings", "/v1/meetings/{id}"),
    "record-negotiations": Route(_COOPERATION + "/negotiations", "/v1/negotiations/{id}"),
    "agree-roadmap": Route(_COOPERATION + "/roadmaps", "/v1/roadmaps/{id}"),
    "meet-milestone": Route(_MILESTONE + "/meet", "/v1/roadmaps/{roadmap_id}"),
    "miss-milestone": Route(_MILESTONE + "/miss", "/v1/roadmaps/{roadmap_id}"),
    "reschedule-milestone": Route(_MILESTONE + "/reschedule", "/v1/roadmaps/{roadmap_id}"),
    "schedule-visit": Route(_COOPERATION + "/visits", "/v1/visits/{id}"),
    "reschedule-visit": Route(_VISIT + "/reschedule", "/v1/visits/{id}"),
    "cancel-visit": Route(_VISIT + "/cancel", "/v1/visits/{id}"),
    "record-visit": Route(_VISIT + "/held", "/v1/visits/{id}"),
    "schedule-round": Route(_COOPERATION + "/rounds", "/v1/rounds/{id}"),
    "reschedule-round": Route(_ROUND + "/reschedule", "/v1/rounds/{id}"),
    "cancel-round": Route(_ROUND + "/cancel", "/v1/rounds/{id}"),
    "record-round": Route(_ROUND + "/held", "/v1/rounds/{id}"),
    "reach-agreement": Route(_COOPERATION + "/agreements", "/v1/agreements/{id}"),
    "amend-agreement": Route(_AGREEMENT + "/amend", "/v1/agreements/{id}"),
    "terminate-agreement": Route(_AGREEMENT + "/terminate", "/v1/agreements/{id}"),
    "suspend-cooperation": Route(_COOPERATION + "/suspend", "/v1/cooperations/{stream}"),
    "resume-cooperation": Route(_COOPERATION + "/resume", "/v1/cooperations/{stream}"),
    "conclude-cooperation": Route(_COOPERATION + "/conclude", "/v1/cooperations/{stream}"),
    "abandon-cooperation": Route(_COOPERATION + "/abandon", "/v1/cooperations/{stream}"),
}

AMENDMENTS: Mapping[str, str] = {
    "correct-entry": "/v1/log/entries/{position:str}/correct",
    "retract-entry": "/v1/log/entries/{position:str}/retract",
}


class EntryRef(msgspec.Struct, frozen=True):
    """An entry that was recorded."""

    position: int
    type: str
    id: str


class Recorded(msgspec.Struct, frozen=True):
    """What a command brought: the thing's id, its stream and that stream's revision, the entries, the log's size.

    `kept` is there only where documents that name a person who was erased were to be kept: the sources over them, or
    the SHA-256 of one that no source is over. A repetition does not have it: nobody can tell any more.
    """

    id: str
    subject: str
    revision: int
    entries: tuple[EntryRef, ...]
    size: int
    kept: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class BatchResult(msgspec.Struct, frozen=True):
    """What one command of a batch brought, as `Recorded` has it."""

    id: str
    subject: str
    revision: int
    entries: tuple[EntryRef, ...]
    kept: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET


class BatchRecorded(msgspec.Struct, frozen=True):
    """What a batch brought, command by command in its order."""

    results: tuple[BatchResult, ...]
    size: int


def _handler(command: str, route: Route) -> HTTPRouteHandler:
    aggregate, kind = COMMANDS[command]

    async def record(request: Asking) -> Response[bytes]:
        subject = None
        if not kind.opens:
            key = request.path_params["id"]
            if not is_id(aggregate.prefix, key):
                raise NotFound(f"There is no {aggregate.kind} with this id.", [_NO_SUCH_ID])
            subject = f"{aggregate.kind}/{key}"
        head = _Head(request)
        if command == "file-source" and documents.is_form(request):
            body, attached = await documents.of_form(request, head.problems)
        else:
            body, attached = _about(kind, request, await body_of(request, head.problems), head), None
        return await _record(request, Asked(command, subject, body, document=attached), head, route.location)

    # A document may come with its source: then the bound is the form's, and checked as it comes.
    size = None if command == "file-source" else Empty
    return post(route.path, opt=RECORD, name=command, request_max_body_size=size)(record)


def _about(kind: CommandType, request: Asking, body: object, head: _Head) -> object:
    """Put what the path says of the thing that a command is about into its body, where it has no place of its own."""
    if not kind.targets or not isinstance(body, dict):
        return body
    fields = cast("dict[str, Any]", body)
    head.problems += [
        FieldProblem("stands in the address, not in the body", f"/{name}") for name in kind.targets if name in fields
    ]
    targets = {name: request.path_params[name] for name in kind.targets}
    for name, value in targets.items():
        if not is_id(name.removesuffix("_id"), value):
            raise NotFound(
                f"There is no {name.removesuffix('_id')} with this id.", [FieldProblem("no such id", parameter=name)]
            )
    return {**fields, **targets}


async def _record(request: Asking, asked: Asked, head: _Head, location: str) -> Response[bytes]:
    answer = await _execute(request, [asked], head)
    (result,) = answer.results
    named = {"id": result.id, "stream": result.subject.partition("/")[2], "entry": result.position}
    about = {**request.path_params, **named}
    where = location.format(**about)
    recorded = Recorded(result.id, result.subject, result.revision, _entries(result), answer.size, _kept(result))
    return _response(recorded, answer, {"Location": where, "ETag": f'"{result.revision}"'})


def _amending(command: str, path: str) -> HTTPRouteHandler:
    field = "corrects" if command == "correct-entry" else "retracts"

    async def amend(request: Asking) -> Response[bytes]:
        parts: Parts = request.app.state.parts
        given: str = request.path_params["position"]
        position = int(given) if parameters.POSITION.fullmatch(given) else -1
        found = await parts.log.read_all(position, 1) if position >= 0 else []
        if not found:
            raise NotFound("The log has no such entry.", [FieldProblem("no such entry", parameter="position")])
        head = _Head(request)
        body = await body_of(request, head.problems)
        if isinstance(body, dict):
            fields = cast("dict[str, Any]", body)
            if field in fields:
                head.problems.append(FieldProblem("stands in the address, not in the body", f"/{field}"))
            body = {**fields, field: position}
        return await _record(request, Asked(command, found[0].stream, body), head, "/v1/log/entries/{entry}")

    return post(path, opt=RECORD, name=command)(amend)


@post("/v1/batch", opt=RECORD, name="batch")
async def batch(request: Asking) -> Response[bytes]:
    """Record several commands: all or nothing. Later ones may refer to what earlier ones bring."""
    head = _Head(request)
    if headers_named(request, b"if-match"):
        head.wrong("If-Match", "a batch has no one revision that it could match")
    asked = _batch(await body_of(request, head.problems), head.problems)
    answer = await _execute(request, asked, head)
    results = tuple(BatchResult(one.id, one.subject, one.revision, _entries(one), _kept(one)) for one in answer.results)
    return _response(BatchRecorded(results, answer.size), answer, {})


class _Head:
    """What a request says beside its body: its idempotency key, the revision expected, and what is wrong with it."""

    def __init__(self, request: Asking) -> None:
        self.problems = query.surplus(request)
        self.key = self._once(request, "Idempotency-Key")
        if self.key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", self.key):
            self.wrong("Idempotency-Key", "expected 1 to 255 visible ASCII characters without spaces")
        self.expected: expectation.Expected | None = None
        if tags := headers_named(request, b"if-match"):
            try:
                self.expected = expectation.read(tags)
            except ValueError:
                self.wrong("If-Match", 'expected revisions in quotes, such as "3", ETags of the thing, or *')

    def _once(self, request: Asking, header: str) -> str | None:
        """Return a header; of one that is there several times nobody can tell which is meant."""
        given = headers_named(request, header.lower().encode())
        if len(given) > 1:
            self.wrong(header, "given more than once")
        return given[0] if given else None

    def wrong(self, header: str, detail: str) -> None:
        if all(one.header != header for one in self.problems):
            self.problems.append(FieldProblem(detail, header=header))


async def body_of(request: Asking, problems: list[FieldProblem]) -> object:
    """Decode a request's JSON, and add to the problems what it says twice.

    Raises `UnsupportedMediaType`, `Malformed`, and `BodyTooLarge`.
    """
    if documents.content_type(request) != JSON:
        _must_be_json(request)
    documents.must_be_uncoded(request)
    parts: Parts = request.app.state.parts
    body = await documents.bounded(request, parts.settings.max_body)
    try:
        return lenience.decode(body, problems)
    except RecursionError:
        raise Malformed("The JSON is nested too deeply.", [FieldProblem("nested too deeply", pointer="")]) from None
    except ValueError as refused:
        detail = f"The body is not JSON: {refused}."
        raise Malformed(detail, [FieldProblem("not JSON", pointer="")]) from None


def _must_be_json(request: Asking) -> None:
    media_type, given = request.content_type
    if media_type.lower() != JSON:
        raise UnsupportedMediaType(f"Send {JSON}, not {media_type or 'a body without a Content-Type'}.")
    if given.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise UnsupportedMediaType(f"JSON is UTF-8 (RFC 8259, section 8.1), not {given['charset']}.")


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
    except RegistryError as refused:
        refused.problems = tuple(_in_address(request, one, head) for one in refused.problems)
        if not refused.problems and (named := _at_fault(request, refused)):
            refused.problems = (named,)
        raise


def _at_fault(request: Asking, refused: RegistryError) -> FieldProblem | None:
    """Return the header or the part of the address that a refusal is about which names no field."""
    match refused:
        case WrongExpectedVersion():
            return FieldProblem("is not the revision that it has", header="If-Match")
        case CommandIdReused():
            return FieldProblem("was used for another request", header="Idempotency-Key")
        case NotFound():
            return FieldProblem(_NO_SUCH_ID.detail, parameter=_named(request, refused))
        case RuleBroken():
            return FieldProblem("is not in a state that allows this", parameter=_named(request, refused))
        case _:
            return None


def _in_address(request: Asking, problem: FieldProblem, head: _Head) -> FieldProblem:
    """Return a problem of a field that says what a command is about as one of the address, which says that here."""
    name = (problem.pointer or "").removeprefix("/")
    if name == "id" or name not in request.path_params or problem in head.problems:
        return problem
    return FieldProblem(problem.detail, parameter=name)


def _named(request: Asking, refused: RegistryError) -> str:
    """Return which part of the address a refusal is about: the innermost thing that it speaks of, or else the first."""
    names = list(request.path_params)
    spoken_of = (name for name in reversed(names) if str(request.path_params[name]) in refused.detail)
    return next(spoken_of, next(iter(names), "id"))


def _response(body: Recorded | BatchRecorded, answer: Answer, headers: dict[str, str]) -> Response[bytes]:
    headers["Registry-Size"] = str(answer.size)
    if answer.replayed:
        headers["Idempotency-Replayed"] = "true"
    status = HTTP_200_OK if answer.replayed else HTTP_201_CREATED
    return replies.Answer(msgspec.json.encode(body), status, JSON, headers)


def _entries(result: Result) -> tuple[EntryRef, ...]:
    return tuple(EntryRef(one.position, one.type, one.entry_id) for one in (result, *result.beside))


def _kept(result: Result) -> tuple[str, ...] | msgspec.UnsetType:
    return msgspec.UNSET if result.kept is None else result.kept


HANDLERS = [
    *(_handler(command, route) for command, route in ROUTES.items()),
    *(_amending(command, path) for command, path in AMENDMENTS.items()),
    batch,
]
