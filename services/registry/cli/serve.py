"""`registry serve`: granian, with one worker process."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from types import FrameType
from typing import Any, Final

import uvloop
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server import Server
from litestar.types import ASGIApp

from events.log.migrate import check
from events.vault import MasterKey
from services.registry import journal
from services.registry.cli.heads import bounded
from services.registry.cli.ports import claim, claim_metrics, url
from services.registry.settings import InvalidSettings, load
from services.registry.signing import policy
from services.registry.tracing import switch

LOGGING: Final[dict[str, Any]] = {
    "formatters": {},
    "handlers": {},
    "loggers": {"_granian": {"handlers": [], "propagate": True}, "granian.access": {"handlers": [], "propagate": True}},
}
"""Granian's lines become ours: it would write them, in another form, to standard output."""

_PR_SET_PDEATHSIG: Final = 1
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


def serve() -> int:
    """Serve until SIGTERM or Ctrl-C. Checks all that is needed before anything is listened on."""
    settings = load(os.environ, needed=["database_url", "master_key_file"])
    if settings.master_key_file is None:
        raise InvalidSettings(["REGISTRY_MASTER_KEY_FILE is not set."])
    MasterKey.from_file(settings.master_key_file)
    policy.read(settings.witness_file)
    switch.check(settings)
    journal.configure(settings.log_level, settings.log_format)
    uvloop.run(check(settings.database_url))
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
        **bounded(settings.head_timeout),
    )
    server.on_startup(lambda: journal.logger().info("serving", url=url(settings.host, settings.port)))
    if settings.drain_seconds:
        server.on_startup(lambda: _drain(settings.drain_seconds))
    server.serve()
    return 0


def worker() -> ASGIApp:
    """Make the application in granian's worker process, which then ends with the process that started it."""
    from services.registry.main import create_service

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    leaving = threading.Event()
    signal.signal(_LEAVING, lambda _number, _frame: leaving.set())
    settings = load(os.environ)
    journal.configure(settings.log_level, settings.log_format)
    return create_service(settings, leaving=leaving)
