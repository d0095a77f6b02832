"""`registry rebuild`."""

from __future__ import annotations

import os
import sys

from events.log.migrate import check as check_form
from events.log.servers import connect
from projections import MODELS, ReadModel
from projections import rebuild as generations
from projections.engine import ENTRIES, QUERIES, SESSION, Connection
from projections.garbage import look_seldom
from projections.renewal import LOCK, Renewed, renew
from projections.shares import Helpers
from services.registry import journal
from services.registry.cli import working
from services.registry.cli.failures import FAILED, Unusable, UsedWrongly
from services.registry.settings import load


def rebuild(model: str | None, *, check: bool, accept: bool, if_changed: bool, processes: int | None) -> int:
    """Build, compare, and switch or not; 1 where there is a difference that is not accepted."""
    settings = load(os.environ, needed=["projector_database_url"])
    journal.configure("debug" if settings.log_level == "debug" else "warning", settings.log_format)
    look_seldom()
    return working.to_its_end(
        _rebuild(
            settings.projector_database_url,
            _named(model),
            processes,
            check=check,
            accept=accept,
            if_changed=if_changed,
        )
    )


def _named(model: str | None) -> ReadModel | None:
    by_name = {one.name: one for one in MODELS}
    if model is not None and model not in by_name:
        raise UsedWrongly(f"expected one of {', '.join(sorted(by_name))}", parameter="MODEL")
    return None if model is None else by_name[model]


async def _rebuild(
    dsn: str, model: ReadModel | None, processes: int | None, *, check: bool, accept: bool, if_changed: bool
) -> int:
    async with Helpers(dsn, processes) as helpers:
        await check_form(dsn)
        connection = await connect(dsn, server_settings={**SESSION, "application_name": "registry-rebuild"})
        try:
            return await _renewed(connection, helpers, model, check=check, accept=accept, if_changed=if_changed)
        finally:
            await connection.close(timeout=10)


async def _renewed(
    connection: Connection, helpers: Helpers, model: ReadModel | None, *, check: bool, accept: bool, if_changed: bool
) -> int:
    if not await connection.fetchval(QUERIES["lock"], LOCK):
        raise Unusable("Somebody else is rebuilding the read models of this database. Wait for them, and see.")
    ours = await generations.shown(connection)
    if if_changed and ours is not None:
        sys.stdout.write("There are read models of this version of the program: nothing to do.\n")
        return 0
    if ours is None and check:
        raise Unusable("There are no read models of this version to compare with yet. Is the projector running?")
    if model is not None and ours is None:
        raise Unusable(
            "One read model can be rebuilt only among others of the same version of the program, and the live ones "
            "are of another, or not there. Rebuild all of them: leave out the name."
        )
    size = await connection.fetchval(ENTRIES["size"])
    with working.bar("rebuilding" if model is None else f"rebuilding {model.name}", size) as progress:
        renewed = await renew(connection, model, check=check, accept=accept, progress=progress, helpers=helpers)
    return _told(renewed, check=check)


def _told(renewed: Renewed, *, check: bool) -> int:
    """Say what was found and done, on standard output."""
    for one in renewed.differing:
        sys.stdout.write(f"{one.model} differs at size {renewed.size}: live {one.live or 'of another form'}\n")
        sys.stdout.write(f"{' ' * len(one.model)}                 rebuilt {one.rebuilt}\n")
        for row in one.rows:
            where = f" in {', '.join(row.columns)}" if row.columns else ""
            sys.stdout.write(f"  {row.id} born {row.born}: {row.says}{where}\n")
    if not renewed.differing and renewed.compared:
        sys.stdout.write(
            f"What is live is what the log says: {len(renewed.compared)} read models compared at size {renewed.size}.\n"
        )
    if renewed.generation is not None:
        where = "shown to this version, beside the live one of another" if renewed.beside else "live"
        sys.stdout.write(f"Generation {renewed.generation} is {where} now, with {renewed.position} entries.\n")
        return 0
    if check:
        return FAILED if renewed.differing else 0
    raise Unusable(
        "Nothing was switched: the live read models are not what this program makes of the log. Find out what altered "
        "the rows named above, or whether a read model says something else now without a raised number; then rebuild "
        "with --accept-difference."
    )
