"""A running registry in the test's own process: the application, its projector, and clients with tokens."""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import httpx
from litestar import Litestar
from litestar.datastructures import State

from events.vault import MasterKey
from projections.projector import Projector
from services.registry.access import tokens
from services.registry.access.record import Who
from services.registry.access.roles import Role
from services.registry.clock import Clock, now
from services.registry.main import create_app, opens, surrounded
from services.registry.parts import Parts
from services.registry.settings import Settings
from services.registry.signing.keyring import KeyRing
from services.registry.signing.signer import Signer
from tests.support.cluster import Database

ALL_ROLES = tuple(role.value for role in Role)
ORIGIN = "registry.test/log"
OPERATOR = Who(name="operator@test")
"""Who makes tokens for tests."""
_IDLE: defaultdict[int, list[Litestar]] = defaultdict(list)
"""Applications that were left in order, by how large a body may be."""


class Service:
    """What a test talks to: `client` has a token with every role, `client_of` makes one with others."""

    def __init__(self, app: Litestar, client: httpx.AsyncClient, database: Database) -> None:
        self.app = app
        self.client = client
        self.database = database

    @property
    def parts(self) -> Parts:
        parts: Parts = self.app.state.parts
        return parts

    async def token(self, *roles: str, name: str = "a client", **more: Any) -> tuple[str, tokens.Token]:
        pool, now = self.parts.pool, self.parts.clock()
        return await tokens.create(pool, name=name, roles=roles, by=OPERATOR, now=now, **more)

    async def client_of(self, *roles: str, name: str = "a client") -> httpx.AsyncClient:
        token, _ = await self.token(*roles, name=name)
        return _client(self.app, token)

    def anonymous(self) -> httpx.AsyncClient:
        """Make a client without a token."""
        return _client(self.app, None)

    async def post(self, path: str, body: Any, *, status: int = 201, **headers: str) -> Any:
        """Post a body and return the answer, which has to have this status."""
        answer = await self.client.post(path, json=body, headers={k.replace("_", "-"): v for k, v in headers.items()})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def get(self, path: str, *, status: int = 200, min_size: int | None = None, **query: Any) -> Any:
        """Read after everything that was recorded, unless told a size."""
        size = (await self.parts.log.head()).size if min_size is None else min_size
        answer = await self.client.get(path, params=query, headers={"Registry-Min-Size": str(size)})
        assert answer.status_code == status, answer.text
        return answer.json()

    async def file(self, text: str) -> str:
        """File a text and return its hash."""
        content = text.encode()
        sha256 = hashlib.sha256(content).hexdigest()
        answer = await self.client.put(
            f"/v1/documents/{sha256}", content=content, headers={"Content-Type": "text/plain; charset=utf-8"}
        )
        assert answer.status_code in (200, 201), answer.text
        return sha256


def _client(app: Litestar, token: str | None) -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = httpx.ASGITransport(surrounded(app, app.state.parts.settings), raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://registry.test", headers=headers)


def settings_for(database: Database, folder: Path, **more: Any) -> Settings:
    """Return settings for a database, with a master key and a signing key in a folder."""
    key, ring = folder / "master.key", KeyRing(folder / "keys")
    if not key.exists():
        MasterKey.create_file(key)
    if not ring.keys(ORIGIN):
        ring.create(ORIGIN)
    return Settings(
        database_url=database.service_dsn,
        **{"master_key_file": key, "origin": ORIGIN, "key_dir": ring.folder, **more},
    )


@asynccontextmanager
async def running(
    database: Database, folder: Path, *, clock: Clock = now, project: bool = True, sign: bool = True, **more: Any
) -> AsyncGenerator[Service, None]:
    """Run the application and, unless told not to, a projector; `sign=False`: checkpoints when a test asks for one."""
    with _application(settings_for(database, folder, **more), clock) as app, _signing(by_itself=sign):
        async with _started(app, database, folder, project=project) as service:
            yield service


def _signing(*, by_itself: bool) -> AbstractContextManager[Any]:
    """Let signers sign by themselves, or keep them from it: the first time is at the start, maybe before a key is."""

    async def never(_signer: Signer, _seconds: float) -> None:
        await asyncio.Event().wait()

    return nullcontext() if by_itself else patch.object(Signer, "run", never)


@contextmanager
def _application(settings: Settings, clock: Clock) -> Generator[Litestar]:
    """Lend an application that nobody runs: to make one takes longer than most tests."""
    idle = _IDLE[settings.max_body]
    app = idle.pop() if idle else create_app(settings, clock)
    app.state = State(opens(settings, clock))
    yield app
    idle.append(app)  # not one that failed


@asynccontextmanager
async def _started(app: Litestar, database: Database, folder: Path, *, project: bool) -> AsyncGenerator[Service]:
    clock: Clock = app.state.clock
    async with _task(Projector(database.projector_dsn).run() if project else None), _lifespan(app):
        parts: Parts = app.state.parts
        for signing in KeyRing(folder / "keys").keys(ORIGIN):
            await parts.checkpoints.add_verifier(signing.verifier, clock())
        token, _ = await tokens.create(parts.pool, name="tests", roles=ALL_ROLES, by=OPERATOR, now=clock())
        async with _client(app, token) as client:
            if project:
                await _built(parts)
            yield Service(app, client, database)


async def _built(parts: Parts) -> None:
    """Wait until the read models are there: the projector builds them beside, and readers are told of no beginning."""
    async with asyncio.timeout(30):
        while await parts.read_models.live_position() is None:  # noqa: ASYNC110 - another task, by the database
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _task(work: Coroutine[Any, Any, None] | None) -> AsyncGenerator[None, None]:
    """Do something beside, until this is left."""
    task = asyncio.create_task(work) if work else None
    try:
        yield
    finally:
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncGenerator[None, None]:
    """Run the application in a task of its own: it has to be left by the task that entered it, and fixtures are not."""
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def run() -> None:
        try:
            async with app.lifespan():
                started.set_result(None)
                await stop.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    task = asyncio.create_task(run())
    await started
    try:
        yield
    finally:
        stop.set()
        await task


class StoppedClock:
    """A clock that a test sets."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


async def execute(dsn: str, statement: str, *arguments: Any) -> str:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.execute(statement, *arguments)
    finally:
        await connection.close()
