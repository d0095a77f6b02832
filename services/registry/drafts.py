"""From bodies that are in order to the events they ask for: references and citations checked, personal data sealed."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec

from events.catalogue import AMENDING, COMMANDS, CommandType, Event
from events.catalogue.history import EntryCorrected, in_force, original_of
from events.catalogue.person import PersonalDetails, PersonErased, PersonRegistered
from events.catalogue.source import Source, SourceFiled
from events.entry import canonical, to_builtins
from events.errors import (
    DocumentDiffers,
    DocumentMissing,
    FieldProblem,
    InvalidField,
    NotCorrectable,
    NotFound,
    SourceWithdrawn,
    UnknownReference,
)
from events.log import NewKey, NewToken
from events.shape import Leaf, convert, typed
from events.values import Value
from events.vault import Vault, person_owner, seal
from services.registry.bodies import Body, corrected, within
from services.registry.citations import Citations, well_formed
from services.registry.filing import SHA256, Filing
from services.registry.reading import Reading
from services.registry.resting import Resting

OF_EVENT: dict[str, CommandType] = {
    command.event.event_type: command for command in (*(one for _, one in COMMANDS.values()), *AMENDING.values())
}
"""The command that asks for each event."""

CORRECT_FIRST = "What a source says of its document is held against it. Correct the source first."


class Draft(msgspec.Struct, frozen=True):
    """A body that is in order, with the event it asks for and the keys that seal it."""

    body: Body
    event: Event
    keys: tuple[NewKey, ...] = ()
    tokens: tuple[NewToken, ...] = ()


class Drafting:
    """Makes drafts of bodies."""

    def __init__(self, vault: Vault, resting: Resting) -> None:
        self._vault = vault
        self._citations = Citations(vault)
        self._filing = Filing(vault, resting)

    async def complete(self, bodies: Sequence[Body], reading: Reading) -> list[Body]:
        """Add to corrections what the types of their targets say of the replacements. Raises `NotCorrectable`.

        A batch's correction in a stream that is not there, nor brought by a body ahead, is left as it is: `check` names
        that.
        """
        whole: list[Body] = []
        brought: set[str] = set()
        for body in bodies:
            corrects = body.command.event is EntryCorrected and body.pointer and body.stream not in brought
            if corrects and (await reading.load(body.stream)).revision < 0:
                whole.append(body)
            else:
                whole.append(await self._with_target(body, reading))
            if body.command.opens:
                brought.add(body.stream)
        return whole

    async def check(self, bodies: Sequence[Body], reading: Reading) -> None:
        """Check all fields and references of all bodies.

        Raises `InvalidField`, `UnknownReference`, `SourceWithdrawn`, `DocumentMissing` or `DocumentDiffers`, naming
        everything.
        """
        await reading.load_all(
            [stream for body in bodies for stream in (body.stream, *(f"{one.kind}/{one.value}" for one in body.leaves))]
        )
        await self._check(bodies, [], reading)

    async def make(self, bodies: Sequence[Body], reading: Reading) -> list[Draft]:
        """Make the events that complete bodies without problems ask for. Raises `NotFound` for an erased person's."""
        return [await self._draft(body, reading) for body in bodies]

    async def refuse(self, bodies: Sequence[Body], problems: Sequence[FieldProblem], reading: Reading) -> None:
        """Refuse a request that is known to be wrong, with what else is wrong with it. Raises `InvalidField`."""
        whole: list[Body] = []
        for body in bodies:
            try:
                whole.append(await self._with_target(body, reading))
            except NotCorrectable:
                whole.append(body)  # to be said when there is nothing else
        await self._check(whole, problems, reading)

    async def _with_target(self, body: Body, reading: Reading) -> Body:
        """Add to a correction what the type of its target says of the replacement."""
        if body.command.event is not EntryCorrected or not body.stream:
            return body
        fields = cast("dict[str, Any]", body.data)
        corrects, replacement = fields.get("corrects"), fields.get("replacement")
        if type(corrects) is not int or not isinstance(replacement, dict):
            return body  # examined and named as it is
        entries = await reading.entries(body.stream)
        try:
            original = original_of(entries, corrects)
        except NotCorrectable as refused:
            if body.pointer:  # in a batch it has to be said which command it was
                refused.problems = (FieldProblem(refused.detail, f"{body.pointer}/corrects"),)
            raise
        stated = [event for _, event in in_force(entries)]
        return corrected(body, original, OF_EVENT[original.event.event_type], stated)

    async def _check(self, bodies: Sequence[Body], problems: Sequence[FieldProblem], reading: Reading) -> None:
        invalid = list(problems)
        unknown: list[FieldProblem] = []
        missing: list[FieldProblem] = []
        withdrawn: list[FieldProblem] = []
        differing = await self._unlike_sources(bodies, reading)
        brought: dict[str, Body] = {}
        attached = {one.document.document.sha256: one.document.document for one in bodies if one.document}
        for body in bodies:
            if _filed(body) is not None:
                brought[body.stream] = body  # a document may be cited for what it says of itself
            invalid += body.problems
            unknown += await self._unknown(body, brought, reading)
            withdrawn += await self._withdrawn(body, reading)
            for at, citing in (("", body.data), ("/replacement", body.replacement)):
                hash_of = partial(self._hash_of, brought, reading)
                beyond, not_filed = await self._citations.check(citing, hash_of, attached)
                invalid += under(body.pointer + at, beyond)
                missing += under(body.pointer + at, not_filed)
            wrong, destroyed = await self._unlike_its_document(body, reading)
            invalid += wrong
            withdrawn += destroyed
            if body.command.opens:
                brought[body.stream] = body
        rest = [*missing, *withdrawn, *differing]
        if invalid:
            raise InvalidField.of([*invalid, *unknown, *rest])
        if unknown:
            raise UnknownReference("What is referred to has not been recorded. Record it first.", [*unknown, *rest])
        if withdrawn:
            raise SourceWithdrawn("What was withdrawn is neither cited nor filed any more.", rest)
        if missing:
            raise DocumentMissing("File the text first: PUT /v1/documents/{sha256}.", [*missing, *differing])
        if differing:
            raise DocumentDiffers(CORRECT_FIRST, differing)

    async def _unknown(self, body: Body, brought: Mapping[str, Body], reading: Reading) -> list[FieldProblem]:
        found: list[FieldProblem] = []
        referred = [(f"{leaf.kind}/{leaf.value}", leaf.pointer) for leaf in body.leaves]
        if body.pointer and body.stream and not body.command.opens:  # in a batch the subject is a field as any other
            referred.append((body.stream, f"{within(body.pointer)}/subject"))
        for stream, pointer in referred:
            if stream in brought or (folded := await reading.load(stream)).state is not None:
                continue
            # Who was retracted can be erased: the rules say whether there is anything to erase.
            if folded.revision < 0 or body.command.event is not PersonErased or stream != body.stream:
                kind, _, key = stream.partition("/")
                found.append(FieldProblem(f"there is no {kind} {key}", pointer))
        return found

    async def _withdrawn(self, body: Body, reading: Reading) -> list[FieldProblem]:
        found: list[FieldProblem] = []
        for leaf in body.leaves:
            if leaf.kind == "source" and not self._is_kept(body, leaf):
                filed: Source | None = (await reading.load(f"source/{leaf.value}")).state
                if filed is not None and filed.withdrawn is not None:
                    found.append(FieldProblem(f"the source {leaf.value} was withdrawn", leaf.pointer))
        return found

    def _is_kept(self, body: Body, leaf: Leaf) -> bool:
        """Tell whether a correction says of a source what was said before: of a citation, the same place."""
        if ("source", leaf.value) not in body.kept:
            return False
        at = f"{body.pointer}/replacement"
        cited = {f"{at}/citations/{number}/source": one for number, one in well_formed(body.replacement)}
        return leaf.pointer not in cited or cited[leaf.pointer] in body.cited

    async def _hash_of(self, brought: Mapping[str, Body], reading: Reading, source: str) -> str | None:
        stream = f"source/{source}"
        fields = _filed(brought[stream]) if stream in brought else None
        if fields is not None:
            sha256 = fields.get("sha256")
            return sha256 if isinstance(sha256, str) and SHA256.fullmatch(sha256) else None
        filed: Source | None = (await reading.load(stream)).state
        return filed.filed.event.sha256 if filed and not filed.withdrawn else None

    async def _unlike_sources(self, bodies: Sequence[Body], reading: Reading) -> list[FieldProblem]:
        """Find what sources in force say otherwise of a document that comes with another."""
        attached = [(one.document.document, one.stream) for one in bodies if one.document]
        unlike = [await self._filing.unlike_it(document, reading, stream) for document, stream in attached]
        return [FieldProblem(says, "/document") for one in unlike for says in one]

    async def _unlike_its_document(self, body: Body, reading: Reading) -> tuple[list[FieldProblem], list[FieldProblem]]:
        """Find what a body that files a source says otherwise of its document, and whether that was destroyed."""
        fields = _filed(body)
        if fields is None:
            return [], []
        at = body.pointer if body.command.opens else f"{body.pointer}/replacement"
        wrong, destroyed = await self._filing.check(fields, body.document, reading)
        named = {one.pointer for one in body.problems}
        filed: Source | None = (await reading.load(body.stream)).state
        if filed is not None and filed.filed.event.sha256 == fields.get("sha256"):
            destroyed = []  # it stays what it was, withdrawn
        return [one for one in under(at, wrong) if one.pointer not in named], under(at, destroyed)

    async def _draft(self, body: Body, reading: Reading) -> Draft:
        if body.command.event is EntryCorrected:
            target = cast("CommandType", body.target)
            replacing = await self._sealed(body, typed(body.replacement, target.body), new=False)
            replacement = {
                "replacement": to_builtins(replacing.event),
                "replacement_type": replacing.event.event_type,
            }
            data = cast("dict[str, Any]", body.data)
            return Draft(body, convert({**data, **replacement}, EntryCorrected), tokens=replacing.tokens)
        value = body.value()
        # Who was registered and retracted has a key, under which they are registered again.
        new = not isinstance(value, PersonalDetails) or (await reading.load(body.stream)).revision < 0
        return await self._sealed(body, value, new=new)

    async def _sealed(self, body: Body, value: Value, *, new: bool) -> Draft:
        """Return the event, what is personal in it sealed: under a new key, or under the one that the person has."""
        if not isinstance(value, PersonalDetails):
            return Draft(body, cast("Event", value))
        owner = person_owner(body.stream.partition("/")[2])
        keys: tuple[NewKey, ...] = ()
        key = None if new else await self._vault.key(owner)
        if key is None:
            if not body.command.opens:
                says = "The person's data was erased; there is nothing left to correct."
                # In a batch it has to be said which command it was.
                raise NotFound(says, [FieldProblem(says, f"{body.pointer}/corrects")] if body.pointer else ())
            key, row = self._vault.new_key(owner)
            keys = (row,)
        details = canonical.encode({"name": value.name, "contact": value.contact})
        sealed = base64.b64encode(seal(key, owner, details)).decode()
        event = PersonRegistered(sealed=sealed, citations=value.citations, note=value.note)
        return Draft(body, event, keys, self._vault.blind(owner, value.name))


def _filed(body: Body) -> dict[str, object] | None:
    """Return what a body files of a source, anew or in the place of what was filed; None if it files none."""
    command = body.target or body.command
    fields = body.replacement if body.target else body.data
    return cast("dict[str, object]", fields) if command.event is SourceFiled and isinstance(fields, dict) else None


def under(pointer: str, problems: Sequence[FieldProblem]) -> list[FieldProblem]:
    """Count the problems' pointers from `pointer`."""
    return list(InvalidField("", problems).under(pointer).problems) if problems else []
