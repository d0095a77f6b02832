"""The oracle's eye on what proves the log: tiles, checkpoints and their signatures, worked out from the leaves anew.

It shares no code with what makes them: levels are hashed whole, roots are folded pair by pair.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TypeAlias

import asyncpg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def what_proves_the_log_is_of_it(connection: Connection, leaves: list[bytes]) -> None:
    """Raise AssertionError for the first tile or checkpoint that is not what these leaves give."""
    await _tiles(connection, leaves)
    keys = [_key(row["key"]) for row in await connection.fetch("SELECT key FROM log.verifier")]
    rows = await connection.fetch("SELECT origin, size, root FROM log.checkpoint ORDER BY size")
    roots = _roots_at(leaves, {row["size"] for row in rows})
    for row in rows:
        origin, size = row["origin"], row["size"]
        assert size <= len(leaves), f"a checkpoint over {size} entries, and there are {len(leaves)}"
        assert row["root"] == roots[size], f"the checkpoint over {size} entries has another root"
        text = f"{origin}\n{size}\n{base64.b64encode(row['root']).decode()}\n".encode()
        signatures = await connection.fetch(
            "SELECT name, key_id, blob FROM log.signature WHERE origin = $1 AND size = $2", origin, size
        )
        signed = {(one["name"], one["key_id"]): one["blob"] for one in signatures}
        ours = [(name, key_id, public) for name, key_id, public in keys if (name, key_id) in signed]
        assert any(name == origin for name, _, _ in ours), f"the checkpoint over {size} entries is not signed"
        for name, key_id, public in ours:
            try:
                public.verify(signed[name, key_id], text)
            except InvalidSignature:
                raise AssertionError(f"the checkpoint over {size} entries has a wrong signature") from None


async def _tiles(connection: Connection, leaves: list[bytes]) -> None:
    stored = {(row["level"], row["index"]): row for row in await connection.fetch("SELECT * FROM log.tile")}
    hashes, level = leaves, 0
    while hashes:
        above: list[bytes] = []
        for index in range(len(hashes) // 256):
            part = hashes[index * 256 : index * 256 + 256]
            above.append(_root(part))
            tile = stored.pop((level, index), None)
            if tile is not None:
                assert tile["hashes"] == b"".join(part), f"tile {level}/{index} is not that of the leaves"
                assert tile["root"] == above[-1], f"tile {level}/{index} has another root"
        hashes, level = above, level + 1
    assert not stored, f"tiles that the log is too small for: {sorted(stored)}"


def _root(hashes: list[bytes]) -> bytes:
    """The root over 2^n hashes."""
    while len(hashes) > 1:
        hashes = [hashlib.sha256(b"\x01" + hashes[at] + hashes[at + 1]).digest() for at in range(0, len(hashes), 2)]
    return hashes[0]


def _roots_at(leaves: list[bytes], sizes: set[int]) -> dict[int, bytes]:
    """The roots at some sizes, in one walk: perfect subtrees are kept on a stack, and joined from the right."""
    roots: dict[int, bytes] = {}
    stack: list[tuple[int, bytes]] = []
    for size in range(max(sizes, default=0) + 1):
        if size in sizes:
            joined = stack[-1][1] if stack else hashlib.sha256(b"").digest()
            for _, left in reversed(stack[:-1]):
                joined = hashlib.sha256(b"\x01" + left + joined).digest()
            roots[size] = joined
        if size < len(leaves):
            height, node = 0, leaves[size]
            while stack and stack[-1][0] == height:
                node = hashlib.sha256(b"\x01" + stack.pop()[1] + node).digest()
                height += 1
            stack.append((height, node))
    return roots


def _key(text: str) -> tuple[str, bytes, Ed25519PublicKey]:
    name, key_id, material = text.split("+", 2)
    raw = base64.b64decode(material)
    assert raw[0] == 1, f"{name} has a key of another kind"
    assert hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4].hex() == key_id, f"{name} has another key id"
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(raw[1:])
