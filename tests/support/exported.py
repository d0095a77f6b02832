"""Makes logs in memory, and the folders that they are exported as, without the code that exports them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from events.entry import Envelope, canonical_bytes
from events.log.checkpoints import Checkpoints
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import ED25519, Note, SigningKey
from events.merkle.tiles import WIDTH, encode_bundle, tiles_of
from events.merkle.tree import root_of

ORIGIN = "registry.test/log"
SOURCE = f"https://{ORIGIN}"
KEY = SigningKey(ORIGIN, ED25519, bytes(range(32)))
TYPE = "registry.noted.v1"


def uuid7(number: int) -> str:
    return str(UUID(int=(0x0199 << 112) | (number << 80) | (0x7 << 76) | (0x8 << 60) | number))


def entry(position: int, **more: Any) -> bytes:
    """Make an entry: ten a stream, two a command."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": uuid7(position),
        "source": SOURCE,
        "type": TYPE,
        "subject": f"cooperation/coop_{position // 10:026}",
        "time": f"2026-11-24T07:41:{position // 10**6:02}.{position % 10**6:06}Z",
        "datacontenttype": "application/json",
        "dataschema": f"{SOURCE}/v1/schemas/{TYPE}",
        "sequence": str(position),
        "revision": position % 10,
        "commandid": uuid7(2**40 + position // 2),
        "commandhash": hashlib.sha256(str(position // 2).encode()).hexdigest(),
        "actor": "a test",
        "classification": "public",
        "data": {"text": "said"},
    }
    return canonical_bytes(Envelope(**(attributes | more)))


def entries(size: int) -> list[bytes]:
    return [entry(position) for position in range(size)]


def note_of(log: Sequence[bytes], key: SigningKey = KEY) -> bytes:
    """Sign the log's checkpoint."""
    text = Checkpoint(key.name, len(log), root_of([leaf(one) for one in log])).text
    return Note(text, (key.sign(text),)).encode()


def leaf(one: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + one).digest()


def export(log: Sequence[bytes], folder: Path, key: SigningKey = KEY) -> Path:
    """Write a log as static files."""
    origins = json.dumps({"origin": key.name, "adopted": []}, separators=(",", ":")).encode()
    return write(log, folder, note_of(log, key), f"{key.verifier.text}\n".encode(), origins)


def write(log: Sequence[bytes], folder: Path, checkpoint: bytes, keys: bytes, origins: bytes) -> Path:
    rows = [[leaf(one) for one in log]]
    while len(rows[-1]) >= WIDTH:
        below = rows[-1]
        rows.append([root_of(below[at : at + WIDTH]) for at in range(0, len(below) // WIDTH * WIDTH, WIDTH)])
    files = {"checkpoint": checkpoint, "keys": keys, "origins": origins}
    for tile in tiles_of(len(log)):
        first, end = tile.index * WIDTH, tile.index * WIDTH + tile.width
        files[tile.path] = b"".join(rows[tile.level][first:end])
        if tile.level == 0:
            files[tile.bundle_path] = encode_bundle(log[first:end])
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


async def export_database(dsn: str, origin: str, folder: Path) -> Path:
    """Write the log of a database as static files, as of its last checkpoint."""
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        checkpoints = Checkpoints(pool)
        signed = await checkpoints.latest(origin)
        assert signed is not None
        rows = await pool.fetch(
            "SELECT bytes FROM log.entry WHERE position < $1 ORDER BY position", signed.checkpoint.size
        )
        keys = "".join(f"{key.text}\n" for key in await checkpoints.verifiers())
    origins = json.dumps({"origin": origin, "adopted": []}).encode()
    return write([row["bytes"] for row in rows], folder, signed.note.encode(), keys.encode(), origins)
