"""Asking witnesses to cosign what was signed (C2SP tlog-witness), beside the signer and never in its way.

Witnesses are asked in rounds: all at once, for the newest checkpoint; what was signed meanwhile is passed over but for
the last. So that as many as can be have cosigned the same one. A cosignature is kept as soon as it is there and
verified. A witness that fails is asked again after a while that grows; nobody waits for it longer than a request may
last. What becomes of a checkpoint that too few have cosigned is `publication`'s matter (ADR 0017).

A **conflict** is graver than a failure: the witness has cosigned another history under the log's name than this one.
Then either the witness lies, or somebody signed a log with other entries, or this log has lost some.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import msgspec

from events.errors import RegistryError
from events.log.checkpoints import Checkpoints, Signed
from events.log.failure import FAILURES
from events.log.tree import Tree
from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Note, Signature
from events.merkle.witnessing import MAX_BYTES, PATH, Submission, cosignature, size_answered
from services.registry import journal
from services.registry.clock import Clock
from services.registry.signing.policy import Policy, Witness
from services.registry.signing.signer import Signer

if TYPE_CHECKING:
    import httpx


class Patience(msgspec.Struct, frozen=True):
    """Seconds: how long a request may last, and how long after a failure the next is made, at first and at most."""

    request: float = 2.0
    first: float = 1.0
    most: float = 30.0


PATIENT: Final = Patience()
HEADERS: Final = {"Accept-Encoding": "identity", "Content-Type": "text/plain; charset=utf-8"}


class Mood(Enum):
    """How a witness stands to the log, as far as this process knows."""

    UNKNOWN = "unknown"
    COSIGNS = "cosigns"
    FAILS = "fails"
    CONFLICT = "conflict"


class Standing(msgspec.Struct, frozen=True):
    """How a witness stands to the log, what it cosigned last, and what is wrong if something is."""

    witness: Witness
    mood: Mood = Mood.UNKNOWN
    cosigned: Checkpoint | None = None
    why: str = ""


class _Failed(Exception):
    """The witness does not cosign; the message says why."""


class _Conflict(Exception):
    """The witness has cosigned another history than ours; the message says what is known of it."""


class _Overtaken(Exception):
    """Another process of this registry has asked for a later checkpoint already."""


class _Answer(msgspec.Struct, frozen=True):
    status: int
    body: bytes


def client() -> httpx.AsyncClient:
    """Make what witnesses are reached by; each request is given its time as a whole."""
    import httpx  # takes a tenth of the start of those who have no witnesses

    return httpx.AsyncClient(timeout=None)  # noqa: S113


class Witnesses:
    """The witnesses of a policy, asked for one checkpoint or, by `run`, for every newest one of a signer."""

    def __init__(
        self,
        policy: Policy,
        tree: Tree,
        checkpoints: Checkpoints,
        *,
        clock: Clock,
        patience: Patience = PATIENT,
    ) -> None:
        self._quorum = policy.quorum
        self._asked = [_Asked(witness, tree, checkpoints, clock, patience) for witness in policy.witnesses]
        self._reached: bool | None = None

    @property
    def standings(self) -> Sequence[Standing]:
        """Return how each witness stands to the log, in the order of the policy."""
        return [one.standing for one in self._asked]

    @property
    def conflicts(self) -> Sequence[Standing]:
        """Return the witnesses that have cosigned another history: there must be none."""
        return [one for one in self.standings if one.mood is Mood.CONFLICT]

    async def run(self, signer: Signer) -> None:
        """Ask for every newest checkpoint, until cancelled."""
        seen: Checkpoint | None = None
        async with client() as reaching:
            while True:
                newest = await self._next(signer, seen)
                seen = newest.checkpoint
                await self.ask(reaching, newest)

    async def ask(self, client: httpx.AsyncClient, signed: Signed) -> None:
        """Ask all that have not cosigned this and whose turn it is; return when each has answered or failed."""
        now = asyncio.get_running_loop().time()
        due = [one for one in self._asked if one.due <= now and one.standing.cosigned != signed.checkpoint]
        await asyncio.gather(*(one.ask(client, signed) for one in due))
        self._tell()

    async def _next(self, signer: Signer, seen: Checkpoint | None) -> Signed:
        """Wait for the next checkpoint, or until a witness is to be asked again for the one that was seen."""
        waiting = [one.due for one in self._asked if seen is not None and one.standing.cosigned != seen]
        try:
            async with asyncio.timeout_at(min(waiting, default=None)):
                return await signer.after(seen)
        except TimeoutError:
            if signer.newest is None:
                raise
            return signer.newest

    def _tell(self) -> None:
        """Write when checkpoints begin to be published with enough cosignatures, and when they cease to be."""
        cosigning = sum(one.mood is Mood.COSIGNS for one in self.standings)
        reached = cosigning >= self._quorum
        if self._quorum and reached != self._reached:
            if reached:
                journal.logger().info("quorum_reached", witnesses=cosigning, quorum=self._quorum)
            else:
                journal.logger().warning("quorum_missed", witnesses=cosigning, quorum=self._quorum)
        self._reached = reached


class _Asked:
    """One witness. `due` is the loop's time before which it is left alone."""

    def __init__(
        self, witness: Witness, tree: Tree, checkpoints: Checkpoints, clock: Clock, patience: Patience
    ) -> None:
        self.standing = Standing(witness)
        self.due = 0.0
        self._witness = witness
        self._tree = tree
        self._checkpoints = checkpoints
        self._clock = clock
        self._patience = patience
        self._pause = 0.0

    async def ask(self, client: httpx.AsyncClient, signed: Signed) -> None:
        """Ask for a cosignature and keep it; whatever comes of it stands in `standing`."""
        try:
            if not any(one.is_of(self._witness.key) for one in signed.signatures):
                given = await self._cosignature(client, signed)
                await self._checkpoints.sign(signed.checkpoint, given, self._clock())
        except _Overtaken:
            self._wait()  # a later checkpoint is on its way to this process too
        except _Conflict as conflict:
            self._put_off(Mood.CONFLICT, str(conflict))
        except _Failed as failed:
            self._put_off(Mood.FAILS, str(failed))
        except (RegistryError, VerificationError, *FAILURES) as error:  # the database's failure, not the witness's
            self._wait()
            journal.logger().warning("cosignature_put_off", error=type(error).__name__)
        else:
            self._pause, self.due = 0.0, 0.0
            self._stands(Standing(self._witness, Mood.COSIGNS, signed.checkpoint))

    async def _cosignature(self, client: httpx.AsyncClient, signed: Signed) -> Signature:
        """Return the verified cosignature, asking again from the size that the witness names if need be."""
        last = self.standing.cosigned
        now = signed.checkpoint
        old = last.size if last is not None and last.origin == now.origin and last.size <= now.size else 0
        answer = await self._submit(client, signed, old)
        if answer.status == HTTPStatus.CONFLICT and (theirs := _size(answer)) != old:
            if theirs > now.size:
                await self._larger(now, theirs)
            old = theirs
            answer = await self._submit(client, signed, old)
        return self._accepted(answer, now, old)

    async def _larger(self, now: Checkpoint, theirs: int) -> None:
        """Raise for a size that is beyond ours: that of a conflict, unless another process has signed it."""
        latest = await self._checkpoints.latest(now.origin)
        if latest is not None and latest.checkpoint.size >= theirs:
            raise _Overtaken
        raise _Conflict(
            f"it has cosigned a checkpoint over {theirs} entries, and none was signed over more than {now.size}"
        )

    def _accepted(self, answer: _Answer, now: Checkpoint, old: int) -> Signature:
        """Return the cosignature out of an answer. Raises `_Failed`, `_Conflict`, `_Overtaken`."""
        match answer.status:
            case HTTPStatus.OK:
                try:
                    return cosignature(answer.body, now.text, self._witness.key)
                except VerificationError as wrong:
                    raise _Failed(f"its cosignature is not one: {wrong}") from None
            case HTTPStatus.CONFLICT if _size(answer) != old:
                raise _Overtaken  # it moved between two requests
            case HTTPStatus.CONFLICT if old == now.size and old:
                raise _Conflict(f"it has cosigned another checkpoint over {old} entries")
            case HTTPStatus.UNPROCESSABLE_ENTITY if old:
                raise _Conflict(f"it does not see that our {now.size} entries extend the {old} that it has cosigned")
            case HTTPStatus.NOT_FOUND:
                raise _Failed(f"it does not know the log {now.origin} (404)")
            case HTTPStatus.FORBIDDEN:
                raise _Failed("it does not know the key that the log is signed with (403)")
            case status:
                raise _Failed(f"it answers {status}")

    async def _submit(self, client: httpx.AsyncClient, signed: Signed, old: int) -> _Answer:
        import httpx

        now = signed.checkpoint
        path = await self._tree.consistency(old, now.size) if old else []
        ours = Note(now.text, tuple(one for one in signed.signatures if one.name == now.origin))
        body = Submission(old, tuple(path), ours.encode()).encode()
        url = f"{self._witness.prefix}/{PATH}"
        try:
            async with (
                asyncio.timeout(self._patience.request),
                client.stream("POST", url, content=body, headers=HEADERS) as response,
            ):
                return _Answer(response.status_code, await _bounded(response))
        except TimeoutError:
            raise _Failed(f"it does not answer within {self._patience.request:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise _Failed(f"it cannot be reached ({type(error).__name__})") from None

    def _put_off(self, mood: Mood, why: str) -> None:
        self._wait()
        self._stands(Standing(self._witness, mood, self.standing.cosigned, why))

    def _wait(self) -> None:
        self._pause = min(max(self._pause * 2, self._patience.first), self._patience.most)
        self.due = asyncio.get_running_loop().time() + self._pause

    def _stands(self, standing: Standing) -> None:
        """Take a standing, and write it down if it is another than before."""
        changed, self.standing = standing.mood is not self.standing.mood, standing
        if not changed:
            return
        name = self._witness.key.name
        match standing.mood:
            case Mood.CONFLICT:
                journal.logger().error("witness_saw_another_history", witness=name, why=standing.why)
            case Mood.FAILS:
                journal.logger().warning("witness_fails", witness=name, why=standing.why)
            case _:
                journal.logger().info("witness_cosigns", witness=name)


def _size(answer: _Answer) -> int:
    try:
        return size_answered(answer.body)
    except VerificationError as wrong:
        raise _Failed(f"it answers 409, and not with a size: {wrong}") from None


async def _bounded(response: httpx.Response) -> bytes:
    """Read an answer. Raises `_Failed` for one that does not end."""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > MAX_BYTES:
            raise _Failed(f"its answer has more than {MAX_BYTES} bytes")
    return bytes(body)
