"""`registry witness init|add|remove|list|serve`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from events.errors import AlreadyExists
from events.merkle.note import COSIGNATURE, ED25519, NoteError, SigningKey, VerifierKey
from services.registry.cli import ports
from services.registry.cli.failures import Unusable
from services.registry.clock import now
from services.registry.settings import ORIGIN, Settings, load, variable
from services.registry.signing.keyring import KeyRing
from services.registry.witness.state import State, Witnessed

if TYPE_CHECKING:  # it takes long to import, and only one command needs it
    from services.registry.witness.cosigner import Cosigner

PIPED_WIDTH: Final = 200
MAX_ORIGIN: Final = 1000


def init(folder: Path, name: str) -> int:
    """Make the key and the state, and print what others verify with."""
    try:
        ORIGIN.read(name)
    except ValueError:
        raise Unusable(f"{name!r} cannot be a witness's name. Allowed: {ORIGIN.allowed}.") from None
    ring = KeyRing(folder)
    if ring.names():
        raise AlreadyExists(f"There is a witness in {folder} already: {', '.join(ring.names())}.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    State(folder).create()
    key = ring.create(name, COSIGNATURE)
    sys.stderr.write(f"The witness is in {folder}. `registry witness add` tells it which logs it witnesses.\n")
    sys.stdout.write(f"{key.verifier.text}\n")
    return 0


def add(folder: Path, key: str, origin: str | None) -> int:
    """Take a log's key."""
    verifier = _log_key(key)
    named = _origin(origin or verifier.name)
    new = _opened(folder)[1].add(named, verifier, now())
    sys.stderr.write(f"{named} is witnessed {'from now on' if new else 'by this key already'}.\n")
    return 0


def remove(folder: Path, key: str, origin: str | None) -> int:
    """Drop a log's key."""
    verifier = _log_key(key)
    named = _origin(origin or verifier.name)
    if not _opened(folder)[1].remove(named, verifier):
        raise Unusable(f"{named} is not witnessed by this key. `registry witness list` shows what is.")
    sys.stderr.write(f"The key is no longer trusted for {named}.\n")
    return 0


def list_all(folder: Path) -> int:
    """Print the witness's own keys, and a table of the logs; 1 if one of them forked."""
    keys, state = _opened(folder)
    sys.stdout.write("".join(f"witness {key.verifier.text}\n" for key in keys))
    found = state.all()
    table = Table(header_style="bold")
    for column in ("log", "key", "cosigned entries", "at", "state"):
        table.add_column(column, overflow="fold")
    for one in found:
        size = "none yet" if one.size is None else str(one.size)
        table.add_row(one.origin, one.key, size, one.cosigned_at or "", _state(one))
    if found:
        Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    return 1 if any(one.forked_at for one in found) else 0


def serve(folder: Path, host: str, port: int) -> int:
    """Serve until SIGTERM or Ctrl-C. Checks all that is needed before anything is listened on."""
    settings = load(os.environ)
    if sys.stderr.isatty() and variable("log_format") not in os.environ:
        settings = msgspec.structs.replace(settings, log_format="console")
    keys, state = _opened(folder)
    state.all()
    address = ports.claim(host, port)

    from services.registry import journal
    from services.registry.witness.cosigner import Cosigner

    journal.configure(settings.log_level, settings.log_format)
    uvloop.run(_serve(Cosigner(keys, state, now), settings, address, port, ports.url(host, port)))
    return 0


async def _serve(cosigner: Cosigner, settings: Settings, address: str, port: int, url: str) -> None:
    from services.registry import journal
    from services.registry.cli.listening import listening
    from services.registry.witness.app import create_app

    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    app = create_app(cosigner, settings.body_timeout)
    async with listening(app, address, port, head_timeout=settings.head_timeout) as server:
        journal.logger().info("witnessing", url=url)
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait([waiting, server], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if server.done():
            raise Unusable("The HTTP server ended by itself. Nothing that was cosigned is lost; start it again.")


def _opened(folder: Path) -> tuple[list[SigningKey], State]:
    """Return a witness's keys and its state. Raises `Unusable` if there is no witness."""
    ring = KeyRing(folder)
    keys = [key for name in ring.names() for key in ring.keys(name) if key.algorithm == COSIGNATURE]
    if not keys:
        raise Unusable(f"There is no witness in {folder}. `registry witness init` makes one.")
    return keys, State(folder)


def _log_key(text: str) -> VerifierKey:
    try:
        key = VerifierKey.parse(text)
    except NoteError as wrong:
        raise Unusable(f"{text!r} is no verifier key: {wrong}.") from None
    if key.algorithm != ED25519:
        raise Unusable(f"{key.name} is no log's key: it is of another type than logs sign with.")
    return key


def _origin(text: str) -> str:
    if not 0 < len(text) <= MAX_ORIGIN or not text.isprintable():
        raise Unusable(f"{text!r} cannot be a log's name: it is one line of 1 to {MAX_ORIGIN} characters.")
    return text


def _state(one: Witnessed) -> str:
    if one.forked_at:
        return f"signed two histories, seen {one.forked_at}"
    return "waits for its first checkpoint" if one.size is None else "cosigned"
