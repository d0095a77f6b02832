"""Spans as they are made: what ties them together, what they say, and what they leave out."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Generator
from contextlib import ExitStack
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.types import HTTPScope, Message, Receive, Scope, Send
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags, Tracer

from events.errors import NotFound
from events.log.observer import Commit
from projections.observer import Projected
from services.registry import journal
from services.registry.journal import Journal
from services.registry.tracing import following, spans
from services.registry.tracing.following import Following
from services.registry.tracing.hints import Hint, read, written
from services.registry.tracing.recording import Recording
from services.registry.tracing.serving import Traced

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01".encode()


@pytest.fixture
def made() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(made: InMemorySpanExporter) -> Generator[Tracer]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(made))
    yield provider.get_tracer("tests")
    provider.shutdown()


@pytest.fixture
async def recording(tracer: Tracer) -> Recording:
    return Recording(tracer)


def context(nth: int) -> SpanContext:
    return SpanContext(1000 + nth, nth, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def linked(span: ReadableSpan) -> list[int]:
    return [link.context.span_id for link in span.links]


# Hints


@given(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1), st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
def test_a_hint_is_read_as_it_was_written(first: int, size: int, trace: int, span: int):
    hint = Hint(first, size, SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
    assert read(written(hint)) == hint


@given(st.text())
def test_what_is_no_hint_is_none(text: str):
    assert read(text) is None


# Commits


def commit(commands: list[UUID]) -> Commit:
    now = asyncio.get_running_loop().time()
    return Commit([(command, now) for command in commands], 5, 5 + len(commands), now, now)


async def test_a_commit_belongs_to_the_first_command_that_is_traced(recording: Recording, made: InMemorySpanExporter):
    traced, other = uuid4(), uuid4()
    with ExitStack() as open_:
        first = open_.enter_context(recording.appending(traced))
        recording.committed(commit([other, traced]))
    waiting, committed, _ = made.get_finished_spans()
    assert (waiting.name, committed.name) == ("wait in the queue", "commit")
    assert parent_of(committed) == first.get_span_context().span_id
    assert (committed.attributes or {})["registry.commands"] == 2
    assert linked(committed) == [first.get_span_context().span_id]


async def test_of_a_commit_without_a_traced_command_no_span_is_made(recording: Recording, made: InMemorySpanExporter):
    recording.committed(commit([uuid4()]))
    with recording.appending(done := uuid4()):
        pass
    recording.committed(commit([done]))
    assert [span.name for span in made.get_finished_spans()] == ["append"]


async def test_of_what_is_not_sampled_nothing_is_made(made: InMemorySpanExporter):
    provider = TracerProvider(sampler=ParentBasedTraceIdRatio(0.0), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(made))
    recording = Recording(provider.get_tracer("tests"))
    with recording.appending(command := uuid4()):
        recording.committed(commit([command]))
    assert made.get_finished_spans() == ()


async def test_a_commit_that_cannot_be_traced_is_answered_all_the_same(
    recording: Recording, monkeypatch: pytest.MonkeyPatch
):
    stream = io.StringIO()
    journal.configure("info", "json", stream)
    with recording.appending(command := uuid4()):
        monkeypatch.setattr(recording, "tracer", None)
        recording.committed(commit([command]))
    journal.configure("info", "json")
    assert '"event":"failed"' in stream.getvalue()


# Projections


def projected(first: int, size: int) -> Projected:
    now = asyncio.get_running_loop().time()
    return Projected(first, size, now - 0.5, now - 0.25)


async def test_hints_that_come_after_what_was_projected_are_waited_for(
    tracer: Tracer, made: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(following, "PATIENCE", 0.0)
    observed = Following(tracer)
    observed.projected(projected(0, 10))
    for nth, (first, size) in enumerate([(0, 4), (4, 10), (10, 12)], start=1):
        observed.heard(written(Hint(first, size, context(nth))))
    async with asyncio.timeout(10):
        while not made.get_finished_spans():  # noqa: ASYNC110 - made by a timer
            await asyncio.sleep(0)
    observed.projected(projected(10, 12))
    observed.close()
    first, second = made.get_finished_spans()
    assert (parent_of(first), linked(first)) == (1, [1, 2])
    assert (parent_of(second), linked(second)) == (3, [3])
    assert 0.24e9 < (first.end_time or 0) - (first.start_time or 0) < 0.26e9


async def test_a_commit_that_is_projected_in_parts_is_linked_to_by_each(tracer: Tracer, made: InMemorySpanExporter):
    observed = Following(tracer)
    observed.heard(written(Hint(0, 1000, context(1))))
    observed.projected(projected(0, 500))
    observed.projected(projected(500, 1000))
    observed.projected(projected(1000, 1001))
    observed.close()
    assert [linked(span) for span in made.get_finished_spans()] == [[1], [1], []]
    assert made.get_finished_spans()[2].parent is None


async def test_a_hint_of_entries_that_never_come_is_forgotten(
    tracer: Tracer, made: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
):
    observed = Following(tracer)
    observed.heard(written(Hint(0, 10**18 - 1, context(1))))
    monkeypatch.setattr(following, "LASTING", 0.0)
    observed.projected(projected(0, 1))
    observed.close()
    assert linked(made.get_finished_spans()[0]) == []


# Requests


async def served(recording: Recording, app: Any, *headers: tuple[bytes, bytes], **more: Any) -> list[Message]:
    """Serve one request with the application, its journal and its tracing."""
    sent: list[Message] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/v1/secret", "scheme": "http", "headers": headers, **more}
    await Traced(Journal(app), lambda: recording)(cast("HTTPScope", scope), receive, send)
    return sent


def answering(status: int) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        cast("dict[str, Any]", scope)["path_template"] = "/v1/{name}"
        with spans.span("within"):
            await send({"type": "http.response.start", "status": status, "headers": []})

    return app


@pytest.mark.parametrize(
    ("given_", "parent"),
    [
        ([TRACEPARENT], CALLER),
        ([], None),
        ([b""], None),
        ([b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"], None),
        ([TRACEPARENT, TRACEPARENT], None),
        ([b"\xff\xfe"], None),
    ],
)
async def test_a_request_goes_on_from_the_one_traceparent_that_it_names(
    recording: Recording, made: InMemorySpanExporter, given_: list[bytes], parent: str | None
):
    await served(
        recording, answering(200), *((b"traceparent", value) for value in given_), (b"tracestate", b"a=secret")
    )
    within, request = made.get_finished_spans()
    assert parent_of(request) == (int(parent, 16) if parent else None)
    assert parent_of(within) == (request.context.span_id if request.context else None)
    assert request.name == "GET /v1/{name}"
    assert "secret" not in request.to_json() + within.to_json()
    assert spans.marking.get() is None


@pytest.mark.parametrize(
    ("status", "code"), [(201, StatusCode.UNSET), (404, StatusCode.UNSET), (503, StatusCode.ERROR)]
)
async def test_only_what_the_service_fails_at_is_marked_as_an_error(
    recording: Recording, made: InMemorySpanExporter, status: int, code: StatusCode
):
    await served(recording, answering(status))
    _, request = made.get_finished_spans()
    assert request.status.status_code is code
    assert (request.attributes or {}).get("error.type") == (str(status) if code is StatusCode.ERROR else None)


async def test_of_an_error_its_kind_is_told_and_never_its_message(recording: Recording, made: InMemorySpanExporter):
    async def failing(*_: object) -> None:
        with spans.span("refused"), pytest.raises(NotFound), spans.span("decide"):
            raise NotFound("secret")
        raise ValueError("secret")

    with pytest.raises(ValueError, match="secret"):
        await served(recording, failing)
    decide, _, request = made.get_finished_spans()
    assert (decide.attributes or {})["error.type"] == NotFound.code
    assert (request.attributes or {})["error.type"] == "ValueError"
    assert request.status.status_code is StatusCode.ERROR
    assert [span.events for span in made.get_finished_spans()] == [(), (), ()]
    assert "secret" not in "".join(span.to_json() for span in made.get_finished_spans())


async def test_an_unknown_method_is_told_as_such(recording: Recording, made: InMemorySpanExporter):
    await served(recording, answering(405), method="SECRET")
    _, request = made.get_finished_spans()
    assert request.name == "HTTP"
    assert (request.attributes or {})["http.request.method"] == "_OTHER"


def test_outside_of_a_traced_request_a_mark_does_nothing():
    assert spans.span("decide") is spans.span("decide")
    with spans.span("decide") as nothing, spans.appending(uuid4()) as neither:
        assert nothing is neither is None
