"""Which documents sources are over, as a request would leave it: what it may change, and what is destroyed with it."""

from __future__ import annotations

from typing import Any

from events.catalogue import Entry
from events.catalogue.history import EntryCorrected, ever_said
from events.catalogue.source import Source, SourceFiled
from events.errors import FieldProblem, SourceWithdrawn
from events.vault import document_owner
from services.registry.prospect import Prospect
from services.registry.resting import Resting


class SourceDocuments:
    """Follows the documents of the sources that a request touches (ADR 0020). `moved` are sources that get another."""

    def __init__(self, prospect: Prospect, resting: Resting) -> None:
        self.moved: set[str] = set()
        self._prospect = prospect
        self._resting = resting
        self._over: dict[str, list[str]] = {}  # by document, as far as it was looked for
        self._left: dict[str, bool] = {}  # documents that a source is over no more, and whether it was withdrawn

    async def withdraw(self, stream: str) -> None:
        """Take note that a source was withdrawn, and with it every document that it ever was over."""
        await self._leave_all(stream, withdrawn=True)

    async def amend(self, amendment: Entry[Any], first: int, before: Source | None, after: Source | None) -> None:
        """Take note of what a source is over no more; `first` is the position of its first entry.

        Raises `SourceWithdrawn` or `RestedUpon` for a document that it cannot be over, `DocumentDiffers` for what it
        says of one.
        """
        if after is not None and after.withdrawn is None and (before is None or before.filed != after.filed):
            await self._resting.must_be_as_it_says(after)
        if after is None:
            await self._leave_all(amendment.stream, withdrawn=False)
        elif before is None or before.filed.event.sha256 != after.filed.event.sha256:
            await self._be_over_another(before, after, amendment, first)

    async def destroyed(self) -> list[str]:
        """Return the owners of those documents left that were withdrawn, be it before, and that no source is over."""
        return [document_owner(sha256) for sha256 in self._left if await self.is_destroyed(sha256)]

    async def is_destroyed(self, sha256: str) -> bool:
        """Whether a document goes with what the request has changed so far."""
        if sha256 not in self._left or await self.in_force_over(sha256):
            return False
        return self._left[sha256] or any(one.withdrawn is not None for one in await self._recorded_over(sha256))

    async def in_force_over(self, sha256: str) -> list[Source]:
        """Return the sources that are over a document now, with what the request has changed so far."""
        added = [one for one in await self._prospect.states(self._prospect.pending) if isinstance(one, Source)]
        found = {one.id: one for one in (*await self._recorded_over(sha256), *added)}
        return [one for one in found.values() if one.withdrawn is None and one.filed.event.sha256 == sha256]

    async def _recorded_over(self, sha256: str) -> list[Source]:
        """Return the sources that were recorded and are, or once were, over a document."""
        if sha256 not in self._over:
            self._over[sha256] = await self._resting.sources_over(sha256, self._prospect.reading)
        return [one for one in await self._prospect.states(self._over[sha256]) if isinstance(one, Source)]

    async def _leave_all(self, stream: str, *, withdrawn: bool) -> None:
        for said in ever_said(await self._prospect.entries(stream)):
            if isinstance(said, SourceFiled):
                self._left[said.sha256] = withdrawn or self._left.get(said.sha256, False)

    async def _be_over_another(self, before: Source | None, after: Source, amendment: Entry[Any], first: int) -> None:
        corrects = isinstance(amendment.event, EntryCorrected)
        problems = [FieldProblem("cannot be over this document", "/replacement/sha256")] if corrects else []
        if after.withdrawn is not None:
            raise SourceWithdrawn("The source was withdrawn; which document it was stays as it is.", problems)
        if await self._resting.is_destroyed(after.filed.event.sha256, self._prospect.reading):
            raise SourceWithdrawn(
                "With this in place, the source would be over a document that was withdrawn.", problems
            )
        if before is not None:
            await self._resting.must_quote_the_same(before, after, amendment, first, self._prospect)
            self._left.setdefault(before.filed.event.sha256, False)
        self.moved.add(amendment.stream)
