"""The streams as one attempt at a request sees them, and what it therefore rests on (ADR 0019)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from events.catalogue import Entry, Event
from events.log import Absent, Read
from services.registry.streams import Folded, Streams


class Reading:
    """Each stream is as it was when this attempt first looked at it; the append checks that it still is.

    `absent` and `needed` are for the append, too: see `events.log.Append`.
    """

    def __init__(self, streams: Streams, *, fresh: bool) -> None:
        """Look at streams as last known, or as they are now if this is to be `fresh`."""
        self._streams = streams
        self.fresh = fresh
        self._seen: dict[str, Folded] = {}
        self._revisions: dict[str, int] = {}
        self.absent: list[Absent] = []
        self.needed: set[str] = set()

    def begin(self, stream: str) -> None:
        """Take a stream that is to begin for one that is not there: nobody has to look, as the append finds out.

        Where it has to be fresh it is looked for all the same, and what is known of it is not forgotten.
        """
        if not self.fresh:
            self._see(stream, self._streams.kept(stream))

    async def load(self, stream: str) -> Folded:
        """Return a stream, folded."""
        if stream not in self._seen:
            load = self._streams.refresh if self.fresh else self._streams.load
            self._see(stream, await load(stream))
        return self._seen[stream]

    async def load_all(self, streams: Iterable[str]) -> None:
        """Look at several streams, in one statement where they have to be fresh."""
        unseen = [stream for stream in dict.fromkeys(streams) if stream not in self._seen]
        if self.fresh and unseen:
            await self._streams.refresh_all(unseen)
            for stream in unseen:
                self._see(stream, self._streams.kept(stream))

    async def entries(self, stream: str) -> list[Entry[Event]]:
        """Return all of a stream's entries as they are now."""
        entries = await self._streams.entries(stream)
        self._revisions.setdefault(stream, entries[-1].revision if entries else -1)
        return entries

    def reads(self, written: Collection[str]) -> tuple[Read, ...]:
        """Return what was looked at and is not written: a stream that is has its revision checked as it is."""
        return tuple(Read(stream, revision) for stream, revision in self._revisions.items() if stream not in written)

    def _see(self, stream: str, folded: Folded) -> None:
        self._seen[stream] = folded
        self._revisions.setdefault(stream, folded.revision)
