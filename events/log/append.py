"""Group commit: the one writer of a process, its queue, and what it does when the database goes away.

The writer takes all that waits, up to 512 entries, and records it in one transaction and one round trip. It never
waits for more. When enough has gathered while that commits, the next batch is sent behind it over a second
connection, on the assumption that the first is recorded (ADR 0022). What the writer holds of the log (the head) is an
assumption that `log.append_batch` checks under the lock; when it was wrong, the batch is put together again, alone.

A batch whose outcome is unknown is sent again over a new connection: `log.append_batch` waits for the lock until the
old transaction has ended, then finds the commands recorded, or not. An old transaction that only begins later finds
the log's size or the command ids other than it assumes, and writes nothing. So nothing is recorded twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from datetime import datetime
from time import monotonic
from typing import Final, TypeAlias

import msgspec

from events.errors import CommandIdReused, LogUnavailable, QueueFull
from events.log.batch import Batch
from events.log.command import Append, Appended, Head
from events.log.connection import Found, Unreachable, WriterConnection
from events.log.distribution import Distribution
from events.log.flight import Flight, Sent
from events.log.observer import Commit, Observer
from events.log.pace import Pace
from events.log.preparation import EntryEncoder, Waiting
from events.log.read import RecordedCommand
from events.log.refusal import refusal_of, too_late

MAX_BATCH_ENTRIES: Final = 512
BEHIND: Final = 8  # commands that are worth a batch of their own, behind one that is on its way
ALONE: Final = 1.0  # seconds without a batch behind another, after that could not work
LOST_RACES: Final = 2  # after so many, a batch is put together while other writers are locked out
LATENCY_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds
BATCH_BOUNDS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)  # entries; a bulk goes beyond a batch's
BACKOFF: Final = (0.05, 1.0)  # seconds: the first pause before connecting again, doubled up to the second

Answer: TypeAlias = tuple[Waiting, Appended]

_log = logging.getLogger(__name__)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait, and for how long (seconds).

    `queue_commands` and `queue_bytes` bound what waits; a command larger than all the bytes is let in when nothing
    else waits. `deadline` is how long a caller is kept waiting at most, `statement` how long the database is trusted
    to be at work on one batch.
    """

    queue_commands: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    deadline: float = 10.0
    statement: float = 5.0


class Counts(msgspec.Struct):
    """What a writer has done since it was opened."""

    commands: int = 0
    entries: int = 0
    batches: int = 0
    replays: int = 0
    rebuilt: int = 0  # batches that were put together again because the log was not as assumed
    resent: int = 0  # batches that were sent again because their outcome was unknown


class Writer:
    """Records commands, in order of arrival, together with those that arrive at the same time."""

    def __init__(
        self, connection: WriterConnection, head: Head, *, origin: str, clock: Callable[[], datetime], limits: Limits
    ) -> None:
        self.counts = Counts()
        self.latency = Distribution(LATENCY_BOUNDS)  # seconds, from the call to what is durable
        self.batch_entries = Distribution(BATCH_BOUNDS)
        self.observer: Observer | None = None
        self._connection = connection
        self._second = connection.another()
        self._alone_until = 0.0  # no batch is sent behind another before then
        self._pace = Pace()
        self._encoder = EntryEncoder(origin)
        self._clock = clock
        self._limits = limits
        self._head = head
        self._queue: deque[Waiting] = deque()
        self._flights: deque[Flight] = deque()  # two at most, the second on the assumption that the first is recorded
        self._queued_bytes = 0
        self._landing = False  # whether an answer is being seen to
        self._wake, self._wake_second = asyncio.Event(), asyncio.Event()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._alarm: tuple[float, asyncio.Handle] | None = None
        self._tasks = [
            self._loop.create_task(self._serve(self._connection, self._wake), name="log writer"),
            self._loop.create_task(self._serve(self._second, self._wake_second), name="log writer behind"),
        ]

    @property
    def waiting(self) -> int:
        """How many commands are in the queue."""
        return len(self._queue)

    @property
    def waiting_bytes(self) -> int:
        """How large the entries in the queue are together."""
        return self._queued_bytes

    @property
    def size(self) -> int:
        """How many entries the log has, as far as the writer knows."""
        return self._head.size

    async def append(self, command: Append, within: float | None = None) -> Appended:
        """Record a command; see `Log.append`."""
        if self._closing:
            raise LogUnavailable("The log is being closed. Nothing was recorded; send the command again later.")
        if len(self._queue) >= self._limits.queue_commands or self._queued_bytes >= self._limits.queue_bytes:
            self._sweep()
        patience = self._limits.deadline if within is None else min(within, self._limits.deadline)
        begun = monotonic()
        deadline = begun + patience
        waiting = Waiting(command, self._encoder, self._loop.create_future(), deadline, begun=begun)
        self._queue.append(waiting)
        self._queued_bytes += waiting.size
        self._rouse()
        if self._alarm is None or deadline < self._alarm[0]:
            self._set_alarm(deadline)
        return await waiting.future

    async def close(self) -> None:
        """Refuse new commands, record those that wait (or let their deadlines pass), and let go of the database."""
        self._closing = True
        self._rouse()
        await asyncio.gather(*self._tasks)
        await self._connection.close()
        await self._second.close()
        if self._alarm is not None:
            self._alarm[1].cancel()

    def _expire(self) -> None:
        """Refuse the commands whose deadline has passed, and look again when the next one does."""
        now = monotonic()
        coming: list[float] = []
        for waiting in (*(waiting for flight in self._flights for waiting in flight.commands), *self._queue):
            if waiting.settled:
                continue
            if waiting.deadline <= now:
                waiting.refuse(too_late(waiting))
            else:
                coming.append(waiting.deadline)
        self._alarm = None
        if coming:
            self._set_alarm(min(coming))

    def _set_alarm(self, at: float) -> None:
        """Look for deadlines that have passed at a time; what uvloop gives for one that is now does not tell it."""
        if self._alarm is not None:
            self._alarm[1].cancel()
        self._alarm = at, self._loop.call_later(at - monotonic(), self._expire)

    def _sweep(self) -> None:
        """Drop from the queue what nobody waits for any more. Raises `QueueFull` if that does not help."""
        alive = [waiting for waiting in self._queue if not waiting.settled]
        self._queue = deque(alive)
        self._queued_bytes = sum(waiting.size for waiting in alive)
        if len(alive) >= self._limits.queue_commands or self._queued_bytes >= self._limits.queue_bytes:
            raise QueueFull(
                f"{len(alive)} commands are waiting to be recorded. Nothing was recorded; send it again later."
            )

    def _take(self, most: int) -> list[Waiting]:
        """Take from the queue what makes a batch: one command, and up to `most` as long as they fit."""
        taken: list[Waiting] = []
        entries = 0
        while len(taken) < most and (not taken or entries + len(self._queue[0].entries) <= MAX_BATCH_ENTRIES):
            waiting = self._queue.popleft()
            self._queued_bytes -= waiting.size
            entries += len(waiting.entries)
            taken.append(waiting)
        return taken

    def _rouse(self) -> None:
        """Wake who may have something to do: the one who sends, and with enough to do the one who sends behind."""
        self._wake.set()
        if len(self._queue) >= BEHIND or self._closing:
            self._wake_second.set()

    async def _serve(self, connection: WriterConnection, wake: asyncio.Event) -> None:
        """Send batches over a connection, and see to each when it is answered.

        Those who were just answered get to send their next command before the next batch is made: one turn of the
        loop, not a delay. Without it half-full batches would alternate, each with a flush of its own.
        """
        while self._flights or self._queue or not self._closing:
            wake.clear()
            if most := self._worth_sending(connection):
                await self._fly(self._take(most), connection)
                await self._land()
                await asyncio.sleep(0)
            else:
                await wake.wait()

    def _worth_sending(self, connection: WriterConnection) -> int:
        """Return how many of the commands that wait are to be sent now over a connection: all of them, half, or none.

        The second connection is only for what is sent behind a batch; the first, for that as well.
        """
        waiting = len(self._queue)
        if not waiting or self._landing:
            return 0
        behind = self._pace.behind and monotonic() >= self._alone_until
        if not self._flights:
            if connection is self._second:
                return 0
            return (waiting + 1) // 2 if behind and waiting >= 2 * BEHIND else waiting
        return waiting if len(self._flights) == 1 and behind and waiting >= BEHIND else 0

    async def _fly(self, commands: Sequence[Waiting], connection: WriterConnection) -> None:
        """Send commands, behind those that are on their way if there are any, and wait for the answer. Never raises."""
        ahead = self._flights[-1].batch if self._flights else None
        flight = Flight(commands, self._loop.create_future())
        self._flights.append(flight)
        try:
            flight.batch = batch = Batch.of(commands, (), ahead.after if ahead else self._head, self._clock())
            self._rouse()  # who sends behind has had no reason to, as long as nothing was on its way
            flight.answer.set_result(await self._send(batch, connection, assumed=ahead is not None))
        except Exception as error:  # noqa: BLE001 - it is seen to in its turn
            flight.answer.set_exception(error)

    async def _land(self) -> None:
        """See to what is answered, in order, and if a batch was not recorded as sent to the one behind it as well."""
        if self._landing:
            return
        self._landing = True
        while self._flights and self._flights[0].answer.done():
            if batch := self._flights[0].recorded:
                self._flights.popleft()
                _give(self._finish(batch))
            else:
                await self._land_singly()
        self._landing = False
        self._rouse()

    async def _land_singly(self) -> None:
        flights = list(self._flights)
        await asyncio.wait([flight.answer for flight in flights])  # nothing is sent beside what is on its way
        for flight in flights:
            if self._is_in_vain(flight):
                self._alone_until = monotonic() + ALONE
            if batch := flight.recorded:
                _give(self._finish(batch))
        first, *behind = flights
        _give(await self._record(first.commands, first.answer))
        for flight in behind:
            _give(await self._record(flight.commands))
        self._flights.clear()

    def _is_in_vain(self, flight: Flight) -> bool:
        """Whether batches behind others will go on failing: no second connection, or another writer in between."""
        if error := flight.answer.exception():
            return isinstance(error, Unreachable)
        _, found = flight.answer.result()
        return found is not None and found.head.size > self._head.size

    async def _record(self, commands: Sequence[Waiting], sent: asyncio.Future[Sent] | None = None) -> list[Answer]:
        """Record commands and return the answers; settle the others, or put them back into the queue. Never raises.

        With what they were `sent` in, if that was not recorded.
        """
        try:
            return await self._settle(commands, sent)
        except Exception as error:  # noqa: BLE001 - a caller waits for an answer, whatever went wrong
            if len(commands) == 1:
                _log.exception("a command cannot be recorded")
                commands[0].refuse(error)
                return []
            kind = type(error).__name__  # and not its message: PostgreSQL quotes the values that it cannot take
            _log.warning("a batch of %d commands cannot be recorded (%s); each is tried alone", len(commands), kind)
            return [answer for waiting in commands for answer in await self._record([waiting])]

    async def _settle(self, commands: Sequence[Waiting], sent: asyncio.Future[Sent] | None) -> list[Answer]:
        """Send commands until nobody waits for one of them: each time fewer, or against a newer head."""
        pause, races = BACKOFF[0], 0
        aside: set[Waiting] = set()
        while commands := [waiting for waiting in commands if not waiting.settled]:
            attempt = sent or self._attempt(commands, aside, locked=races >= LOST_RACES)
            sent = None
            try:
                batch, found = await attempt
                if found is None:
                    return self._finish(batch)
                races += 1
                aside |= await self._sort_out(commands, batch, found)
            except Unreachable as error:
                _log.warning("the log cannot be written to: %s", error)
                self.counts.resent += 1
                await asyncio.sleep(pause)  # nothing tells when a database is back
                pause = min(2 * pause, BACKOFF[1])
        return []

    async def _attempt(self, commands: Sequence[Waiting], aside: Container[Waiting], *, locked: bool) -> Sent:
        """Send what fits together, but for what is set aside."""
        if not locked:
            return await self._send(Batch.of(commands, aside, self._head, self._clock()), self._connection)
        async with self._connection.locked_head() as head:
            return await self._send(Batch.of(commands, aside, head, self._clock()), self._connection)

    async def _send(self, batch: Batch, connection: WriterConnection, *, assumed: bool = False) -> Sent:
        if not batch.included:
            return batch, None
        for waiting in batch.included:
            waiting.in_doubt = True
        batch.sent = monotonic()
        return batch, await connection.append(batch.arguments(assumed=assumed))

    def _finish(self, batch: Batch) -> list[Answer]:
        """The batch is durable: look at what did not fit into it next."""
        if batch.included:
            self._head = batch.after
            self.counts.batches += 1
            self.counts.commands += len(batch.included)
            self.counts.entries += batch.entries
            self.batch_entries.note(batch.entries)
            durable = monotonic()
            going = len(self._queue) + sum(len(flight.commands) for flight in self._flights)
            self._pace.note(batch.entries, durable, busy=len(batch.included) + going >= 2 * BEHIND)
            for waiting in batch.included:
                self.latency.note(durable - waiting.begun)
            if self.observer is not None:
                commands = [(waiting.command_id, waiting.begun) for waiting in batch.included]
                self.observer(Commit(commands, batch.first, self._head.size, batch.sent, durable))
        for waiting in reversed(batch.held):
            self._queue.appendleft(waiting)
            self._queued_bytes += waiting.size
        return batch.answers()

    async def _sort_out(self, commands: Sequence[Waiting], batch: Batch, found: Found) -> set[Waiting]:
        """Nothing was written: settle the commands that cannot be recorded as they are, each for its own reason.

        Returns those that are in the way but rest on others, which may yet be recorded: they have to wait for that.
        """
        self._head = found.head
        self.counts.rebuilt += 1
        recorded = await self._connection.recorded(found.known) if found.known else {}
        included, aside = set(batch.included), set[Waiting]()
        ahead: set[str] = set()  # streams of commands that are sent again
        for waiting in commands:
            waiting.in_doubt = False
            if known := recorded.get(waiting.command_id):
                self._replay(waiting, known)
                continue
            refusal = refusal_of(waiting, found, ahead)
            if ahead.isdisjoint(waiting.first):
                if refusal is not None:
                    waiting.refuse(refusal)
                elif waiting in included:
                    ahead.update(waiting.first)
            elif refusal is not None:
                aside.add(waiting)
        return aside

    def _replay(self, waiting: Waiting, known: RecordedCommand) -> None:
        """Answer as it was answered then; for the first time, if it is this sending whose outcome was unknown."""
        if known.command_hash != waiting.command.command_hash:
            waiting.refuse(
                CommandIdReused(
                    f"The command id {waiting.command_id} belongs to another request, which was recorded. "
                    "Nothing was recorded; send this one under a new id."
                )
            )
            return
        appended = known.appended
        if waiting.made(appended.entries[0]):
            appended = msgspec.structs.replace(appended, replayed=False)
        else:
            self.counts.replays += 1
        waiting.answer(appended)


def _give(answers: Iterable[Answer]) -> None:
    for waiting, appended in answers:
        waiting.answer(appended)
