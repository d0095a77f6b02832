"""How spans leave: in a thread of their own, from a bounded queue whose oldest are dropped, and told of once.

A collector that is slow, silent or gone costs no request anything. That traces do not arrive is one line in the
journal, and another when they do again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Self

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Tracer

from events.log.append import MAX_BATCH_ENTRIES
from services.registry import journal
from services.registry.version import VERSION

CLOSE_SECONDS: Final = 3.0  # that what is not sent yet is given at the end
LASTING_SECONDS: Final = 60.0  # without a complaint, after which traces are told to arrive again
LINK_LIMIT: Final = "OTEL_SPAN_LINK_COUNT_LIMIT"


class _Outage(logging.Handler):
    """Hears what the library complains of, and whether spans arrive; tells when that changes.

    The library's own lines would come again and again, and may quote an address or a header. One for a process, however
    many exporters it has.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._state = threading.Lock()
        self._users = 0
        self._told = False
        self._complained_at = 0.0

    @contextmanager
    def heard(self) -> Generator[Self]:
        """Listen until this is left."""
        library = logging.getLogger("opentelemetry")
        with self._state:
            self._users += 1
            self._told = self._told and self._users > 1
            library.addHandler(self)
            library.propagate = False
        try:
            yield self
        finally:
            with self._state:
                self._users -= 1
                if not self._users:
                    library.removeHandler(self)
                    library.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        """Take a complaint, without what would be put into its text."""
        self.begun(str(record.msg))

    def begun(self, what: str) -> None:
        """Tell that spans are lost, unless that is told already."""
        with self._state:
            told, self._told = self._told, True
            self._complained_at = time.monotonic()
        if not told:
            journal.logger().warning("traces_are_lost", why=what)

    def ended(self) -> None:
        """Tell that spans arrive again, once that has lasted."""
        with self._state:
            lasting = self._told and time.monotonic() - self._complained_at >= LASTING_SECONDS
            self._told = self._told and not lasting
        if lasting:
            journal.logger().info("traces_arrive_again")


_OUTAGE: Final = _Outage()


class _Watched(SpanExporter):
    """An exporter whose failures are told once."""

    def __init__(self, exporter: SpanExporter, outage: _Outage) -> None:
        self._exporter = exporter
        self._outage = outage

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            self._outage.ended()
        else:
            self._outage.begun("the collector does not take them")
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


@asynccontextmanager
async def exporting(endpoint: str, service: str) -> AsyncGenerator[Tracer]:
    """Send spans to a collector (OTLP over HTTP) until this is left; what waits then is given a moment to leave.

    All else is as OpenTelemetry's variables say (`standard`). Nothing global is set.
    """
    with _OUTAGE.heard() as outage:
        provider = _provider(endpoint, service, outage)
        try:
            yield provider.get_tracer("cooperation-registry", VERSION)
        finally:
            closing = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
            closing.start()
            await asyncio.get_running_loop().run_in_executor(None, closing.join, CLOSE_SECONDS)


def _provider(endpoint: str, service: str, outage: _Outage) -> TracerProvider:
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service, SERVICE_VERSION: VERSION}).merge(
            OTELResourceDetector().detect()
        ),
        span_limits=SpanLimits() if LINK_LIMIT in os.environ else SpanLimits(max_links=MAX_BATCH_ENTRIES),
        shutdown_on_exit=False,  # it would wait for the collector
    )
    provider.add_span_processor(BatchSpanProcessor(_Watched(OTLPSpanExporter(endpoint=endpoint), outage)))
    return provider
