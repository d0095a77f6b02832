"""Who makes a request, as the access record has it."""

from __future__ import annotations

from services.registry import journal
from services.registry.access.addresses import client_address
from services.registry.access.record import Who
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
