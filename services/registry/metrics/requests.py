"""What was served: how many requests and how long they took, by route as it is declared, and never by address."""

from __future__ import annotations

from collections import Counter
from typing import Final

from events.log.distribution import Distribution

BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
OTHER: Final = "other"
"""Every method that is none of these: a client may send what it likes."""
UNMATCHED: Final = "unmatched"
"""The route of a request for which nothing is served."""
UNANSWERED: Final = "none"
"""The status of a request whose client went before there was an answer."""


class Requests:
    """Counts requests, in the process's one loop. It holds as much as there are routes, methods and statuses."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, str, str]] = Counter()  # method, route, status
        self.seconds: dict[tuple[str, str], Distribution] = {}  # method, route

    def ended(self, method: str, template: str | None, status: int | None, seconds: float) -> None:
        """Count a request to the route with this template (None: there is none)."""
        method = method if method in METHODS else OTHER
        route = template or UNMATCHED
        self.answered[method, route, UNANSWERED if status is None else str(status)] += 1
        if (known := self.seconds.get((method, route))) is None:
            known = self.seconds[method, route] = Distribution(BOUNDS)
        known.note(seconds)
