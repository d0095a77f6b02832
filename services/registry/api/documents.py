"""Documents: the bytes that sources rest on, filed under their own hash and given back as they were, never rendered.

They come by `PUT /v1/documents/{sha256}`, or together with their source as multipart/form-data. What they are is told
by their first bytes, not by what the client says; what is inside of them is nobody's business here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable
from io import BytesIO
from typing import Any, Final, cast

import multipart  # pyright: ignore[reportMissingTypeStubs]
from litestar import Response, get, put
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED

from events.errors import FieldProblem, InvalidField, NotFound, SourceWithdrawn
from events.shape import escape
from events.vault import Document
from services.registry import lenience
from services.registry.access.roles import READ, RECORD
from services.registry.api import query, replies
from services.registry.api.given import header, headers_named
from services.registry.api.query import Asking
from services.registry.filing import SHA256, Attached
from services.registry.media import MEDIA_TYPES, UNNAMED, told_by_content
from services.registry.parts import Parts
from services.registry.problems import BodyTooLarge, Malformed, UnsupportedMediaType

TAKEN: Final = (*MEDIA_TYPES, UNNAMED)
"""The media types that a document may be sent as; one of none in particular is told by its content."""
MULTIPART: Final = "multipart/form-data"
PARTS: Final = ("metadata", "document")
MOST_PARTS: Final = 8  # of a form, so that one that is too many can be named
NO_DOCUMENT: Final = Document("0" * 64, UNNAMED, 1, None)
"""What stands for a document that did not come, so that the rest can be looked at."""
FORM_ROOM: Final = 64 * 1024  # bytes of a form besides its document


@put("/v1/documents/{sha256:str}", opt=RECORD, name="file-document", request_max_body_size=None)
async def file_document(request: Asking) -> Response[Document]:
    """File a document: `201` when it is new, `200` when it was on file. Durable when it is answered."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    sha256 = _address(request)
    declared, _, parameters = content_type(request).partition(";")
    if declared.strip().lower() not in TAKEN or not re.fullmatch(r'\s*(charset="?utf-8"?\s*)?', parameters.lower()):
        raise UnsupportedMediaType(f"Send one of {', '.join(TAKEN)}; text as UTF-8.")
    must_be_uncoded(request)
    content, found = await _hashed(request, parts.settings.max_document)
    if found != sha256:
        raise InvalidField.of([FieldProblem(f"the body's SHA-256 is {found}", parameter="sha256")])
    told, wrong = await asyncio.to_thread(_told, content, "", found)
    if wrong:
        raise InvalidField.of(wrong)
    if declared.strip().lower() not in (told.media_type, UNNAMED):
        raise UnsupportedMediaType(f"The document is {told.media_type}; it was sent as {declared.strip()}.")
    await parts.commands.must_be_as_stated(told)
    try:
        document, new = await parts.vault.file(content, told.media_type, told.characters, found)
    except SourceWithdrawn as refused:
        refused.problems = (FieldProblem("was withdrawn", parameter="sha256"),)
        raise
    headers = {"Registry-Size": str((await parts.log.head()).size)}
    return Response(document, status_code=HTTP_201_CREATED if new else HTTP_200_OK, headers=headers)


@get("/v1/documents/{sha256:str}", opt=READ, name="get-document")
async def get_document(request: Asking) -> Response[bytes]:
    """Give a document back, to be saved: no browser renders it, whatever is in it."""
    parts: Parts = request.app.state.parts
    query.nothing(request)
    sha256 = _address(request)
    known = await parts.vault.documents([sha256])
    contents = await parts.vault.contents([sha256])
    if sha256 not in contents:
        says = "was withdrawn" if sha256 in known else "is not on file"
        raise NotFound(f"The document {says}.", [FieldProblem(says, parameter="sha256")])
    media_type = known[sha256].media_type
    tag = f'"{sha256}"'
    headers = {
        "ETag": tag,
        "Content-Disposition": f'attachment; filename="{sha256}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
        "Registry-Size": str((await parts.log.head()).size),
    }
    return replies.unchanged(request, tag, headers) or Response(
        contents[sha256], media_type=media_type, headers=headers
    )


def content_type(request: Asking) -> str:
    """Return what a request says that its body is, empty if nothing. Raises `UnsupportedMediaType` if it says two."""
    given = headers_named(request, b"content-type")
    if len(given) > 1:
        raise UnsupportedMediaType(f"Send one Content-Type, not {len(given)}.")
    return given[0] if given else ""


def is_form(request: Asking) -> bool:
    """Tell whether a request brings a document together with its source. Raises as `content_type`."""
    return content_type(request).partition(";")[0].strip().lower() == MULTIPART


async def of_form(request: Asking, problems: list[FieldProblem]) -> tuple[object, Attached | None]:
    """Return the source's metadata with what is known of its document filled in, and the document, not yet on file.

    What is wrong with the form is added to the problems. Raises `UnsupportedMediaType`, `Malformed`, `BodyTooLarge`,
    and `InvalidField` where there is no metadata that more could be said of. Metadata that are no JSON are malformed.
    """
    parts: Parts = request.app.state.parts
    must_be_uncoded(request)
    most = parts.settings.max_document
    declared, body = content_type(request), await bounded(request, most + FORM_ROOM)
    given = await asyncio.to_thread(_fields, body, declared)
    names = [str(one.name) for one in given]
    fields = dict(zip(names, given, strict=True))
    problems += [FieldProblem("required", f"/{name}") for name in PARTS if name not in fields]
    problems += [FieldProblem("given more than once", f"/{name}") for name in PARTS if names.count(name) > 1]
    problems += [FieldProblem("unknown part", f"/{escape(name)}") for name in fields if name not in PARTS]
    known, attached = NO_DOCUMENT, None
    if "document" in fields:
        content = fields["document"].raw
        if len(content) > most:
            raise BodyTooLarge(f"A document has at most {most} bytes.")
        known, wrong = await asyncio.to_thread(_told, content, "/document")
        declared = fields["document"].content_type.partition(";")[0].strip().lower()
        if not wrong and declared not in (known.media_type, UNNAMED):
            says = f"the document is {known.media_type}; it was sent as {declared or 'nothing in particular'}"
            wrong = [FieldProblem(says, "/document")]
        problems += wrong
        attached = None if known.media_type == UNNAMED else Attached(known, content)
    metadata = _metadata(fields["metadata"].raw, problems) if "metadata" in fields else None
    if metadata is None:
        raise InvalidField.of(problems)
    return {"sha256": known.sha256, "size": known.size or 1, "media_type": known.media_type, **metadata}, attached


def _metadata(raw: bytes, problems: list[FieldProblem]) -> dict[str, Any] | None:
    """Decode a source's metadata; None, and what is wrong is among the problems, if it is no object.

    Raises `Malformed` as every body of JSON does, and names the part.
    """
    try:
        metadata = lenience.decode(raw, problems)
    except RecursionError:
        problem = FieldProblem("nested too deeply", "/metadata")
        raise Malformed("The JSON of the part metadata is nested too deeply.", [problem]) from None
    except ValueError as refused:
        detail = f"The part metadata is not JSON: {refused}."
        raise Malformed(detail, [FieldProblem("not JSON", "/metadata")]) from None
    if not isinstance(metadata, dict):
        problems.append(FieldProblem("expected an object", "/metadata"))
        return None
    return cast("dict[str, Any]", metadata)


def must_be_uncoded(request: Asking) -> None:
    """Refuse a body that would have to be unpacked first: nothing here is, to whatever size. `UnsupportedMediaType`."""
    coding = header(request, b"content-encoding")
    if coding is not None and coding.strip().lower() != "identity":
        detail = f"Send the body as it is, without the content coding {coding.strip().lower()}."
        raise UnsupportedMediaType(detail, header="Content-Encoding")


async def bounded(request: Asking, most: int, told: Callable[[bytes], object] | None = None) -> bytes:
    """Read a body of at most so many bytes; `told` is given each piece as it comes.

    Raises `BodyTooLarge` as soon as it has more.
    """
    pieces, size = list[bytes](), 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise BodyTooLarge(f"This takes at most {most} bytes.")
        if told is not None:
            told(piece)
        pieces.append(piece)
    return b"".join(pieces)


async def _hashed(request: Asking, most: int) -> tuple[bytes, str]:
    """Read a body as `bounded` does, with its SHA-256, which is known as soon as the last of it has come."""
    digest = hashlib.sha256()
    return await bounded(request, most, digest.update), digest.hexdigest()


def _fields(body: bytes, content_type: str) -> list[multipart.MultipartPart]:
    """Take a form apart, in memory: what people send is not to lie about in files."""
    parsed = cast("tuple[str, dict[str, str]]", multipart.parse_options_header(content_type))  # pyright: ignore[reportUnknownMemberType]
    options: dict[str, str] = parsed[1]
    size = len(body)
    try:
        parser = multipart.MultipartParser(
            BytesIO(body),
            options.get("boundary", ""),
            content_length=size,
            strict=True,
            part_limit=MOST_PARTS,
            spool_limit=size,
            memory_limit=size,
        )
        return cast("list[multipart.MultipartPart]", parser.parts())
    except multipart.MultipartError as refused:
        raise Malformed(f"The form cannot be read: {refused}.", [FieldProblem("not a form", pointer="")]) from None


def _address(request: Asking) -> str:
    sha256: str = request.path_params["sha256"]
    if not SHA256.fullmatch(sha256):
        raise NotFound(
            "A document's address is its SHA-256: 64 hexadecimal digits in lower case.",
            [FieldProblem("no such hash", parameter="sha256")],
        )
    return sha256


def _told(content: bytes, pointer: str, sha256: str | None = None) -> tuple[Document, list[FieldProblem]]:
    """Tell by its content what a document is, and what keeps it from being filed; its hash, too, if it is not known.

    Takes long for a large one: it is for a thread of its own.
    """
    media_type, characters, wrong = told_by_content(content)
    sha256 = sha256 or hashlib.sha256(content).hexdigest()
    document = Document(sha256, media_type, len(content), characters)
    return document, [FieldProblem(wrong, pointer=pointer)] if wrong else []


HANDLERS = [file_document, get_document]
