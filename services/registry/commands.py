"""The life of a command: load its stream, decide, append, answer (2-architecture.md).

Streams are loaded as last known. Nothing is refused on the strength of what may be out of date: a refusal is made
again on what is read afresh, and a stream that moved is decided again, unless the client named the revision.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from uuid import UUID

import msgspec
from msgspec.structs import replace

from events.catalogue import Entry, Event
from events.catalogue.person import PersonErased
from events.codec import decode_entry
from events.entry import canonical
from events.errors import (
    CommandIdReused,
    DocumentDiffers,
    FieldProblem,
    InvalidField,
    LogUnavailable,
    NotFound,
    RegistryError,
    RuleBroken,
    SourceWithdrawn,
    UnknownReference,
    WrongExpectedVersion,
)
from events.log import Append, Appended, Log, NewToken, Overtaken, Recorded
from events.vault import Document, Vault, person_owner, plain_hash, salted_hash
from services.registry import partial_bodies
from services.registry.bodies import Asked, Body, identify, read_all, within
from services.registry.clock import Clock
from services.registry.decisions import Decided, Deciding
from services.registry.drafts import CORRECT_FIRST, OF_EVENT, Draft, Drafting
from services.registry.erasing import Look
from services.registry.expectation import Expected
from services.registry.filing import Attached, Filing
from services.registry.ids import command_id
from services.registry.reading import Reading
from services.registry.resting import Resting
from services.registry.streams import Streams
from services.registry.tracing.spans import appending, span
from services.registry.turns import Turns

ATTEMPTS = 100  # a stream that moves under a command a hundred times in a row is busier than the service can serve


class Actor(msgspec.Struct, frozen=True):
    """Which client records, and for which party, if any."""

    name: str
    party: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What one command brought: the id of the thing it is about, its stream, and the entry that says so.

    `beside` are the entries of other streams that came with it. `kept`: of the erasure of a person whose documents were
    to be kept, the sources that name them (or the SHA-256 of a document that none is over); None of any other, and of
    one that was recorded before: nobody can tell any more.
    """

    id: str
    subject: str
    revision: int
    position: int
    type: str
    entry_id: str
    beside: tuple[Result, ...] = ()
    kept: tuple[str, ...] | None = None


class Answer(msgspec.Struct, frozen=True):
    """What was recorded, in order, and the size of the log with it; `replayed` if it had been recorded before."""

    results: tuple[Result, ...]
    size: int
    replayed: bool


class Commands:
    """Carries out commands, one or several at a time, all or nothing."""

    def __init__(self, log: Log, vault: Vault, clock: Clock, *, patience: float) -> None:
        """Make ready to record; `patience` (seconds) is for all of a command: its turn, every try, the log's answer."""
        self._log = log
        self._vault = vault
        self._clock = clock
        self._streams = Streams(log)
        self._patience = patience
        self._turns = Turns()
        self._resting = Resting(log, vault)
        self._drafting = Drafting(vault, self._resting)
        self._filing = Filing(vault, self._resting)

    async def execute(
        self,
        asked: Sequence[Asked],
        actor: Actor,
        *,
        key: str | None = None,
        expected: Expected | None = None,
        problems: Sequence[FieldProblem] = (),
    ) -> Answer:
        """Record what is asked for and return when it is durable.

        With an idempotency `key` the same request is recorded once, whatever is retried. `expected` is what
        the (one) stream must be at; `problems` is what the caller found wrong with the request already. Raises
        `InvalidField` naming every offending field, `UnknownReference`, a `RuleBroken`, `NotFound`, and what
        `Log.append` raises; then nothing has been recorded.
        """
        bodies, invalid = read_all(asked)
        if problems or invalid or any(body.problems for body in bodies):
            await self._refuse(bodies, [*problems, *invalid])
        command = command_id(actor.name, actor.party, key)
        said = canonical.encode([{**body.said, "at": body.pointer} for body in bodies])
        personal = any(body.personal for body in bodies)
        if key is not None and (recorded := await self._recorded(command, bodies, said)):
            return await self._with_documents(bodies, recorded)
        try:
            look = await self._look(bodies)
            owners = {person_owner(body.stream.partition("/")[2]) for body in bodies if body.personal}
            salts = self._vault.new_salts(owners)
            append = Append(
                command_id=command,
                command_hash=salted_hash(salts, said) if personal else plain_hash(said),
                actor=actor.name,
                drafts=(),
                on_behalf_of=actor.party,
                salts=salts,
            )
            deadline = asyncio.get_running_loop().time() + self._patience
            async with self._turns.at((body.stream for body in bodies), deadline):
                answer = await self._append(bodies, append, expected, look, deadline)
        except RegistryError:
            # The same command may have been recorded meanwhile, and be what this one was refused for.
            if key is None or not (recorded := await self._recorded(command, bodies, said)):
                raise
            answer = recorded
        return await self._with_documents(bodies, answer)

    async def _look(self, bodies: Sequence[Body]) -> Look:
        """Look into documents for those who are to be erased: it may take longer than a command has, once it began."""
        look = Look(self._log, self._vault)
        for body in bodies:
            if body.command.event is PersonErased and (entries := await self._streams.entries(body.stream)):
                await look.into_texts(await look.names(body.stream, entries))
        return look

    async def _refuse(self, bodies: Sequence[Body], problems: Sequence[FieldProblem]) -> None:
        """Refuse a request that is known to be wrong; of a single command, name what rules forbid as well."""
        reading = Reading(self._streams, fresh=True)
        try:
            await self._drafting.refuse(bodies, problems, reading)
        except InvalidField as refused:
            found = await partial_bodies.also_wrong(bodies, refused.problems, reading, self._clock().date())
            raise InvalidField.of([*refused.problems, *found]) from None

    async def must_be_as_stated(self, document: Document) -> None:
        """Refuse a document that is to be filed for what a source says otherwise of it. Raises `DocumentDiffers`."""
        unlike = await self._filing.unlike_it(document, Reading(self._streams, fresh=True))
        if unlike:
            raise DocumentDiffers(CORRECT_FIRST, [FieldProblem(one, parameter="sha256") for one in unlike])

    async def _with_documents(self, bodies: Sequence[Body], answer: Answer) -> Answer:
        """Put on file what came with sources that are recorded: a repetition, too, may find that not done yet."""
        for attached in (body.document for body in bodies if body.document):
            with suppress(SourceWithdrawn):  # since then: what was destroyed stays so
                await self._put_on_file(attached)
        return answer

    async def _put_on_file(self, attached: Attached) -> None:
        """Put a document on file unless its source was withdrawn since that was recorded. Raises `SourceWithdrawn`."""
        document = attached.document
        said = document.media_type, document.characters, document.sha256
        filed = False
        while not filed:
            size = (await self._log.head()).size
            if await self._filing.is_withdrawn(document.sha256, Reading(self._streams, fresh=True)):
                return
            with suppress(Overtaken):
                await self._vault.file(attached.content, *said, as_of=size)
                filed = True

    async def _recorded(self, command: UUID, bodies: Sequence[Body], said: bytes) -> Answer | None:
        """Return the answer to a command that was recorded. Its salt is looked up after it: it was recorded with it.

        That it can be read does not say yet that it survives a failover, which an answer does.
        """
        found = await self._log.find_command(command)
        if found is None:
            return None
        await self._log.settle()
        personal = any(body.personal for body in bodies)
        hashed = salted_hash(await self._vault.salts(command), said) if personal else plain_hash(said)
        if found.command_hash != hashed:
            raise CommandIdReused(
                "Send a new Idempotency-Key with a new request, and the same request with the same key."
            )
        return _answer(bodies, found.appended, [decode_entry(entry.bytes) for entry in found.appended.entries], {})

    async def _made(self, bodies: Sequence[Body], reading: Reading) -> list[Draft]:
        """Make drafts; where something is unknown, the fields that only deciding finds wrong are named with it."""
        whole = await self._drafting.complete(bodies, reading)
        try:
            await self._drafting.check(whole, reading)
        except UnknownReference as refused:
            told = {one.pointer for one in refused.problems}
            sound = [one for one in whole if not one.pointer or f"{within(one.pointer)}/subject" not in told]
            refused.problems += tuple(partial_bodies.beside(refused.problems, await self._wrong_within(sound)))
            raise
        return await self._drafting.make(whole, reading)

    async def _wrong_within(self, whole: Sequence[Body]) -> list[FieldProblem]:
        """Name what only deciding finds wrong with bodies of streams that are there, and what cooperations have not."""
        reading = Reading(self._streams, fresh=True)
        found: list[FieldProblem] = []
        try:
            look = Look(self._log, self._vault)
            await self._decided(await self._drafting.make(whole, reading), None, reading, look)
        except (UnknownReference, RuleBroken, NotFound) as refused:
            found += refused.problems or self._not_there(whole, refused)
        except RegistryError:
            pass  # to be said when there is nothing else
        return [*found, *await partial_bodies.unknown(whole, reading)]

    @staticmethod
    def _not_there(whole: Sequence[Body], refused: RegistryError) -> list[FieldProblem]:
        """Name what a single command is about, where that is not there."""
        alone = len(whole) == 1 and isinstance(refused, NotFound)
        return [FieldProblem("names nothing here", parameter="id")] if alone else []

    async def _decided(
        self, drafts: Sequence[Draft], expected: Expected | None, reading: Reading, look: Look
    ) -> Decided:
        return await Deciding(reading, self._resting, look, self._clock, expected=expected).decide(drafts)

    async def _tokens(self, drafts: Sequence[Draft]) -> tuple[NewToken, ...]:
        """Return what people are to be found by until they are erased: each name that was theirs at some size."""
        said = [token for draft in drafts for token in draft.tokens]
        new = {key.owner for draft in drafts for key in draft.keys}
        return (*said, *(await self._vault.tokens({token.owner for token in said} - new)))

    async def _command(
        self, bodies: Sequence[Body], append: Append, expected: Expected | None, reading: Reading, look: Look
    ) -> Append:
        """Decide what is asked for on what is read, and return it as it is to be recorded."""
        drafts = await self._made(bodies, reading)
        try:
            decided = await self._decided(drafts, expected, reading, look)
        except UnknownReference as refused:
            found = await partial_bodies.unknown(bodies, reading)
            refused.problems += tuple(partial_bodies.beside(refused.problems, found))
            raise
        return replace(
            append,
            drafts=decided.drafts,
            claims=decided.claims,
            destroy=decided.destroy,
            keys=tuple(key for draft in drafts for key in draft.keys),
            # Read after deciding: if others add some from here on, the stream has moved.
            tokens=await self._tokens(drafts),
            reads=reading.reads({draft.stream for draft in decided.drafts}),
            absent=tuple(reading.absent),
            needed=tuple(sorted(reading.needed)),
        )

    async def _append(
        self, bodies: Sequence[Body], append: Append, expected: Expected | None, look: Look, deadline: float
    ) -> Answer:
        fresh = False
        for attempt in range(1, ATTEMPTS + 1):
            reading = Reading(self._streams, fresh=fresh)
            for body in bodies:
                if body.command.opens:
                    reading.begin(body.stream)
            try:
                with span("decide", {"registry.attempt": attempt, "registry.commands": len(bodies)}):
                    command = await self._command(bodies, append, expected, reading, look)
                with appending(command.command_id):
                    appended = await self._log.append(command, within=deadline - asyncio.get_running_loop().time())
            except Overtaken:
                fresh = True
                continue
            except RegistryError as refused:
                moved = isinstance(refused, WrongExpectedVersion) and _are_as_expected(refused, expected)
                if fresh and not moved:
                    raise
                fresh = True
                continue
            entries = [decode_entry(entry.bytes) for entry in appended.entries]
            await self._streams.recorded(entries)
            return _answer(bodies, appended, entries, {} if appended.replayed else look.kept)
        raise LogUnavailable("The stream is changing too fast. Nothing was recorded; try again in a moment.")


def _are_as_expected(moved: WrongExpectedVersion, expected: Expected | None) -> bool:
    """Tell whether streams that moved are, where they are now, as the client expects them still."""
    return expected is None or all(expected.is_met_by(found) for _, found in moved.streams.values())


def _answer(
    bodies: Sequence[Body], appended: Appended, entries: Iterable[Entry[Event]], kept: Mapping[str, tuple[str, ...]]
) -> Answer:
    """Give each command the entry that it asked for, and those up to the next command's: they came with it."""
    results: list[Result] = []
    ahead = deque(bodies)
    for recorded, entry in zip(appended.entries, entries, strict=True):
        if ahead and _is_asked_for(entry, ahead[0]):
            ahead.popleft()
            results.append(replace(_result(recorded, entry), kept=kept.get(recorded.stream)))
        else:
            results[-1] = replace(results[-1], beside=(*results[-1].beside, _result(recorded, entry)))
    return Answer(tuple(results), appended.size, appended.replayed)


def _is_asked_for(entry: Entry[Event], body: Body) -> bool:
    """Whether an entry is what a body asked for. Of one that opens a stream, a repetition has another stream's id."""
    return type(entry.event) is body.command.event and (body.command.opens or entry.stream == body.stream)


def _result(recorded: Recorded, entry: Entry[Event]) -> Result:
    event = entry.event  # in its newest version, which the table of commands is of
    return Result(
        id=identify(OF_EVENT[event.event_type], event, recorded.stream),
        subject=recorded.stream,
        revision=recorded.revision,
        position=recorded.position,
        type=recorded.event_type,
        entry_id=str(recorded.id),
    )
