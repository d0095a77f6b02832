"""Verifying an export beside SHA-256 alone over the same entries, in a Python loop.

`registry verify` takes each entry apart, hashes its leaf and the tree above, decodes it, encodes it again, and holds it
against all others; the loop is the least that anybody has to do. The command runs as it is installed, files, processes
and all; its start is not measured: each round verifies more entries than it takes to make that small.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import uuid_utils

from bench.append import story
from bench.measure import Failed, Figure, Result, interleave
from events.entry import Envelope, canonical_bytes, leaf_hash
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import ED25519, Note, SigningKey
from events.merkle.tiles import WIDTH, encode_bundle, tiles_of
from events.merkle.tree import root_of
from services.registry.provision import Access
from services.registry.signing.published import Origins, encode_origins
from services.registry.verify.export import Export
from services.registry.verify.verification import Asked, verify

ORIGIN: Final = "registry.example/log"
TARGETS: Final = {"sha256": 0.25}
STREAM_LENGTH: Final = 10


def entries(number: int) -> Iterator[bytes]:
    """Make entries such as the log has, one a command."""
    events = story(random.Random(1))
    source = f"https://{ORIGIN}"
    for position in range(number):
        event = events[position % STREAM_LENGTH]
        yield canonical_bytes(
            Envelope(
                specversion="1.0",
                id=str(uuid_utils.uuid7()),
                source=source,
                type=event.event_type,
                subject=f"cooperation/coop_{position // STREAM_LENGTH:026}",
                time=f"2026-11-24T07:{position // 60_000:02}:{position // 1000 % 60:02}.{position % 1000:03}000Z",
                datacontenttype="application/json",
                dataschema=f"{source}/v1/schemas/{event.event_type}",
                sequence=str(position),
                revision=position % STREAM_LENGTH,
                commandid=str(uuid_utils.uuid7()),
                commandhash=hashlib.sha256(str(position).encode()).hexdigest(),
                actor="bench",
                classification="public",
                data=event,
            )
        )


def export(log: list[bytes], folder: Path) -> None:
    """Write the log as static files."""
    rows = [[leaf_hash(entry) for entry in log]]
    while len(rows[-1]) >= WIDTH:
        below = rows[-1]
        rows.append([root_of(below[at : at + WIDTH]) for at in range(0, len(below) // WIDTH * WIDTH, WIDTH)])
    key = SigningKey(ORIGIN, ED25519, bytes(32))
    text = Checkpoint(ORIGIN, len(log), root_of(rows[0])).text
    files = {
        "checkpoint": Note(text, (key.sign(text),)).encode(),
        "keys": f"{key.verifier.text}\n".encode(),
        "origins": encode_origins(Origins(ORIGIN, ())),
    }
    for tile in tiles_of(len(log)):
        first, end = tile.index * WIDTH, tile.index * WIDTH + tile.width
        files[tile.path] = b"".join(rows[tile.level][first:end])
        if tile.level == 0:
            files[tile.bundle_path] = encode_bundle(log[first:end])
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


async def measure(_access: Access, *, quick: bool) -> Result:
    """Measure both over one log; the database is not needed."""
    size, rounds = (120_000, 3) if quick else (1_000_000, 5)
    with tempfile.TemporaryDirectory(prefix="bench-verify-") as name:
        folder = Path(name)
        log = list(entries(size))
        await asyncio.to_thread(export, log, folder)

        async def ours() -> float:
            start = time.perf_counter()
            report = await verify(Export(folder), Asked())
            if not report.verified:
                raise Failed(f"the export is not verified: {report.findings[0].line}")
            return size / (time.perf_counter() - start)

        async def alone() -> float:
            start = time.perf_counter()
            for entry in log:
                hashlib.sha256(entry).digest()
            return size / (time.perf_counter() - start)

        found = await interleave({"verify": ours, "sha256": alone}, rounds)
    figures = {name: Figure.of("entries/s", rates) for name, rates in found.items()}
    average = sum(map(len, log)) / size
    figures["bytes_an_entry"] = Figure("bytes", average, average, average)
    processors = float(len(os.sched_getaffinity(0)))
    figures["processors"] = Figure("", processors, processors, processors)
    return Result(figures, {"sha256": figures["verify"].median / figures["sha256"].median}, TARGETS)
