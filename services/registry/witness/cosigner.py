"""What a witness answers to a request for a cosignature (C2SP tlog-witness).

A request is looked at, and then checked against the state and written to it in one step. Whatever its bytes are, there
is an answer to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import msgspec

from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import Note, NoteError, SigningKey
from events.merkle.proofs import verify_consistency
from events.merkle.tree import EMPTY_ROOT
from events.merkle.witnessing import SIZE_TYPE, Submission, encode_signatures
from services.registry import journal
from services.registry.clock import Clock
from services.registry.witness.state import MAX_SIZE, Last, State, Step

TEXT: Final = "text/plain; charset=utf-8"


class Answer(msgspec.Struct, frozen=True):
    """A status, a body and its media type."""

    status: HTTPStatus
    body: bytes
    media_type: str = TEXT


class _Refused(Exception):
    """The request is answered with this and nothing is written."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.status.phrase)


class Cosigner:
    """A witness: its keys, each of which cosigns, and its state."""

    def __init__(self, keys: Sequence[SigningKey], state: State, clock: Clock) -> None:
        self._keys = keys
        self._state = state
        self._clock = clock

    def answer(self, raw: bytes) -> Answer:
        """Answer the body of a request. A cosigned checkpoint is in the state, durably, when this returns.

        Raises `StateUnusable`, and then nothing was cosigned.
        """
        try:
            submission, note, checkpoint = _read(raw)
            ours = self._trusted(note, checkpoint)
            return self._extend(submission, ours, checkpoint)
        except _Refused as refused:
            return refused.answer

    def _trusted(self, note: Note, checkpoint: Checkpoint) -> Note:
        """Return the note with no more than the signatures of keys that are trusted for its log."""
        keys = self._state.keys(checkpoint.origin)
        if not keys:
            raise _refused(HTTPStatus.NOT_FOUND, "the log is not known here")
        try:
            note.verify(keys)
        except NoteError as wrong:
            raise _refused(HTTPStatus.FORBIDDEN, str(wrong)) from None
        return Note(note.text, tuple(one for one in note.signatures if any(one.is_of(key) for key in keys)))

    def _extend(self, submission: Submission, note: Note, checkpoint: Checkpoint) -> Answer:
        if submission.old > checkpoint.size:
            raise _refused(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's")
        if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:  # whatever was cosigned, no tree has it
            raise _refused(HTTPStatus.UNPROCESSABLE_ENTITY, "the root over nothing is not that of the empty tree")
        with self._state.alone(checkpoint.origin) as (last, step):
            if checkpoint.size == last.size and checkpoint.root != last.root:
                self._forked(step, last, note, checkpoint)
                return _conflict(last)
            if submission.old != last.size:
                return _conflict(last)
            _check_proof(submission, last, checkpoint)
            now = self._clock()
            step.cosigned(checkpoint, note.encode(), now)
            signatures = [key.sign(checkpoint.text, int(now.timestamp())) for key in self._keys]
        return Answer(HTTPStatus.OK, encode_signatures(signatures))

    def _forked(self, step: Step, last: Last, note: Note, checkpoint: Checkpoint) -> None:
        """Keep and tell that a log signed two histories; of the empty one there is nothing to hold against it."""
        if last.note:
            step.forked(checkpoint.origin, last.note, note.encode(), self._clock())
            journal.logger().error("log_forked", origin=checkpoint.origin, size=checkpoint.size)


def _read(raw: bytes) -> tuple[Submission, Note, Checkpoint]:
    try:
        submission = Submission.parse(raw)
        note = Note.parse(submission.note)
        checkpoint = Checkpoint.parse(note.text)
    except VerificationError as wrong:
        raise _refused(HTTPStatus.BAD_REQUEST, str(wrong)) from None
    if checkpoint.size > MAX_SIZE:
        raise _refused(HTTPStatus.BAD_REQUEST, "the checkpoint's size is beyond 2^63 - 1")
    return submission, note, checkpoint


def _check_proof(submission: Submission, last: Last, checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint that is not shown to extend the last; every tree extends the empty one, without a proof."""
    if last.size == 0 and checkpoint.size > 0:
        if submission.path:
            raise _refused(HTTPStatus.UNPROCESSABLE_ENTITY, "from the old size 0 there is no proof")
        return
    try:
        verify_consistency(
            first_size=last.size,
            first_root=last.root,
            second_size=checkpoint.size,
            second_root=checkpoint.root,
            path=submission.path,
        )
    except VerificationError as wrong:
        raise _refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(wrong)) from None


def _conflict(last: Last) -> Answer:
    return Answer(HTTPStatus.CONFLICT, b"%d\n" % last.size, SIZE_TYPE)


def _refused(status: HTTPStatus, why: str) -> _Refused:
    return _Refused(Answer(status, f"{why}\n".encode()))
