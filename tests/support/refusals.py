"""What a refusal has to be: a problem (RFC 9457) that names every offending field, and that left nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.service import Service

REMAINS = {
    "entries": "SELECT count(*) FROM log.entry",
    "head": "SELECT size FROM log.head",
    "claims": "SELECT count(*) FROM log.claim",
    "documents": "SELECT count(*) FROM log.document",
    "keys": "SELECT count(*) FROM vault.key",
    "salts": "SELECT count(*) FROM vault.command_salt",
}


def refused(answer: httpx.Response, status: int, code: str, *fields: str) -> dict[str, Any]:
    """Hold an answer against what a refusal has to be, and return it.

    `fields` are all the fields that it has to name: `/held` is a pointer into the body and the empty text all of
    it, `?limit` a parameter, `@If-Match` a header.
    """
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["request-id"]
    problem: dict[str, Any] = answer.json()
    assert problem.keys() == {"type", "title", "status", "detail", "code", "errors"}
    assert problem["code"] == code, answer.text
    assert problem["status"] == status
    assert problem["type"] == f"/docs/errors#{code}"
    assert problem["title"]
    assert problem["detail"]
    assert all(one["detail"] for one in problem["errors"])
    assert sorted(map(_place, problem["errors"])) == sorted(fields), answer.text
    return problem


def _place(error: dict[str, str]) -> str:
    (kind,) = error.keys() - {"detail"}
    return {"pointer": "", "parameter": "?", "header": "@"}[kind] + error[kind]


@asynccontextmanager
async def nothing_left_behind(service: Service) -> AsyncIterator[None]:
    """Hold what is recorded, claimed, filed and kept in the vault afterwards against what was there before."""
    before = await _remains(service)
    yield
    assert await _remains(service) == before


async def _remains(service: Service) -> dict[str, int]:
    return {what: await service.parts.pool.fetchval(query) for what, query in REMAINS.items()}
