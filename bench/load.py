"""Requests over HTTP/1.1, as fast as they are answered, from several connections that are kept open.

The client does as little as it can, since it shares the machine with the server: requests are made of bytes that stand
ready, and of an answer only the status, the length and the end are looked for.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from bench.measure import Failed

SECONDS = 600.0  # that a run may take


_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `head` ends with an empty line."""

    status: int
    head: bytes
    body: bytes

    @property
    def headers(self) -> dict[str, str]:
        """The header fields, names in small letters."""
        return headers_of(self.head)


@dataclass
class Told:
    """What a run of requests gave: how many a second, and how long each took, in seconds."""

    rate: float = 0.0
    latencies: list[float] = field(default_factory=list)


class Client:
    """Connections to a port of this machine, opened anew for each run: servers close those that wait."""

    def __init__(self, port: int, connections: int) -> None:
        self._port = port
        self._number = connections
        self._streams: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __aenter__(self) -> Self:
        await self._open(self._number)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def _open(self, number: int) -> None:
        self._close()
        for _ in range(number):
            self._streams.append(await asyncio.open_connection("127.0.0.1", self._port, limit=2**20))

    def _close(self) -> None:
        for _reader, writer in self._streams:
            writer.close()
        self._streams.clear()

    async def once(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """Make one request. Raises OSError when the connection is lost."""
        await self._open(1)
        return await _ask(*self._streams[0], request(method, path, headers, body))

    async def run(self, requests: int, made: Callable[[], Iterator[bytes]], status: int) -> Told:
        """Make so many requests, of those that `made` yields for each connection.

        Raises `Failed` for another status.
        """
        told = Told()

        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            wanted = made()
            for _ in range(requests // self._number):
                begun = time.perf_counter()
                answer = await _ask(reader, writer, next(wanted))
                told.latencies.append(time.perf_counter() - begun)
                if answer.status != status:
                    raise Failed(f"{answer.status} instead of {status}: {answer.body[:500]!r}")

        await self._open(self._number)
        begun = time.perf_counter()
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(one(*stream) for stream in self._streams))
        told.rate = len(told.latencies) / (time.perf_counter() - begun)
        return told

    async def stream(self, path: str, headers: Mapping[str, str]) -> tuple[int, float]:
        """Read an answer of any length without keeping it; how many bytes its content had, chunked, and in how long.

        Raises `Failed` for another answer, and one that ends too early.
        """
        await self._open(1)
        reader, writer = self._streams[0]
        begun = time.perf_counter()
        writer.write(request("GET", path, headers))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or b"chunked" not in head.lower():
            raise Failed(f"this is no stream: {head!r}")
        size = 0
        while length := int(await reader.readuntil(b"\r\n"), 16):
            size += length
            left = length + 2
            while left:
                part = await reader.read(min(left, 2**20))
                if not part:
                    raise Failed("the stream ended too early")
                left -= len(part)
        await reader.readuntil(b"\r\n")
        return size, time.perf_counter() - begun


def request(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """Write a request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes) -> Answer:
    writer.write(asked)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as lost:
        raise ConnectionResetError("the connection was closed") from lost
    status = int(head[9:12])
    found = None if status == 304 else _LENGTH.search(head)
    length = int(found[1]) if found else 0
    return Answer(status, head, await reader.readexactly(length) if length else b"")


def headers_of(head: bytes) -> dict[str, str]:
    """Read the header fields of an answer, names in small letters."""
    fields = (line.partition(b":") for line in head.split(b"\r\n")[1:] if line)
    return {name.decode().lower(): value.strip().decode() for name, _, value in fields}
