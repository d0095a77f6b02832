"""Makes evidence packs, without the code that makes them."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from events.merkle.checkpoint import ProofFile
from events.merkle.note import SigningKey
from events.merkle.proofs import inclusion_path
from tests.support.exported import KEY, leaf, note_of

Files = dict[str, bytes]
AIDS = {"README.html": b"Read this.", "verify.py": b"print()"}
COOPERATION = f"coop_{0:026}"


def encoded(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def contents(
    log: Sequence[bytes],
    positions: Sequence[int],
    documents: Sequence[tuple[str, bytes]],
    key: SigningKey = KEY,
    withdrawn: Sequence[bytes] = (),
) -> Files:
    """Return a pack's files; documents with the id of their source."""
    note, leaves = note_of(log, key), [leaf(one) for one in log]
    listed: list[dict[str, Any]] = [
        {
            "sha256": hashlib.sha256(document).hexdigest(),
            "source": source,
            "media_type": "text/plain",
            "withdrawn": document in withdrawn,
        }
        for source, document in documents
    ]
    manifest = {
        "cooperation": COOPERATION,
        "size": len(log),
        "origin": key.name,
        "entries": list(positions),
        "documents": sorted(listed, key=lambda one: (one["source"], one["sha256"])),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in AIDS.items()},
    }
    files: Files = {"checkpoint": note, "keys": f"{key.verifier.text}\n".encode(), **AIDS}
    for position in positions:
        path = tuple(inclusion_path(leaves, position, len(log)))
        files[f"entries/{position}.json"] = log[position]
        files[f"proofs/{position}.tlog-proof"] = ProofFile(position, path, note).encode()
    there = {f"documents/{hashlib.sha256(one).hexdigest()}": one for _, one in documents if one not in withdrawn}
    return files | there | {"evidence.json": encoded(manifest)}


def pack(files: Mapping[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as written:
        for name, content in files.items():
            written.writestr(name, content)
    return path
