"""What the process measures, for operators: the page that Prometheus reads (ADR 0023)."""

from __future__ import annotations

from litestar import Response, get

from services.registry.access.roles import OPERATE
from services.registry.api.query import Asking
from services.registry.metrics import serving
from services.registry.metrics.page import MEDIA_TYPE
from services.registry.metrics.requests import Requests
from services.registry.parts import Parts


@get("/metrics", opt=OPERATE, name="metrics")
async def metrics(request: Asking) -> Response[bytes]:
    """Answer with the metrics of this process: each replica has its own."""
    parts: Parts = request.app.state.parts
    requests: Requests = request.app.state.requests
    page = await serving.page(parts, requests)
    return Response(page, headers={"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store"})


HANDLERS = [metrics]
