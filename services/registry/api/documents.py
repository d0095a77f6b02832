"""Documents: the bytes that sources rest on, filed under their own hash. Plain text for now."""

from __future__ import annotations

import hashlib
import re

from litestar import Response, put
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from events.errors import FieldProblem, InvalidField, NotFound
from events.shape import CONTROL
from events.vault import Document
from services.registry.access.roles import RECORD
from services.registry.api import query
from services.registry.api.query import Asking
from services.registry.parts import Parts
from services.registry.problems import BodyTooLarge, UnsupportedMediaType

PLAIN_TEXT = "text/plain"


@put("/v1/documents/{sha256:str}", opt=RECORD, name="file-document", request_max_body_size=None)
async def file_document(request: Asking) -> Response[Document]:
    """File a document: `201` when it is new, `200` when it was on file. Durable when it is answered."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    sha256: str = request.path_params["sha256"]
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise NotFound(
            "A document's address is its SHA-256: 64 hexadecimal digits in lower case.",
            [FieldProblem("no such hash", parameter="sha256")],
        )
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != PLAIN_TEXT or not re.fullmatch(r'\s*(charset="?utf-8"?\s*)?', parameters.lower()):
        raise UnsupportedMediaType("Send text/plain; charset=utf-8.")
    content = await _content(request, sha256, parts.settings.max_document)
    document, new = await parts.vault.file(content, PLAIN_TEXT, len(_text(content)))
    headers = {"Registry-Size": str((await parts.log.head()).size)}
    return Response(document, status_code=HTTP_201_CREATED if new else HTTP_200_OK, headers=headers)


async def _content(request: Asking, sha256: str, most: int) -> bytes:
    """Read the body, hashing as it comes. Raises `BodyTooLarge` as soon as it is, `InvalidField` for another hash."""
    digest, parts, size = hashlib.sha256(), list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise BodyTooLarge(f"A document has at most {most} bytes.")
        digest.update(part)
        parts.append(part)
    if digest.hexdigest() != sha256:
        raise InvalidField.of([FieldProblem(f"the body's SHA-256 is {digest.hexdigest()}", parameter="sha256")])
    if not size:
        raise InvalidField.of([FieldProblem("the document is empty", pointer="")])
    return b"".join(parts)


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as refused:
        raise InvalidField.of([FieldProblem(f"not UTF-8 text: byte {refused.start} is wrong", pointer="")]) from None
    if found := CONTROL.search(text):
        raise InvalidField.of([FieldProblem(f"a control character at {found.start()}", pointer="")])
    return text


HANDLERS = [file_document]
