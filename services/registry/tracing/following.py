"""The spans of a projector: each batch of entries that it wrote to the read models, linked to their commits.

Which spans the commits had comes as hints, a moment after the entries (`hints`). So a batch's span is made only when
they have had time to come, with the times at which it happened. Without any it begins a trace of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Tracer, set_span_in_context

from projections.observer import Projected
from services.registry.tracing.hints import Hint, read
from services.registry.tracing.moments import epoch_nanoseconds

PATIENCE: Final = 1.0  # seconds that hints are given to come
KEPT: Final = 4096  # hints, of entries that are not projected yet
LASTING: Final = 600.0  # seconds: one of entries that never come was made up


class Following:
    """Observes a projector, in its event loop."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._hints: deque[tuple[float, Hint]] = deque(maxlen=KEPT)  # and when each was heard
        self._waiting: deque[tuple[Projected, asyncio.TimerHandle]] = deque()

    def heard(self, hint: str) -> None:
        """Keep a hint."""
        if (understood := read(hint)) is not None:
            self._hints.append((asyncio.get_running_loop().time(), understood))

    def projected(self, batch: Projected) -> None:
        """Have the batch's span made when the hints have had time to come."""
        due = asyncio.get_running_loop().call_later(PATIENCE, self._next)
        self._waiting.append((batch, due))

    def close(self) -> None:
        """Make the spans that are still to be made, with what is known."""
        while self._waiting:
            self._waiting[0][1].cancel()
            self._next()

    def _next(self) -> None:
        batch, _ = self._waiting.popleft()
        oldest = asyncio.get_running_loop().time() - LASTING
        known = [(heard, hint) for heard, hint in self._hints if heard > oldest]
        commits = [hint for _, hint in known if hint.first < batch.size and hint.size > batch.first]
        self._hints = deque(((heard, hint) for heard, hint in known if hint.size > batch.size), maxlen=KEPT)
        within = set_span_in_context(NonRecordingSpan(commits[0].span), Context()) if commits else Context()
        made = self._tracer.start_span(
            "project",
            within,
            SpanKind.CONSUMER,
            attributes={
                "registry.position": batch.first,
                "registry.size": batch.size,
                "registry.entries": batch.size - batch.first,
            },
            links=[Link(hint.span) for hint in commits],
            start_time=epoch_nanoseconds(batch.begun),
        )
        made.end(epoch_nanoseconds(batch.ended))
