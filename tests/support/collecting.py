"""A collector of traces on the loopback, that takes OTLP over HTTP as real ones do; and one that never answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collected(NamedTuple):
    """A span as it arrived; ids as bytes."""

    service: str
    name: str
    trace: bytes
    id: bytes
    parent: bytes
    links: frozenset[bytes]
    attributes: Mapping[str, Any]
    kind: int
    status: int
    begun: int
    ended: int


class Collector:
    """What arrived, and where it is to be sent."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.bodies: list[bytes] = []
        self.paths: list[str] = []
        self._arrived = threading.Condition()

    def take(self, path: str, body: bytes) -> None:
        with self._arrived:
            self.paths.append(path)
            self.bodies.append(body)
            self._arrived.notify_all()

    @property
    def spans(self) -> list[Collected]:
        return [span for body in self.bodies for span in _spans(body)]

    def named(self, name: str) -> list[Collected]:
        return [span for span in self.spans if span.name == name]

    def wait_for(self, enough: Callable[[Collector], bool], seconds: float = 20.0) -> None:
        """Return when what arrived is enough; to be called in a thread of its own."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: enough(self), seconds), [span.name for span in self.spans]


def _spans(body: bytes) -> Generator[Collected]:
    for of_process in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _attributes(of_process.resource.attributes)["service.name"]
        for of_scope in of_process.scope_spans:
            for span in of_scope.spans:
                yield Collected(
                    service,
                    span.name,
                    span.trace_id,
                    span.span_id,
                    span.parent_span_id,
                    frozenset(link.span_id for link in span.links),
                    _attributes(span.attributes),
                    span.kind,
                    span.status.code,
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collecting() -> Generator[Collector]:
    """Take traces until this is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            collector.take(self.path, body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def hanging() -> Generator[str]:
    """Take connections, and never read nor answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1/traces"
