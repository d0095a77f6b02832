"""A network that intercepts TLS: a proxy that answers in the place of whatever host is asked for."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager

from tests.support.certifying import Authority

CHUNK = 1 << 16


class Interceptor:
    """Where it listens, and the hosts that it answered for."""

    def __init__(self, authority: Authority) -> None:
        self.hosts: set[str] = set()
        self.url = ""
        self.open: set[asyncio.StreamWriter] = set()
        self._authority = authority
        self._contexts: dict[str, ssl.SSLContext] = {}

    def _context(self, host: str) -> ssl.SSLContext:
        if host not in self._contexts:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(self._authority.issue(host))
            self._contexts[host] = context
        return self._contexts[host]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take `CONNECT host:port`, be that host to the client, and pass on what it says to the real one."""
        self.open.add(writer)
        try:
            asked = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = asked.decode("latin-1").partition(" ")
            assert method == "CONNECT", asked
            host, _, port = rest.partition(" ")[0].rpartition(":")
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await writer.start_tls(self._context(host))
            self.hosts.add(host)
            answers, to_host = await asyncio.open_connection(host, int(port), ssl=ssl.create_default_context())
            self.open.add(to_host)
            await asyncio.gather(_pass(reader, to_host), _pass(answers, writer))
            self.open.discard(to_host)
        except (OSError, asyncio.IncompleteReadError):
            pass  # who does not trust us leaves
        finally:
            writer.close()
            self.open.discard(writer)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@contextmanager
def intercepting(authority: Authority) -> Generator[Interceptor]:
    """Intercept until this is left, with certificates of the authority's."""
    made = Interceptor(authority)
    loop = asyncio.new_event_loop()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(made.serve, "127.0.0.1", 0)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:

        async def end() -> None:
            server.close()
            for writer in made.open:
                writer.transport.abort()
            rest = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
