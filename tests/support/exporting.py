"""Exports in tests: a registry with entries under a checkpoint, and its log as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from events.merkle.checkpoint import Checkpoint
from services.registry.archive.folder import Folder
from services.registry.archive.writing import Writer, Written
from tests.support.service import ORIGIN, Service


async def register(service: Service, count: int, first: int = 0) -> None:
    """Record parties, each with a claim of its own, in batches."""
    for begin in range(first, first + count, 100):
        commands: list[dict[str, Any]] = [
            {
                "command": "register-party",
                "data": {
                    "name": f"Yard {number}",
                    "kind": "company",
                    "country": "NO",
                    "identifiers": [{"scheme": "NO-BRC", "value": str(number)}],
                },
            }
            for number in range(begin, min(begin + 100, first + count))
        ]
        await service.post("/v1/batch", {"commands": commands})


async def sign(service: Service) -> Checkpoint:
    assert service.parts.signer is not None
    return (await service.parts.signer.sign()).checkpoint


async def export(service: Service, path: Path, folder: Folder | None = None) -> Written:
    """Export what is published, in this process."""
    parts = service.parts
    signed = await parts.publication.checkpoint()
    writer = Writer(folder or Folder(path), parts.tree, parts.checkpoints, parts.publication)
    return await writer.write(signed.note.encode(), signed.checkpoint, lambda _done: None)


def files_of(path: Path) -> dict[str, bytes]:
    """Return what a folder holds, by path."""
    return {str(one.relative_to(path)): one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()}


def settings_of(service: Service) -> dict[str, str]:
    """Return the settings of commands on the service's database."""
    return {"REGISTRY_DATABASE_URL": service.database.service_dsn, "REGISTRY_ORIGIN": ORIGIN}
