"""`registry log witnesses`: how the log's witnesses stand to it, by asking them."""

from __future__ import annotations

import os
import sys
from typing import Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from events.log.checkpoints import Checkpoints
from events.log.migrate import check
from events.log.servers import create_pool
from events.log.tree import Tree
from services.registry import journal
from services.registry.cli.failures import Unusable
from services.registry.clock import now
from services.registry.settings import Settings, load
from services.registry.signing.policy import Policy, read
from services.registry.signing.signer import current_origin
from services.registry.signing.witnesses import Mood, Standing, Witnesses, client

PIPED_WIDTH: Final = 200
SAID: Final = {
    Mood.UNKNOWN: "was asked for a later checkpoint meanwhile",
    Mood.COSIGNS: "cosigns",
    Mood.FAILS: "does not cosign",
    Mood.CONFLICT: "SAW ANOTHER HISTORY",
}


class _Found(msgspec.Struct, frozen=True):
    """What the witnesses answered, which size each has cosigned last, and what is signed and published."""

    standings: tuple[Standing, ...]
    cosigned: tuple[int | None, ...]
    signed: int
    published: int | None


def ask_all() -> int:
    """Ask, and print a table; 1 if there is a conflict or the quorum is not met."""
    settings = load(os.environ, needed=["database_url", "witness_file"])
    policy = read(settings.witness_file)
    journal.configure("critical", "json")  # what there is to say is in the table
    found = uvloop.run(_ask(settings, policy))
    table = Table(header_style="bold")
    for column in ("witness", "cosigned entries", "now"):
        table.add_column(column, overflow="fold")
    for one, size in zip(found.standings, found.cosigned, strict=True):
        answer = SAID[one.mood] + (f": {one.why}" if one.why else "")
        table.add_row(one.witness.key.name, "none yet" if size is None else str(size), answer)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    cosigning = sum(one.mood is Mood.COSIGNS for one in found.standings)
    published = "no checkpoint" if found.published is None else f"the checkpoint over {found.published} entries"
    sys.stdout.write(
        f"{cosigning} of {len(found.standings)} cosign, {policy.quorum} have to. Signed are {found.signed} entries; "
        f"{published} is published.\n"
    )
    conflict = any(one.mood is Mood.CONFLICT for one in found.standings)
    return 1 if conflict or cosigning < policy.quorum else 0


async def _ask(settings: Settings, policy: Policy) -> _Found:
    await check(settings.database_url)
    async with create_pool(
        settings.database_url, min_size=1, max_size=4, server_settings={"application_name": "registry log"}
    ) as pool:
        checkpoints = Checkpoints(pool)
        origin = await current_origin(checkpoints, settings.origin)
        latest = await checkpoints.latest(origin)
        if latest is None:
            raise Unusable(f"No checkpoint of {origin} has been signed yet.")
        witnesses = Witnesses(policy, Tree(pool), checkpoints, clock=now)
        ours = tuple(
            one for one in latest.signatures if one.name == origin
        )  # so that those are asked too that cosigned
        async with client() as reaching:
            await witnesses.ask(reaching, msgspec.structs.replace(latest, signatures=ours))
        last = [await checkpoints.published(origin, [key], 1) for key in policy.keys]
        published = await checkpoints.published(origin, policy.keys, policy.quorum)
        return _Found(
            tuple(witnesses.standings),
            tuple(one.checkpoint.size if one else None for one in last),
            latest.checkpoint.size,
            published.checkpoint.size if published else None,
        )
