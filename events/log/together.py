"""Asking together: what several want to know at the same moment is one question, and one answer (ADR 0030)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final, Generic, TypeAlias, TypeVar

from asyncpg.pool import PoolConnectionProxy

from events.log.failure import TRANSIENT
from events.log.servers import Pool

K = TypeVar("K")
V = TypeVar("V")

Ask: TypeAlias = Callable[[PoolConnectionProxy, Collection[K]], Awaitable[Mapping[K, V]]]
"""Asks for several keys over a connection, and answers for each of them."""

TASK: Final = "asking together"


class Together(Generic[K, V]):
    """Asks one question at a time, for all who came before it was asked; who comes meanwhile shares the next.

    So no answer is older than the wish for it: it is as if each had asked alone, only that they share what it costs.
    Who is cancelled harms none of the others, nor does who asks for what is refused. To be used in one event loop.
    """

    def __init__(self, pool: Pool, ask: Ask[K, V], most: int) -> None:
        """Take where a connection comes from for each question, and the most keys at a time."""
        self._pool = pool
        self._ask = ask
        self._most = most
        self._waiting: list[tuple[K, asyncio.Future[V]]] = []
        self._asking: asyncio.Task[None] | None = None

    def get(self, key: K) -> Awaitable[V]:
        """Have a key asked for, and return what is to be awaited: the answer for it, or what the question raises."""
        answer: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._asking is None:
            nobody = contextvars.Context()  # a question is of no one request, and in no one's trace
            self._asking = asyncio.create_task(self._ask_all(), name=TASK, context=nobody)
        return answer

    async def _ask_all(self) -> None:
        asked: list[tuple[K, asyncio.Future[V]]] = []
        try:
            while self._waiting:
                asked = []
                try:
                    async with self._pool.acquire() as connection:
                        asked = self._next()
                        if asked:
                            await self._answer(connection, asked)
                except Exception as error:  # noqa: BLE001 - whoever asked is to know, or would have been next
                    _fail(asked or self._next(), error)
        finally:
            self._asking = None
            for _key, answer in (*asked, *self._waiting):  # only where this was cancelled: the loop ends
                answer.cancel()
            self._waiting = []

    def _next(self) -> list[tuple[K, asyncio.Future[V]]]:
        """Take those who are asked for next, as far as they still want to know."""
        wanted = [one for one in self._waiting if not one[1].done()]
        self._waiting = wanted[self._most :]
        return wanted[: self._most]

    async def _answer(self, connection: Any, asked: list[tuple[K, asyncio.Future[V]]]) -> None:
        """Ask for several keys and, should that be refused because of what was asked, for each of them alone."""
        keys = {key for key, _ in asked}
        try:
            found = await self._ask(connection, keys)
            given = [found[key] for key, _ in asked]
        except Exception as error:
            if _is_of_all(error):
                raise
            if len(keys) == 1:
                _fail(asked, error)
                return
            for key in keys:
                await self._answer(connection, [one for one in asked if one[0] == key])
            return
        for (_key, answer), one in zip(asked, given, strict=True):
            if not answer.done():
                answer.set_result(one)


def _is_of_all(error: Exception) -> bool:
    """Whether a question failed for what is between us and the server, and would again, whatever is asked."""
    return isinstance(error, TRANSIENT) and not isinstance(error, ValueError)


def _fail(asked: list[tuple[Any, asyncio.Future[Any]]], error: Exception) -> None:
    for _key, answer in asked:
        if not answer.done():
            answer.set_exception(error)
