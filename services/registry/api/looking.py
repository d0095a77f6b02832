"""Who makes a request, as the access record has it, and which entries they get."""

from __future__ import annotations

from collections.abc import Iterable

from events.entry import is_public
from services.registry import journal
from services.registry.access.actions import Action
from services.registry.access.addresses import client_address
from services.registry.access.record import Looked, Who, record, runs
from services.registry.access.tokens import Principal
from services.registry.api.query import Asking
from services.registry.parts import Parts


def who(request: Asking) -> Who:
    """Return who makes a request, on a route that is not open to all."""
    parts: Parts = request.app.state.parts
    principal: Principal = request.auth
    return Who(
        name=principal.name,
        token_id=principal.token_id,
        address=client_address(
            request.client.host if request.client else None,
            request.headers.getall("x-forwarded-for", []),
            parts.settings.trusted_proxies,
        ),
        request_id=journal.request_id(),
    )


async def record_entries(request: Asking, what: Action, entries: Iterable[tuple[int, bytes]]) -> None:
    """Record which entries above public (of these positions, with these bytes) are about to be given, if any are.

    Raises `AccessNotRecorded`.
    """
    parts: Parts = request.app.state.parts
    if above := [position for position, stored in entries if not is_public(stored)]:
        await record(parts.pool, Looked(who(request), what, {"positions": runs(above)}))
