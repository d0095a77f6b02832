"""Proving an entry: what an inclusion proof costs over a large log beside what it costs over one of 10,000 entries.

Both are asked for in one log, at two sizes of it, for entries and sizes taken at random; each proof is verified. The
log's entries are made up and put in past the writer, since only their leaves matter here.
"""

from __future__ import annotations

import hashlib
import random
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import uuid_utils

from bench.measure import Figure, Result, interleave
from events.log.tree import Tree
from events.merkle.proofs import verify_inclusion
from events.merkle.tree import Frontier, extend
from services.registry.provision import Access

SMALL: Final = 10_000
LARGE: Final = 1_000_000
QUICK: Final = 40_000
NEAR: Final = 256  # sizes differ by so much at most, so that partial tiles of every width are met
BATCH: Final = 10_000
BYTES: Final = b"x" * 900  # of an entry, as the story's are
COLUMNS: Final = (
    "position", "recorded_at", "revision", "ordinal", "id", "command_id", "stream", "type", "classification", "leaf",
    "bytes",
)  # fmt: skip


def _rows(first: int, last: int, roots: list[bytes]) -> Iterator[tuple[Any, ...]]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    for position in range(first, last):
        leaf = hashlib.sha256(position.to_bytes(8, "big")).digest()
        extend(position, roots, leaf)
        new = str(uuid_utils.uuid7())
        yield position, now, 0, 0, new, new, f"party/{position}", "registry.noted.v1", "public", leaf, BYTES


async def _fill(pool: asyncpg.Pool[asyncpg.Record], size: int) -> None:
    roots: list[bytes] = []
    async with pool.acquire() as connection:
        for first in range(0, size, BATCH):
            await connection.copy_records_to_table(
                "entry",
                schema_name="log",
                columns=COLUMNS,
                records=list(_rows(first, min(first + BATCH, size), roots)),
            )
            print(f"{first + BATCH:,} of {size:,} entries", file=sys.stderr)
        await connection.execute("UPDATE log.head SET size = $1, frontier = $2, last_recorded_at = now()", size, roots)
    await Tree(pool).integrate(size)
    assert await Tree(pool).root(size) == Frontier(size, tuple(roots)).root()  # noqa: S101 - what is measured is right


async def measure(access: Access, *, quick: bool) -> Result:
    """Measure proofs over the first 10,000 entries and over all of them, as milliseconds each."""
    large, rounds, proofs = (QUICK, 5, 100) if quick else (LARGE, 15, 200)
    async with asyncpg.create_pool(access.service, min_size=2, max_size=2) as pool:
        await _fill(pool, large)
        tree = Tree(pool)
        chance = random.Random(1)

        def proving(size: int) -> Callable[[], Awaitable[float]]:
            async def run() -> float:
                spent = 0.0
                for _ in range(proofs):
                    at = size - chance.randrange(NEAR)
                    position = chance.randrange(at)
                    start = time.perf_counter()
                    path = await tree.inclusion(position, at)
                    spent += time.perf_counter() - start
                    leaf = hashlib.sha256(position.to_bytes(8, "big")).digest()
                    verify_inclusion(leaf=leaf, index=position, size=at, root=await tree.root(at), path=path)
                return proofs / spent

            return run

        found = await interleave({"proofs_small": proving(SMALL), "proofs_large": proving(large)}, rounds)
    figures = {name: Figure.of("proofs/s", rates) for name, rates in found.items()}
    ratio = figures["proofs_large"].median / figures["proofs_small"].median
    return Result(figures, {"proofs_small": ratio}, {"proofs_small": 0.5})
