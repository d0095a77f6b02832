"""From bodies that are in order to the events they ask for: references and citations checked, personal data sealed."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec

from events.catalogue import AMENDING, COMMANDS, CommandType, Event
from events.catalogue.history import EntryCorrected, original_of
from events.catalogue.person import PersonalDetails, PersonRegistered
from events.catalogue.source import SOURCE, Source
from events.entry import canonical, to_builtins
from events.errors import (
    DocumentMissing,
    FieldProblem,
    InvalidField,
    NotCorrectable,
    NotFound,
    SourceWithdrawn,
    UnknownReference,
)
from events.log import NewKey, NewToken
from events.shape import convert
from events.values import Value
from events.vault import Vault, person_owner, seal
from services.registry.bodies import Body, corrected, within
from services.registry.citations import Citations
from services.registry.streams import Streams

SHA256 = re.compile("[0-9a-f]{64}")
OF_EVENT: dict[str, CommandType] = {
    command.event.event_type: command for command in (*(one for _, one in COMMANDS.values()), *AMENDING.values())
}
"""The command that asks for each event."""


class Draft(msgspec.Struct, frozen=True):
    """A body that is in order, with the event it asks for and the keys that seal it."""

    body: Body
    event: Event
    keys: tuple[NewKey, ...] = ()
    tokens: tuple[NewToken, ...] = ()


class Drafting:
    """Makes drafts of bodies."""

    def __init__(self, streams: Streams, vault: Vault) -> None:
        self._streams = streams
        self._vault = vault
        self._citations = Citations(vault)

    async def whole(self, bodies: Sequence[Body]) -> list[Body]:
        """Add to corrections what their targets say. Raises `NotFound`, `NotCorrectable` where there is none."""
        return [await self._with_target(body) for body in bodies]

    async def make(self, whole: Sequence[Body]) -> list[Draft]:
        """Check all fields and references of all bodies, and only then make the events they ask for.

        Raises `InvalidField`, `UnknownReference`, `SourceWithdrawn` or `DocumentMissing`, naming everything.
        """
        await self._check(whole, [])
        return await self.unchecked(whole)

    async def unchecked(self, whole: Sequence[Body]) -> list[Draft]:
        """Make the events that bodies without problems ask for, whatever they refer to."""
        return [await self._draft(body) for body in whole]

    async def refuse(self, bodies: Sequence[Body], problems: Sequence[FieldProblem]) -> None:
        """Refuse a request that is known to be wrong, with what else is wrong with it. Raises `InvalidField`."""
        await self._check(bodies, problems)

    async def _with_target(self, body: Body) -> Body:
        """Add to a correction what the type of its target says of the replacement."""
        if body.command.event is not EntryCorrected or body.problems:
            return body
        entries = await self._streams.entries(body.stream)
        try:
            original = original_of(entries, cast("dict[str, Any]", body.data)["corrects"])
        except NotCorrectable as refused:
            raise refused.under(body.pointer) from None
        return corrected(body, original, OF_EVENT[original.event.event_type])

    async def _check(self, bodies: Sequence[Body], problems: Sequence[FieldProblem]) -> None:
        invalid = list(problems)
        unknown: list[FieldProblem] = []
        missing: list[FieldProblem] = []
        withdrawn: list[FieldProblem] = []
        brought: dict[str, Body] = {}
        for body in bodies:
            if body.aggregate is SOURCE:
                brought[body.stream] = body  # a document may be cited for what it says of itself
            invalid += body.problems
            unknown += [one async for one in self._unknown(body, brought)]
            withdrawn += [one async for one in self._withdrawn(body)]
            for at, citing in (("", body.data), ("/replacement", body.replacement)):
                beyond, not_filed = await self._citations.check(citing, partial(self._hash_of, brought))
                invalid += under(body.pointer + at, beyond)
                missing += under(body.pointer + at, not_filed)
            if body.command.opens:
                brought[body.stream] = body
        rest = [*missing, *withdrawn]
        if invalid:
            raise InvalidField.of([*invalid, *unknown, *rest])
        if unknown:
            raise UnknownReference("What is referred to has not been recorded. Record it first.", [*unknown, *rest])
        if withdrawn:
            raise SourceWithdrawn("A source that was withdrawn can be cited no more.", rest)
        if missing:
            raise DocumentMissing("File the text first: PUT /v1/documents/{sha256}.", missing)

    async def _unknown(self, body: Body, brought: Mapping[str, Body]) -> AsyncIterator[FieldProblem]:
        referred = [(f"{leaf.kind}/{leaf.value}", leaf.pointer) for leaf in body.leaves]
        if body.pointer and body.stream and not body.command.opens:  # in a batch the subject is a field as any other
            referred.append((body.stream, f"{within(body.pointer)}/subject"))
        for stream, pointer in referred:
            if stream not in brought and (await self._streams.load(stream)).state is None:
                kind, _, key = stream.partition("/")
                yield FieldProblem(f"there is no {kind} {key}", pointer)

    async def _withdrawn(self, body: Body) -> AsyncIterator[FieldProblem]:
        for leaf in body.leaves:
            if leaf.kind == "source":
                filed: Source | None = (await self._streams.load(f"source/{leaf.value}")).state
                if filed is not None and filed.withdrawn is not None:
                    yield FieldProblem(f"the source {leaf.value} was withdrawn", leaf.pointer)

    async def _hash_of(self, brought: Mapping[str, Body], source: str) -> str | None:
        stream = f"source/{source}"
        if stream in brought and brought[stream].command.opens:
            sha256: object = brought[stream].said["data"].get("sha256")
            return sha256 if isinstance(sha256, str) and SHA256.fullmatch(sha256) else None
        filed: Source | None = (await self._streams.load(stream)).state
        return filed.filed.event.sha256 if filed and not filed.withdrawn else None

    async def _draft(self, body: Body) -> Draft:
        if body.command.event is EntryCorrected:
            target = cast("CommandType", body.target)
            replacing = await self._sealed(body, convert(body.replacement, target.body), new=False)
            replacement = {
                "replacement": to_builtins(replacing.event),
                "replacement_type": replacing.event.event_type,
            }
            data = cast("dict[str, Any]", body.data)
            return Draft(body, convert({**data, **replacement}, EntryCorrected), tokens=replacing.tokens)
        return await self._sealed(body, body.value(), new=True)

    async def _sealed(self, body: Body, value: Value, *, new: bool) -> Draft:
        """Return the event, what is personal in it sealed: under a new key, or under the one that the person has."""
        if not isinstance(value, PersonalDetails):
            return Draft(body, cast("Event", value))
        owner = person_owner(body.stream.partition("/")[2])
        keys: tuple[NewKey, ...] = ()
        if new:
            key, row = self._vault.new_key(owner)
            keys = (row,)
        else:
            key = (await self._vault.keys([owner])).get(owner, b"")
            if not key:
                raise NotFound("The person's data was erased; there is nothing left to correct.")
        details = canonical.encode({"name": value.name, "contact": value.contact})
        sealed = base64.b64encode(seal(key, owner, details)).decode()
        event = PersonRegistered(sealed=sealed, citations=value.citations, note=value.note)
        # Until they are erased a person stays findable by each name as of the sizes at which it was theirs.
        tokens = self._vault.blind(owner, value.name) if new else await self._vault.blind_also(owner, value.name)
        return Draft(body, event, keys, tokens)


def under(pointer: str, problems: Sequence[FieldProblem]) -> list[FieldProblem]:
    """Count the problems' pointers from `pointer`."""
    return list(InvalidField("", problems).under(pointer).problems)
