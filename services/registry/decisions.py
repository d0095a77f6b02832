"""Deciding drafts on the streams as they are, each on what the ones before it would have brought."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, cast

from events import log
from events.catalogue import Claim, Entry, Event, Facts
from events.catalogue.cooperation_state import Cooperation
from events.catalogue.history import AMENDMENTS, EntryCorrected, convert_replacement, decide_amendment, ever_said
from events.catalogue.party import Party
from events.catalogue.person import PersonErased
from events.catalogue.source import Source, SourceWithdrawn
from events.entry import time_text, to_builtins
from events.errors import FieldProblem, NotFound, RegistryError, RestedUpon, UnknownReference, WrongExpectedVersion
from events.shape import Leaf, examine
from events.vault import document_owner, person_owner
from services.registry.bodies import within
from services.registry.clock import Clock
from services.registry.drafts import Draft
from services.registry.streams import Folded, Streams


class Decided(NamedTuple):
    """What is to be appended: events, claims, and the vault owners whose keys are destroyed.

    `emptied` are the streams of which nothing stands any more: nobody else may rest on them.
    """

    drafts: tuple[log.Draft, ...]
    claims: tuple[log.Claim, ...]
    destroy: tuple[str, ...]
    emptied: tuple[str, ...]


class Deciding:
    """One attempt at deciding the drafts of a request. Nothing is changed by it."""

    def __init__(self, streams: Streams, clock: Clock, *, expected: int | None, fresh: bool) -> None:
        """Decide on streams as last known, or read `fresh`; `expected` is the revision that each has to be at."""
        self._streams = streams
        self._now = clock()
        self._expected = expected
        self._fresh = fresh
        self._loaded: dict[str, Folded] = {}
        self._pending: dict[str, list[Entry[Any]]] = {}
        self._drafts: list[log.Draft] = []
        self._claims: list[log.Claim] = []
        self._destroy: list[str] = []
        self._emptied: dict[str, None] = {}

    async def decide(self, drafts: Sequence[Draft]) -> Decided:
        """Decide each draft. Raises the rule that forbids one, with pointers into the request."""
        for draft in drafts:
            try:
                await self._decide(draft)
            except RegistryError as refused:
                pointer = draft.body.pointer
                if pointer and not refused.problems:  # in a batch it has to be said which command it was
                    refused.problems = (FieldProblem(refused.detail, within(pointer)),)
                    raise
                raise refused.under(pointer) from None
        return Decided(tuple(self._drafts), tuple(self._claims), tuple(self._destroy), tuple(self._emptied))

    async def _decide(self, draft: Draft) -> None:
        body, stream = draft.body, draft.body.stream
        folded = await self._load(stream)
        if isinstance(draft.event, AMENDMENTS):
            entry = self._entry(draft, draft.event, folded)
            entries = [*await self._streams.entries(stream), *self._pending.get(stream, [])]
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
            if state is None:
                self._emptied[stream] = None
            return
        merged, whole = await self._facts(self._parties_in(draft, folded.state))
        facts_now = Facts(today=self._now.date(), merged=merged, whole=whole)
        for event in body.aggregate.decide(folded.state, draft.event, facts_now):
            entry = self._entry(draft, event, folded)
            claims = body.aggregate.claims(folded.state, event)
            folded = Folded(entry.revision, body.aggregate.evolve(folded.state, entry))
            self._take(draft, entry, folded, claims)
            self._destroy += _destroyed(event, folded.state)

    async def _load(self, stream: str) -> Folded:
        if stream not in self._loaded:
            load = self._streams.refresh if self._fresh else self._streams.load
            folded = self._loaded[stream] = await load(stream)
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
        return named if draft.body.aggregate.kind in ("party", "cooperation") else set()

    def _parties_of(self, entries: Sequence[Entry[Any]], draft: Draft) -> set[str]:
        """Return the parties whose mergers and wholes matter for a whole history."""
        named = {leaf.value for leaf in draft.body.leaves if leaf.kind == "party"}
        if draft.body.aggregate.kind not in ("party", "cooperation"):
            return set()
        return named | {leaf.value for event in ever_said(entries) for leaf in _leaves(event) if leaf.kind == "party"}

    async def _facts(self, parties: set[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Return what each party was merged into, and what each is part of, along all the ways from `parties`."""
        merged: dict[str, str] = {}
        whole: dict[str, str] = {}
        seen: set[str] = set()
        ahead = set(parties)
        while ahead:
            await self._streams.refresh_all(f"party/{one}" for one in ahead)
            seen |= ahead
            following: set[str] = set()
            for one in ahead:
                stream = f"party/{one}"
                party = cast("Party | None", (self._loaded.get(stream) or await self._streams.load(stream)).state)
                if party is not None and party.merged is not None:
                    merged[one] = party.merged.event.into
                    following.add(merged[one])
                if party is not None and party.details.part_of is not None:
                    whole[one] = party.details.part_of
                    following.add(whole[one])
            ahead = following - seen
        return merged, whole


def _leaves(event: Event) -> list[Leaf]:
    return examine(to_builtins(event), type(event))[1]


def _destroyed(event: Event, state: Any) -> Iterable[str]:
    """Return the owners whose keys are destroyed together with recording an event."""
    match event:
        case PersonErased():
            yield person_owner(state.id)
        case SourceWithdrawn():
            source: Source = state
            yield document_owner(source.filed.event.sha256)
        case _:
            return
