"""What a projector tells of its work, to one who wants to know: for traces, which this package knows nothing of."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

CHANNEL: Final = "registry_trace"
"""Where hints about entries are told, with NOTIFY. Only who observes is given them; nothing else rests on them."""


class Projected(NamedTuple):
    """The entries from position `first` to below `size` are in the read models.

    It `begun` and `ended` then, on the event loop's clock, in seconds.
    """

    first: int
    size: int
    begun: float
    ended: float


class Observer(Protocol):
    """Is called in the projector's turn: it must be quick and may not raise."""

    def heard(self, hint: str) -> None:
        """Take what was told on the channel; anybody may have sent it."""
        ...

    def projected(self, batch: Projected) -> None:
        """Take note of what was committed, in order of position."""
        ...
