"""`registry master-key rotate`: the vault's keys are wrapped by another master key from then on."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from events.log.migrate import check
from events.log.servers import connect
from events.vault import MasterKey
from services.registry.cli import working
from services.registry.cli.failures import Unusable
from services.registry.cli.operator import operator
from services.registry.rewrapping import Rewrapped, Served, become_owner, rewrap, wrapped_by
from services.registry.settings import InvalidSettings, load


def rotate(file: Path, *, leave_damaged: bool, while_served: bool) -> int:
    """Wrap every key by the master key in `file`, which is made if need be."""
    settings = load(os.environ, needed=["owner_database_url", "master_key_file"])
    if settings.master_key_file is None:
        raise InvalidSettings(["REGISTRY_MASTER_KEY_FILE is not set."])
    dsn, present = settings.owner_database_url, MasterKey.from_file(settings.master_key_file)
    there = MasterKey.from_file(file) if file.exists() else None
    if there is not None and there.key_id == present.key_id:
        raise Unusable(f"{file} holds the master key that is in use: {present.key_id}. Name a file to be made.")
    return working.to_its_end(
        _rotate(dsn, present, file, there, leave_damaged=leave_damaged, while_served=while_served)
    )


async def _rotate(
    dsn: str, present: MasterKey, file: Path, there: MasterKey | None, *, leave_damaged: bool, while_served: bool
) -> int:
    await check(dsn)
    connection = await connect(dsn, server_settings={"application_name": "registry master-key"})
    try:
        if not await become_owner(connection):
            raise Unusable("The login in REGISTRY_OWNER_DATABASE_URL is no member of the role that owns the database.")
        wrapped = await wrapped_by(connection)
        if there is not None and there.key_id in wrapped and present.key_id not in wrapped:
            sys.stdout.write(f"There is nothing to do: keys are wrapped by the master key {there.key_id} already.\n")
            sys.stderr.write(_next(file))
            return 0
        _expect_use(present, wrapped)
        new = there or MasterKey.create_file(file)
        _keep(file)
        with working.bar("wrapping keys", sum(wrapped.values()) - wrapped.get(new.key_id, 0)) as progress:
            rewrapped = await rewrap(
                connection,
                present,
                new,
                operator(),
                leave_damaged=leave_damaged,
                while_served=while_served,
                progress=progress,
            )
    except Served as served:
        raise Unusable(
            f"A registry is served from this database: {served}. Nothing was changed. Stop it, and run this again with "
            "the same file; or see --while-served."
        ) from None
    finally:
        await connection.close(timeout=10)
    _tell(rewrapped, present, new, file)
    return 0


def _expect_use(present: MasterKey, there: Mapping[str, int]) -> None:
    if not there:
        raise Unusable("There is no key in the vault: the master key can be replaced by any other file.")
    if present.key_id not in there:
        raise Unusable(
            f"REGISTRY_MASTER_KEY_FILE holds the master key {present.key_id}, but keys are wrapped by "
            f"{', '.join(sorted(there))}. Name the file that the registry is served with."
        )


def _keep(file: Path) -> None:
    """Make sure that the file is on the disk under its name: what is wrapped by it can be read with nothing else."""
    for path in (file, file.absolute().parent):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _tell(rewrapped: Rewrapped, present: MasterKey, new: MasterKey, file: Path) -> None:
    sys.stdout.write(
        f"{rewrapped.keys} keys are wrapped by the master key {new.key_id} now, and not by {present.key_id}.\n"
    )
    sys.stdout.write("".join(f"damaged, left as it was: {owner}\n" for owner in rewrapped.damaged))
    sys.stdout.write(
        "".join(f"not found by every name, as one cannot be read: {owner}\n" for owner in rewrapped.unnamed)
    )
    sys.stderr.write(_next(file))


def _next(file: Path) -> str:
    return (
        f"Copy {file} to a place apart from the database, give REGISTRY_MASTER_KEY_FILE this file, and start the "
        "registry with it. Keep the one before for as long as there are backups from before now.\n"
    )
