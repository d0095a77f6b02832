"""Holds the log of today against a checkpoint that was kept: it may have grown, and nothing else.

Smaller now: truncated, or rolled back to an old backup. Another root over as many entries: rewritten. A root says that
something is another, not what: positions are named by what else disagrees, if anything does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.proofs import consistency_subtrees, verify_consistency
from events.merkle.tiles import Tile, roots_from, tiles_for
from events.merkle.tree import EMPTY_ROOT, Subtree
from services.registry.signing.adoptions import check
from services.registry.signing.published import Origins
from services.registry.verify.findings import Finding, Findings
from services.registry.verify.signatures import Keys, read_checkpoint
from services.registry.verify.source import Source

NO_POSITION: Final = "A root does not say which of them: hold the log against an export from then to see that."


class Earlier(msgspec.Struct, frozen=True):
    """A checkpoint that was kept: a signed note, and what to call it."""

    note: bytes
    name: str


def read_origins(raw: bytes | None, origin: str | None, findings: Findings) -> Origins | None:
    """Read the names that the log had; what contradicts the checkpoint is a finding."""
    if raw is None:
        return None
    try:
        origins = msgspec.json.decode(raw, type=Origins)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as refused:
        findings.note(Finding("origins-malformed", f"it cannot be read: {refused}", file="origins"))
        return None
    named = [origins.origin, *(one.replaces for one in origins.adopted)]
    if origins.adopted and [one.origin for one in origins.adopted] != named[: len(origins.adopted)]:
        findings.note(Finding("origins-malformed", "the names do not follow one another", file="origins"))
    if origin is not None and origins.origin != origin:
        words = f"it says that the log is {origins.origin}, the checkpoint {origin}"
        findings.note(Finding("origins-malformed", words, file="origins"))
    return origins


def read_adoptions(origins: Origins, keys: Keys, findings: Findings) -> tuple[Checkpoint | None, list[str]]:
    """Hold what is told of each change of the log's name against what was signed of it.

    Return the log as it was when it took its name of today, as a checkpoint that it has to extend; and for people the
    names that rest on keys which only the log itself publishes, where the caller gave keys.
    """
    newest, unknown = None, list[str]()
    for one in origins.adopted:
        try:
            adoption, signers = check(one, keys.known)
        except VerificationError as refused:
            words = f"that {one.origin} took the place of {one.replaces}, when and why, is not vouched for: {refused}"
            findings.note(Finding("adoption-forged", words, file="origins"))
            continue
        if one is origins.adopted[0]:
            newest = Checkpoint(adoption.origin, adoption.size, adoption.root)
        if keys.given and not set(keys.given) & set(signers):
            what = f"when and why {one.origin} took the place of {one.replaces}"
            unknown.append(f"{what}: none of the keys that were given signed it")
    return newest, unknown


def read_earlier(
    earlier: Earlier, origin: str | None, keys: Keys, origins: Origins | None, findings: Findings
) -> tuple[Checkpoint | None, str | None]:
    """Return the checkpoint if it is of this log, under whatever name; None, with a finding, if it is not.

    And, where the log has another name since, what it says of that.
    """
    vouched = read_checkpoint(earlier.note, keys.known, findings, file=earlier.name)
    if vouched is None:
        return None, None
    checkpoint = vouched.checkpoint
    if origin in (None, checkpoint.origin):
        return checkpoint, None
    since = [one for one in (origins.adopted if origins else ()) if one.replaces == checkpoint.origin]
    if not since:
        words = f"the checkpoint is of the log {checkpoint.origin}, and this one is {origin}"
        findings.note(Finding("other-log", words, file=earlier.name))
        return None, None
    return checkpoint, (
        f"{checkpoint.origin} was given up at {since[0].size} entries, and the log is {origin} since. The reason that "
        f"it gives: {since[0].reason}"
    )


def rolled_back(known: Checkpoint, name: str, size: int) -> Finding:
    """Say that entries are gone."""
    words = (
        f"the log has {size} entries, and {name} vouches for {known.size}: it was truncated, or rolled back to an old "
        f"backup. The entries from position {size} to {known.size - 1} are gone."
    )
    return Finding("rolled-back", words, size=known.size)


def rewritten(known: Checkpoint, name: str) -> Finding:
    """Say that entries are others."""
    words = f"the first {known.size} entries are not those that {name} vouches for: the log was rewritten. "
    return Finding("rewritten", words + NO_POSITION, size=known.size)


async def root_by_tiles(source: Source, size: int, now: int) -> bytes | None:
    """Return the root that the tiles of a log of `now` entries give at a size; None if they do not lead to one."""
    if size == 0:
        return EMPTY_ROOT
    subtrees = [Subtree(0, size)]
    try:
        return roots_from(await _tiles(source, tiles_for(subtrees, now)), subtrees)[0]
    except VerificationError:
        return None


async def extends(source: Source, known: Checkpoint, size: int, root: bytes) -> bool:
    """Tell whether the log's tiles show that the tree of this size and root extends the known one."""
    if known.size == 0:
        return known.root == EMPTY_ROOT
    subtrees = consistency_subtrees(known.size, size)
    try:
        path = roots_from(await _tiles(source, tiles_for(subtrees, size)), subtrees)
        verify_consistency(first_size=known.size, first_root=known.root, second_size=size, second_root=root, path=path)
    except VerificationError:
        return False
    return True


async def _tiles(source: Source, tiles: Sequence[Tile]) -> dict[tuple[int, int], bytes]:
    found = [(tile, await source.tile(tile)) for tile in tiles]
    return {(tile.level, tile.index): raw for tile, raw in found if raw is not None}
