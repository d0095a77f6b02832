"""When a checkpoint is signed: for a committed head, and only after it was shown to extend all that was signed before.

What was signed before is known from two places, the database and the key ring beside it. A database that has lost
entries which a checkpoint vouches for, or has others in their place, makes `Signer.sign` raise for as long as it is so;
what is signed then would be the proof that the registry lies. `registry log adopt` is the way out: another name.
"""

from __future__ import annotations

import asyncio
from asyncio import to_thread  # whoever holds the key ring's lock, or serves its folder, may take its time
from collections.abc import Sequence

from events.errors import Corrupt, RegistryError
from events.log import Reader
from events.log.checkpoints import Checkpoints, Signed
from events.log.failure import FAILURES
from events.log.tree import Tree
from events.merkle import VerificationError
from events.merkle.adoption import Adoption
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import VerifierKey
from events.merkle.proofs import verify_consistency
from events.merkle.tree import EMPTY_ROOT
from services.registry import journal
from services.registry.clock import Clock
from services.registry.signing.erasures import Erasures
from services.registry.signing.keyring import KeyRing, KeyRingUnusable


class NotSigned(RegistryError):
    """There is no checkpoint: the log has no signing key, or signing has stopped."""

    code = "not-signed"


class LogRolledBack(NotSigned):
    """The log has fewer entries than were vouched for, or a name that it gave up: truncated, or an old backup."""

    code = "log-rolled-back"


class LogRewritten(NotSigned):
    """The log has other entries than were vouched for, or nobody signed how it came to its name."""

    code = "log-rewritten"


class Signer:
    """Signs the log's checkpoints under one name. `stopped` is why it does not, for as long as that is so.

    `newest` is what it signed last, as it was then.
    """

    def __init__(
        self,
        log: Reader,
        tree: Tree,
        checkpoints: Checkpoints,
        ring: KeyRing,
        *,
        origin: str,
        clock: Clock,
        erasures: Erasures | None = None,
    ) -> None:
        self._log = log
        self._tree = tree
        self._checkpoints = checkpoints
        self._ring = ring
        self._erasures = erasures
        self._settings_origin = origin
        self._clock = clock
        self._news = asyncio.Condition()
        self.newest: Signed | None = None
        self.stopped: RegistryError | None = None

    async def run(self, seconds: float) -> None:
        """Sign whenever the log has grown, at most every so many seconds, until cancelled."""
        while True:
            try:
                await self.sign()
            except (NotSigned, KeyRingUnusable, Corrupt) as refused:
                self._stop(refused)
            except VerificationError as refused:
                self._stop(Corrupt(f"What is stored of the log's tree or keys is damaged: {refused}."))
            except (RegistryError, *FAILURES) as error:
                journal.logger().warning("checkpoint_put_off", error=type(error).__name__)
            except Exception:
                self.stopped = NotSigned("Signing failed as nobody had foreseen; the journal of this process says how.")
                raise
            await asyncio.sleep(seconds)  # the period, not a wait: how often there may be a checkpoint

    def _stop(self, refused: RegistryError) -> None:
        if self.stopped is None or self.stopped.detail != refused.detail:
            journal.logger().error("signing_stopped", code=refused.code, why=refused.detail)
        self.stopped = refused

    async def origin(self) -> str:
        """Return the name that checkpoints are signed under now."""
        return await current_origin(self._checkpoints, self._settings_origin)

    async def sign(self) -> Signed:
        """Return the checkpoint of the log as it is now, signed with every key of its name that there is.

        One signer at a time, whatever process it is in. Raises `NotSigned` (no key), `LogRolledBack`, `LogRewritten`,
        `KeyRingUnusable`, `LogUnavailable`; then nothing was signed.
        """
        origin = await self.origin()
        await self._must_not_be_given_up(origin)
        keys = await to_thread(self._ring.keys, origin)
        if not keys:
            raise NotSigned(f"There is no key of {origin} in {self._ring.folder}. `registry key create` makes one.")
        await self._remember_name(origin)
        await self._tree.integrate((await self._log.head()).size)
        async with self._checkpoints.signing() as connection:
            now = await self._head(origin)
            last = await self._checkpoints.latest(origin)
            if last is not None:
                self._is_signed(last, [*await self._checkpoints.verifiers(), *(key.verifier for key in keys)])
            for known in await self._known(origin, last):
                await self._extends(known, now)
            standing = last.signatures if last and last.checkpoint == now else ()
            missing = [key for key in keys if not any(one.is_of(key.verifier) for one in standing)]
            if missing:
                await self._log.settle()  # a failover must not take back what is signed
            added = tuple(key.sign(now.text) for key in missing)
            signed_at = self._clock() if last is None or last.checkpoint != now else last.signed_at
            signed = Signed(now, signed_at, (*added, *standing))
            if self._erasures is not None:
                await self._erasures.remember(origin, now.size)
            await to_thread(self._ring.remember, now, signed.note.encode())
            for signature in added:
                await self._checkpoints.add(connection, now, signature, self._clock())
        self.stopped = None
        async with self._news:
            self.newest = signed
            self._news.notify_all()
        return signed

    async def after(self, seen: Checkpoint | None) -> Signed:
        """Wait until the newest checkpoint is another than the one that was seen, and return it."""
        async with self._news:
            while self.newest is None or self.newest.checkpoint == seen:
                await self._news.wait()
            return self.newest

    def _is_signed(self, last: Signed, keys: Sequence[VerifierKey]) -> None:
        """Raise `LogRewritten` for a checkpoint that no key of the log signed: what it says is nothing to go by."""
        try:
            found = last.note.verify(keys)
        except VerificationError as refused:
            why = str(refused)
        else:
            if any(key.name == last.checkpoint.origin for key in found):
                return
            why = "none of the log's keys signed it"
        raise LogRewritten(
            f"A checkpoint over {last.checkpoint.size} entries is stored that the log never signed: {why}. Somebody "
            "altered the database: `registry verify` names what else is wrong. Remove that checkpoint first of all."
        )

    async def _must_not_be_given_up(self, origin: str) -> None:
        """Raise `LogRolledBack` if the key ring knows of another name in this one's place."""
        for adoption, _ in await to_thread(self._ring.adoptions):
            if adoption.replaces == origin:
                raise LogRolledBack(
                    f"{origin} was given up for {adoption.origin} at {adoption.size} entries, which the database does "
                    "not know: it was restored from a backup of before then. Bring back what is missing, or take "
                    "another name (`registry log adopt`)."
                )

    async def _remember_name(self, origin: str) -> None:
        """See that the key ring knows how the log came to its name. Raises `LogRewritten` for what nobody signed."""
        newest = next(iter(await self._checkpoints.origins()), None)
        statement = newest.statement if newest else None
        if statement is None or origin in [one.origin for one, _ in await to_thread(self._ring.adoptions)]:
            return
        try:
            Adoption.verified(statement.encode(), await self._checkpoints.verifiers())
        except VerificationError as refused:
            raise LogRewritten(
                f"What is said of how the log came to the name {origin} was altered: {refused}."
            ) from None
        await to_thread(self._ring.keep_adoption, statement)

    async def _head(self, origin: str) -> Checkpoint:
        """Return the tree head to be signed, as the head and the tiles agree on it. Raises `LogRewritten`."""
        head = await self._log.head()
        root = await self._tree.root(head.size)
        if root != head.frontier.root():
            raise LogRewritten(
                f"The stored leaves or tiles of the first {head.size} entries do not lead to the root that the log's "
                "head was written with. `registry verify` names the position."
            )
        return Checkpoint(origin, head.size, root)

    async def _known(self, origin: str, last: Signed | None) -> list[Checkpoint]:
        """Return what was signed under this name, as the database and as the key ring know it.

        Before the first checkpoint that is the log as it was when it took the name.
        """
        remembered = await to_thread(self._ring.remembered)
        known = [last.checkpoint] if last else []
        if remembered is not None and remembered[0].origin == origin:
            known.append(remembered[0])
        if known:
            return known
        taken = await to_thread(self._ring.adoptions)
        return [Checkpoint(origin, one.size, one.root) for one, _ in taken if one.origin == origin]

    async def _extends(self, known: Checkpoint, now: Checkpoint) -> None:
        """Show that the tree to be signed extends one that was signed. Raises `LogRolledBack`, `LogRewritten`."""
        if known.size > now.size:
            raise LogRolledBack(
                f"The log has {now.size} entries, but a checkpoint over {known.size} was signed: it was truncated, or "
                "restored from an old backup. Bring back what is missing, or take another name (`registry log adopt`)."
            )
        path = await self._tree.consistency(known.size, now.size) if known.size else []
        try:
            if known.size:
                verify_consistency(
                    first_size=known.size,
                    first_root=known.root,
                    second_size=now.size,
                    second_root=now.root,
                    path=path,
                )
            else:
                verify_consistency(first_size=0, first_root=known.root, second_size=0, second_root=EMPTY_ROOT, path=())
        except VerificationError:
            raise LogRewritten(
                f"The log's first {known.size} entries are not those that a checkpoint was signed over: they were "
                "altered, or replaced after an old backup was restored. `registry verify --against` shows more; bring "
                "back what was signed, or take another name with `registry log adopt`."
            ) from None


async def current_origin(checkpoints: Checkpoints, settings_origin: str) -> str:
    """Return the name that checkpoints are signed under: the one that was adopted last, else the settings'."""
    adopted = await checkpoints.origins()
    return adopted[0].origin if adopted else settings_origin
