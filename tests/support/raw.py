"""Bytes sent to a port as they are, and what came back, read as strictly as RFC 9112 writes it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec

PATIENCE: Final = 20.0
STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9]) [\t -~]*")
FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t -~]*)")


class Raw(msgspec.Struct, frozen=True):
    """One answer; the names of its headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def exchange(port: int, *sent: bytes, half_close: bool = False) -> list[Raw]:
    """Send bytes, each after an answer to those before, and return all answers once the other side has closed.

    Raises `TimeoutError` if it does not, and `AssertionError` for bytes that are no answer.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError, OSError):  # it closes as soon as it has seen enough
                for number, piece in enumerate(sent):
                    if number:
                        received += await reader.read(65_536)
                    writer.write(piece)
                    await writer.drain()
                if half_close:
                    writer.write_eof()
            with contextlib.suppress(ConnectionError):
                while more := await reader.read(65_536):
                    received += more
    finally:
        writer.transport.abort()
    return answers(received)


def answers(received: bytes) -> list[Raw]:
    """Take apart what came back; the last may have no content where it was to HEAD."""
    found: list[Raw] = []
    while received:
        head, ended, rest = received.partition(b"\r\n\r\n")
        assert ended, f"no whole head: {received!r}"
        first, *fields = head.split(b"\r\n")
        line = STATUS_LINE.fullmatch(first)
        assert line, f"no status line: {first!r}"
        headers: dict[str, str] = {}
        for field in fields:
            matched = FIELD.fullmatch(field)
            assert matched, f"no header field: {field!r}"
            headers[matched[1].decode().lower()] = matched[2].decode()
        status = int(line[1])
        body = b""
        if headers.get("transfer-encoding") == "chunked":
            body, rest = _chunks(rest)
        elif "content-length" in headers and rest and not rest.startswith(b"HTTP/1."):  # else it was to HEAD
            length = int(headers["content-length"])
            assert len(rest) >= length, f"cut short: {received!r}"
            body, rest = rest[:length], rest[length:]
        found.append(Raw(status, headers, body))
        received = rest
    return found


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        size, ended, rest = rest.partition(b"\r\n")
        assert ended, "no whole chunk"
        length = int(size, 16)
        chunk, end, rest = rest[:length], rest[length : length + 2], rest[length + 2 :]
        assert len(chunk) == length and end == b"\r\n", "a chunk is cut short"  # noqa: PT018 - one thing
        body += chunk
        if not length:
            return body, rest
