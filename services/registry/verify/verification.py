"""Verifies a log from its first entry to its last, or from where the last verification came to.

Entries come in chunks, are examined each by itself (`examine`), grown into the tree (`ascent`), held against those
ahead, and taken down (`index`) to be held against all others at the end.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from events.merkle.checkpoint import Checkpoint, base64_of
from events.merkle.note import NoteError, VerifierKey
from events.merkle.tree import Frontier, Subtree, perfect_subtrees
from services.registry.signing.published import Origins
from services.registry.verify import workers
from services.registry.verify.ascent import Ascent
from services.registry.verify.chunk import STRETCH, Bundle, Chunk, Examined
from services.registry.verify.earlier import (
    Earlier,
    extends,
    read_adoptions,
    read_earlier,
    read_origins,
    rewritten,
    rolled_back,
    root_by_tiles,
)
from services.registry.verify.examine import differences
from services.registry.verify.findings import Findings
from services.registry.verify.index import Index
from services.registry.verify.report import KeySeen, Report
from services.registry.verify.signatures import Keys, Vouched, read_checkpoint, read_keys, signers
from services.registry.verify.source import Head, Published, Source
from services.registry.verify.state import Resumption, Saved, State, kept

LAST_SIZE: Final = 2**63 - 1
SAVE_EVERY: Final = 128  # chunks
CHECKED: Final = (
    "leaves and tiles",
    "tree heads and their signatures",
    "form, position, source and time of every entry",
    "revisions, ids and commands across the whole log",
)


class Asked(msgspec.Struct, frozen=True):
    """How to verify: with which keys, against which checkpoint that was kept, going on from which folder.

    `processes` examine entries; None is as many as are worth it. `progress` is told how many entries of how many are
    done.
    """

    keys: tuple[VerifierKey, ...] = ()
    against: Earlier | None = None
    state: Path | None = None
    processes: int | None = None
    progress: Callable[[int, int], None] = lambda _done, _size: None


async def verify(source: Source, asked: Asked) -> Report:
    """Verify a log. Raises `Unreadable` when there is nothing to be said of it."""
    with kept(asked.state) as state:
        async with source:
            return await _Verification(source, asked, state).run()


class _Verification:
    def __init__(self, source: Source, asked: Asked, state: State) -> None:
        self._source = source
        self._asked = asked
        self._state = state
        self._findings = Findings()
        self._notes: list[str] = []
        self._heads = 0
        self._given_up: dict[str, int] = {}  # names that were, and how many of their tree heads are not of this log
        self._origin: str | None = None
        self._good = 0  # the largest size whose root was found to be that of a tree head
        self._vouched: Vouched | None = None
        self._keys = Keys((), ())
        self._roots: dict[int, bytes] = {}  # at the sizes of `_kept`
        self._kept: list[tuple[Checkpoint, str]] = []  # what today's log is held against
        self._unknown: list[str] = []  # of the changes of its name

    async def run(self) -> Report:
        published = await self._source.published()
        self._keys = Keys(self._asked.keys, read_keys(published.keys, self._findings))
        if published.checkpoint is not None:
            self._vouched = read_checkpoint(published.checkpoint, self._keys.trusted, self._findings, file="checkpoint")
        known = self._vouched.checkpoint if self._vouched else None
        size = published.size if published.size is not None else known.size if known else None
        origin = known.origin if known else published.origin
        origins = read_origins(published.origins, origin, self._findings)
        self._origin = origin
        self._given_up = {one.replaces: 0 for one in (origins.adopted if origins else ()) if one.replaces}
        if origins:
            taken, self._unknown = read_adoptions(origins, self._keys, self._findings)
            self._kept += [(taken, f"what was signed when it became {taken.origin}")] if taken else []
        if size is None:
            return self._report(origin, None, None, 0, CHECKED)
        if known and known.size > size:
            self._findings.note(rolled_back(known, "the last checkpoint", size))
        return await self._verify(published, origin, origins, size)

    async def _verify(self, published: Published, origin: str | None, origins: Origins | None, size: int) -> Report:
        saved = self._state.load(origin or "")
        self._keep(origin, origins, published.remembered)
        with ExitStack() as stack:
            resumption, folder = await self._resumption(saved, size, stack)
            began = resumption.frontier.size
            index = Index(folder, resumption.lengths)
            stack.callback(index.close)
            walk = _Walk(self._source, self._asked, self._findings, size=size, resumption=resumption, index=index)
            if self._vouched and self._vouched.checkpoint.size == size:
                walk.expected = self._vouched.checkpoint.root
            frontier = await self._walk(walk, origin or "", saved, folder == self._state.folder)
            self._check_head(published, frontier, size)
            await self._check_heads_beyond(size)
            await self._check_kept(frontier, size)
            index.check(self._findings)
            index.sync()
        await self._source.more(size, self._findings)
        self._check_signed(size)
        whole = frontier.size == size
        if not self._findings.count and self._asked.state is not None:
            note = published.checkpoint
            self._state.finish(Saved(origin or "", walk.resumption, note))
        elif self._asked.state is not None:
            self._state.forget_unfinished()
        return self._report(origin, size, frontier.root() if whole else None, began, ())

    def _keep(self, origin: str | None, origins: Origins | None, remembered: bytes | None) -> None:
        """Read what today's log is to be held against: what the caller or the key ring kept, what was verified last."""
        kept = [self._asked.against] if self._asked.against else []
        if remembered is not None:
            kept.append(Earlier(remembered, "the checkpoint that the key ring remembers"))
        verified = self._state.verified()
        if verified and verified.checkpoint:
            kept.append(Earlier(verified.checkpoint, "the checkpoint that was verified last"))
        for one in kept:
            checkpoint, note = read_earlier(one, origin, self._keys, origins, self._findings)
            self._notes += [note] if note else []
            if checkpoint:
                self._kept.append((checkpoint, one.name))

    async def _resumption(self, saved: Saved | None, size: int, stack: ExitStack) -> tuple[Resumption, Path]:
        """Return where to begin, and the folder to take down in: not the state's own if that is of another log."""
        if saved is None:
            return Resumption(), self._state.folder
        before = saved.resumption.frontier
        if before.size <= size and await root_by_tiles(self._source, before.size, size) == before.root():
            return saved.resumption, self._state.folder
        known = Checkpoint(saved.origin, before.size, before.root())
        name = "the verification before"
        self._findings.note(rolled_back(known, name, size) if before.size > size else rewritten(known, name))
        return Resumption(), Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="registry-verify-")))

    async def _walk(self, walk: _Walk, origin: str, saved: Saved | None, keeping: bool) -> Frontier:  # noqa: FBT001
        """Go through the entries, and hold the roots on the way against every tree head that there is."""
        wanted = {one.size for one, _ in self._kept}
        if self._vouched:
            wanted.add(self._vouched.checkpoint.size)
        await self._empty_heads(walk.began)
        note = saved.checkpoint if saved else None
        async for heads, roots in walk.go(wanted):
            for head in heads:
                self._hold(head, roots[head.size])
            self._roots |= {size: root for size, root in roots.items() if size in wanted}
            due = walk.done % (SAVE_EVERY * STRETCH) == 0
            if due and keeping and self._asked.state is not None and not self._findings.count:
                walk.sync()
                self._state.go_on(Saved(origin, walk.resumption, note))
        return walk.frontier

    async def _empty_heads(self, began: int) -> None:
        if began == 0:
            empty = Frontier().root()
            async for head in self._source.heads(-1, 0):
                self._hold(head, empty)
            self._roots[0] = empty

    def _hold(self, head: Head, root: bytes) -> None:
        """Hold a tree head that the log keeps against the root of as many entries, and its signatures."""
        checkpoint = Checkpoint(head.origin, head.size, head.root)
        self._believed(head, checkpoint)
        if checkpoint.root != root and head.origin in self._given_up:
            self._given_up[head.origin] += 1  # most likely what it was given up for
        else:
            self._compare(checkpoint, root)

    def _believed(self, head: Head, checkpoint: Checkpoint) -> bool:
        """Tell whether a tree head has a name of this log's, and the signatures for it."""
        self._heads += 1
        try:
            signers(checkpoint.text, head.signatures, head.origin, self._keys.known)
        except NoteError as refused:
            words = f"the checkpoint is not vouched for: {refused}"
            self._findings.add("checkpoint-forged", words, size=head.size)
            return False
        if head.origin != self._origin and head.origin not in self._given_up:
            words = (
                f"the checkpoint is of {head.origin}, and the log is {self._origin} (the last name in log.origin, or "
                "else REGISTRY_ORIGIN): nothing says that it ever had that name"
            )
            self._findings.add("name-unknown", words, size=head.size)
            return False
        return True

    async def _check_heads_beyond(self, size: int) -> None:
        """Look at tree heads over more entries than there are: under a name that was given up there may be such."""
        async for head in self._source.heads(size, LAST_SIZE):
            checkpoint = Checkpoint(head.origin, head.size, head.root)
            if not self._believed(head, checkpoint):
                continue
            if head.origin in self._given_up:
                self._given_up[head.origin] += 1
            elif self._vouched is None or self._vouched.checkpoint != checkpoint:  # else it was named at the start
                self._findings.note(rolled_back(checkpoint, "a checkpoint that was stored", size))

    def _compare(self, checkpoint: Checkpoint, root: bytes) -> None:
        if checkpoint.root == root:
            self._good = max(self._good, checkpoint.size)
            return
        words = f"the first {checkpoint.size} entries do not have the root that was signed"
        if self._good:
            words += f"; up to position {self._good - 1} they are as signed"
        self._findings.add("root-differs", words, size=checkpoint.size)

    def _check_signed(self, size: int) -> None:
        """Check that anything is signed, where there are keys to have signed it."""
        if self._vouched is None and not self._heads and size and self._keys.known and not self._findings.count:
            words = "there are keys, and no checkpoint that they signed: it was deleted, or none was signed yet"
            self._findings.add("checkpoint-missing", words)

    def _check_head(self, published: Published, frontier: Frontier, size: int) -> None:
        """Hold the whole tree against the checkpoint and the head."""
        if frontier.size == size and published.frontier is not None:
            self._check_frontier(published.frontier, frontier)
        if self._vouched and self._source.complete:  # else it is among the heads on the way
            self._heads += 1
            if size in self._roots:
                self._compare(self._vouched.checkpoint, self._roots[size])

    async def _check_kept(self, frontier: Frontier, size: int) -> None:
        """Hold the whole tree against what was kept of it."""
        for known, name in self._kept:
            if known.size > size:
                self._findings.note(rolled_back(known, name, size))
            elif known.size in self._roots:
                if self._roots[known.size] != known.root:
                    self._findings.note(rewritten(known, name))
            elif not await extends(self._source, known, frontier.size, frontier.root()):
                self._findings.note(rewritten(known, name))

    def _check_frontier(self, kept: Frontier, worked_out: Frontier) -> None:
        if kept.size != worked_out.size:
            words = f"the head has a frontier of {kept.size} entries"
            self._findings.add("head-differs", words, size=worked_out.size)
            return
        parts = perfect_subtrees(Subtree(0, kept.size)) if kept.size else ()
        for part, ours, theirs in zip(parts, worked_out.roots, kept.roots, strict=True):
            if ours != theirs:
                words = f"the head was written over others of the entries from position {part.start} to {part.end - 1}"
                self._findings.add("head-differs", words, size=kept.size)

    def _report(
        self, origin: str | None, size: int | None, root: bytes | None, began: int, unchecked: Sequence[str]
    ) -> Report:
        for name, heads in self._given_up.items():
            if heads:
                self._notes.append(f"{heads} checkpoints of {name}, a name that was given up, are not of this log.")
        found = set(self._vouched.signers) if self._vouched else set[VerifierKey]()
        not_checked = [*unchecked, *self._source.beyond, *self._unknown]
        if not self._keys.given:
            not_checked.append(
                "whose the keys are: they are the log's own word, so that what is signed shows no more than that the "
                "log agrees with itself (give them with --key)"
            )
        if self._vouched is None and size is not None:
            not_checked.append("a signed checkpoint: there is none that could be believed")
        if began:
            not_checked.append(f"entries before position {began}: they were verified before, and not read again")
        return Report(
            source=self._source.name,
            verified=not self._findings.count,
            origin=origin,
            size=size,
            root=base64_of(root) if root else None,
            began=began,
            keys=tuple(KeySeen(key.text, key in self._keys.given, key in found) for key in self._keys.known),
            checkpoints=self._heads,
            checked=() if unchecked else (*CHECKED, *self._source.checks),
            not_checked=tuple(not_checked),
            notes=tuple(self._notes),
            found=self._findings.count,
            findings=tuple(self._findings.kept),
        )


class _Walk:
    """Goes through the entries once, in order."""

    def __init__(
        self, source: Source, asked: Asked, findings: Findings, *, size: int, resumption: Resumption, index: Index
    ) -> None:
        self._source = source
        self._asked = asked
        self._findings = findings
        self._size = size
        self._index = index
        self._last = resumption.last
        self._ascent = Ascent(resumption.frontier, size, source.tile, complete=source.complete)
        self._heads: deque[Sequence[Head]] = deque()
        self.began = resumption.frontier.size
        self.done = self.began
        self.resumption = resumption
        self.expected: bytes | None = None  # the root that the whole tree should have
        entries = size - self.began
        self._processes = workers.wanted(entries) if asked.processes is None else asked.processes

    def sync(self) -> None:
        """Make durable what `resumption` speaks of."""
        self._index.sync()

    @property
    def frontier(self) -> Frontier:
        return self._ascent.frontier

    async def go(self, wanted: set[int]) -> AsyncGenerator[tuple[Sequence[Head], dict[int, bytes]]]:
        """Yield, chunk by chunk, the tree heads within it and the roots at their sizes and at the wanted ones."""
        async for examined in workers.examined(self._chunks(wanted), self._processes):
            found = examined.findings
            heads = self._heads.popleft()
            roots: dict[int, bytes] = {}
            for grown in examined.grown:
                roots |= dict(await self._ascent.grow(grown, found))
            self._join(examined, found)
            self.done = self._ascent.frontier.size
            if self.done % STRETCH == 0:
                self.resumption = Resumption(self._ascent.frontier, self._last, self._index.lengths())
            else:
                self._ascent.finish(self.expected, found)
            self._findings.take(found)
            self._asked.progress(self.done, self._size)
            yield heads, roots

    async def _chunks(self, wanted: set[int]) -> AsyncGenerator[Chunk]:
        for first in range(self.began, self._size, STRETCH):
            end = min(first + STRETCH, self._size)
            bundles = tuple(await self._source.bundles(first, end))
            heads = [head async for head in self._source.heads(first, end)]
            self._heads.append(heads)
            inner = {head.size for head in heads} | {size for size in wanted if first < size <= end}
            yield Chunk(bundles, tuple(sorted(inner)), self._source.events)
            if not any(map(_anything, bundles)):
                return  # nor is there what follows, most likely: that is not gone through position by position

    def _join(self, examined: Examined, findings: Findings) -> None:
        """Hold the chunk's first entry against the last one before it."""
        first, last = examined.first, self._last
        if first is not None and last is not None:
            for code, words in differences(last, first):
                findings.add(code, words, position=first.position)
        goes_on = first is not None and last is not None and first.command == last.command
        self._index.add(examined, goes_on=goes_on)
        self._last = examined.last or last


def _anything(bundle: Bundle) -> bool:
    """Tell whether anything is there where a bundle should be."""
    there = (bundle.entries, bundle.tile, bundle.folder, *(bundle.singles or ()))
    return any(one is not None for one in there)
