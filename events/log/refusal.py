"""Why a command is not recorded, in words for who sent it. Pure."""

from __future__ import annotations

from collections.abc import Container

from events.errors import AlreadyExists, LogUnavailable, WrongExpectedVersion
from events.log.command import Overtaken
from events.log.connection import Found
from events.log.preparation import Waiting, claims_taken


def refusal_of(waiting: Waiting, found: Found, ahead: Container[str]) -> Exception | None:
    """Say why a command cannot be recorded after what was found, as far as no commands `ahead` have a say in it."""
    revisions = found.revisions
    moved = {
        stream: (first, revisions[stream])
        for stream, first in waiting.first.items()
        if stream not in ahead and revisions[stream] != first
    }
    if moved:
        return WrongExpectedVersion(moved)
    command = waiting.command
    if taken := [claim for claim in command.claims if (claim.scope, claim.value) in found.taken]:
        return claims_taken(taken)
    if owners := [key.owner for key in command.keys if key.owner in found.keys]:
        return AlreadyExists(f"There is a key for {', '.join(owners)} already. Nothing was recorded.")
    if found.overtaken and command.rests_on(found.overtaken):
        return Overtaken("what the command rests on is not as it was")
    return None


def too_late(waiting: Waiting) -> LogUnavailable:
    """Say that a command's deadline has passed, and whether it may be recorded all the same."""
    outcome = (
        "Whether the command was recorded is not known: send it again with the same command id (Idempotency-Key)."
        if waiting.in_doubt
        else "Nothing was recorded; send the command again later."
    )
    return LogUnavailable(f"The log did not answer in time. {outcome}")
