"""Deciding drafts on the streams as they are, each on what the ones before it would have brought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from events import log
from events.catalogue import Claim, Entry, Event, Facts
from events.catalogue.cooperation_state import Cooperation
from events.catalogue.history import (
    AMENDMENTS,
    EntryCorrected,
    EntryRetracted,
    convert_replacement,
    decide_amendment,
    ever_said,
    fold,
    in_force,
)
from events.catalogue.party import Party
from events.catalogue.person import Person, PersonErased
from events.catalogue.source import SOURCE, Source, SourceFiled, SourceWithdrawn
from events.entry import time_text
from events.errors import (
    FieldProblem,
    LogUnavailable,
    NotCorrectable,
    NotFound,
    RegistryError,
    RestedUpon,
    RuleBroken,
    UnknownReference,
    WrongExpectedVersion,
)
from events.errors import PersonErased as IsErased
from events.errors import SourceWithdrawn as IsWithdrawn
from events.vault import document_owner, person_owner
from services.registry.bodies import within
from services.registry.clock import Clock
from services.registry.drafts import Draft
from services.registry.reading import Reading
from services.registry.resting import Resting, leaves
from services.registry.streams import Folded

CONCERNED = ("party", "person", "cooperation")  # by mergers of parties


class Decided(NamedTuple):
    """What is to be appended: events, claims, and the vault owners whose keys are destroyed."""

    drafts: tuple[log.Draft, ...]
    claims: tuple[log.Claim, ...]
    destroy: tuple[str, ...]


class Deciding:
    """One attempt at deciding the drafts of a request. Nothing is changed by it."""

    def __init__(self, reading: Reading, resting: Resting, clock: Clock, *, expected: int | None) -> None:
        """Decide on streams as this attempt reads them; `expected` is the revision that each written has to be at."""
        self._reading = reading
        self._resting = resting
        self._now = clock()
        self._expected = expected
        self._loaded: dict[str, Folded] = {}
        self._pending: dict[str, list[Entry[Any]]] = {}
        self._drafts: list[log.Draft] = []
        self._claims: list[log.Claim] = []
        self._destroy: list[str] = []
        self._moved: set[str] = set()  # sources that get another document
        self._left: dict[str, bool] = {}  # documents that a source is over no more, and whether it was withdrawn

    async def decide(self, drafts: Sequence[Draft]) -> Decided:
        """Decide each draft. Raises the rule that forbids one, with pointers into the request.

        What the same rule forbids of other streams is named with it: one thing was not in the way of the other.
        """
        broken: RuleBroken | None = None
        refused_streams: set[str] = set()
        for draft in drafts:
            if draft.body.stream in refused_streams:
                continue
            self._must_be_there(draft)
            try:
                await self._decide(draft)
            except RegistryError as refused:
                found = _placed(refused, draft)
                if broken is not None and found.code == broken.code:
                    broken.problems += found.problems
                elif broken is None and isinstance(found, RuleBroken):
                    broken = found
                elif broken is None or isinstance(found, LogUnavailable):
                    raise found from None
                refused_streams.add(draft.body.stream)
        if broken is not None:
            raise broken
        return Decided(tuple(self._drafts), tuple(self._claims), (*self._destroy, *await self._documents_left()))

    async def _decide(self, draft: Draft) -> None:
        body, stream = draft.body, draft.body.stream
        folded = await self._load(stream)
        if isinstance(draft.event, AMENDMENTS):
            entry = self._entry(draft, draft.event, folded)
            entries = [*await self._reading.entries(stream), *self._pending.get(stream, [])]
            facts = await self._facts(self._parties_of(entries, draft))
            try:
                state = decide_amendment(
                    body.aggregate, entries, entry, lambda day: Facts(today=day, merged=facts[0], whole=facts[1])
                )
            except (NotFound, UnknownReference) as refused:
                if refused.problems:  # it is the replacement that refers to what is not there
                    raise
                raise RestedUpon(refused.detail) from None
            claims = self._claims_of_replacement(draft, folded)
            self._take(draft, entry, Folded(entry.revision, state), claims)
            await self._leave_in_order(draft, entries, entry, folded.state, state)
            return
        merged, whole = await self._facts(self._parties_in(draft, folded.state))
        facts_now = Facts(today=self._now.date(), merged=merged, whole=whole)
        if folded.state is None and folded.revision >= 0:
            await self._decide_after_all_was_retracted(draft, folded, facts_now)
            return
        for event in body.aggregate.decide(folded.state, draft.event, facts_now):
            entry = self._entry(draft, event, folded)
            claims = body.aggregate.claims(folded.state, event)
            folded = Folded(entry.revision, body.aggregate.evolve(folded.state, entry))
            self._take(draft, entry, folded, claims)
            if isinstance(event, PersonErased):
                self._destroy.append(person_owner(stream.partition("/")[2]))
            if isinstance(event, SourceWithdrawn):
                await self._leave_documents(stream, withdrawn=True)

    async def _decide_after_all_was_retracted(self, draft: Draft, folded: Folded, facts: Facts) -> None:
        """Decide on a stream of which nothing stands: it may begin again, with what it claimed, and a person be erased.

        Raises `PersonErased`, and what deciding on no stream at all raises.
        """
        aggregate, stream = draft.body.aggregate, draft.body.stream
        entries = [*await self._reading.entries(stream), *self._pending.get(stream, [])]
        if any(isinstance(entry.event, PersonErased) for entry in entries):
            problems = [FieldProblem("was erased", "/id")] if draft.body.command.opens else []
            raise IsErased("The person's data was erased; nothing more is recorded of them.", problems)
        erases = isinstance(draft.event, PersonErased)
        for event in (draft.event,) if erases else aggregate.decide(None, draft.event, facts):
            entry = self._entry(draft, event, folded)
            had = {claim[:2] for said in ever_said(entries) for claim in aggregate.claims(None, said)}
            claims = [claim for claim in aggregate.claims(None, event) if claim[:2] not in had]
            self._take(draft, entry, Folded(entry.revision, fold(aggregate, [*entries, entry])), claims)
            if erases:
                self._destroy.append(person_owner(stream.partition("/")[2]))

    def _must_be_there(self, draft: Draft) -> None:
        """Refuse what refers to something that a command ahead in the request took away."""
        gone: list[FieldProblem] = []
        withdrawn: list[FieldProblem] = []
        moved: list[FieldProblem] = []
        for leaf in draft.body.leaves:
            stream = f"{leaf.kind}/{leaf.value}"
            if stream in self._pending:
                state = self._loaded[stream].state
                if state is None:
                    gone.append(FieldProblem(f"there is no {leaf.kind} {leaf.value} any more", leaf.pointer))
                elif isinstance(state, Source) and state.withdrawn is not None:
                    withdrawn.append(FieldProblem(f"the source {leaf.value} is withdrawn", leaf.pointer))
                elif stream in self._moved:
                    moved.append(FieldProblem(f"the source {leaf.value} gets another document", leaf.pointer))
        if gone:
            raise UnknownReference("What is referred to is taken back by the same request.", gone)
        if withdrawn:
            raise IsWithdrawn("A source that was withdrawn can be cited no more.", withdrawn)
        if moved:
            raise RestedUpon("What is cited is not yet the document that the same request makes it.", moved)

    async def _leave_in_order(
        self, draft: Draft, entries: Sequence[Entry[Any]], amendment: Entry[Any], before: Any, after: Any
    ) -> None:
        """Refuse an amendment that would leave other streams, or this one, referring to what is not there."""
        stream, first = draft.body.stream, _at_least(entries)
        if isinstance(before, Person) and before.erased is not None and draft.tokens:
            raise NotFound("The person's data was erased; there is nothing left to correct.")
        if isinstance(amendment.event, EntryRetracted):
            await self._must_bring_back_nothing_gone(entries, amendment)
        if after is None and before is not None:
            await self._resting.must_not_be_named(stream, first, self._reading, self._pending)
        if draft.body.aggregate is SOURCE:
            await self._leave_documents_in_order(amendment, first, cast("Source | None", before), after)

    async def _leave_documents_in_order(
        self, amendment: Entry[Any], first: int, before: Source | None, after: Source | None
    ) -> None:
        """Take down what a source is over no more, and refuse what it cannot be over."""
        if after is None:
            await self._leave_documents(amendment.stream, withdrawn=False)
        elif before is None or before.filed.event.sha256 != after.filed.event.sha256:
            await self._be_over_another(before, after, amendment, first)

    async def _be_over_another(self, before: Source | None, after: Source, amendment: Entry[Any], first: int) -> None:
        """Refuse an amendment that puts a source over a document that it cannot be over.

        Raises `SourceWithdrawn`, `RestedUpon`.
        """
        corrects = isinstance(amendment.event, EntryCorrected)
        problems = [FieldProblem("cannot be over this document", "/replacement/sha256")] if corrects else []
        if after.withdrawn is not None:
            raise IsWithdrawn("The source was withdrawn; which document it was stays as it is.", problems)
        if await self._resting.is_destroyed(after.filed.event.sha256, self._reading):
            raise IsWithdrawn("With this in place, the source would be over a document that was withdrawn.", problems)
        if before is not None:
            await self._resting.must_quote_the_same(
                before, after, amendment, first=first, reading=self._reading, pending=self._pending
            )
            self._left.setdefault(before.filed.event.sha256, False)
        self._moved.add(amendment.stream)

    async def _must_bring_back_nothing_gone(self, entries: Sequence[Entry[Any]], amendment: Entry[Any]) -> None:
        """What a retraction puts in force again may refer only to what there is. Raises `NotCorrectable`."""
        had = {(leaf.kind, leaf.value) for _, event in in_force(entries) for leaf in leaves(event)}
        for position, event in in_force([*entries, amendment]):
            for leaf in leaves(event):
                stream = f"{leaf.kind}/{leaf.value}"
                if (leaf.kind, leaf.value) in had:
                    continue
                if (self._loaded.get(stream) or await self._reading.load(stream)).state is None:
                    raise NotCorrectable(
                        f"With this in place, entry {position} would refer to {leaf.kind} {leaf.value} again, "
                        "which is there no more."
                    )

    async def _leave_documents(self, stream: str, *, withdrawn: bool) -> None:
        """Take down every document that a source ever was over."""
        for said in ever_said([*await self._reading.entries(stream), *self._pending.get(stream, [])]):
            if isinstance(said, SourceFiled):
                self._left[said.sha256] = withdrawn or self._left.get(said.sha256, False)

    async def _documents_left(self) -> list[str]:
        """Return the owners of those documents left that were withdrawn, be it before, and that no source is over."""
        destroyed: list[str] = []
        for sha256, withdrawn in self._left.items():
            recorded = await self._sources(await self._resting.sources_over(sha256, self._reading))
            sources = [*recorded, *await self._sources(self._pending)]
            if any(one.withdrawn is None and one.filed.event.sha256 == sha256 for one in sources):
                continue
            if withdrawn or any(one.withdrawn is not None for one in recorded):
                destroyed.append(document_owner(sha256))
        return destroyed

    async def _sources(self, streams: Iterable[str]) -> list[Source]:
        states = [(self._loaded.get(one) or await self._reading.load(one)).state for one in streams]
        return [state for state in states if isinstance(state, Source)]

    async def _load(self, stream: str) -> Folded:
        if stream not in self._loaded:
            folded = self._loaded[stream] = await self._reading.load(stream)
            if self._expected is not None and folded.revision != self._expected:
                raise WrongExpectedVersion({stream: (self._expected, folded.revision)})
        return self._loaded[stream]

    def _entry(self, draft: Draft, event: Event, folded: Folded) -> Entry[Any]:
        """Return the entry as later commands of the same request see it; its position is not known yet."""
        return Entry(
            position=-1 - len(self._drafts),
            stream=draft.body.stream,
            revision=folded.revision + 1,
            recorded_at=time_text(self._now),
            classification=draft.body.classification,
            event=event,
        )

    def _take(self, draft: Draft, entry: Entry[Any], after: Folded, claims: Iterable[Claim]) -> None:
        self._drafts.append(
            log.Draft(
                stream=entry.stream,
                expected_revision=entry.revision - 1,
                event_type=entry.event.event_type,
                data=entry.event,
                classification=entry.classification,
                pointer=draft.body.pointer,
            )
        )
        at = draft.body.pointer + ("/replacement" if isinstance(entry.event, EntryCorrected) else "")
        self._claims += [log.Claim(one.scope, one.value, at + one.pointer) for one in claims]
        self._loaded[entry.stream] = after
        self._pending.setdefault(entry.stream, []).append(entry)

    def _claims_of_replacement(self, draft: Draft, folded: Folded) -> Iterable[Claim]:
        if not isinstance(draft.event, EntryCorrected) or draft.body.target is None:
            return ()
        event = convert_replacement(draft.event.replacement, draft.body.target.event)
        return draft.body.aggregate.claims(folded.state, event)

    def _parties_in(self, draft: Draft, state: object) -> set[str]:
        """Return the parties whose mergers and wholes matter for a command."""
        named = {leaf.value for leaf in draft.body.leaves if leaf.kind == "party"}
        if isinstance(state, Cooperation):
            return named | set(state.opened.event.parties)
        if isinstance(state, Person):
            return named | {post.appointed.event.party for post in state.posts.values()} if named else set()
        return named if draft.body.aggregate.kind in CONCERNED else set()

    def _parties_of(self, entries: Sequence[Entry[Any]], draft: Draft) -> set[str]:
        """Return the parties whose mergers and wholes matter for a whole history."""
        named = {leaf.value for leaf in draft.body.leaves if leaf.kind == "party"}
        if draft.body.aggregate.kind not in CONCERNED:
            return set()
        return named | {leaf.value for event in ever_said(entries) for leaf in leaves(event) if leaf.kind == "party"}

    async def _facts(self, parties: set[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return what each party was merged into, and what each is part of, along all the ways from `parties`."""
        merged: dict[str, str] = {}
        whole: dict[str, str] = {}
        seen: set[str] = set()
        ahead = set(parties)
        while ahead:
            await self._reading.load_all(f"party/{one}" for one in ahead)
            seen |= ahead
            following: set[str] = set()
            for one in ahead:
                stream = f"party/{one}"
                party = cast("Party | None", (self._loaded.get(stream) or await self._reading.load(stream)).state)
                if party is not None and party.merged is not None:
                    merged[one] = party.merged.event.into
                    following.add(merged[one])
                if party is not None and party.details.part_of is not None:
                    whole[one] = party.details.part_of
                    following.add(whole[one])
            ahead = following - seen
        return merged, whole


def _placed(refused: RegistryError, draft: Draft) -> RegistryError:
    """Point into the request; in a batch it has to be said at least which command it was."""
    pointer = draft.body.pointer
    if not pointer or refused.problems:
        return refused.under(pointer)
    if isinstance(refused, NotCorrectable) and isinstance(draft.event, AMENDMENTS):
        at = f"{pointer}/{'corrects' if isinstance(draft.event, EntryCorrected) else 'retracts'}"
    else:
        at = within(pointer)
    refused.problems = (FieldProblem(refused.detail, at),)
    return refused


def _at_least(entries: Sequence[Entry[Any]]) -> int:
    return max(entries[0].position, 0)
