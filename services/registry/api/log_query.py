"""The query of a proof."""

from __future__ import annotations

from services.registry.api.given import Asking, Given
from services.registry.api.parameters import MAX_SIZE, number


def of_proof(request: Asking) -> int | None:
    """Read the size that a proof is to be for, None for the published checkpoint's. Raises `InvalidField`."""
    given = Given(request)
    size = number(given, "size", 1, MAX_SIZE)
    given.finish()
    return size


def of_consistency(request: Asking) -> tuple[int, int | None]:
    """Read from which size to which a proof is to lead, None for the published checkpoint's. Raises `InvalidField`."""
    given = Given(request)
    first = number(given, "from", 0, MAX_SIZE)
    second = number(given, "to", 0, MAX_SIZE)
    if first is None and "from" not in request.query_params:
        given.wrong("from", "required")
    if first is not None and second is not None and second < first:
        given.wrong("to", "is less than from")
    given.finish()
    return first or 0, second
