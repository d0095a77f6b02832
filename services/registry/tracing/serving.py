"""The span of a request: its method, the template of its route, its status and its id, as HTTP's conventions have them.

Of what the client sent only `traceparent` (W3C Trace Context) is taken, and the method if it is a known one. The path,
the query, headers, addresses and `tracestate` are left out, though the conventions ask for some: they may name people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import structlog
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.registry.journal import REQUEST_ID
from services.registry.metrics.requests import METHODS
from services.registry.tracing.recording import ERROR_TYPE, Recording, failed
from services.registry.tracing.spans import marking

UNTRACED: Final = ("/health/", "/metrics")
"""What monitors ask every few seconds."""
SERVER_ERROR: Final = 500
_TRACEPARENT: Final = b"traceparent"
_ID_HEADER: Final = REQUEST_ID.lower().encode()
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class Traced:
    """Wraps the application and its journal, whose lines then have the trace's id."""

    def __init__(self, app: ASGIApp, recording: Callable[[], Recording | None]) -> None:
        """Take the application, and where to find what makes spans once it has started."""
        self._app = app
        self._recording = recording

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; an error that the application lets through is let through."""
        recording = self._recording() if scope["type"] == "http" else None
        if recording is None or cast("HTTPScope", scope)["path"].startswith(UNTRACED):
            await self._app(scope, receive, send)
            return
        request = cast("HTTPScope", scope)
        known = request["method"] in METHODS
        with recording.tracer.start_as_current_span(
            request["method"] if known else "HTTP",
            _parent(request["headers"]),
            SpanKind.SERVER,
            attributes={
                "http.request.method": request["method"] if known else "_OTHER",
                "url.scheme": "https" if request["scheme"] == "https" else "http",
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            if span.is_recording():
                await self._serve(request, receive, send, recording, span)
            else:
                await self._app(scope, receive, send)

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send, recording: Recording, span: Span) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                _answered(span, int(message["status"]), message["headers"])
            await send(message)

        token = marking.set(recording)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=format_trace_id(span.get_span_context().trace_id)):
                await self._app(scope, receive, sending)
        except Exception as error:
            failed(span, error)
            raise
        finally:
            marking.reset(token)
            route: str | None = cast("dict[str, Any]", scope).get("path_template")
            if route is not None:
                span.set_attribute("http.route", route)
                if scope["method"] in METHODS:
                    span.update_name(f"{scope['method']} {route}")


def _answered(span: Span, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
    span.set_attribute("http.response.status_code", status)
    for name, value in headers:
        if name == _ID_HEADER:
            span.set_attribute("registry.request_id", value.decode("latin-1"))
    if status >= SERVER_ERROR:
        span.set_attribute(ERROR_TYPE, str(status))
        span.set_status(StatusCode.ERROR)


def _parent(headers: Iterable[tuple[bytes, bytes]]) -> Context:
    """Return the context that the client names; an empty one where it names none, or more than one."""
    named = [value.decode("latin-1") for name, value in headers if name == _TRACEPARENT]
    return _PROPAGATOR.extract({"traceparent": named}, Context()) if len(named) == 1 else Context()
