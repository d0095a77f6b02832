"""From rows as they are kept to answers: labels, quotations and personal details put in, entity tags, headers.

What is unsealed here lives as long as the answer: nothing is kept of it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, cast

import msgspec
from litestar import MediaType, Response
from litestar.status_codes import HTTP_304_NOT_MODIFIED
from msgspec.structs import replace

from events.edtf import EdtfDate
from events.entry import canonical, time_text
from events.vault import person_owner, unseal
from projections.reader import Found
from services.registry.api.query import Asking
from services.registry.parts import Parts
from services.registry.version import VERSION

ERASED = {"erased": True}
"""What stands for personal data whose key was destroyed."""

_CITED = b'"src_'
"""What stands in an item that has a citation, whoever wrote it (a timeline's parts are written by PostgreSQL)."""

_SAY_THEMSELVES = ("party_", "person_")
"""How the ids of items begin in which `survivor` is a field of theirs, or of their posts."""


async def items(parts: Parts, found: Sequence[Found], size: int, on: date | None = None) -> list[bytes]:
    """Return the items as they are served, in order; `on` is the day as of which commitments are overdue or not."""
    keys = await parts.vault.keys([person_owner(one.id) for one in found if one.id.startswith("person_")])
    opened: dict[int, dict[str, Any]] = {
        number: msgspec.json.decode(one.body)
        for number, one in enumerate(found)
        if on is not None or one.id.startswith("person_") or _CITED in one.body
    }
    citations = [citation for item in opened.values() for citation in _citations(item)]
    await _quote(parts, citations, size)
    served: list[bytes] = []
    for number, one in enumerate(found):
        item = opened.pop(number, None)
        if item is None:
            served.append(one.body)
            continue
        if "sealed" in item:
            item |= details(one.id, item.pop("sealed"), keys)
        if on is not None:
            item["overdue"] = _is_overdue(item, on)
        served.append(canonical.encode(item))
    return served


def _is_overdue(commitment: Mapping[str, Any], on: date) -> bool:
    """Tell whether the last day on which it may be due is certainly past, as the filter does (`commitments.sql`)."""
    due = EdtfDate.parse(commitment["due"]) if commitment["due"] else None
    return due is not None and not due.qualified and due.latest is not None and due.latest < on


async def surviving(parts: Parts, found: Sequence[Found], size: int) -> tuple[list[Found], dict[str, str]]:
    """Return what each merged party that the items name lives on in as of `size`, and the items as naming that, too.

    It is put in where an item is such a party itself, or a post at one.
    """
    concerned = {ref for one in found for ref in one.refs if ref.startswith("party_")}
    survivors = await parts.read_models.survivors(concerned, size)
    return [_surviving(one, survivors) if survivors else one for one in found], survivors


def _surviving(one: Found, survivors: Mapping[str, str]) -> Found:
    named = {survivors[ref] for ref in one.refs if ref in survivors}
    if not named:
        return one
    body = one.body
    if one.id.startswith(_SAY_THEMSELVES):
        item: dict[str, Any] = msgspec.json.decode(body)
        for part in (item, *item.get("posts", ())):
            if "survivor" in part:
                part["survivor"] = survivors.get(part.get("party", one.id))
        body = canonical.encode(item)
    return replace(one, refs=tuple(sorted({*one.refs, *named})), body=body)


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


def _citations(value: object) -> Iterator[dict[str, Any]]:
    """Yield every citation in an item, wherever it stands."""
    if isinstance(value, list):
        for one in cast("list[object]", value):
            yield from _citations(one)
    elif isinstance(value, dict):
        item = cast("dict[str, Any]", value)
        if item.keys() == {"source", "start", "end"}:
            yield item
        else:
            for one in item.values():
                yield from _citations(one)


async def _quote(parts: Parts, citations: Iterable[dict[str, Any]], size: int) -> None:
    """Put into each citation the words that it names; null for those that cannot be read any more, or are not text.

    One document is in memory at a time, however many are cited.
    """
    of_source: dict[str, list[dict[str, Any]]] = {}
    for citation in citations:
        of_source.setdefault(citation["source"], []).append(citation)
    of_document: dict[str | None, list[dict[str, Any]]] = {}
    now = max(await parts.read_models.position(), size) if of_source else size
    then = await parts.read_models.cited(of_source, size)
    lately = then if now == size else await parts.read_models.cited(of_source, now)
    for source, cited in sorted(of_source.items()):
        record, latest = then.get(source), lately.get(source)
        # Another source may stand over the document still: what was withdrawn is quoted as of no size.
        withdrawn = latest is not None and bool(msgspec.json.decode(latest.body)["withdrawn"])
        for citation in cited:
            citation["withdrawn"] = withdrawn
        sha256 = None if record is None or withdrawn else msgspec.json.decode(record.body)["sha256"]
        of_document.setdefault(sha256, []).extend(cited)
    known = await parts.vault.documents([sha256 for sha256 in of_document if sha256 is not None])
    for sha256, cited in of_document.items():
        text: str | None = None
        if sha256 is not None and sha256 in known and known[sha256].characters is not None:
            content = (await parts.vault.contents([sha256])).get(sha256)
            text = None if content is None else content.decode()
        for citation in cited:
            citation["quotation"] = None if text is None else text[citation["start"] : citation["end"]]


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
    return unchanged(request, tag, headers) or Response(body, media_type=media_type, headers=headers)


def unchanged(request: Asking, tag: str, headers: Mapping[str, str]) -> Response[bytes] | None:
    """Answer that the client has it already, if it does."""
    given = request.headers.get("if-none-match")
    if given is None:
        return None
    held = {one.strip().removeprefix("W/") for one in given.split(",")}
    if held.isdisjoint({"*", tag.removeprefix("W/")}):
        return None
    return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=dict(headers))


def tag_of_stream(request: Asking, size: int, *others: object) -> str:
    """Return the tag of what is sent while it is made: weak, as it tells what it is made of and not the bytes.

    What was asked for, the size that it is as of, and whatever `others` it depends on.
    """
    made_of = [VERSION, request.url.path, request.url.query, size, *map(str, others)]
    return f'W/"{hashlib.sha256(msgspec.json.encode(made_of)).hexdigest()[:16]}"'
