"""`registry log erasures`: what was erased stays so, also in a database that was restored from before then."""

from __future__ import annotations

import sys

from events.log.read import Pool
from services.registry.cli.keys import on_keys
from services.registry.signing.erasures import Erasures
from services.registry.signing.keyring import KeyRing


def again() -> int:
    """Destroy again what the key ring remembers, and print whose keys had come back, one a line."""

    async def work(pool: Pool, ring: KeyRing, _origin: str) -> tuple[int, list[str]]:
        return len(ring.erased()[2]), await Erasures(pool, ring).apply()

    (remembered, destroyed), _, _ = on_keys(work)
    sys.stdout.write("".join(f"{owner}\n" for owner in destroyed))
    sys.stderr.write(
        f"{remembered} erasures are remembered; of {len(destroyed)} the key was there, and is destroyed.\n"
    )
    return 0
