"""Whose an identifier is: it belongs to one party at a time, and those that are merged are one.

Who states a value first claims it in the log, for good. When nothing in force states it any more, another party may
have it without claiming it again: the claim then makes whoever wants the value come here, and each is held against what
is in force of all other parties.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

from events import log
from events.catalogue import Claim, Entry, Event, Facts
from events.catalogue.history import EntryCorrected, EntryRetracted, in_force
from events.catalogue.party import IDENTIFIER, PARTY, Party
from events.errors import AlreadyClaimed, FieldProblem, NotCorrectable
from events.values import Identifier
from services.registry.prospect import Prospect
from services.registry.resting import Resting


class Identifiers:
    """Holds what a request states of parties against what others have."""

    def __init__(self, prospect: Prospect, resting: Resting, today: date) -> None:
        self._prospect = prospect
        self._resting = resting
        self._today = today

    async def is_free_again(self, stream: str, claim: log.Claim) -> bool:
        """Tell whether what was claimed before belongs to nobody else by now, so that it is not claimed again.

        Asked only after the log has refused it. Nothing newer may have the value in it when this is recorded.
        """
        if claim.scope != IDENTIFIER or not self._prospect.reading.fresh:
            return False
        return await self._resting.is_claimed(claim) and not await self._holder(stream, claim.value)

    async def must_be_claimed_once(self, claims: Sequence[log.Claim]) -> None:
        """Refuse that a request claims a value twice, and name with it what is taken in the log.

        The log refuses either, the first before it looks for the second; so this, too, is asked only after it has.
        Raises `AlreadyClaimed`.
        """
        values = [(claim.scope, claim.value) for claim in claims]
        if len(set(values)) == len(values) or not self._prospect.reading.fresh:
            return
        seen: set[tuple[str, str]] = set()
        taken: list[log.Claim] = []
        for claim, value in zip(claims, values, strict=True):
            if value in seen or await self._resting.is_claimed(claim):
                taken.append(claim)
            seen.add(value)
        raise log.claims_taken(taken)

    async def must_be_free(self, stream: str, claims: Iterable[Claim], event: Event) -> None:
        """Refuse that a party has again what it had given up and another has now.

        Raises `AlreadyClaimed`, or `NotCorrectable` where nothing in the request names it.
        """
        for claim in claims:
            if other := await self._holder(stream, claim.value):
                if isinstance(event, EntryRetracted):
                    raise NotCorrectable(
                        f"With this in place, {claim.value} would belong to {stream} and to party/{other}."
                    )
                problem = FieldProblem(f"{claim.scope} {claim.value} belongs to {other} now.", claim.pointer)
                raise AlreadyClaimed("A value that belongs to one thing only is taken; see errors.", [problem])

    async def must_be_free_again(
        self,
        entries: Sequence[Entry[Any]],
        amendment: Entry[Any],
        states: tuple[Party | None, Party | None],
        claims: Sequence[log.Claim],
    ) -> None:
        """Hold what an amendment makes a party have again against the parties that have it now.

        `states` are those before and after it, `claims` what it claims for the first time. Raises as `must_be_free`.
        """
        before, after = states
        had = set[tuple[str, str]]()
        if before is not None and before.merged is not None and after is not None and after.merged is None:
            await self._must_part(amendment, before)
        elif before is not None:
            had = {claim[:2] for _, event in in_force(entries) for claim in PARTY.claims(None, event)}
        at = "/replacement" if isinstance(amendment.event, EntryCorrected) else ""
        claimed = {(one.scope, one.value) for one in claims}
        again = {
            claim[:2]: claim._replace(pointer=at + claim.pointer)
            for _, event in in_force([*entries, amendment])
            for claim in PARTY.claims(None, event)
            if claim[:2] not in had | claimed
        }
        await self.must_be_free(amendment.stream, again.values(), amendment.event)

    async def _must_part(self, amendment: Entry[Any], before: Party) -> None:
        """Refuse to part a party from those that it was merged into, while these have an identifier from its side."""
        at = before.merged.event.into if before.merged else ""
        while at:
            stated = [event for _, event in in_force(await self._prospect.reading.entries(f"party/{at}"))]
            claims = [claim for event in stated for claim in PARTY.claims(None, event)]
            await self.must_be_free(f"party/{at}", claims, amendment.event)
            at = (await self._prospect.facts({at}))[0].get(at, "")

    async def _holder(self, stream: str, value: str) -> str | None:
        """Return another party that an identifier belongs to, unless it has been merged with this one."""
        scheme, _, number = value.partition(":")
        party = stream.partition("/")[2]
        for other in await self._resting.parties_with(stream, Identifier(scheme=scheme, value=number), self._prospect):
            merged, _ = await self._prospect.facts({party, other})
            facts = Facts(today=self._today, merged=merged)
            if facts.survivor(party) != facts.survivor(other):
                return other
        return None
