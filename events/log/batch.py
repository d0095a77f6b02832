"""A batch: commands in order of arrival, put together against the log as the writer last saw it. Pure.

What a batch assumes (size, revisions, claims) is checked by `log.append_batch` under the head's lock; nothing here is
taken for certain.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeAlias
from uuid import UUID

from events.entry import leaf_hash, time_text
from events.log.command import Append, Appended, Head, NewToken, Recorded
from events.log.encoding import entry_bytes
from events.log.preparation import Waiting
from events.merkle.tree import Frontier, extend

NewEntry: TypeAlias = "tuple[str, int, UUID, str, UUID, int, str, bool, bytes, bytes]"
"""A `log.new_entry`: stream, revision, id, type, command id, ordinal, classification, opens, leaf, bytes."""


class Batch:
    """Commands that fit together, as the entries that they would become.

    A command that does not fit (it expects another revision than the ones ahead leave, claims what one of them
    claims, has the id of one of them, rests on what one of them changes) is in `held`: it is left out, to be looked at
    anew after this batch. What it writes is asked for all the same, so that a batch that fails settles it too.
    """

    def __init__(self, head: Head, now: datetime) -> None:
        """Begin at a head; entries are recorded `now`, but never before the last one there is."""
        last = head.last_recorded_at
        self.recorded_at = now if last is None else max(now, last)
        self._base = head.size
        self.sent = 0.0  # when, by `time.monotonic`
        self.included: list[Waiting] = []
        self.held: list[Waiting] = []
        self._revisions: dict[str, int] = {}
        self._commands: set[UUID] = set()
        self._taken: set[tuple[str, str]] = set()
        self._vault_held: set[str] = set()  # owners whose key comes or goes in this batch
        self._entries: list[NewEntry] = []
        self._claims: list[tuple[str, str, int | None]] = []
        self._keys: list[tuple[str, bytes | None, str | None]] = []
        self._salts: list[tuple[UUID, str, bytes]] = []
        self._tokens: dict[str, tuple[bytes, ...]] = {}
        self._destroy: list[str] = []
        self._reads: dict[str, int] = {}
        self._absent: dict[str, int] = {}
        self._needed: set[str] = set()
        self._ahead = head.frontier.roots
        self._frontier = list(self._ahead)
        self._time = time_text(self.recorded_at).encode()

    @classmethod
    def of(cls, commands: Iterable[Waiting], aside: Container[Waiting], head: Head, now: datetime) -> Batch:
        """Put commands together, in order; what is set `aside` is held, what nobody waits for any more left out."""
        batch = cls(head, now)
        for waiting in commands:
            if waiting.future.done():
                continue
            if waiting not in aside and batch._fits(waiting):
                batch._include(waiting)
            else:
                batch._hold(waiting)
        return batch

    def _fits(self, waiting: Waiting) -> bool:
        revisions = self._revisions
        for stream, first in waiting.first.items():
            if revisions.get(stream, first) != first:
                return False
        if waiting.command_id in self._commands:
            return False
        return waiting.plain or self._is_free(waiting.command)

    def _is_free(self, command: Append) -> bool:
        for claim in command.claims:
            if (claim.scope, claim.value) in self._taken:
                return False
        return self._vault_held.isdisjoint(_owners(command)) and (not command.conditional or self._holds(command))

    def _holds(self, command: Append) -> bool:
        """Whether what a command rests on is left as it was by those ahead."""
        for read in command.reads:
            if read.stream in self._revisions or self._reads.get(read.stream, read.revision) != read.revision:
                return False
        for absent in command.absent:
            text = absent.text.encode()
            if any(text in entry[-1] for entry in self._entries):
                return False
        return self._vault_held.isdisjoint(command.needed)

    def _hold(self, waiting: Waiting) -> None:
        self._claims += [(claim.scope, claim.value, None) for claim in waiting.command.claims]
        self._keys += [(key.owner, None, None) for key in waiting.command.keys]
        self.held.append(waiting)

    def _include(self, waiting: Waiting) -> None:
        if not waiting.plain:
            self._include_rest(waiting)
        time, frontier, entries, revisions = self._time, self._frontier, self._entries, self._revisions
        position = self._base + len(entries)
        for columns, form in waiting.entries:
            stream = columns[0]
            stored = entry_bytes(form, position, time)
            leaf = leaf_hash(stored)
            extend(position, frontier, leaf)
            entries.append((*columns, stream not in revisions, leaf, stored))
            revisions[stream] = columns[1]
            position += 1
        self._commands.add(waiting.command_id)
        self.included.append(waiting)

    def _include_rest(self, waiting: Waiting) -> None:
        command = waiting.command
        position = self._base + len(self._entries)
        for claim in command.claims:
            self._taken.add((claim.scope, claim.value))
            self._claims.append((claim.scope, claim.value, position))
        self._keys += [(key.owner, key.wrapped, key.key_id) for key in command.keys]
        self._salts += [(waiting.command_id, salt.owner, salt.salt) for salt in command.salts]
        self._tokens |= _by_owner(command.tokens)  # what was said last is what an owner is found by
        self._destroy += command.destroy
        self._reads.update((read.stream, read.revision) for read in command.reads)
        for absent in command.absent:
            self._absent[absent.text] = min(absent.since, self._absent.get(absent.text, absent.since))
        self._needed.update(command.needed)
        self._vault_held.update(key.owner for key in command.keys)
        self._vault_held.update(command.destroy)

    def arguments(self, *, assumed: bool = False) -> tuple[object, ...]:
        """Return the parameters of `log.append_batch`, in order; null stands for an empty array of what few have.

        With a head that is only `assumed`, the tree that the batch goes on from is a condition: another writer's batch
        of the same length may be recorded instead.
        """
        held = self.held
        return (
            self._ahead if assumed else None,
            *_transposed(list(self._reads.items()), 2),
            *_transposed(list(self._absent.items()), 2),
            list(self._needed) or None,
            self._base,
            self._frontier,
            self.recorded_at,
            self._entries,
            [waiting.command_id for waiting in held] or None,
            [stream for waiting in held for stream in waiting.first if stream not in self._revisions] or None,
            *_transposed(self._claims, 3),
            *_transposed(self._keys, 3),
            *_transposed(self._salts, 3),
            *_transposed([(owner, token) for owner, tokens in self._tokens.items() for token in tokens], 2),
            self._destroy or None,
        )

    @property
    def first(self) -> int:
        """The position of its first entry."""
        return self._base

    @property
    def entries(self) -> int:
        """How many entries the batch has."""
        return len(self._entries)

    @property
    def after(self) -> Head:
        """The head once the batch is recorded."""
        size = self._base + len(self._entries)
        return Head(size, Frontier(size, tuple(self._frontier)), self.recorded_at)

    def answers(self) -> list[tuple[Waiting, Appended]]:
        """Return each included command with what it recorded, in order."""
        position, at, entries = self._base, self.recorded_at, iter(self._entries)
        answers: list[tuple[Waiting, Appended]] = []
        for waiting in self.included:
            recorded: list[Recorded] = []
            for stream, revision, identifier, event_type, _, _, _, _, _, stored in islice(
                entries, len(waiting.entries)
            ):
                recorded.append(Recorded(position, stream, revision, identifier, event_type, at, stored))
                position += 1
            answers.append((waiting, Appended(tuple(recorded), position)))
        return answers


def _by_owner(tokens: Iterable[NewToken]) -> dict[str, tuple[bytes, ...]]:
    """Group tokens by owner, each once."""
    grouped: dict[str, dict[bytes, None]] = {}
    for token in tokens:
        grouped.setdefault(token.owner, {})[token.token] = None
    return {owner: tuple(found) for owner, found in grouped.items()}


def _owners(command: Append) -> set[str]:
    return {key.owner for key in command.keys} | {salt.owner for salt in command.salts}


def _transposed(rows: Sequence[tuple[object, ...]], width: int) -> Sequence[Sequence[object] | None]:
    return tuple(zip(*rows, strict=True)) if rows else (None,) * width
