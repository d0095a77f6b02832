"""From bodies that are in order to the events they ask for: references and citations checked, personal data sealed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from events.catalogue import Event
from events.catalogue.history import EntryCorrected, original_of
from events.catalogue.person import PersonalDetails, PersonRegistered
from events.catalogue.source import SOURCE, Source
from events.entry import canonical, to_builtins
from events.errors import (
    DocumentMissing,
    FieldProblem,
    InvalidField,
    NotFound,
    SourceWithdrawn,
    UnknownReference,
)
from events.log import NewKey
from events.shape import convert
from events.values import Value
from events.vault import Vault, person_owner, seal
from services.registry.bodies import SHA256, Body, replacement_of
from services.registry.citations import Citations
from services.registry.streams import Streams


class Draft(msgspec.Struct, frozen=True):
    """A body that is in order, with the event it asks for and the keys that seal it."""

    body: Body
    event: Event
    keys: tuple[NewKey, ...] = ()


class _Found:
    """What is wrong with the bodies of one request, by what has to be said of it."""

    def __init__(self) -> None:
        self.invalid: list[FieldProblem] = []
        self.unknown: list[FieldProblem] = []
        self.missing: list[FieldProblem] = []
        self.withdrawn: list[FieldProblem] = []

    def refuse(self) -> None:
        """Raise the error that names everything that was found, if anything was."""
        rest = [*self.missing, *self.withdrawn]
        if self.invalid:
            raise InvalidField.of([*self.invalid, *self.unknown, *rest])
        if self.unknown:
            raise UnknownReference(
                "What is referred to has not been recorded. Record it first.", [*self.unknown, *rest]
            )
        if self.withdrawn:
            raise SourceWithdrawn("A source that was withdrawn can be cited no more.", rest)
        if self.missing:
            raise DocumentMissing("File the text first: PUT /v1/documents/{sha256}.", self.missing)


class Drafting:
    """Makes drafts of bodies."""

    def __init__(self, streams: Streams, vault: Vault) -> None:
        self._streams = streams
        self._vault = vault
        self._citations = Citations(vault)

    async def make(self, bodies: Sequence[Body]) -> list[Draft]:
        """Check all fields and references of all bodies, and only then make the events they ask for.

        Raises `InvalidField`, `UnknownReference`, `SourceWithdrawn` or `DocumentMissing`, naming everything; and
        `NotFound`, `NotCorrectable` for an amendment without a target.
        """
        found = _Found()
        brought: dict[str, Body] = {}
        whole = [await self._with_target(body) for body in bodies]
        for body in whole:
            if body.aggregate is SOURCE:
                brought[body.stream] = body  # a document may be cited for what it says of itself
            await self._check(body, brought, found)
            if body.command.opens:
                brought[body.stream] = body
        found.refuse()
        return [await self._draft(body) for body in whole]

    async def _with_target(self, body: Body) -> Body:
        """Add to a correction what the type of its target says of the replacement."""
        if body.command.event is not EntryCorrected or body.problems:
            return body
        entries = await self._streams.entries(body.stream)
        if not entries:
            raise NotFound("There is no such stream.")
        return replacement_of(body, original_of(entries, cast("dict[str, Any]", body.data)["corrects"]))

    async def _check(self, body: Body, brought: Mapping[str, Body], found: _Found) -> None:
        async def hash_of(source: str) -> str | None:
            return await self._hash_of(source, brought)

        found.invalid += under(body.pointer, body.problems)
        found.unknown += under(body.pointer, [one async for one in self._unknown(body, brought)])
        found.withdrawn += under(body.pointer, [one async for one in self._withdrawn(body)])
        for at, citing in (("", body.data), ("/replacement", body.replacement)):
            beyond, not_filed = await self._citations.check(citing, hash_of)
            found.invalid += under(body.pointer + at, beyond)
            found.missing += under(body.pointer + at, not_filed)

    async def _unknown(self, body: Body, brought: Mapping[str, Body]) -> AsyncIterator[FieldProblem]:
        for leaf in body.leaves:
            stream = f"{leaf.kind}/{leaf.value}"
            if stream not in brought and (await self._streams.load(stream)).state is None:
                yield FieldProblem(f"there is no {leaf.kind} {leaf.value}", leaf.pointer)

    async def _withdrawn(self, body: Body) -> AsyncIterator[FieldProblem]:
        for leaf in body.leaves:
            if leaf.kind == "source":
                filed: Source | None = (await self._streams.load(f"source/{leaf.value}")).state
                if filed is not None and filed.withdrawn is not None:
                    yield FieldProblem(f"the source {leaf.value} was withdrawn", leaf.pointer)

    async def _hash_of(self, source: str, brought: Mapping[str, Body]) -> str | None:
        stream = f"source/{source}"
        if stream in brought:
            sha256: object = brought[stream].said["data"].get("sha256")
            return sha256 if isinstance(sha256, str) and SHA256.fullmatch(sha256) else None
        filed: Source | None = (await self._streams.load(stream)).state
        return filed.filed.event.sha256 if filed and not filed.withdrawn else None

    async def _draft(self, body: Body) -> Draft:
        if body.command.event is EntryCorrected:
            assert body.target is not None
            replacement = convert(body.replacement, body.target.body, "/replacement")
            event, _ = await self._sealed(body, replacement, new=False)
            data = cast("dict[str, Any]", body.data)
            corrected = convert({**data, "replacement": to_builtins(event)}, EntryCorrected)
            return Draft(body, corrected)
        event, keys = await self._sealed(body, body.value(), new=True)
        return Draft(body, event, keys)

    async def _sealed(self, body: Body, value: Value, *, new: bool) -> tuple[Event, tuple[NewKey, ...]]:
        """Return the event, what is personal in it sealed: under a new key, or under the one that the person has."""
        if not isinstance(value, PersonalDetails):
            return cast("Event", value), ()
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
        return PersonRegistered(sealed=sealed, citations=value.citations, note=value.note), keys


def under(pointer: str, problems: Sequence[FieldProblem]) -> list[FieldProblem]:
    """Count the problems' pointers from `pointer`."""
    return list(InvalidField("", problems).under(pointer).problems)


