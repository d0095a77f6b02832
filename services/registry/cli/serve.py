"""`registry serve`: granian, with one worker process."""

from __future__ import annotations

import asyncio
import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, cast

import uvloop
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from litestar.types import ASGIApp

from events.log.migrate import check
from events.vault import MasterKey
from projections.garbage import look_seldom
from services.registry import journal
from services.registry import under_way as ending
from services.registry.cli.heads import bounded
from services.registry.cli.ports import claim, claim_metrics, url
from services.registry.settings import InvalidSettings, Settings, load
from services.registry.signing import policy
from services.registry.tracing import switch
from services.registry.under_way import UnderWay

LOGGING: Final[dict[str, Any]] = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}, "granian.access": {"handlers": [], "propagate": True}},
}
"""Granian's lines become ours: it would write them, in another form, to standard output."""

_PR_SET_PDEATHSIG: Final = 1
CYCLES: Final = 10_000  # objects; what a request leaves behind in a cycle may be as large as a body
_LEAVING: Final = signal.SIGUSR1
"""What tells the worker that it is about to be stopped."""


def _drain(seconds: float) -> None:
    """Go on after SIGTERM for a while, in which the worker says that it is not ready. Ctrl-C ends that, too."""

    def told(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for worker in multiprocessing.active_children():
            if worker.pid is not None:
                os.kill(worker.pid, _LEAVING)
        drained = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
        drained.daemon = True
        drained.start()

    signal.signal(_LEAVING, signal.SIG_IGN)  # inherited by the worker until it can hear it
    signal.signal(signal.SIGTERM, told)


async def _openable(settings: Settings) -> None:
    """See that the registry opens, as the worker does it, who could tell nobody. Raises what keeps it from that."""
    from services.registry.main import open_registry

    await check(settings.database_url)
    async with open_registry(settings):
        pass


def serve() -> int:
    """Serve until SIGTERM or Ctrl-C. Checks all that is needed, and opens the registry, before it listens."""
    settings = load(os.environ, needed=["database_url", "master_key_file"])
    if settings.master_key_file is None:
        raise InvalidSettings(["REGISTRY_MASTER_KEY_FILE is not set."])
    MasterKey.from_file(settings.master_key_file)
    policy.read(settings.witness_file)
    switch.check(settings)
    journal.configure(settings.log_level, settings.log_format)
    uvloop.run(_openable(settings))
    host = claim(settings.host, settings.port)
    claim_metrics(settings, api=True)
    server = Server(
        f"{__name__}:worker",
        address=host,
        port=settings.port,
        interface=Interfaces.ASGI,
        factory=True,
        websockets=False,
        log_level=LogLevels.warning,
        log_dictconfig=LOGGING,
        workers_kill_timeout=math.ceil(ending.FINISH_SECONDS + ending.CLOSE_SECONDS + 2 * ending.CUT_SECONDS),
        **bounded(settings.head_timeout),
    )
    server.on_startup(lambda: journal.logger().info("serving", url=url(settings.host, settings.port)))
    if settings.drain_seconds:
        server.on_startup(lambda: _drain(settings.drain_seconds))
    server.serve()
    return 0


def worker() -> ASGIApp:
    """Make the application in granian's worker process, which then ends with the process that started it.

    Told to end, it has `FINISH_SECONDS` for its requests: what is left of them is cut short.
    """
    from services.registry.main import create_service

    under_way = UnderWay(opened=lambda: _bound(under_way))
    leaving = threading.Event()
    signal.signal(_LEAVING, lambda _number, _frame: leaving.set())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    settings = load(os.environ)
    journal.configure(settings.log_level, settings.log_format)
    service = create_service(settings, leaving=leaving, under_way=under_way)
    look_seldom(after=CYCLES)
    return service


def _bound(under_way: UnderWay) -> None:
    """From SIGTERM on, give the worker a time to end. It is counted by a thread: what takes longer may be the server's.

    Called in the main thread once granian listens to signals, of which it must hear but once: told twice, it waits
    and keeps the event loop waiting. What is sent to a whole group of processes, the parent passes on as well.
    """
    granians = cast("Callable[[int, FrameType | None], object]", signal.getsignal(signal.SIGTERM))

    def told(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        deadline = threading.Timer(ending.FINISH_SECONDS, _end, [under_way])
        deadline.daemon = True
        deadline.start()
        granians(number, frame)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, told)


def _end(under_way: UnderWay) -> None:
    if (loop := under_way.loop) is not None:
        try:
            asyncio.run_coroutine_threadsafe(under_way.end(), loop).result(ending.CLOSE_SECONDS)
        except Exception as error:  # noqa: BLE001 - it ends all the same
            journal.failure(error)
    threading.main_thread().join(ending.CUT_SECONDS)  # which ends by itself, if it can
    os._exit(0)
