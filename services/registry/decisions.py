"""Deciding drafts on the streams as they are, each on what the ones before it would have brought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from events import log
from events.catalogue import Claim, Entry, Event, Facts
from events.catalogue.aggregate import references
from events.catalogue.amendments import decide_amendment
from events.catalogue.cooperation_state import Cooperation
from events.catalogue.history import (
    AMENDMENTS,
    EntryCorrected,
    EntryRetracted,
    convert_replacement,
    ever_said,
    fold,
    in_force,
)
from events.catalogue.party import PARTY, Party
from events.catalogue.person import Person, PersonErased
from events.catalogue.source import SOURCE, Source, SourceWithdrawn
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
from events.vault import person_owner
from services.registry.bodies import within
from services.registry.clock import Clock
from services.registry.drafts import Draft
from services.registry.erasing import Erasing, Look
from services.registry.expectation import Expected
from services.registry.identifiers import Identifiers
from services.registry.prospect import Prospect
from services.registry.reading import Reading
from services.registry.resting import Resting
from services.registry.source_documents import SourceDocuments
from services.registry.streams import Folded

CONCERNED = ("party", "person", "cooperation")  # by mergers of parties


class Decided(NamedTuple):
    """What is to be appended: events, claims, and the vault owners whose keys are destroyed."""

    drafts: tuple[log.Draft, ...]
    claims: tuple[log.Claim, ...]
    destroy: tuple[str, ...]


class Deciding:
    """One attempt at deciding the drafts of a request. Nothing is changed by it."""

    def __init__(
        self, reading: Reading, resting: Resting, look: Look, clock: Clock, *, expected: Expected | None
    ) -> None:
        """Decide on streams as this attempt reads them; `expected` is what each asked for has to be at."""
        self._resting = resting
        self._now = clock()
        self._expected = expected
        self._prospect = Prospect(reading)
        self._identifiers = Identifiers(self._prospect, resting, self._now.date())
        self._documents = SourceDocuments(self._prospect, resting)
        self._erasing = Erasing(look, self._prospect, self._documents)
        self._drafts: list[log.Draft] = []
        self._claims: dict[str, list[log.Claim]] = {}  # by the stream that makes them
        self._destroy: list[str] = []
        self._asked: Sequence[Draft] = ()

    async def decide(self, drafts: Sequence[Draft]) -> Decided:
        """Decide each draft. Raises the rule that forbids one, with pointers into the request.

        What the same rule forbids of other streams is named with it: one thing was not in the way of the other. Where
        something is not there, what any rule forbids of other streams is named too.
        """
        broken: RuleBroken | UnknownReference | None = None
        refused_streams: set[str] = set()
        self._asked = drafts
        for draft in drafts:
            if draft.body.stream in refused_streams:
                continue
            await self._must_be_there(draft)
            try:
                await self._decide(draft)
            except RegistryError as refused:
                found = _placed(refused, draft)
                if not isinstance(found, RuleBroken | UnknownReference):
                    if broken is None or isinstance(found, LogUnavailable):
                        raise found from None
                else:
                    broken = _together(broken, found)
                refused_streams.add(draft.body.stream)
        if broken is not None:
            raise broken
        claims = [
            claim
            for stream, claims in self._claims.items()
            for claim in claims
            if not await self._identifiers.is_free_again(stream, claim)
        ]
        await self._identifiers.must_be_claimed_once(claims)
        return Decided(tuple(self._drafts), tuple(claims), (*self._destroy, *await self._documents.destroyed()))

    async def _decide(self, draft: Draft) -> None:
        body, stream = draft.body, draft.body.stream
        folded = await self._load(stream)
        if isinstance(draft.event, AMENDMENTS):
            entry = self._entry(draft, draft.event, folded)
            entries = await self._prospect.entries(stream)
            facts = await self._prospect.facts(self._parties_of(entries, draft))
            event, state = decide_amendment(
                body.aggregate, entries, entry, lambda day: Facts(today=day, merged=facts[0], whole=facts[1])
            )
            entry = replace(entry, event=event)
            claims = self._claims_of_replacement(draft, folded)
            self._take(draft, entry, Folded(entry.revision, state), claims)
            await self._leave_in_order(draft, entries, entry, folded.state, state)
            if body.aggregate is PARTY:
                await self._identifiers.must_be_free_again(
                    entries, entry, (folded.state, state), self._claims.get(stream, [])
                )
            return
        merged, whole = await self._prospect.facts(self._parties_in(draft, folded.state))
        facts_now = Facts(today=self._now.date(), merged=merged, whole=whole)
        if folded.state is None and folded.revision >= 0:
            await self._decide_after_all_was_retracted(draft, folded, facts_now)
            return
        for event in body.aggregate.decide(folded.state, draft.event, facts_now):
            entry = self._entry(draft, event, folded)
            claims = body.aggregate.claims(folded.state, event)
            if isinstance(folded.state, Party) and folded.state.forgone:
                again = [one for one in body.aggregate.claims(None, event) if one[:2] in folded.state.forgone]
                await self._identifiers.must_be_free(stream, again, draft.event)
            folded = Folded(entry.revision, body.aggregate.evolve(folded.state, entry))
            self._take(draft, entry, folded, claims)
            if isinstance(event, PersonErased):
                await self._erase(draft, event)
            if isinstance(event, SourceWithdrawn):
                await self._documents.withdraw(stream)

    async def _decide_after_all_was_retracted(self, draft: Draft, folded: Folded, facts: Facts) -> None:
        """Decide on a stream of which nothing stands: it may begin again, with what it claimed, and a person be erased.

        Raises `PersonErased`, and what deciding on no stream at all raises.
        """
        aggregate, stream = draft.body.aggregate, draft.body.stream
        entries = await self._prospect.entries(stream)
        if any(isinstance(entry.event, PersonErased) for entry in entries):
            problems = [FieldProblem("was erased", "/id")] if draft.body.command.opens else []
            raise IsErased("The person's data was erased; nothing more is recorded of them.", problems)
        erases = isinstance(draft.event, PersonErased)
        for event in (draft.event,) if erases else aggregate.decide(None, draft.event, facts):
            entry = self._entry(draft, event, folded)
            had = {claim[:2] for said in ever_said(entries) for claim in aggregate.claims(None, said)}
            claims = [claim for claim in aggregate.claims(None, event) if claim[:2] not in had]
            if aggregate is PARTY:
                again = [claim for claim in aggregate.claims(None, event) if claim[:2] in had]
                await self._identifiers.must_be_free(stream, again, draft.event)
            self._take(draft, entry, Folded(entry.revision, fold(aggregate, [*entries, entry])), claims)
            if isinstance(event, PersonErased):
                await self._erase(draft, event)

    async def _erase(self, draft: Draft, event: PersonErased) -> None:
        """Have a person's key destroyed, and withdraw with the same authority what is to go with it."""
        self._destroy.append(person_owner(draft.body.stream.partition("/")[2]))
        for stream in await self._erasing.withdrawn_with(draft.body.stream, event, self._asked):
            folded = await self._prospect.load(stream)
            withdrawn = SourceWithdrawn(authority=event.authority, reason=event.reason)
            entry = replace(self._entry(draft, withdrawn, folded), stream=stream)
            self._take(draft, entry, Folded(entry.revision, SOURCE.evolve(folded.state, entry)), ())
            await self._documents.withdraw(stream)

    async def _must_be_there(self, draft: Draft) -> None:
        """Refuse what refers to something that a command ahead in the request took away."""
        gone: list[FieldProblem] = []
        withdrawn: list[FieldProblem] = []
        moved: list[FieldProblem] = []
        for leaf in draft.body.leaves:
            stream = f"{leaf.kind}/{leaf.value}"
            if stream in self._prospect.pending:
                state = (await self._prospect.load(stream)).state
                if state is None:
                    gone.append(FieldProblem(f"there is no {leaf.kind} {leaf.value} any more", leaf.pointer))
                elif isinstance(state, Source) and state.withdrawn is not None:
                    withdrawn.append(FieldProblem(f"the source {leaf.value} is withdrawn", leaf.pointer))
                elif stream in self._documents.moved:
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
        stream, first = draft.body.stream, max(entries[0].position, 0)
        if isinstance(before, Person) and before.erased is not None and draft.tokens:
            raise NotFound("The person's data was erased; there is nothing left to correct.")
        if isinstance(amendment.event, EntryRetracted):
            await self._must_bring_back_nothing_gone(entries, amendment)
        if after is None and before is not None:
            await self._resting.must_not_be_named(stream, first, self._prospect)
        if isinstance(before, Party) and before.merged and before.merged != getattr(after, "merged", None):
            at = ["/replacement/into"] if isinstance(amendment.event, EntryCorrected) else []
            await self._resting.must_hold_apart(stream, self._prospect, self._now.date(), at)
        if draft.body.aggregate is SOURCE:
            await self._documents.amend(amendment, first, cast("Source | None", before), after)

    async def _must_bring_back_nothing_gone(self, entries: Sequence[Entry[Any]], amendment: Entry[Any]) -> None:
        """What a retraction puts in force again may refer only to what there is. Raises `NotCorrectable`."""
        had = {(leaf.kind, leaf.value) for _, event in in_force(entries) for leaf in references(event)}
        for position, event in in_force([*entries, amendment]):
            for leaf in references(event):
                stream = f"{leaf.kind}/{leaf.value}"
                if (leaf.kind, leaf.value) in had:
                    continue
                if (await self._prospect.load(stream)).state is None:
                    raise NotCorrectable(
                        f"With this in place, entry {position} would refer to {leaf.kind} {leaf.value} again, "
                        "which is there no more."
                    )

    async def _load(self, stream: str) -> Folded:
        folded = await self._prospect.load(stream)
        expected = self._expected
        if expected and not expected.is_met_by(folded.revision) and stream not in self._prospect.pending:
            raise WrongExpectedVersion({stream: (str(expected), folded.revision)})
        return folded

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
        at = "/replacement" if isinstance(entry.event, EntryCorrected) else ""
        made = self._claims.setdefault(entry.stream, [])
        made += [log.Claim(one.scope, one.value, draft.body.located(at + one.pointer)) for one in claims]
        self._prospect.add(entry, after)

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
        return named | {
            leaf.value for event in ever_said(entries) for leaf in references(event) if leaf.kind == "party"
        }


def _together(
    first: RuleBroken | UnknownReference | None, found: RuleBroken | UnknownReference
) -> RuleBroken | UnknownReference:
    """Add to the first refusal of a request what another names: of the same kind, or beside what is not there."""
    if first is None:
        return found
    if isinstance(found, UnknownReference) and not isinstance(first, UnknownReference):
        found.problems = (*first.problems, *found.problems)
        return found
    if found.code == first.code or isinstance(first, UnknownReference):
        first.problems += found.problems
    return first


def _placed(refused: RegistryError, draft: Draft) -> RegistryError:
    """Point into the request; in a batch it has to be said at least which command it was.

    There what a command is about is named in the body as anything that it refers to, and not by an address.
    """
    pointer = draft.body.pointer
    amends = isinstance(draft.event, AMENDMENTS)
    refused.problems = tuple(
        one if one.pointer is None else replace(one, pointer=draft.body.located(one.pointer))
        for one in refused.problems
    )
    if not pointer:
        return refused
    if isinstance(refused, NotFound) and not amends:
        problems = refused.problems or (FieldProblem(refused.detail, f"{within(pointer)}/subject"),)
        return UnknownReference(refused.detail, problems)
    if not refused.problems:
        at = within(pointer)
        if isinstance(refused, NotCorrectable | NotFound) and amends:
            at = f"{pointer}/{'corrects' if isinstance(draft.event, EntryCorrected) else 'retracts'}"
        refused.problems = (FieldProblem(refused.detail, at),)
    return refused
