"""The life of a command: load its stream, decide, append, answer (2-architecture.md).

Streams are loaded as last known. Nothing is refused on the strength of what may be out of date: a refusal is made
again on what is read afresh, and a stream that moved is decided again, unless the client named the revision.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import cast
from uuid import UUID

import msgspec

from events.catalogue import COMMANDS, CommandType, Entry, Event, Facts
from events.catalogue.person import PersonalDetails, PersonRegistered
from events.catalogue.source import SOURCE, Source
from events.codec import decode_entry
from events.entry import canonical, time_text
from events.errors import (
    CommandIdReused,
    DocumentMissing,
    FieldProblem,
    InvalidField,
    LogUnavailable,
    RegistryError,
    UnknownReference,
    WrongExpectedVersion,
)
from events.log import Append, Appended, Claim, Draft, Log, NewKey, NewSalt
from events.vault import Vault, person_owner, plain_hash, salted_hash, seal
from services.registry.bodies import Asked, Body, identify, read_all, within
from services.registry.citations import Citations
from services.registry.clock import Clock
from services.registry.ids import command_id
from services.registry.streams import Folded, Streams

SHA256 = re.compile("[0-9a-f]{64}")
ATTEMPTS = 100  # a stream that moves under a command a hundred times in a row is busier than the service can serve
OF_EVENT: dict[str, CommandType] = {command.event.event_type: command for _, command in COMMANDS.values()}


class Actor(msgspec.Struct, frozen=True):
    """Which client records, and for which party, if any."""

    name: str
    party: str | None = None


class Result(msgspec.Struct, frozen=True):
    """What one command brought: the id of the thing it is about, its stream, and the entry that says so."""

    id: str
    subject: str
    revision: int
    position: int
    type: str
    entry_id: str


class Answer(msgspec.Struct, frozen=True):
    """What was recorded, in order, and the size of the log with it; `replayed` if it had been recorded before."""

    results: tuple[Result, ...]
    size: int
    replayed: bool


class _Draft(msgspec.Struct, frozen=True):
    """A body that is in order, with the event it asks for and the keys that seal it."""

    body: Body
    event: Event
    keys: tuple[NewKey, ...]


class Commands:
    """Carries out commands, one or several at a time, all or nothing."""

    def __init__(self, log: Log, vault: Vault, clock: Clock) -> None:
        self._log = log
        self._vault = vault
        self._clock = clock
        self._streams = Streams(log)
        self._citations = Citations(vault)

    async def execute(
        self,
        asked: Sequence[Asked],
        actor: Actor,
        *,
        key: str | None = None,
        expected: int | None = None,
        problems: Sequence[FieldProblem] = (),
    ) -> Answer:
        """Record what is asked for and return when it is durable.

        With an idempotency `key` the same request is recorded once, whatever is retried. `expected` is the revision
        that the (one) stream must have; `problems` is what the caller found wrong with the request already. Raises
        `InvalidField` naming every offending field, `UnknownReference`, a `RuleBroken`, `NotFound`, and what
        `Log.append` raises; then nothing has been recorded.
        """
        bodies, invalid = read_all(asked)
        if problems or invalid or any(body.problems for body in bodies):
            await self._check(bodies, [*problems, *invalid])
        command = command_id(actor.name, key)
        said = canonical.encode([body.said for body in bodies])
        personal = any(body.command.wire for body in bodies)
        if key is not None and (recorded := await self._recorded(command, said, personal=personal)):
            return recorded
        try:
            salt = await self._vault.command_salt(command) if personal else None
            await self._check(bodies)
            drafts = [self._sealed(body) for body in bodies]
            append = Append(
                command_id=command,
                command_hash=_hash(said, salt),
                actor=actor.name,
                drafts=(),
                on_behalf_of=actor.party,
                keys=tuple(key for draft in drafts for key in draft.keys),
                salts=tuple(
                    NewSalt(owner=new.owner, salt=salt) for draft in drafts for new in draft.keys if salt is not None
                ),
            )
            return await self._append(drafts, append, expected)
        except RegistryError:
            # The same command may have been recorded meanwhile, and be what this one was refused for.
            if key is not None and (recorded := await self._recorded(command, said, personal=personal)):
                return recorded
            raise

    async def _recorded(self, command: UUID, said: bytes, *, personal: bool) -> Answer | None:
        """Return the answer to a command that was recorded. Its salt is looked up after it: it was recorded with it."""
        found = await self._log.find_command(command)
        if found is None:
            return None
        salt = await self._vault.command_salt(command) if personal else None
        if found.command_hash != _hash(said, salt):
            raise CommandIdReused(
                "Send a new Idempotency-Key with a new request, and the same request with the same key."
            )
        return _answer(found.appended, replayed=True)

    async def _check(self, bodies: Sequence[Body], problems: Sequence[FieldProblem] = ()) -> None:
        """Check all fields and references of all bodies; `problems` is what is known to be wrong with the rest."""
        invalid = list(problems)
        unknown: list[FieldProblem] = []
        missing: list[FieldProblem] = []
        brought: dict[str, Body] = {}
        for body in bodies:
            if body.aggregate is SOURCE:
                brought[body.stream] = body  # a document may be cited for what it says of itself
            beyond, not_filed = await self._citations.check(body.data, lambda source: self._hash_of(source, brought))
            invalid += [*body.problems, *_under(body.pointer, beyond)]
            unknown += [one async for one in self._unknown(body, brought)]
            missing += _under(body.pointer, not_filed)
            if body.command.opens:
                brought[body.stream] = body
        if invalid:
            raise InvalidField.of([*invalid, *unknown, *missing])
        if unknown:
            unknown += await self._unknown_within(bodies)
            raise UnknownReference("What is referred to has not been recorded. Record it first.", [*unknown, *missing])
        if missing:
            raise DocumentMissing("File the text first: PUT /v1/documents/{sha256}.", missing)

    async def _unknown(self, body: Body, brought: Mapping[str, Body]) -> AsyncIterator[FieldProblem]:
        referred = [(f"{leaf.kind}/{leaf.value}", leaf.pointer) for leaf in body.leaves]
        if body.pointer and body.stream and not body.command.opens:  # in a batch the subject is a field as any other
            referred.append((body.stream, f"{within(body.pointer)}/subject"))
        for stream, pointer in referred:
            if stream not in brought and (await self._streams.load(stream)).revision < 0:
                kind, _, key = stream.partition("/")
                yield FieldProblem(f"there is no {kind} {key}", pointer)

    async def _unknown_within(self, bodies: Sequence[Body]) -> Sequence[FieldProblem]:
        """Name what bodies refer to within their own streams, which only deciding finds, and is not there."""
        try:
            await self._decide([self._sealed(body) for body in bodies], {}, None, fresh=True)
        except UnknownReference as found:
            return found.problems
        except RegistryError:
            pass  # to be said when there is nothing else
        return ()

    async def _hash_of(self, source: str, brought: Mapping[str, Body]) -> str | None:
        stream = f"source/{source}"
        if stream in brought:
            sha256: object = brought[stream].said["data"].get("sha256")
            return sha256 if isinstance(sha256, str) and SHA256.fullmatch(sha256) else None
        filed: Source | None = (await self._streams.load(stream)).state
        return filed.filed.event.sha256 if filed else None

    def _sealed(self, body: Body) -> _Draft:
        value = body.value()
        if isinstance(value, PersonalDetails):
            owner = person_owner(body.stream.partition("/")[2])
            key, row = self._vault.new_key(owner)
            details = canonical.encode({"name": value.name, "contact": value.contact})
            sealed = base64.b64encode(seal(key, owner, details)).decode()
            event = PersonRegistered(sealed=sealed, citations=value.citations, note=value.note)
            return _Draft(body, event, (row,))
        return _Draft(body, cast("Event", value), ())

    async def _append(self, drafts: Sequence[_Draft], append: Append, expected: int | None) -> Answer:
        fresh = False
        for _attempt in range(ATTEMPTS):
            loaded: dict[str, Folded] = {}
            try:
                decided, claims = await self._decide(drafts, loaded, expected, fresh=fresh)
                appended = await self._log.append(msgspec.structs.replace(append, drafts=decided, claims=claims))
            except RegistryError as refused:
                moved = isinstance(refused, WrongExpectedVersion) and expected is None
                if fresh and not moved:
                    raise
                fresh = True
                continue
            self._streams.recorded(appended.entries)
            return _answer(appended, replayed=appended.replayed)
        raise LogUnavailable("The stream is changing too fast. Nothing was recorded; try again in a moment.")

    async def _decide(
        self, drafts: Sequence[_Draft], loaded: dict[str, Folded], expected: int | None, *, fresh: bool
    ) -> tuple[tuple[Draft, ...], tuple[Claim, ...]]:
        """Decide each command on what the ones before it would have brought. Nothing is changed by it."""
        now = self._clock()
        facts = Facts(today=now.date())
        decided: list[Draft] = []
        claims: list[Claim] = []
        for draft in drafts:
            body = draft.body
            if body.stream not in loaded:
                load = self._streams.refresh if fresh else self._streams.load
                loaded[body.stream] = await load(body.stream)
                if expected is not None and loaded[body.stream].revision != expected:
                    raise WrongExpectedVersion({body.stream: (expected, loaded[body.stream].revision)})
            folded = loaded[body.stream]
            try:
                events = body.aggregate.decide(folded.state, draft.event, facts)
            except RegistryError as refused:
                if body.pointer and not refused.problems:
                    refused.problems = (FieldProblem(refused.detail, within(body.pointer)),)
                    raise
                raise refused.under(body.pointer) from None
            for event in events:
                decided.append(_draft(body, folded, event))
                claims += [
                    Claim(one.scope, one.value, body.pointer + one.pointer) for one in body.aggregate.claims(event)
                ]
                folded = _as_if_recorded(body, folded, event, time_text(now))
            loaded[body.stream] = folded
        return tuple(decided), tuple(claims)


def _draft(body: Body, folded: Folded, event: Event) -> Draft:
    return Draft(
        stream=body.stream,
        expected_revision=folded.revision,
        event_type=event.event_type,
        data=event,
        classification=body.classification,
        pointer=body.pointer,
    )


def _as_if_recorded(body: Body, folded: Folded, event: Event, now: str) -> Folded:
    """Return the state that a later command of the same batch is decided on; its position is not known yet."""
    entry = Entry(
        position=-1,
        stream=body.stream,
        revision=folded.revision + 1,
        recorded_at=now,
        classification=body.classification,
        event=event,
    )
    return Folded(folded.revision + 1, body.aggregate.evolve(folded.state, entry))


def _hash(said: bytes, salt: bytes | None) -> bytes:
    return salted_hash(salt, said) if salt else plain_hash(said)


def _under(pointer: str, problems: Sequence[FieldProblem]) -> list[FieldProblem]:
    return list(InvalidField("", problems).under(pointer).problems)


def _answer(appended: Appended, *, replayed: bool) -> Answer:
    results = tuple(
        Result(
            id=identify(OF_EVENT[entry.event_type], decode_entry(entry.bytes).event, entry.stream),
            subject=entry.stream,
            revision=entry.revision,
            position=entry.position,
            type=entry.event_type,
            entry_id=str(entry.id),
        )
        for entry in appended.entries
    )
    return Answer(results, appended.size, replayed)
