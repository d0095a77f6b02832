"""What the service marks its work with. Outside of a request that is traced, a mark is one look and does nothing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Final, Protocol
from uuid import UUID

Attributes = Mapping[str, str | int]


class Marking(Protocol):
    """Makes spans in the request that is being served; what leaves one is let through."""

    def span(self, name: str, attributes: Attributes) -> AbstractContextManager[object]:
        """Make a span of what is done within."""
        ...

    def appending(self, command_id: UUID) -> AbstractContextManager[object]:
        """Make a span of a command's way into the log, which the commit that records it is tied to."""
        ...


marking: Final[ContextVar[Marking | None]] = ContextVar("marking", default=None)
"""Set while a request is served that is traced."""

_NOTHING: Final = nullcontext()


def span(name: str, attributes: Attributes | None = None) -> AbstractContextManager[object]:
    """Make a span of what is done within; no attribute may tell of a person, or what a client sent."""
    made = marking.get()
    return _NOTHING if made is None else made.span(name, attributes or {})


def appending(command_id: UUID) -> AbstractContextManager[object]:
    """Make a span of a command's way into the log, from the queue until it is durable."""
    made = marking.get()
    return _NOTHING if made is None else made.appending(command_id)
