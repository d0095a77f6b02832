"""Asking together: what several want to know at the same moment is one question, and one answer (ADR 0030)."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Together(Generic[K, V]):
    """Asks one question at a time, for all who came before it was asked; who comes meanwhile shares the next.

    So no answer is older than the wish for it: it is as if each had asked alone, only that they share what it costs.
    Who is cancelled harms none of the others. To be used in one event loop.
    """

    def __init__(self, ask: Callable[[Collection[K]], Awaitable[Mapping[K, V]]], most: int) -> None:
        """Take what asks for several keys and answers for each of them, and for how many at the most at a time."""
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
            self._asking = asyncio.create_task(self._ask_all(), name="asking together", context=nobody)
        return answer

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                if wanted := [one for one in asked if not one[1].done()]:
                    await self._answer(wanted)
        finally:
            self._asking = None
            for _key, answer in self._waiting:  # only where this was cancelled: the loop ends
                answer.cancel()
            self._waiting = []

    async def _answer(self, asked: list[tuple[K, asyncio.Future[V]]]) -> None:
        try:
            found = await self._ask({key for key, _ in asked})
            answers = [found[key] for key, _ in asked]
        except asyncio.CancelledError:
            for _key, answer in asked:
                answer.cancel()
            raise
        except Exception as error:  # noqa: BLE001 - whoever asked is to know
            for _key, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_key, answer), found_for_it in zip(asked, answers, strict=True):
            if not answer.done():
                answer.set_result(found_for_it)
