"""What is so at the moment at which a request is looked at: whose token it is, and what its answer may rest on.

It is asked for anew for every request, by those that come together in one statement (ADR 0030): a token that was
revoked is refused from then on, and what was erased is not shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from events import sql
from events.errors import Corrupt
from events.log.servers import Pool
from events.log.together import Together
from projections.engine import VERSION
from projections.reader import Live
from services.registry.access import tokens
from services.registry.access.tokens import Token

PRESENT: Final = "present"
"""Where the state of a request's scope has it, on every route that is not open to all."""
ASKED_WITH: Final = "asked_with"
"""Where it has the SHA-256 of the token that was presented."""
MOST: Final = 500  # tokens in one statement
_SQL: Final = sql.load("services.registry", "present.sql")


class Present(msgspec.Struct, frozen=True):
    """What may change at one size of the log, and which size there is to be shown.

    `live` are the read models of this version on the server that is projected on, None while there are none. `leaf` is
    the hash of the last entry that they show, if there is one: another one where entries were lost, as by a restore,
    and others recorded in their place. `mark` is another one once a key in the vault was made or destroyed.
    """

    live: Live | None
    leaf: bytes | None
    mark: UUID


class Presently:
    """Asks for the present, and whose a token is, for all who come at one moment."""

    def __init__(self, pool: Pool) -> None:
        """Take connections to the primary: a standby may not know yet that a token was revoked."""
        self._together = Together(pool, self._ask, MOST)

    def of(self, token_hash: bytes) -> Awaitable[tuple[Token | None, Present]]:
        """Return the token with a SHA-256, if there is one, and the present. Raises what asyncpg raises."""
        return self._together.get(token_hash)

    @staticmethod
    async def _ask(connection: Any, hashes: Collection[bytes]) -> Mapping[bytes, tuple[Token | None, Present]]:
        rows = await connection.fetch(_SQL["present"], list(hashes), VERSION)
        if not rows:
            raise Corrupt("the vault has no mark")
        generation, position, leaf, mark = rows[0][:4]
        present = Present(None if generation is None else Live(generation, position), leaf, mark)
        known = {row["hash"]: tokens.read(row) for row in rows if row["hash"] is not None}
        return {one: (known.get(one), present) for one in hashes}
