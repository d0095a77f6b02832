"""From rows as they are kept to answers: labels, quotations and personal details put in, entity tags, headers.

What is unsealed here lives as long as the answer: nothing is kept of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, cast

import msgspec
from litestar import MediaType, Response
from litestar.status_codes import HTTP_304_NOT_MODIFIED

from events.entry import canonical, time_text
from events.vault import person_owner, unseal
from projections import LISTED
from projections.reader import Found
from services.registry.api.query import Asking
from services.registry.parts import Parts

ERASED = {"erased": True}
"""What stands for personal data whose key was destroyed."""

SOURCES = next(model for model in LISTED if model.name == "sources")


async def items(parts: Parts, found: Sequence[Found], size: int, on: date | None = None) -> list[bytes]:
    """Return the items as they are served, in order; `on` is the day as of which commitments are overdue or not."""
    texts = await _texts(parts, found, size)
    keys = await parts.vault.keys([person_owner(one.id) for one in found if one.id.startswith("person_")])
    served: list[bytes] = []
    for one in found:
        body = one.body
        if texts or on is not None or one.id.startswith("person_"):
            item = cast("dict[str, Any]", msgspec.json.decode(body))
            _quote(item, texts)
            if "sealed" in item:
                item |= details(one.id, item.pop("sealed"), keys)
            if on is not None:
                item["overdue"] = item["due_to"] is not None and item["due_to"] < on.isoformat()
            body = canonical.encode(item)
        served.append(body)
    return served


async def names(parts: Parts, found: Iterable[Found], size: int) -> dict[str, Any]:
    """Return the labels of everything that the items name, and of themselves where they have one."""
    ids = {ref for one in found for ref in one.refs}
    labels = await parts.read_models.labels(ids, size)
    people = [key for key, label in labels.items() if label.sealed]
    keys = await parts.vault.keys([person_owner(one) for one in people])
    return {
        key: details(key, label.sealed, keys)["name"] if label.sealed else label.text
        for key, label in sorted(labels.items())
    }


def details(person: str, sealed: str, keys: Mapping[str, bytes]) -> dict[str, Any]:
    """Open what is sealed of a person; once their key is destroyed, it reads as erased."""
    owner = person_owner(person)
    if owner not in keys:
        return {"name": ERASED, "contact": ERASED}
    opened: dict[str, Any] = msgspec.json.decode(unseal(keys[owner], owner, base64.b64decode(sealed)))
    return opened


async def _texts(parts: Parts, found: Sequence[Found], size: int) -> dict[str, str | None]:
    """Return the text of every source that is cited; None for one whose document can no longer be read."""
    cited = {ref for one in found for ref in one.refs if ref.startswith("src_")}
    hashes: dict[str, str] = {}
    for source in sorted(cited):
        record = await parts.read_models.one(SOURCES, source, size)
        if record is not None:
            hashes[source] = msgspec.json.decode(record.body)["sha256"]
    contents = await parts.vault.contents(set(hashes.values()))
    return {
        source: contents[sha256].decode("utf-8") if sha256 in contents else None for source, sha256 in hashes.items()
    }


def _quote(value: object, texts: Mapping[str, str | None]) -> None:
    """Put into each citation, wherever it stands, the words that it names; null once they cannot be read."""
    if isinstance(value, list):
        for one in cast("list[object]", value):
            _quote(one, texts)
    elif isinstance(value, dict):
        item = cast("dict[str, Any]", value)
        if item.keys() == {"source", "start", "end"}:
            text = texts.get(item["source"])
            item["quotation"] = None if text is None else text[item["start"] : item["end"]]
        else:
            for one in item.values():
                _quote(one, texts)


async def as_of(parts: Parts, size: int) -> dict[str, Any]:
    """Say which log size an answer is for, and when its last entry was recorded (null for an empty log)."""
    recorded = await parts.log.read_all(size - 1, 1) if size else []
    return {"size": size, "recorded_at": time_text(recorded[0].recorded_at) if recorded else None}


def answer(
    request: Asking,
    body: bytes,
    size: int,
    *,
    revision: int | None = None,
    links: str = "",
    media_type: str = MediaType.JSON,
) -> Response[bytes]:
    """Answer with a body and its entity tag, or that the client has it already (RFC 9110, section 13.1.2)."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    tag = f'"{digest}"' if revision is None else f'"{revision}.{digest}"'
    headers = {"ETag": tag, "Registry-Size": str(size), "Cache-Control": "private, no-cache", "Vary": "Accept"}
    if links:
        headers["Link"] = links
    if _matches(request.headers.get("if-none-match"), tag):
        return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _matches(given: str | None, tag: str) -> bool:
    if given is None:
        return False
    return given.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in given.split(","))
