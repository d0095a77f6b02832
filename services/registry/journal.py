"""The service's log lines (not the registry's log, which is `events.log`): one JSON object a line on standard error.

Nothing personal is written: of a request its id, method, route template, status and duration, and never a path,
a query, an address, a body or a header; of a failure its type and where it arose, of what is stored and corrupt its
place, and never its message, which may quote what a client sent.
"""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final, Literal, TextIO, TypeAlias, cast

import msgspec
import structlog
import uuid_utils
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from events.errors import Corrupt

REQUEST_ID: Final = "Request-Id"
"""The header of every answer that names the request as the journal does."""


_HEADER: Final = REQUEST_ID.lower().encode()
_REQUEST: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
_configured: Final[list[structlog.typing.FilteringBoundLogger]] = []
"""The logger of the last `configure`: to look one up anew takes longer than most of what a request does."""

Ended: TypeAlias = Callable[[str, str | None, int | None, float], None]
"""Is told a request's method, its route's template (None: nothing is served), its status and its seconds."""
Completes: TypeAlias = Callable[[Message, Scope], None]
"""Is shown each message of an answer, and may add to it."""


def configure(level: str, form: Literal["json", "console"], stream: TextIO = sys.stderr) -> None:
    """Write lines of `level` and graver to `stream`, our own and those of the libraries (theirs from warning on)."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _of_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer = structlog.processors.JSONRenderer(_json) if form == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _configured[:] = [structlog.get_logger().bind()]
    handler = logging.StreamHandler(stream)
    processors: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _without_messages,
        renderer,
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=processors))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)


def logger() -> structlog.typing.FilteringBoundLogger:
    """Return the logger; what is bound to the request's context stands in each of its lines."""
    return _configured[0] if _configured else cast("structlog.typing.FilteringBoundLogger", structlog.get_logger())


def request_id() -> str | None:
    """Return the id of the request that is being served, or None outside of one."""
    return _REQUEST.get()


def failure(error: BaseException) -> None:
    """Write that something failed which should not have: what kind of error, where, and the frames it passed."""
    logger().error("failed", **_described(error))


def _described(error: BaseException) -> dict[str, Any]:
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    cause = error.__cause__ or error.__context__
    place = {"place": error.place} if isinstance(error, Corrupt) and error.place else {}
    return {
        "error": type(error).__qualname__,
        **place,
        "frames": frames,
        "cause": type(cause).__qualname__ if cause else None,
    }


def _of_request(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say which request a line is of, if it is of one."""
    if (request := _REQUEST.get()) is not None:
        event["request_id"] = request
    return event


def _json(event: object, **_more: object) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


def _without_messages(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave of a library's line what does not quote anybody: its first line, and of an error its kind and place."""
    event["event"] = str(event["event"]).partition("\n")[0]
    given: object = event.pop("exc_info", None)
    error = cast("tuple[object, ...]", given)[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event.update(_described(error))
    return event


class Journal:
    """Wraps the whole application: gives each request an id, answers it as `Request-Id`, writes a line when it ends.

    It stands outside of Litestar's routing, so that a 404 and a 405 get their line too. The route's template is read
    from the scope afterwards: `/v1/parties/{party_id}`, or null where nothing is served.
    """

    def __init__(self, app: ASGIApp, ended: Ended | None = None, completes: Completes | None = None) -> None:
        """Take the application, who is told of each request when it has ended, and what completes its answers."""
        self._app = app
        self._ended = ended
        self._completes = completes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; an error that the application lets through is journalled and let through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid_utils.uuid7())
        status: int | None = None

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                message["headers"] = [*message["headers"], (_HEADER, request_id.encode())]
            if self._completes is not None:
                self._completes(message, scope)
            await send(message)

        begun = time.perf_counter()
        token = _REQUEST.set(request_id)
        try:
            await self._app(scope, receive, sending)
        except Exception as error:
            failure(error)
            raise
        finally:
            seconds = time.perf_counter() - begun
            route: str | None = cast("dict[str, Any]", scope).get("path_template")
            if self._ended is not None:
                self._ended(scope["method"], route, status, seconds)
            logger().info(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(seconds * 1000, 3),
            )
            _REQUEST.reset(token)
