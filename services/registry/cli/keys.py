"""`registry key create|list|rotate`: the keys that checkpoints are signed with."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import uvloop
from rich.console import Console
from rich.table import Table

from events.errors import AlreadyExists
from events.log.checkpoints import Checkpoints
from events.log.migrate import check
from events.log.read import Pool
from events.log.servers import create_pool
from events.merkle.note import ALGORITHMS, SigningKey
from services.registry.access.actions import Action
from services.registry.access.record import Looked, record
from services.registry.cli.failures import Unusable
from services.registry.cli.operator import operator
from services.registry.clock import now
from services.registry.settings import InvalidSettings, Settings, load
from services.registry.signing.keyring import KeyRing
from services.registry.signing.signer import current_origin

T = TypeVar("T")
PIPED_WIDTH = 200


def create(*, once: bool) -> int:
    """Make the first key, publish it, and print what others verify with; `once` prints the one that is there."""

    async def work(pool: Pool, ring: KeyRing, origin: str) -> SigningKey:
        checkpoints = Checkpoints(pool)
        key = next(iter(ring.keys(origin)), None)
        if key is not None and key.verifier in await checkpoints.verifiers():
            if once:
                return key
            raise AlreadyExists(f"There is a key of {origin} already. Use `registry key rotate` to replace it.")
        await record(pool, Looked(operator(), Action.CREATE_KEY, {"origin": origin}))
        key = key or ring.create(origin)
        await checkpoints.add_verifier(key.verifier, now())
        return key

    key, ring, _ = on_keys(work)
    sys.stderr.write(f"The private key is in {ring.folder}. Keep the folder apart from the database and its backups.\n")
    sys.stdout.write(f"{key.verifier.text}\n")
    return 0


def rotate(*, drop: bool) -> int:
    """Make another key, which signs from now on; the ones before sign beside it, unless they are dropped."""

    async def work(pool: Pool, ring: KeyRing, origin: str) -> tuple[SigningKey, int]:
        if not ring.keys(origin):
            raise Unusable(f"There is no key of {origin} to replace. Use `registry key create`.")
        await record(pool, Looked(operator(), Action.ROTATE_KEY, {"origin": origin, "drop": drop}))
        key = ring.create(origin)
        await Checkpoints(pool).add_verifier(key.verifier, now())
        return key, ring.forget_older(origin) if drop else 0

    (key, gone), ring, origin = on_keys(work)
    others = len(ring.keys(origin)) - 1
    said = (
        f"{gone} private keys were removed." if drop else f"{others} before it sign beside it until they are dropped."
    )
    sys.stderr.write(f"Checkpoints are signed with this key from now on; {said}\n")
    sys.stdout.write(f"{key.verifier.text}\n")
    return 0


def list_all() -> int:
    """Print a table of the published keys, and which of them this folder can sign with."""

    async def work(pool: Pool, ring: KeyRing, origin: str) -> list[tuple[str, str, str]]:
        ours = [key.verifier for key in ring.keys(origin)]
        return [
            (key.text, ALGORITHMS[key.algorithm].name, _state(key == ours[0] if ours else False, key in ours))
            for key in sorted(await Checkpoints(pool).verifiers(), key=lambda key: key.name != origin)
        ]

    rows, _, origin = on_keys(work)
    table = Table(header_style="bold", title=f"Keys of {origin}", title_justify="left")
    for column in ("key", "algorithm", "state"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    if rows:
        Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    else:
        sys.stdout.write("There is no key yet: `registry key create` makes one.\n")
    return 0


def _state(is_current: bool, signs: bool) -> str:  # noqa: FBT001 - two answers about one key
    if is_current:
        return "signs, current"
    return "signs" if signs else "verifies what it signed"


def on_keys(work: Callable[[Pool, KeyRing, str], Awaitable[T]]) -> tuple[T, KeyRing, str]:
    """Do something with the database and the private keys, and the name that the log has now."""
    settings = load(os.environ, needed=["database_url", "key_dir"])
    ring = KeyRing(folder_of(settings))

    async def run() -> tuple[T, KeyRing, str]:
        await check(settings.database_url)
        async with create_pool(
            settings.database_url, min_size=1, max_size=2, server_settings={"application_name": "registry key"}
        ) as pool:
            origin = await current_origin(Checkpoints(pool), settings.origin)
            return await work(pool, ring, origin), ring, origin

    return uvloop.run(run())


def folder_of(settings: Settings) -> Path:
    """Return the folder with the keys. Raises `InvalidSettings`."""
    if settings.key_dir is None:
        raise InvalidSettings(["REGISTRY_KEY_DIR is not set."])
    return settings.key_dir
