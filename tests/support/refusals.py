"""What a refusal has to be: a problem (RFC 9457) that names every offending field, and that left nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.support.service import Service

TABLES = """
    SELECT table_schema || '.' || table_name FROM information_schema.tables
    WHERE table_schema IN ('log', 'vault', 'access') AND table_type = 'BASE TABLE' ORDER BY 1
"""
NOT_OF_THE_REQUEST = {
    "log.checkpoint": "the signer writes it beside, of what was recorded before",
    "log.signature": "as log.checkpoint",
    "log.tile": "as log.checkpoint",
}
"""Tables in which rows may come up meanwhile that are of no request."""

WHERE = {
    # Who may look and is given entries above public is on record, whatever else is refused meanwhile.
    "access.record": "what NOT IN ('read-entries', 'read-entry', 'stream-entries', 'read-bundle', 'evidence-pack')",
}
"""Of which rows of a table a refusal must leave every one as it was; of all, where it is not here."""


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
    """Hold every row of log, vault and access afterwards against what was there before."""
    before = await remains(service)
    yield
    assert await remains(service) == before


async def remains(service: Service) -> dict[str, tuple[int, str | None]]:
    """How many rows there are in each table, and a hash of what stands in them."""
    pool = service.parts.pool
    found: dict[str, tuple[int, str | None]] = {}
    for (table,) in await pool.fetch(TABLES):
        if table not in NOT_OF_THE_REQUEST:
            rows = f"SELECT md5(t::text) AS row FROM {table} AS t WHERE {WHERE.get(table, 'true')}"
            query = f"SELECT count(*), md5(string_agg(row, '' ORDER BY row)) FROM ({rows}) AS rows"
            found[table] = tuple(await pool.fetchrow(query) or ())
    return found
