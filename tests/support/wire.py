"""A wire to PostgreSQL that can be cut: where nothing has arrived yet, or just before the answer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Self
from urllib.parse import parse_qs, quote, urlsplit

CHUNK = 65_536
LOST = (ConnectionError, asyncio.IncompleteReadError)


class Wire:
    """Forwards connections to a server, until a fault is armed; each fault strikes once.

    `lose_answer`: what is sent next reaches the server, which carries it out and answers; the answer is lost and the
    connection with it. `lose_request`: what is sent next is lost. `down`: no connection, those there are cut.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = urlsplit(dsn)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._fault = ""
        self.struck = asyncio.Event()
        self.dsn = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        user, _, _ = self._dsn.netloc.rpartition("@")
        self.dsn = f"postgresql://{user}@127.0.0.1:{port}{quote(self._dsn.path)}?sslmode=disable"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._cut()
        await self._server.wait_closed()

    def lose_answer(self) -> None:
        self._fault = "answer"

    def lose_request(self) -> None:
        self._fault = "request"

    def down(self) -> None:
        self._fault = "down"
        self._cut()

    def up(self) -> None:
        self._fault = ""

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault == "down":
            writer.transport.abort()
            return
        there, there_writer = await self._dial()
        self._open |= {writer, there_writer}
        try:
            await asyncio.gather(self._requests(reader, there_writer), self._answers(there, writer))
        except LOST:
            pass
        finally:
            self._open -= {writer, there_writer}
            for end in (writer, there_writer):
                end.transport.abort()
                with suppress(*LOST):
                    await end.wait_closed()

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        query = parse_qs(self._dsn.query)
        if "host" in query:
            return await asyncio.open_unix_connection(f"{query['host'][0]}/.s.PGSQL.{query.get('port', ['5432'])[0]}")
        assert self._dsn.hostname is not None
        return await asyncio.open_connection(self._dsn.hostname, self._dsn.port or 5432)

    async def _requests(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        while sent := await reader.read(CHUNK):
            if self._fault == "request":
                self._strike()
            server.write(sent)
            await server.drain()
        raise ConnectionResetError

    async def _answers(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while answered := await reader.read(CHUNK):
            if self._fault == "answer":
                self._strike()
            client.write(answered)
            await client.drain()
        raise ConnectionResetError

    def _strike(self) -> None:
        self._fault = ""
        self.struck.set()
        raise ConnectionResetError


@asynccontextmanager
async def wire(dsn: str) -> AsyncGenerator[Wire, None]:
    async with Wire(dsn) as made:
        yield made
