"""Logs that are made up for witnesses to cosign, and witnesses that are served in the test's own process."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Self

from litestar import Litestar, Request, Response, post
from litestar.types import ASGIApp

from events.merkle.checkpoint import Checkpoint
from events.merkle.note import COSIGNATURE, ED25519, Note, SigningKey
from events.merkle.proofs import consistency_path
from events.merkle.tree import root_of
from events.merkle.witnessing import PATH, Submission
from services.registry.cli.listening import listening
from services.registry.clock import Clock, now
from services.registry.witness.app import create_app
from services.registry.witness.cosigner import Cosigner
from services.registry.witness.state import State
from tests.support.console import free_port

PATIENT = 30.0  # seconds that a head, and a body, may take


def leaves(branch: str, size: int, shared: int = 0) -> list[bytes]:
    """The leaves of a made-up log; two branches have the first `shared` in common."""
    return [hashlib.sha256(f"{'' if number < shared else branch}/{number}".encode()).digest() for number in range(size)]


class Log:
    """A log that signs whatever it is told to."""

    def __init__(self, origin: str = "log.test/a", *, seed: int = 1) -> None:
        self.origin = origin
        self.key = SigningKey(origin, ED25519, bytes([seed]) * 32)

    def checkpoint(self, hashes: Sequence[bytes], size: int | None = None) -> Checkpoint:
        many = len(hashes) if size is None else size
        return Checkpoint(self.origin, many, root_of(hashes[:many]))

    def note(self, checkpoint: Checkpoint, *keys: SigningKey) -> bytes:
        signers = keys or (self.key,)
        return Note(checkpoint.text, tuple(key.sign(checkpoint.text) for key in signers)).encode()

    def submission(self, hashes: Sequence[bytes], *, old: int, size: int | None = None) -> bytes:
        """Ask for the checkpoint over these leaves, with the proof from the first `old` of them."""
        many = len(hashes) if size is None else size
        path = consistency_path(hashes, old, many) if 0 < old <= many else []
        return Submission(old, tuple(path), self.note(self.checkpoint(hashes, many))).encode()


def witness_key(name: str = "witness.test/w1", *, seed: int = 100) -> SigningKey:
    return SigningKey(name, COSIGNATURE, bytes([seed]) * 32)


def cosigner(folder: Path, *logs: Log, key: SigningKey | None = None, clock: Clock = now) -> Cosigner:
    """A witness of these logs, whose state is in a folder: anew, or as it was left there."""
    folder.mkdir(exist_ok=True)
    state = State(folder)
    state.create()
    for log in logs:
        state.add(log.origin, log.key.verifier, now())
    return Cosigner([key or witness_key()], state, clock)


class Served:
    """An application on a port of its own that can go away and come back."""

    def __init__(self, app: Callable[[], ASGIApp]) -> None:
        self._app = app
        self._port = free_port()
        self._stack = contextlib.AsyncExitStack()
        self.url = f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(listening(self._app(), "127.0.0.1", self._port, head_timeout=PATIENT))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


def witness(folder: Path, key: SigningKey, *, origin: str, log_keys: Sequence[SigningKey]) -> Served:
    """A witness over HTTP, that trusts a log's keys; entered it is there, left it is away."""
    folder.mkdir(exist_ok=True)
    state = State(folder)
    state.create()
    for one in log_keys:
        state.add(origin, one.verifier, now())
    return Served(lambda: create_app(Cosigner([key], state, now), PATIENT))


def answering(answer: Callable[[bytes], Awaitable[Response[bytes]]]) -> Served:
    """What is taken for a witness, and answers as a test says."""

    @post(f"/{PATH}")
    async def add_checkpoint(request: Request) -> Response[bytes]:
        return await answer(await request.body())

    return Served(lambda: Litestar([add_checkpoint], openapi_config=None, logging_config=None))


@contextlib.asynccontextmanager
async def all_of(*served: Served) -> AsyncGenerator[None]:
    async with contextlib.AsyncExitStack() as stack:
        for one in served:
            await stack.enter_async_context(one)
        yield
