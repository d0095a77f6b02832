"""A witness over HTTP: one address, open to all, since what is sent is signed by the log that it is about."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final

from litestar import Litestar, Request, Response, post
from litestar.datastructures import State as AppState
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from events.merkle.witnessing import MAX_BYTES, PATH
from services.registry import journal
from services.registry.arrival import Arrival, NotInTime
from services.registry.journal import Journal
from services.registry.witness.cosigner import TEXT, Cosigner
from services.registry.witness.state import StateUnusable

RETRY_AFTER: Final = {"Retry-After": "1"}


@post(f"/{PATH}", status_code=HTTPStatus.OK)
async def add_checkpoint(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Cosign a checkpoint, or say why not."""
    cosigner: Cosigner = request.app.state.cosigner
    answer = await asyncio.to_thread(cosigner.answer, await request.body())
    return _response(answer.status, answer.body, {"Content-Type": answer.media_type})


def create_app(cosigner: Cosigner, body_timeout: float) -> ASGIApp:
    """Make what a server serves."""
    app = Litestar(
        route_handlers=[add_checkpoint],
        exception_handlers={Exception: _failed},
        state=AppState({"cosigner": cosigner}),
        openapi_config=None,
        logging_config=None,
        request_max_body_size=MAX_BYTES,
    )
    return Journal(Arrival(app, body_timeout))


def _failed(_request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what is not the witness's own answer: another address or method, too long a body, or a failure."""
    if isinstance(error, HTTPException) and error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        status, headers = HTTPStatus(error.status_code), dict(error.headers or {})
    elif isinstance(error, HTTPException) and "disconnected" in error.detail:
        status, headers = HTTPStatus.BAD_REQUEST, {}  # the client hung up in the middle of its body
    elif isinstance(error, NotInTime):
        status, headers = HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"}
    else:
        journal.failure(error)
        unusable = isinstance(error, StateUnusable)
        status = HTTPStatus.SERVICE_UNAVAILABLE if unusable else HTTPStatus.INTERNAL_SERVER_ERROR
        headers = dict(RETRY_AFTER) if unusable else {}
    return _response(status, f"{status.phrase.lower()}\n".encode(), {**headers, "Content-Type": TEXT})


def _response(status: HTTPStatus, body: bytes, headers: dict[str, str]) -> Response[bytes]:
    """Answer with the media type as it stands in the headers: Litestar would add a charset of its own to it."""
    return Response(body, status_code=status, headers=headers)
