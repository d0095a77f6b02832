"""`registry up`: PostgreSQL, projector and API in one process and one event loop.

They start in the order in which they need each other and stop in the opposite one: requests are finished and what
waits is recorded, the projector rests, PostgreSQL is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shlex
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import uvloop

from services.registry.cli import ports
from services.registry.cli.failures import Unusable
from services.registry.cli.home import Home, held
from services.registry.embedded import EmbeddedPostgres
from services.registry.settings import Settings, load, variable
from services.registry.tracing import switch

if TYPE_CHECKING:  # all that takes long to import is imported while PostgreSQL starts
    from services.registry.parts import Parts

T = TypeVar("T")

DATABASE: Final = "registry"
CATCH_UP_SECONDS: Final = 60.0
LASTING_SECONDS: Final = 60.0  # after which a PostgreSQL that ends did start well
ENDS: Final = 5  # of PostgreSQL in a row, after which it is not started again
SAME_SECONDS: Final = 1.0  # between signals that are one
INTERRUPTED: Final = 130


def up(data: Path, *, host: str | None, port: int | None, sample: bool) -> int:
    """Run until Ctrl-C or SIGTERM; a second one ends it at once, which loses nothing that was recorded."""
    begun = time.monotonic()
    settings = load(os.environ)
    settings = msgspec.structs.replace(settings, host=host or settings.host, port=port or settings.port)
    if sys.stderr.isatty() and variable("log_format") not in os.environ:
        settings = msgspec.structs.replace(settings, log_format="console")
    switch.check(settings)
    with held(data) as home:
        address = ports.claim(settings.host, settings.port)
        ports.claim_metrics(settings, api=True)
        settings = msgspec.structs.replace(
            settings, master_key_file=home.key(settings.master_key_file), key_dir=settings.key_dir or home.keys
        )
        try:
            uvloop.run(_Up(home, settings, address, begun).run(sample=sample))
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
    return 0


class _Up:
    """One run. `stopped` is set by the first signal; whoever is about to begin something looks at it."""

    def __init__(self, home: Home, settings: Settings, address: str, begun: float) -> None:
        self._home = home
        self._settings = settings
        self._address = address
        self._begun = begun
        self._stopped = asyncio.Event()
        self._signalled_at = 0.0

    async def run(self, *, sample: bool) -> None:
        """Start everything, wait for the end, stop everything."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled)
        async with self._postgres() as postgres, asyncio.TaskGroup() as group:
            if self._stopped.is_set():
                return
            from services.registry import journal

            journal.configure(self._settings.log_level, self._settings.log_format)
            projector_dsn = await self._prepare(postgres)
            beside = [
                group.create_task(_keep_running(postgres), name="postgres"),
                group.create_task(_project(projector_dsn, self._settings), name="projector"),
            ]
            try:
                await self._serve(sample=sample)
            finally:
                for task in beside:
                    task.cancel()

    def _signalled(self) -> None:
        """Begin to stop. What `uv run` or a shell passes on twice, in the same second, was meant once."""
        now = time.monotonic()
        if not self._stopped.is_set():
            self._signalled_at = now
            self._stopped.set()
        elif now - self._signalled_at > SAME_SECONDS:
            os._exit(INTERRUPTED)  # PostgreSQL ends with us, and recovers

    @contextlib.asynccontextmanager
    async def _postgres(self) -> AsyncGenerator[EmbeddedPostgres]:
        postgres = EmbeddedPostgres(self._home.postgres, programs=self._settings.postgres_bin)
        try:
            await asyncio.gather(
                _whole(asyncio.to_thread(postgres.start)),
                asyncio.to_thread(importlib.import_module, "services.registry.main"),
            )
            yield postgres
        finally:
            await asyncio.to_thread(postgres.stop)

    async def _prepare(self, postgres: EmbeddedPostgres) -> str:
        """Bring the database to form, tell the settings where it is, and return where the projector connects."""
        from events.log.migrate import migrate
        from services.registry.provision import provision

        access = await provision(postgres.dsn(), DATABASE)
        await migrate(access.owner)
        self._settings = msgspec.structs.replace(
            self._settings,
            database_url=access.service,
            owner_database_url=access.owner,
            projector_database_url=access.projector,
        )
        told = ("database_url", "owner_database_url", "projector_database_url", "master_key_file", "key_dir", "origin")
        self._home.tell({variable(field): str(getattr(self._settings, field)) for field in told})
        return access.projector

    async def _serve(self, *, sample: bool) -> None:
        """Have all that was promised in place before anything is listened on; then serve until stopped."""
        from services.registry.cli.listening import listening
        from services.registry.main import create_service, open_registry
        from services.registry.sample import story
        from services.registry.under_way import UnderWay

        async with open_registry(self._settings) as parts:
            await _hold_token(self._home, parts)
            sample_is = await story.begin(parts) if sample else None
            await _hold_key(parts)
            size = (await parts.log.head()).size
            await parts.read_models.wait_for(size, CATCH_UP_SECONDS)
        if self._stopped.is_set():
            return
        under_way, heads = UnderWay(), self._settings.head_timeout
        app = create_service(self._settings, under_way=under_way)
        async with listening(
            app, self._address, self._settings.port, head_timeout=heads, under_way=under_way
        ) as server:
            sys.stdout.write(self._ready(size, sample_is))
            sys.stdout.flush()
            stopped = asyncio.create_task(self._stopped.wait())
            await asyncio.wait([stopped, server], return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if server.done():
                raise Unusable("The HTTP server ended by itself. Nothing recorded is lost; start it again.")

    def _ready(self, size: int, sample: str | None) -> str:
        url = ports.url(self._settings.host, self._settings.port)
        what = "visits?window_from=2019-07-10" if sample else "parties"
        token, env = (shlex.quote(str(path)) for path in (self._home.token, self._home.env))
        return (
            f"The registry is ready after {time.monotonic() - self._begun:.1f} s, with {size:,} entries: {url}\n"
            + (f"  sample:         {sample}\n" if sample else "")
            + f"  documentation:  {url}/docs\n"
            f"  data:           {self._home.folder}\n"
            f"  token:          {self._home.token}\n"
            f"  other commands: set -a; . {env}; set +a\n\n"
            f"  curl -s -H \"Authorization: Bearer $(cat {token})\" '{url}/v1/{what}'\n\n"
            "Ctrl-C stops it.\n"
        )


async def _whole(work: Awaitable[T]) -> T:
    """Wait for something that must not be left half done, even when cancelled."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _keep_running(postgres: EmbeddedPostgres) -> None:
    """Start PostgreSQL again whenever it ends by itself; everybody else connects anew. Raises `Unusable`."""
    from services.registry import journal

    ends = 0
    while ends < ENDS:
        begun = time.monotonic()
        await asyncio.to_thread(postgres.wait)
        ends = 1 if time.monotonic() - begun > LASTING_SECONDS else ends + 1
        journal.logger().error("postgres_ended", again=ends < ENDS)
        if ends < ENDS:
            await _whole(asyncio.to_thread(postgres.start))
    raise Unusable(f"PostgreSQL keeps ending; see {postgres.home / 'log'}.")


async def _project(dsn: str, settings: Settings) -> None:
    from projections.projector import Projector

    async with switch.following(settings) as following:
        await Projector(dsn, observer=following).run()


async def _hold_token(home: Home, parts: Parts) -> None:
    """Make the token with every role, unless the one that is kept still holds."""
    from services.registry.access import tokens
    from services.registry.access.roles import Role
    from services.registry.cli.operator import operator
    from services.registry.problems import Unauthenticated

    with contextlib.suppress(Unauthenticated):
        if kept := home.kept_token():
            await tokens.identify(parts.pool, kept, now=parts.clock())
            return
    token, _ = await tokens.create(parts.pool, name="registry up", roles=list(Role), by=operator(), now=parts.clock())
    home.keep_token(token)


async def _hold_key(parts: Parts) -> None:
    """Make the log's signing key, unless there is one, and have everything that is there under a checkpoint.

    What keeps it from being signed is told by the signer, again and again, and keeps nobody from looking into it.
    """
    from events.errors import RegistryError
    from services.registry.access.actions import Action
    from services.registry.access.record import Looked, record
    from services.registry.cli.operator import operator
    from services.registry.signing.keyring import KeyRing

    if parts.signer is None or parts.settings.key_dir is None:
        return
    origin = await parts.publication.origin()
    ring = KeyRing(parts.settings.key_dir)
    if not (keys := ring.keys(origin)):
        await record(parts.pool, Looked(operator(), Action.CREATE_KEY, {"origin": origin}))
        keys = (ring.create(origin),)
    await parts.checkpoints.add_verifier(keys[0].verifier, parts.clock())
    with contextlib.suppress(RegistryError):
        await parts.signer.sign()
