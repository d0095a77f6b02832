"""A command made ready while it waits: checked, and its entries encoded but for their position and time.

In the caller's task, which keeps the writer's turn short: a command that cannot be recorded, or is too large, is
refused before anything waits behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from asyncpg.pgproto.pgproto import UUID as QuickUUID  # noqa: N811 - a `uuid.UUID` that is quick to make and to send

from events.errors import AlreadyClaimed, FieldProblem, RegistryError
from events.log.command import Append, Appended, Claim, Recorded
from events.log.encoding import EntryEncoder

HASH_BYTES: Final = 32
NO_STREAM: Final = -1


class Waiting:
    """A command on its way into the log, and the caller who waits for it until `deadline` (by `time.monotonic`).

    Whoever settles it first decides: the writer, the deadline, or the caller who goes away.
    """

    __slots__ = (
        "begun",
        "command",
        "command_id",
        "deadline",
        "entries",
        "first",
        "future",
        "in_doubt",
        "plain",
        "size",
    )

    def __init__(
        self,
        command: Append,
        encoder: EntryEncoder,
        future: asyncio.Future[Appended],
        deadline: float,
        *,
        begun: float = 0.0,
    ) -> None:
        """Encode the entries. `begun` is when the caller asked, for what is measured.

        Raises `EntryTooLarge`, `AlreadyClaimed` (the command claims a value twice), and TypeError or ValueError for
        a command that no program of this registry should send.
        """
        self.plain = not (
            command.claims or command.keys or command.salts or command.tokens or command.destroy or command.conditional
        )
        _check(command, plain=self.plain)
        self.command = command
        self.future = future
        self.deadline = deadline
        self.begun = begun
        self.in_doubt = False  # whether it may be recorded without our knowing
        self.command_id = QuickUUID(command.command_id.bytes)
        self.first: dict[str, int] = {}  # the revision that each stream must have
        self.entries, self.size = encoder.entries(command, self.command_id, self.first)

    def answer(self, appended: Appended) -> None:
        """Tell the caller what was recorded, unless the command is settled already."""
        if not self.future.done():
            self.future.set_result(appended)

    def refuse(self, error: Exception) -> None:
        """Tell the caller why nothing was recorded, unless the command is settled already."""
        if not self.future.done():
            self.future.set_exception(error)

    def made(self, first: Recorded) -> bool:
        """Whether the command's first entry is the one that was made here, not in an earlier sending."""
        return first.id == self.entries[0][0][2]

    @property
    def settled(self) -> bool:
        """Whether nobody waits any more: answered, too late, or gone."""
        return self.future.done()


def _check(command: Append, *, plain: bool) -> None:
    if not command.drafts:
        raise ValueError("a command records at least one event")
    if len(command.command_hash) != HASH_BYTES:
        raise ValueError(f"the hash of a command has {HASH_BYTES} bytes")
    for draft in command.drafts:
        if draft.expected_revision < NO_STREAM:
            raise ValueError(f"a stream that does not exist has revision {NO_STREAM}, and none has a lower one")
    if not plain:
        if len({key.owner for key in command.keys}) < len(command.keys):
            raise ValueError("a command brings one key for an owner")
        if len({salt.owner for salt in command.salts}) < len(command.salts):
            raise ValueError("a command brings one salt for an owner")
        _check_claims(command.claims)


def _check_claims(claims: Iterable[Claim]) -> None:
    seen: set[tuple[str, str]] = set()
    twice: list[Claim] = []
    for claim in claims:
        if (claim.scope, claim.value) in seen:
            twice.append(claim)
        seen.add((claim.scope, claim.value))
    if twice:
        raise claims_taken(twice)


def claims_taken(claims: Iterable[Claim]) -> RegistryError:
    """Make the error that names each of a command's claims that is taken."""
    problems = [FieldProblem(f"{claim.scope} {claim.value} is taken.", pointer=claim.pointer) for claim in claims]
    return AlreadyClaimed("A value that belongs to one thing only is taken; see errors.", problems)
