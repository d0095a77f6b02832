"""What the writer tells of its commits, to one who wants to know: for traces, which this package knows nothing of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias
from uuid import UUID


class Commit(NamedTuple):
    """A batch that is durable. Times are those of `time.monotonic`, in seconds.

    `commands` has each one's id and when it was handed to the writer; its entries are those from position `first` to
    below `size`. It was `sent` for the last time then, and known to be `durable` since.
    """

    commands: Sequence[tuple[UUID, float]]
    first: int
    size: int
    sent: float
    durable: float


Observer: TypeAlias = Callable[[Commit], None]
"""Is called in the writer's turn, ahead of the answers: it must be quick and may not raise."""
