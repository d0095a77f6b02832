"""Answering with bytes and their entity tag, or that the client has them already (RFC 9110, section 13.1.2; ADR 0030).

What the read models say at one size is made of few things: the program, the generation, the size and its last entry,
what was asked for. What else it may depend on (keys that were destroyed or made, sources that were withdrawn) has a
mark or a size of its own, as of now. So a tag is made of these, and whether a client has the answer still is known
before it is made. What is asked for as of an older size is the same however the log goes on, and has a tag of its
bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import MediaType, Response
from litestar.response.base import ASGIResponse
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED
from litestar.types import Receive, Scope, Send

from services.registry.answers import Answers, Kept
from services.registry.api.given import Asking, headers_named, present
from services.registry.api.query import AsOf
from services.registry.version import VERSION

JSON: Final = MediaType.JSON.value
_REVISION: Final = re.compile(r'"(?:([0-9]{1,18})\.)?[0-9a-f]{16}"')


class Answer(Response[bytes]):
    """An answer of bytes that goes out as it is: nothing of it is looked for in the application, the route or types."""

    def __init__(self, body: bytes, status_code: int, media_type: str, headers: Mapping[str, str]) -> None:
        # Not what the class above does: to look after cookies, encoders and background tasks takes longer than a 304.
        self.content = body
        self.status_code = status_code
        self.media_type = media_type
        self.headers = dict(headers)

    def to_asgi_response(self, app: object, request: object, **_more: Any) -> ASGIResponse:  # noqa: ARG002 - Litestar's
        """Return what sends it."""
        return _Sent(self)


class _Sent(ASGIResponse):
    def __init__(self, answer: Answer) -> None:
        self._status = answer.status_code or HTTP_200_OK
        self._body = answer.content
        self._headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
        if self._status != HTTP_304_NOT_MODIFIED:
            media_type = answer.media_type or JSON
            charset = "; charset=utf-8" if media_type.startswith("text/") else ""
            self._headers += [
                (b"content-type", f"{media_type}{charset}".encode()),
                (b"content-length", b"%d" % len(self._body)),
            ]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


class Reply:
    """The answer to a request, as of a size; `made_of` is what it depends on beside that and the address."""

    def __init__(self, answers: Answers, request: Asking, at: AsOf, *made_of: object) -> None:
        now, scope = present(request), request.scope
        self._request = request
        self._at = at
        self._answers = answers
        self._basis = self._answers.basis(
            VERSION, now, at.generation, at.size, at.now, scope["path"], scope["query_string"], made_of
        )

    def ready(self) -> Response[bytes] | None:
        """Return the answer, if it was made before, or the client has it already."""
        if (kept := self._answers.find(self._basis)) is not None:
            return self._send(kept)
        if not self._at.pinned:
            for tag in _held(self._request):
                found = _REVISION.fullmatch(tag)
                if found and tag == self._answers.tag(self._basis, int(found[1]) if found[1] else None):
                    return _not_modified(_headers(tag, self._at.size))
        return None

    def made(
        self,
        body: bytes,
        *,
        revision: int | None = None,
        links: str = "",
        media_type: str = JSON,
        keep: bool,
    ) -> Response[bytes]:
        """Return the answer that was made, and keep it for others unless something in it was sealed."""
        tag = tag_of(body, revision) if self._at.pinned else self._answers.tag(self._basis, revision)
        answer = Kept(body, tag, media_type, links)
        if keep:
            self._answers.keep(self._basis, answer)
        return self._send(answer)

    def _send(self, answer: Kept) -> Response[bytes]:
        headers = _headers(answer.tag, self._at.size, answer.links)
        return unchanged(self._request, answer.tag, headers) or Answer(
            answer.body, HTTP_200_OK, answer.media_type, headers
        )


def answer(request: Asking, body: bytes, size: int, *, links: str = "", media_type: str = JSON) -> Response[bytes]:
    """Answer with a body whose tag is made of its bytes, or that the client has it already."""
    tag = tag_of(body)
    headers = _headers(tag, size, links)
    return unchanged(request, tag, headers) or Answer(body, HTTP_200_OK, media_type, headers)


def tag_of(body: bytes, revision: int | None = None) -> str:
    """Return the tag of bytes, beginning with the revision of their stream if they have one."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f'"{digest}"' if revision is None else f'"{revision}.{digest}"'


def unchanged(request: Asking, tag: str, headers: Mapping[str, str]) -> Response[bytes] | None:
    """Answer that the client has it already, if it does."""
    held = _held(request)
    return _not_modified(headers) if tag.removeprefix("W/") in held or "*" in held else None


def tag_of_stream(request: Asking, size: int, *others: object) -> str:
    """Return the tag of what is sent while it is made: weak, as it tells what it is made of and not the bytes.

    What was asked for, the size that it is as of, and whatever `others` it depends on.
    """
    made_of = [VERSION, request.url.path, request.url.query, size, *map(str, others)]
    return f'W/"{hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()[:16]}"'


def _held(request: Asking) -> set[str]:
    """Read the tags of `If-None-Match`, which may come in several fields (RFC 9110, section 5.3)."""
    fields = headers_named(request, b"if-none-match")
    return {one.strip().removeprefix("W/") for given in fields for one in given.split(",")}


def _headers(tag: str, size: int, links: str = "") -> dict[str, str]:
    headers = {"ETag": tag, "Registry-Size": str(size), "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if links:
        headers["Link"] = links
    return headers


def _not_modified(headers: Mapping[str, str]) -> Response[bytes]:
    return Answer(b"", HTTP_304_NOT_MODIFIED, JSON, headers)
