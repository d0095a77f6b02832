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


def contents(
    log: Sequence[bytes], positions: Sequence[int], documents: Mapping[str, bytes], key: SigningKey = KEY
) -> Files:
    """Return a pack's files; documents by the id of their source."""
    note, leaves = note_of(log, key), [leaf(one) for one in log]
    listed: list[dict[str, Any]] = [
        {"sha256": hashlib.sha256(document).hexdigest(), "source": source, "withdrawn": False}
        for source, document in documents.items()
    ]
    index = {"cooperation": "coop_0", "size": len(log), "origin": key.name, "entries": positions, "documents": listed}
    files: Files = {
        "checkpoint": note,
        "keys": f"{key.verifier.text}\n".encode(),
        "evidence.json": json.dumps(index, separators=(",", ":")).encode(),
    }
    for position in positions:
        path = tuple(inclusion_path(leaves, position, len(log)))
        files[f"entries/{position}.json"] = log[position]
        files[f"proofs/{position}.tlog-proof"] = ProofFile(position, path, note).encode()
    return files | {f"documents/{hashlib.sha256(one).hexdigest()}": one for one in documents.values()}


def pack(files: Mapping[str, bytes], path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as written:
        for name, content in files.items():
            written.writestr(name, content)
    return path
