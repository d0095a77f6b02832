"""A batch: commands in order of arrival, put together against the log as the writer last saw it. Pure.

What a batch assumes (size, revisions, claims) is checked by `log.append` under the head's lock; nothing here is
taken for certain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from events.entry import leaf_hash, time_text
from events.log.command import Append, Appended, Claim, Head, Recorded
from events.log.preparation import Columns, Waiting, entry_bytes, recorded_entry
from events.merkle.tree import Frontier, extend


class Batch:
    """Commands that fit together, as the entries that they would become.

    A command that does not fit (it expects another revision than the ones ahead leave, claims what one of them
    claims, has the id of one of them) is in `held`: it is left out, to be looked at anew after this batch.
    """

    def __init__(self, head: Head, now: datetime) -> None:
        """Begin at a head; entries are recorded `now`, but never before the last one there is."""
        last = head.last_recorded_at
        self.recorded_at = now if last is None else max(now, last)
        self.before = head
        self.included: list[Waiting] = []
        self.held: list[Waiting] = []
        self.first: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._commands: set[object] = set()
        self._taken: set[tuple[str, str]] = set()
        self._keys: set[str] = set()
        self._destroyed: set[str] = set()
        self._columns: list[Columns] = []
        self._stored: list[bytes] = []
        self._leaves: list[bytes] = []
        self._claims: list[tuple[Claim, int]] = []
        self._frontier = list(head.frontier.roots)
        self._time = time_text(self.recorded_at).encode()

    @classmethod
    def of(cls, commands: Iterable[Waiting], head: Head, now: datetime) -> Batch:
        """Put commands together, in order; those that nobody waits for any more are left out."""
        batch = cls(head, now)
        for waiting in commands:
            if waiting.settled:
                continue
            if batch._fits(waiting):
                batch._include(waiting)
            else:
                batch.held.append(waiting)
        return batch

    def _fits(self, waiting: Waiting) -> bool:
        command = waiting.command
        return (
            command.command_id not in self._commands
            and all(self._revisions.get(stream, first) == first for stream, first in waiting.first.items())
            and not (self._taken and any((claim.scope, claim.value) in self._taken for claim in command.claims))
            and not (self._keys and any(key.owner in self._keys for key in command.keys))
            and not (self._destroyed and self._destroyed.intersection(_owners(command)))
        )

    def _include(self, waiting: Waiting) -> None:
        command = waiting.command
        position = self.before.size + len(self._stored)
        for stream, first in waiting.first.items():
            self.first.setdefault(stream, first)
        self._revisions.update(waiting.after)
        self._commands.add(command.command_id)
        for claim in command.claims:
            self._taken.add((claim.scope, claim.value))
            self._claims.append((claim, position))
        self._keys.update(key.owner for key in command.keys)
        self._destroyed.update(command.destroy)
        for form in waiting.forms:
            stored = entry_bytes(form, position, self._time)
            leaf = leaf_hash(stored)
            extend(position, self._frontier, leaf)
            self._stored.append(stored)
            self._leaves.append(leaf)
            position += 1
        self._columns += waiting.columns
        self.included.append(waiting)

    def arguments(self) -> tuple[object, ...]:
        """Return the parameters of `log.append`, in order."""
        streams, revisions, ids, types, commands, ordinals, classifications = zip(*self._columns, strict=True)
        keys = [key for waiting in self.included for key in waiting.command.keys]
        salts = [(waiting.command.command_id, salt) for waiting in self.included for salt in waiting.command.salts]
        return (
            self.before.size,
            self._frontier,
            self.recorded_at,
            list(self.first),
            list(self.first.values()),
            [waiting.command.command_id for waiting in (*self.included, *self.held)],
            streams,
            revisions,
            ids,
            types,
            commands,
            ordinals,
            classifications,
            self._leaves,
            self._stored,
            [claim.scope for claim, _ in self._claims],
            [claim.value for claim, _ in self._claims],
            [position for _, position in self._claims],
            [key.owner for key in keys],
            [key.wrapped for key in keys],
            [key.key_id for key in keys],
            [command_id for command_id, _ in salts],
            [salt.owner for _, salt in salts],
            [salt.salt for _, salt in salts],
            list(self._destroyed),
        )

    @property
    def entries(self) -> int:
        """How many entries the batch has."""
        return len(self._stored)

    @property
    def after(self) -> Head:
        """The head once the batch is recorded."""
        size = self.before.size + len(self._stored)
        return Head(size, Frontier(size, tuple(self._frontier)), self.recorded_at)

    def answer(self) -> None:
        """Tell the callers of the included commands what was recorded: the batch is durable."""
        start = 0
        for waiting in self.included:
            end = start + len(waiting.columns)
            recorded = tuple(self._recorded(nth) for nth in range(start, end))
            waiting.answer(Appended(recorded, recorded[-1].position + 1))
            start = end

    def _recorded(self, nth: int) -> Recorded:
        return recorded_entry(self._columns[nth], self.before.size + nth, self.recorded_at, self._stored[nth])


def _owners(command: Append) -> set[str]:
    return {key.owner for key in command.keys} | {salt.owner for salt in command.salts}


def moved(waiting: Waiting, found: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return, by stream, the revision that a command expects and the one found, where they differ."""
    return {
        stream: (first, found[stream])
        for stream, first in waiting.first.items()
        if stream in found and found[stream] != first
    }
