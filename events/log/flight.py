"""What is on its way to the database, sent by the writer (`append`) and not seen to yet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

from events.log.batch import Batch
from events.log.connection import Found
from events.log.preparation import Waiting

Sent: TypeAlias = tuple[Batch, Found | None]
"""A batch, and None when it is durable."""


class Flight:
    """Commands that were sent to the database together; `answer` is there when the database has answered, or cannot."""

    __slots__ = ("answer", "batch", "commands")

    def __init__(self, commands: Sequence[Waiting], answer: asyncio.Future[Sent]) -> None:
        self.commands = commands
        self.batch: Batch | None = None  # until it is put together
        self.answer = answer

    @property
    def recorded(self) -> Batch | None:
        """The batch, if it is known to be durable."""
        if self.answer.done() and self.answer.exception() is None:
            batch, found = self.answer.result()
            return batch if found is None else None
        return None
