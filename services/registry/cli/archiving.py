"""`registry log export` and `registry log import`: the log as files, and back into an empty database."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from events.log.checkpoints import Checkpoints
from events.log.migrate import check
from events.log.servers import create_pool
from events.log.tree import Tree
from events.merkle.note import NoteError, VerifierKey
from services.registry.access.actions import Action
from services.registry.access.record import Looked, record
from services.registry.archive.folder import Folder
from services.registry.archive.intake import Intake
from services.registry.archive.reading import Export
from services.registry.archive.writing import Writer
from services.registry.cli import working
from services.registry.cli.failures import UsedWrongly
from services.registry.cli.operator import operator
from services.registry.clock import now
from services.registry.settings import Settings, load
from services.registry.signing import policy
from services.registry.signing.publication import Publication

POOL = 2


def export(folder: Path) -> int:
    """Write the log to a folder, and say what is there."""
    return working.to_its_end(_export(load(os.environ, needed=["database_url"]), folder))


def import_(folder: Path, keys: Sequence[str]) -> int:
    """Take a folder over into the database, and say what is there."""
    trusted = _keys(keys)
    return working.to_its_end(_import(load(os.environ, needed=["database_url"]), folder, trusted))


async def _export(settings: Settings, path: Path) -> int:
    await check(settings.database_url)
    async with _pool(settings, "registry log export") as pool:
        checkpoints = Checkpoints(pool)
        witnessing = policy.read(settings.witness_file)
        publication = Publication(
            checkpoints, None, origin=settings.origin, witnesses=witnessing.keys, quorum=witnessing.quorum
        )
        signed = await publication.checkpoint()
        size = signed.checkpoint.size
        await record(pool, Looked(operator(), Action.EXPORT_LOG, {"size": size}))
        writer = Writer(Folder(path), Tree(pool), checkpoints, publication)
        with working.bar("exporting", size) as progress:
            done = await writer.write(signed.note.encode(), signed.checkpoint, progress)
    sys.stdout.write(
        f"{path} holds the {done.size:,} entries of {signed.checkpoint.origin}, root {done.root.hex()}.\n"
        f"Files written: {done.written:,}. There already: {done.kept:,}.\n"
    )
    return 0


async def _import(settings: Settings, path: Path, trusted: Sequence[VerifierKey]) -> int:
    await check(settings.database_url)
    source = Export(Folder(path))
    manifest = source.manifest(trusted)
    origin = manifest.checkpoint.origin
    if not trusted:
        _warn(
            "nobody gave the log's key with --key, so that of the export itself is taken. That the export is whole is "
            f"shown by it, but not that it is the log of {origin}. The keys:"
        )
    strange = [key.text for key in manifest.keys if key not in trusted]
    if trusted and strange:
        _warn("these keys are published as the log's from now on, on the word of the export alone:")
    sys.stderr.write("".join(f"  {text}\n" for text in strange))
    async with _pool(settings, "registry log import") as pool:
        with working.bar("importing", manifest.checkpoint.size) as progress:
            taken = await Intake(pool, now).take(source, manifest, trusted, progress)
    if taken.dropped:
        _warn(f"signatures of keys that nobody gave were left out: {', '.join(taken.dropped)}.")
    if not manifest.origins.adopted and settings.origin != origin:
        _warn(f"the log's name is {origin}, and REGISTRY_ORIGIN is {settings.origin}: set it before you serve this.")
    before = f", {taken.found:,} of them before" if taken.found else ""
    sys.stdout.write(f"The database holds {taken.size:,} entries of {origin}{before}, root {taken.root.hex()}.\n")
    return 0


def _pool(settings: Settings, name: str) -> asyncpg.pool.Pool:
    return create_pool(settings.database_url, min_size=1, max_size=POOL, server_settings={"application_name": name})


def _keys(texts: Sequence[str]) -> tuple[VerifierKey, ...]:
    try:
        return tuple(VerifierKey.parse(text) for text in texts)
    except NoteError as refused:
        raise UsedWrongly(str(refused), parameter="--key") from None


def _warn(says: str) -> None:
    sys.stderr.write(f"Warning: {says}\n")
