"""The spans of a process that records: what a request does, and the commits that its commands were recorded in.

A commit records several commands, of several requests. Its span is the child of the first of them that is traced, so
that it is sampled as that is, and linked to all of them; each of theirs is linked to it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from opentelemetry.trace import Link, Span, SpanKind, StatusCode, Tracer, set_span_in_context

from events.errors import RegistryError
from events.log.observer import Commit
from services.registry import journal
from services.registry.tracing.hints import Hints
from services.registry.tracing.moments import epoch_nanoseconds
from services.registry.tracing.spans import Attributes

ERROR_TYPE: Final = "error.type"


def failed(span: Span, error: Exception) -> None:
    """Tell of an error what kind it is, and not what it says: that may quote a client."""
    if isinstance(error, RegistryError):  # an answer like another: who asked is told what is wrong
        span.set_attribute(ERROR_TYPE, error.code)
        return
    span.set_attribute(ERROR_TYPE, type(error).__qualname__)
    span.set_status(StatusCode.ERROR)


class Recording:
    """Makes the spans; it is a `Marking` for what serves a request, and observes the log's writer."""

    def __init__(self, tracer: Tracer) -> None:
        self.tracer = tracer
        self.hints = Hints()
        self._appending: dict[UUID, Span] = {}

    @contextmanager
    def span(self, name: str, attributes: Attributes) -> Generator[Span]:
        """Make a span within the one at hand."""
        with self.tracer.start_as_current_span(
            name, attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as made:
            try:
                yield made
            except Exception as error:
                failed(made, error)
                raise

    @contextmanager
    def appending(self, command_id: UUID) -> Generator[Span]:
        """Make the span that the commit which records the command is tied to."""
        with self.span("append", {}) as made:
            self._appending[command_id] = made
            try:
                yield made
            finally:
                if self._appending.get(command_id) is made:
                    del self._appending[command_id]

    def committed(self, commit: Commit) -> None:
        """Make the spans of a commit, and of its commands' waiting for it. Never raises: others wait behind it."""
        try:
            self._committed(commit)
        except Exception as error:  # noqa: BLE001 - told, and what was recorded is answered all the same
            journal.failure(error)

    def _committed(self, commit: Commit) -> None:
        traced = [
            (span, begun)
            for command_id, begun in commit.commands
            if (span := self._appending.get(command_id)) is not None and span.is_recording()
        ]
        if not traced:
            return
        sent, durable = epoch_nanoseconds(commit.sent), epoch_nanoseconds(commit.durable)
        for span, begun in traced:
            waiting = self.tracer.start_span(
                "wait in the queue", set_span_in_context(span), start_time=epoch_nanoseconds(begun)
            )
            waiting.end(sent)
        made = self.tracer.start_span(
            "commit",
            set_span_in_context(traced[0][0]),
            SpanKind.PRODUCER,
            attributes={
                "registry.position": commit.first,
                "registry.size": commit.size,
                "registry.entries": commit.size - commit.first,
                "registry.commands": len(commit.commands),
            },
            links=[Link(span.get_span_context()) for span, _ in traced],
            start_time=sent,
        )
        made.end(durable)
        for span, _ in traced:
            span.add_link(made.get_span_context())
        self.hints.add(commit.first, commit.size, made.get_span_context())
