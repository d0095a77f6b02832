"""Every error as a client sees it: RFC 9457 problem details, whatever went wrong and wherever.

Owns the errors that only the service has, the status of each `RegistryError`, and the handlers that turn
any exception into `application/problem+json`. What an unforeseen failure says of itself goes to the journal,
never to the client. docs/errors.md explains each code.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Final, cast

import msgspec
from litestar import MediaType, Request, Response, get
from litestar.exceptions import HTTPException, ValidationException
from msgspec import Meta

from events import errors
from events.errors import FieldProblem, InvalidField, NotFound, RegistryError
from events.log import migrate
from events.log.failure import AWAY
from projections.following import ReadModelBehind
from services.registry import journal
from services.registry.archive.folder import ArchiveUnusable
from services.registry.arrival import NotInTime
from services.registry.signing.keyring import KeyRingUnusable
from services.registry.signing.signer import LogRewritten, LogRolledBack, NotSigned
from services.registry.verify.source import Unreadable
from services.registry.witness.state import StateUnusable

MEDIA_TYPE: Final = "application/problem+json"


class Malformed(RegistryError):
    """The request could not be read."""

    code = "malformed"


class Unauthenticated(RegistryError):
    """No valid token was presented."""

    code = "unauthenticated"

    def __init__(self, detail: str, *, presented: bool) -> None:
        """Take whether there was a token at all, which RFC 6750, section 3.1, tells apart."""
        super().__init__(detail, [FieldProblem("expected Bearer and a token that holds", header="Authorization")])
        self.presented = presented


class Forbidden(RegistryError):
    """The token has none of the roles that this needs."""

    code = "forbidden"

    def __init__(self, detail: str, *, expected: str = "a token with another role") -> None:
        super().__init__(detail, [FieldProblem(f"expected {expected}", header="Authorization")])


class MethodNotAllowed(RegistryError):
    """The method is not served at this address."""

    code = "method-not-allowed"

    def __init__(self, allowed: Iterable[str]) -> None:
        self.allowed = tuple(sorted(allowed))
        super().__init__(f"Use one of: {', '.join(self.allowed)}.")


class BodyTooLarge(RegistryError):
    """The request's body is larger than the service takes."""

    code = "body-too-large"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, [FieldProblem("too large", pointer="")])


class UnsupportedMediaType(RegistryError):
    """The request's body is of a kind that is not taken here."""

    code = "unsupported-media-type"

    def __init__(self, detail: str, *, header: str = "Content-Type") -> None:
        super().__init__(detail, [FieldProblem(detail, header=header)])


class NotReady(RegistryError):
    """The service cannot serve now."""

    code = "not-ready"


class DatabaseUnavailable(RegistryError):
    """The database cannot be reached now."""

    code = "database-unavailable"


class AccessNotRecorded(RegistryError):
    """It could not be recorded who asked, so nothing was given out."""

    code = "access-not-recorded"


class Internal(RegistryError):
    """The service failed."""

    code = "internal"


STATUSES: Final[Mapping[type[RegistryError], HTTPStatus]] = {
    Malformed: HTTPStatus.BAD_REQUEST,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    NotInTime: HTTPStatus.REQUEST_TIMEOUT,
    errors.RuleBroken: HTTPStatus.CONFLICT,
    errors.AlreadyExists: HTTPStatus.CONFLICT,
    errors.NothingChanges: HTTPStatus.CONFLICT,
    errors.CooperationClosed: HTTPStatus.CONFLICT,
    errors.CooperationSuspended: HTTPStatus.CONFLICT,
    errors.CooperationNotSuspended: HTTPStatus.CONFLICT,
    errors.NotScheduled: HTTPStatus.CONFLICT,
    errors.MilestoneClosed: HTTPStatus.CONFLICT,
    errors.AgreementOver: HTTPStatus.CONFLICT,
    errors.OccasionCancelled: HTTPStatus.CONFLICT,
    errors.SourceWithdrawn: HTTPStatus.CONFLICT,
    errors.PartyMerged: HTTPStatus.CONFLICT,
    errors.CircularParties: HTTPStatus.CONFLICT,
    errors.NotInPost: HTTPStatus.CONFLICT,
    errors.PersonErased: HTTPStatus.CONFLICT,
    errors.DocumentsNamePerson: HTTPStatus.CONFLICT,
    errors.NotCorrectable: HTTPStatus.CONFLICT,
    errors.RestedUpon: HTTPStatus.CONFLICT,
    errors.TooFewParties: HTTPStatus.CONFLICT,
    errors.NotAParty: HTTPStatus.CONFLICT,
    errors.DateNotReached: HTTPStatus.CONFLICT,
    errors.DocumentMissing: HTTPStatus.CONFLICT,
    errors.DocumentDiffers: HTTPStatus.CONFLICT,
    errors.AlreadyClaimed: HTTPStatus.CONFLICT,
    errors.WrongExpectedVersion: HTTPStatus.PRECONDITION_FAILED,
    BodyTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.EntryTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.InvalidField: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownReference: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.CommandIdReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    RegistryError: HTTPStatus.INTERNAL_SERVER_ERROR,
    Internal: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.Corrupt: HTTPStatus.INTERNAL_SERVER_ERROR,
    ArchiveUnusable: HTTPStatus.INTERNAL_SERVER_ERROR,
    KeyRingUnusable: HTTPStatus.INTERNAL_SERVER_ERROR,
    StateUnusable: HTTPStatus.INTERNAL_SERVER_ERROR,
    Unreadable: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.MasterKeyUnusable: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.MigrationError: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.InvalidMigrations: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.MigrationEdited: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.MigrationFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.MigrationLocked: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.NotTheOwner: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.DatabaseTooNew: HTTPStatus.INTERNAL_SERVER_ERROR,
    migrate.DatabaseNotMigrated: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.QueueFull: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LogUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.EntryTooNew: HTTPStatus.SERVICE_UNAVAILABLE,
    ReadModelBehind: HTTPStatus.SERVICE_UNAVAILABLE,
    NotSigned: HTTPStatus.SERVICE_UNAVAILABLE,
    LogRolledBack: HTTPStatus.SERVICE_UNAVAILABLE,
    LogRewritten: HTTPStatus.SERVICE_UNAVAILABLE,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    DatabaseUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    AccessNotRecorded: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""The status of every `RegistryError`; a test fails for one that is missing."""

RETRY_AFTER_SECONDS: Final = 1
"""A batch is committed in milliseconds and the database is back in seconds: try soon."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong (RFC 9457)."""

    type: Annotated[str, Meta(description="Where the error is explained, as a reference relative to this service.")]
    title: Annotated[str, Meta(description="The kind of error in words; the same for every error of this code.")]
    status: Annotated[int, Meta(description="The HTTP status.")]
    detail: Annotated[str, Meta(description="What is wrong this time, and what to do.")]
    code: Annotated[str, Meta(description="The kind of error, for programs. It never changes.")]
    errors: Annotated[tuple[FieldProblem, ...], Meta(description="Every offending field.")] = ()


def title(error: type[RegistryError]) -> str:
    """Return the first line of a class's docstring."""
    return (error.__doc__ or "").partition("\n")[0]


def status(error: type[RegistryError]) -> HTTPStatus:
    """Return the status of an error, or of the nearest class it is made of."""
    return next(STATUSES[kind] for kind in error.__mro__ if kind in STATUSES)


def problem(error: RegistryError) -> Problem:
    """Describe an error to a client; of a failure of our own it says no more than that there was one, and where."""
    kind = type(error)
    ours = status(kind) is HTTPStatus.INTERNAL_SERVER_ERROR
    place = error.place if isinstance(error, errors.Corrupt) else None
    where = f"What must be stored is missing or another: {place}. " if place else ""
    return Problem(
        type=f"/docs/errors#{kind.code}",
        title=title(kind),
        status=status(kind),
        detail=f"{where}Nothing is known to be wrong with the request. Tell the operator its Request-Id."
        if ours
        else error.detail,
        code=kind.code,
        errors=() if ours else error.problems,
    )


def response(error: RegistryError) -> Response[Problem]:
    """Answer with an error, with the headers that its status calls for (RFC 9110, RFC 6750)."""
    described = problem(error)
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if described.status == HTTPStatus.UNAUTHORIZED:
        presented = isinstance(error, Unauthenticated) and error.presented
        headers["WWW-Authenticate"] = 'Bearer realm="registry"' + (', error="invalid_token"' if presented else "")
    if described.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if described.status == HTTPStatus.REQUEST_TIMEOUT:
        headers["Connection"] = "close"
    return Response(described, status_code=described.status, media_type=MEDIA_TYPE, headers=headers)


def handle(_request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    """Answer any exception with a problem, and journal one that is a failure of our own."""
    meant = _translated(error)
    if status(type(meant)) is HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(meant, AccessNotRecorded):
        journal.failure(error)
    return response(meant)


HANDLERS: Final[dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]] = {
    Exception: handle
}
"""The `exception_handlers` of the application: nothing is answered by Litestar's own."""


def _translated(error: Exception) -> RegistryError:
    if isinstance(error, RegistryError):
        return error
    if isinstance(error, ValidationException):
        return _invalid(error)
    if isinstance(error, HTTPException):
        return _refused(error)
    if isinstance(error, AWAY) and not isinstance(error, ValueError):
        return DatabaseUnavailable("The database does not answer. Nothing is known to be lost; try again.")
    return Internal(str(error))


def _refused(error: HTTPException) -> RegistryError:
    """Translate what Litestar refused before a handler of ours saw it."""
    translated: dict[int, RegistryError] = {
        HTTPStatus.NOT_FOUND: NotFound("Nothing is served at this address. See /docs."),
        HTTPStatus.METHOD_NOT_ALLOWED: MethodNotAllowed((error.headers or {}).get("allow", "").split(", ")),
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: BodyTooLarge(
            "Send a document to /v1/documents, and a long batch in parts."
        ),
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: UnsupportedMediaType(error.detail),
    }
    if error.status_code in translated:
        return translated[error.status_code]
    # Litestar makes a failure of its own of a client that hangs up in the middle of a body, or sends a broken chunk.
    if "disconnected" in error.detail:
        return Malformed("The body ended before it was whole: its chunks are broken, or it is shorter than was said.")
    if "host header" in error.detail:
        return Malformed("Send one Host, as HTTP/1.1 asks.", [FieldProblem("expected one host", header="Host")])
    if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Malformed(error.detail)
    return Internal(error.detail)


def _invalid(error: ValidationException) -> RegistryError:
    """Translate Litestar's list of what is wrong with parameters and body; without one, the request made no sense."""
    found = [_field(cast("dict[str, Any]", item)) for item in error.extra or () if isinstance(item, dict)]
    return InvalidField.of(found) if found else Malformed(error.detail)


def _field(item: Mapping[str, Any]) -> FieldProblem:
    key, detail = str(item.get("key", "")), str(item.get("message", "not valid"))
    match str(item.get("source", "")):
        case "header":
            return FieldProblem(detail, header=key)
        case "body":
            return FieldProblem(detail, pointer="" if key == "data" else "/" + key.replace(".", "/"))
        case _:
            return FieldProblem(detail, parameter=key)


@get("/docs/errors", opt={"open": True}, include_in_schema=False, media_type=MediaType.HTML, sync_to_thread=False)
def explained() -> str:
    """Serve what a problem's `type` points to: one anchor a code."""
    rows = "\n".join(
        f'<tr id="{kind.code}"><td><code>{kind.code}</code><td>{code:d}<td>{html.escape(title(kind))}'
        for kind, code in STATUSES.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Errors of the Cooperation Registry</title>'
        f"<h1>Errors</h1><table><tr><th>code<th>status<th>meaning\n{rows}</table></html>"
    )
