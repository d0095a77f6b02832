"""The only place where the registry is put together: from settings to an open registry, and to the application."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp, Scope

from events.errors import LogUnavailable
from events.log import Limits, Log
from events.log.checkpoints import Checkpoints
from events.log.failure import FAILURES
from events.log.servers import Pool, create_pool
from events.log.tree import Tree
from events.shape import countries
from events.vault import MasterKey, Vault
from projections.engine import READING
from projections.reader import ReadModels
from services.registry import journal, problems
from services.registry.access import gate, tokens
from services.registry.answers import PURPOSE, Answers
from services.registry.api import HANDLERS
from services.registry.api.sending import complete
from services.registry.arrival import Arrival
from services.registry.clock import Clock, now
from services.registry.commands import Commands
from services.registry.journal import Journal, failure
from services.registry.metrics import serving
from services.registry.metrics.listener import listening
from services.registry.metrics.requests import Requests
from services.registry.parts import Parts
from services.registry.present import ASKED_WITH, PRESENT, Presently
from services.registry.settings import InvalidSettings, Settings
from services.registry.signing import policy
from services.registry.signing.erasures import Erasures
from services.registry.signing.keyring import KeyRing
from services.registry.signing.publication import Publication
from services.registry.signing.signer import Signer
from services.registry.signing.witnesses import Witnesses
from services.registry.tracing import switch
from services.registry.under_way import UnderWay

if TYPE_CHECKING:  # it is imported where traces are asked for
    from services.registry.tracing.recording import Recording

STATEMENT_SECONDS = 30.0
POINTS = 6
"""Connections for what is found by its key: one for each question that is asked together, and one for all else."""
CONNECT_SECONDS = 5.0


@asynccontextmanager
async def open_registry(settings: Settings, clock: Clock = now) -> AsyncGenerator[Parts]:
    """Open the registry that the settings name, and leave it in order: what waits to be recorded is recorded first.

    Raises `LogUnavailable`, `MasterKeyUnusable`, `InvalidSettings`.
    """
    if settings.master_key_file is None or not settings.database_url:
        raise InvalidSettings(["REGISTRY_DATABASE_URL and REGISTRY_MASTER_KEY_FILE have to be set."])
    master = MasterKey.from_file(settings.master_key_file)
    witnessing = policy.read(settings.witness_file)
    try:
        pool = await _pool(settings.database_url, settings, least=1)
    except FAILURES as error:
        raise LogUnavailable(f"The database cannot be reached: {error}") from error
    try:
        log = await Log.open(
            settings.database_url,
            origin=settings.origin,
            clock=clock,
            limits=Limits(queue_commands=settings.queue_limit, deadline=settings.command_timeout),
            pool=pool,
        )
        async with log, _points(settings.database_url) as points:
            vault = Vault(pool, master, points=points)
            tree, checkpoints = Tree(pool), Checkpoints(pool)
            signer, witnesses = None, None
            if settings.key_dir is not None:
                ring = KeyRing(settings.key_dir)
                erasures = Erasures(pool, ring)
                if again := await erasures.apply():
                    journal.logger().warning("erased_again", owners=len(again))
                signer = Signer(log, tree, checkpoints, ring, origin=settings.origin, clock=clock, erasures=erasures)
                if witnessing.witnesses:
                    witnesses = Witnesses(witnessing, tree, checkpoints, clock=clock)
            async with _reading(settings, pool, points) as read_models:
                yield Parts(
                    settings=settings,
                    clock=clock,
                    pool=pool,
                    log=log,
                    tree=tree,
                    checkpoints=checkpoints,
                    publication=Publication(
                        checkpoints,
                        signer,
                        origin=settings.origin,
                        witnesses=witnessing.keys,
                        quorum=witnessing.quorum,
                    ),
                    signer=signer,
                    witnesses=witnesses,
                    master=master,
                    vault=vault,
                    answers=Answers(master.derive(PURPOSE)),
                    presently=Presently(points),
                    commands=Commands(log, vault, clock, patience=settings.command_timeout),
                    read_models=read_models,
                )
    finally:
        await pool.close()


def _pool(dsn: str, settings: Settings, *, least: int) -> Pool:
    """Return connections for statements that are planned each time: a filter that is not used costs nothing then."""
    return _connections(dsn, "registry-reads", "force_custom_plan", least, settings.pool_size)


def _points(dsn: str) -> Pool:
    """Return connections for statements that find rows by keys: planned once, as that takes longer than to run them."""
    return _connections(dsn, "registry-points", "force_generic_plan", 0, POINTS)


def _connections(dsn: str, name: str, plans: str, least: int, most: int) -> Pool:
    return create_pool(
        dsn,
        min_size=least,
        max_size=most,
        timeout=CONNECT_SECONDS,
        command_timeout=STATEMENT_SECONDS,
        server_settings={"application_name": name, "plan_cache_mode": plans, **READING},
    )


@asynccontextmanager
async def _reading(settings: Settings, pool: Pool, points: Pool) -> AsyncGenerator[ReadModels]:
    """Follow the read models where the settings say, else through `pool` and `points`.

    What has to be as it is now (tokens, keys, the log that commands rest on) is never read from a standby.
    """
    async with AsyncExitStack() as stack:
        if settings.read_database_url:
            pool = await stack.enter_async_context(_pool(settings.read_database_url, settings, least=0))
            points = await stack.enter_async_context(_points(settings.read_database_url))
        standby = bool(settings.read_database_url)
        read_models = ReadModels(pool, settings.database_url, points=points, standby=standby)
        await read_models.start()
        stack.push_async_callback(read_models.stop)
        yield read_models


@asynccontextmanager
async def _signing(parts: Parts) -> AsyncGenerator[None]:
    """Sign checkpoints meanwhile, where there are keys, and have them cosigned, where there are witnesses."""
    async with AsyncExitStack() as stack:
        if parts.signer is not None:
            await stack.enter_async_context(_beside(parts.signer.run(parts.settings.checkpoint_seconds), "signer"))
            if parts.witnesses is not None:
                await stack.enter_async_context(_beside(parts.witnesses.run(parts.signer), "witnesses"))
        yield


@asynccontextmanager
async def _measuring(parts: Parts, requests: Requests) -> AsyncGenerator[None]:
    """Show metrics apart from the API meanwhile, where the settings name a port."""
    async with AsyncExitStack() as stack:
        if (port := parts.settings.metrics_port) is not None:
            shown = listening(parts.settings.metrics_host, port, lambda: serving.page(parts, requests))
            await stack.enter_async_context(shown)
        yield


@asynccontextmanager
async def _tracing(parts: Parts, recording: Recording | None) -> AsyncGenerator[None]:
    """Trace commits meanwhile, and tell who projects of them, where there is somebody to trace."""
    async with AsyncExitStack() as stack:
        if recording is not None:
            parts.log.observe(recording.committed)
            await stack.enter_async_context(_beside(recording.hints.tell(parts.pool), "trace hints"))
        yield


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, object], name: str) -> AsyncGenerator[None]:
    """Do something meanwhile. That it failed, which it should not, is journalled when it does."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_told)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _told(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        failure(error)


@asynccontextmanager
async def _running(app: Litestar) -> AsyncGenerator[None]:
    settings: Settings = app.state.settings
    async with (
        switch.recording(settings) as recording,
        open_registry(settings, app.state.clock) as parts,
        _signing(parts),
        _measuring(parts, app.state.requests),
        _tracing(parts, recording),
        _beside(asyncio.to_thread(countries), "countries"),  # which the first to name one would wait for
    ):
        app.state.parts = parts
        app.state.recording = recording
        yield


def opens(settings: Settings, clock: Clock = now, leaving: threading.Event | None = None) -> dict[str, Any]:
    """Return the state of an application that opens this registry, and has served nothing yet.

    Once `leaving` is set, it says that it is not ready, and serves all the same.
    """
    return {"settings": settings, "clock": clock, "requests": Requests(), "leaving": leaving or threading.Event()}


def create_app(settings: Settings, clock: Clock = now, *, leaving: threading.Event | None = None) -> Litestar:
    """Make the application. It opens the registry when it starts and closes it when it stops.

    What it opens is in its state (`opens`), so that one that has stopped may be started over another registry, if
    bodies may be as large there: routes are dear to make. Raises `UndeclaredRoute` for a route that does not say who
    may use it.
    """

    async def identify(presented: str, scope: Scope) -> tokens.Principal:
        parts: Parts = app.state.parts
        scope["state"][ASKED_WITH] = asked_with = tokens.hash_of(presented)
        token, scope["state"][PRESENT] = await parts.presently.of(asked_with)
        return tokens.principal(token, now=parts.clock())

    app = Litestar(
        route_handlers=HANDLERS,
        lifespan=[_running],
        middleware=[gate.gate(identify)],
        exception_handlers=problems.HANDLERS,
        state=State(opens(settings, clock, leaving)),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=settings.max_body,
    )
    gate.check(app)
    return app


def create_service(
    settings: Settings,
    clock: Clock = now,
    *,
    leaving: threading.Event | None = None,
    under_way: UnderWay | None = None,
) -> ASGIApp:
    """Make the application with what is around it: what a server serves, and can be ended through `under_way`."""
    return surrounded(create_app(settings, clock, leaving=leaving), settings, under_way)


def surrounded(app: Litestar, settings: Settings, under_way: UnderWay | None = None) -> ASGIApp:
    """Put a time for bodies, an end and the journal around an application, and tracing where it is asked for.

    Answers are completed by the journal's way out: a `before_send` of Litestar's would be awaited for each message.
    """
    requests: Requests = app.state.requests
    arrival = Arrival(app, settings.body_timeout)
    journal = Journal(arrival if under_way is None else under_way.around(arrival), requests.ended, complete)
    if settings.tracing_endpoint is None:
        return journal
    from services.registry.tracing.serving import Traced

    return Traced(journal, lambda: app.state.recording)
