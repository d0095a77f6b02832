"""What a witness answers, whatever it is asked, in whatever order; and what it never does."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from unittest.mock import ANY

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from events.merkle import VerificationError
from events.merkle.checkpoint import Checkpoint
from events.merkle.note import MAX_SIGNATURES, SigningKey, cosigned_at
from events.merkle.proofs import MAX_SIZE
from events.merkle.tree import EMPTY_ROOT
from events.merkle.witnessing import (
    MAX_BYTES,
    MAX_PROOF,
    SIZE_TYPE,
    Submission,
    cosignature,
    encode_signatures,
    size_answered,
)
from services.registry.witness.app import create_app
from services.registry.witness.cosigner import Answer, Cosigner
from services.registry.witness.state import FILE, State, StateUnusable
from tests.support.service import StoppedClock
from tests.support.witnessing import Log, cosigner, leaves, witness_key

LOG = Log()
LEAVES = leaves("main", 40)
ANY_MOMENT = datetime(2026, 11, 24, 9, tzinfo=UTC)
TABLE = {200, 400, 403, 404, 409, 422}


def cosigned(answer: Answer, checkpoint: Checkpoint, key: SigningKey | None = None) -> bool:
    """Whether the answer is the witness's signature of the checkpoint, as a client verifies it."""
    if answer.status != HTTPStatus.OK:
        return False
    cosignature(answer.body, checkpoint.text, (key or witness_key()).verifier)
    return True


def size_said(answer: Answer) -> int:
    assert (answer.status, answer.media_type) == (HTTPStatus.CONFLICT, SIZE_TYPE)
    return size_answered(answer.body)


@pytest.fixture
def witness(tmp_path: Path) -> Cosigner:
    return cosigner(tmp_path / "w", LOG)


def test_a_log_is_cosigned_from_its_first_checkpoint_on_and_as_it_grows(witness: Cosigner):
    for old, size in ((0, 1), (1, 7), (7, 8), (8, 8), (8, 40)):
        answer = witness.answer(LOG.submission(LEAVES, old=old, size=size))
        assert cosigned(answer, LOG.checkpoint(LEAVES, size)), answer


def test_a_cosignature_says_when_it_was_made(tmp_path: Path):
    clock = StoppedClock(ANY_MOMENT)
    answer = cosigner(tmp_path / "w", LOG, clock=clock).answer(LOG.submission(LEAVES, old=0))
    given = cosignature(answer.body, LOG.checkpoint(LEAVES).text, witness_key().verifier)
    assert cosigned_at(given.blob) == int(clock.moment.timestamp())


def test_a_witness_with_two_keys_signs_with_both(tmp_path: Path):
    keys = [witness_key(seed=100), witness_key(seed=101)]
    cosigner(tmp_path / "w", LOG)
    answer = Cosigner(keys, State(tmp_path / "w"), StoppedClock(ANY_MOMENT)).answer(LOG.submission(LEAVES, old=0))
    assert [cosigned(answer, LOG.checkpoint(LEAVES), key) for key in keys] == [True, True]


def test_the_empty_log_is_cosigned_only_with_the_root_of_nothing(witness: Cosigner):
    wrong = Checkpoint(LOG.origin, 0, b"\x00" * 32)
    assert witness.answer(Submission(0, (), LOG.note(wrong)).encode()).status == HTTPStatus.UNPROCESSABLE_ENTITY
    with_proof = Submission(0, (EMPTY_ROOT,), LOG.note(LOG.checkpoint([]))).encode()
    assert witness.answer(with_proof).status == HTTPStatus.UNPROCESSABLE_ENTITY
    for _ in range(2):
        assert cosigned(witness.answer(LOG.submission([], old=0)), LOG.checkpoint([]))
    assert cosigned(witness.answer(LOG.submission(LEAVES, old=0, size=3)), LOG.checkpoint(LEAVES, 3))
    assert size_said(witness.answer(LOG.submission([], old=0))) == 3
    assert witness.answer(Submission(0, (), LOG.note(wrong)).encode()).status == HTTPStatus.UNPROCESSABLE_ENTITY


def test_an_old_size_that_is_not_the_last_is_answered_with_the_last(witness: Cosigner):
    assert size_said(witness.answer(LOG.submission(LEAVES, old=3, size=9))) == 0
    witness.answer(LOG.submission(LEAVES, old=0, size=9))
    for old, size in ((0, 9), (8, 20), (10, 20), (0, 3), (3, 5)):
        assert size_said(witness.answer(LOG.submission(LEAVES, old=old, size=size))) == 9


def test_an_old_size_beyond_the_checkpoint_is_malformed(witness: Cosigner):
    witness.answer(LOG.submission(LEAVES, old=0, size=9))
    assert witness.answer(LOG.submission(LEAVES, old=9, size=8)).status == HTTPStatus.BAD_REQUEST


def test_a_log_that_is_not_known_is_not_found(witness: Cosigner):
    other = Log("log.test/b")
    assert witness.answer(other.submission(LEAVES, old=0)).status == HTTPStatus.NOT_FOUND


def test_a_checkpoint_that_no_trusted_key_signed_is_forbidden(witness: Cosigner):
    checkpoint = LOG.checkpoint(LEAVES)
    stranger = Log(seed=2).key
    forged = LOG.note(checkpoint, SigningKey("someone", 1, b"\x03" * 32))
    bad = LOG.note(checkpoint).replace(f"{len(LEAVES)}\n".encode(), f"{len(LEAVES) + 1}\n".encode())
    twice = bad.splitlines(keepends=True)
    for note in (LOG.note(checkpoint, stranger), forged, bad, b"".join([*twice, twice[-1]])):
        assert witness.answer(Submission(0, (), note).encode()).status == HTTPStatus.FORBIDDEN
    assert cosigned(witness.answer(Submission(0, (), LOG.note(checkpoint, stranger, LOG.key)).encode()), checkpoint)


def test_a_log_may_sign_twice_over(witness: Cosigner):
    checkpoint = LOG.checkpoint(LEAVES)
    note = LOG.note(checkpoint, LOG.key, LOG.key)
    assert cosigned(witness.answer(Submission(0, (), note).encode()), checkpoint)
    assert cosigned(witness.answer(Submission(len(LEAVES), (), note).encode()), checkpoint)


def test_a_proof_that_does_not_verify_is_unprocessable_and_changes_nothing(witness: Cosigner):
    assert (
        witness.answer(Submission(0, (LEAVES[0],), LOG.note(LOG.checkpoint(LEAVES, 5))).encode()).status
        == HTTPStatus.UNPROCESSABLE_ENTITY
    )
    witness.answer(LOG.submission(LEAVES, old=0, size=5))
    fork = leaves("other", 20)
    good = Submission.parse(LOG.submission(LEAVES, old=5, size=20))
    for wrong in (
        LOG.submission(fork, old=5, size=20),
        Submission(5, (), good.note).encode(),
        Submission(5, good.path[:-1], good.note).encode(),
        Submission(5, (*good.path, LEAVES[0]), good.note).encode(),
        Submission(5, (LEAVES[0],), LOG.note(LOG.checkpoint(LEAVES, 5))).encode(),
    ):
        assert witness.answer(wrong).status == HTTPStatus.UNPROCESSABLE_ENTITY
    assert cosigned(witness.answer(good.encode()), LOG.checkpoint(LEAVES, 20))


def test_another_root_at_the_same_size_is_a_conflict_and_kept_as_the_proof_of_two_histories(
    witness: Cosigner, tmp_path: Path
):
    witness.answer(LOG.submission(LEAVES, old=0, size=9))
    fork = leaves("other", 9)
    for old in (9, 0, 4):
        assert size_said(witness.answer(LOG.submission(fork, old=old))) == 9
    (told,) = State(tmp_path / "w").all()
    assert (told.origin, told.size, told.forked_at) == (LOG.origin, 9, ANY)
    assert told.forked_at is not None
    with closing(sqlite3.connect(tmp_path / "w" / FILE)) as connection:
        kept = connection.execute("SELECT one, other FROM fork").fetchall()
    found = [Checkpoint.verified(note, [LOG.key.verifier]) for note in kept[0]]
    assert [one.size for one in found] == [9, 9]
    assert found[0].root != found[1].root


def test_a_log_whose_key_was_removed_is_not_cosigned_and_what_was_cosigned_stays_known(
    witness: Cosigner, tmp_path: Path
):
    state = State(tmp_path / "w")
    witness.answer(LOG.submission(LEAVES, old=0, size=9))
    assert state.remove(LOG.origin, LOG.key.verifier)
    assert not state.remove(LOG.origin, LOG.key.verifier)
    assert witness.answer(LOG.submission(LEAVES, old=9)).status == HTTPStatus.NOT_FOUND
    assert state.add(LOG.origin, LOG.key.verifier, ANY_MOMENT)
    assert not state.add(LOG.origin, LOG.key.verifier, ANY_MOMENT)
    assert size_said(witness.answer(LOG.submission(leaves("other", 5), old=0))) == 9


def test_the_state_refuses_to_go_back_or_to_forget_whoever_asks(witness: Cosigner, tmp_path: Path):
    witness.answer(LOG.submission(LEAVES, old=0, size=9))
    with closing(sqlite3.connect(tmp_path / "w" / FILE)) as connection:
        for statement in (
            "UPDATE checkpoint SET size = 8",
            "UPDATE checkpoint SET root = zeroblob(32)",
            "UPDATE checkpoint SET origin = 'x'",
            "DELETE FROM checkpoint",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="a witness does not"):
                connection.execute(statement)


def test_a_state_that_is_gone_is_never_begun_anew(witness: Cosigner, tmp_path: Path):
    (tmp_path / "w" / FILE).unlink()
    with pytest.raises(StateUnusable):
        witness.answer(LOG.submission(LEAVES, old=0))
    assert not (tmp_path / "w" / FILE).exists()


def test_of_two_that_race_over_one_log_one_is_cosigned(tmp_path: Path):
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        witnesses = [cosigner(folder, LOG), Cosigner([witness_key()], State(folder), StoppedClock(ANY_MOMENT))]
        forks = [LOG.submission(leaves(name, 6), old=0) for name in ("one", "other")]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda pair: pair[0].answer(pair[1]), zip(witnesses, forks, strict=True)))
        assert sorted(answer.status for answer in answers) == [HTTPStatus.OK, HTTPStatus.CONFLICT]


def test_many_at_once_over_one_log_leave_it_at_the_largest_that_was_cosigned(tmp_path: Path):
    witness = cosigner(tmp_path / "w", LOG)
    requests = [LOG.submission(LEAVES, old=0, size=size) for size in range(1, 25)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(witness.answer, requests))
    done = [size for size, answer in enumerate(answers, 1) if answer.status == HTTPStatus.OK]
    assert len(done) == 1
    assert State(tmp_path / "w").all()[0].size == done[0]


class Witnessing(RuleBasedStateMachine):
    """The law: whatever is asked in whatever order, sizes never fall and no two roots at one size are ever cosigned."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.logs = [Log("log.test/a", seed=1), Log("log.test/b", seed=2)]
        self.branches = [leaves("main", 24), leaves("fork", 24, shared=10), leaves("other", 24)]
        self.roots: dict[tuple[str, int], bytes] = {}
        self.sizes = {log.origin: 0 for log in self.logs}

    @initialize()
    def begin(self) -> None:
        self.witness = cosigner(Path(self.folder.name), *self.logs)

    @rule(log=st.integers(0, 1), branch=st.integers(0, 2), old=st.integers(0, 24), size=st.integers(0, 24))
    def is_asked(self, log: int, branch: int, old: int, size: int) -> None:
        self._ask(self.logs[log], branch, old, size)

    @precondition(lambda self: any(self.sizes.values()))
    @rule(log=st.integers(0, 1), branch=st.integers(0, 2), more=st.integers(0, 6))
    def is_asked_from_what_it_cosigned_last(self, log: int, branch: int, more: int) -> None:
        old = self.sizes[self.logs[log].origin]
        self._ask(self.logs[log], branch, old, min(old + more, 24))

    @rule()
    def is_started_again(self) -> None:
        self.witness = cosigner(Path(self.folder.name), *self.logs)

    def _ask(self, log: Log, branch: int, old: int, size: int) -> None:
        answer = self.witness.answer(log.submission(self.branches[branch], old=old, size=size))
        assert answer.status in TABLE
        checkpoint = log.checkpoint(self.branches[branch], size)
        if answer.status != HTTPStatus.OK:
            return
        assert cosigned(answer, checkpoint)
        assert size >= self.sizes[log.origin]
        assert self.roots.setdefault((log.origin, size), checkpoint.root) == checkpoint.root
        for (origin, earlier), root in self.roots.items():
            if origin == log.origin and earlier <= size:
                assert log.checkpoint(self.branches[branch], earlier).root == root
        self.sizes[log.origin] = size

    def teardown(self) -> None:
        self.folder.cleanup()


Witnessing.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
test_whatever_it_is_asked_a_witness_never_goes_back = Witnessing.TestCase

VALID = LOG.submission(LEAVES, old=7, size=20)
LINES = st.sampled_from(
    [b"old 0", b"old 7", b"old 07", b"old -1", b"old 18446744073709551616", b"old", b"", b"=", b"20", b"\xff",
     LOG.origin.encode(), b"log.test/b", *VALID.split(b"\n")]
)  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A request in which some bytes are others, gone, or there twice."""
    raw = bytearray(VALID)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 8))] = draw(st.binary(max_size=8) | st.sampled_from([b"\n", b"\n\n"]))
    return bytes(raw)


REQUESTS = st.binary(max_size=300) | mangled() | st.lists(LINES, max_size=12).map(b"\n".join)


@given(REQUESTS)
def test_whatever_the_bytes_of_a_request_are_there_is_an_answer_of_the_table(raw: bytes):
    with tempfile.TemporaryDirectory() as folder:
        assert cosigner(Path(folder), LOG).answer(raw).status in TABLE


@given(REQUESTS)
def test_reading_a_request_raises_nothing_but_that_it_is_none(raw: bytes):
    try:
        read = Submission.parse(raw)
    except VerificationError:
        return
    assert read.encode() == raw


@given(st.integers(0, MAX_SIZE), st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PROOF), st.binary())
def test_a_request_is_read_as_it_was_written(old: int, path: list[bytes], note: bytes):
    given = Submission(old, tuple(path), note)
    assert Submission.parse(given.encode()) == given


@given(st.binary(max_size=200))
def test_whatever_a_witness_answers_is_a_cosignature_or_a_refusal(raw: bytes):
    text = LOG.checkpoint(LEAVES).text
    for read in (lambda: cosignature(raw, text, witness_key().verifier), lambda: size_answered(raw)):
        try:
            read()
        except VerificationError:
            continue
        assert size_answered(raw) >= 0


@pytest.mark.parametrize("answer", ["", "—", "x\n", "\n", "\n\n— a b\n"])
def test_an_answer_without_the_signature_that_was_asked_for_is_refused(answer: str):
    with pytest.raises(VerificationError):
        cosignature(answer.encode(), LOG.checkpoint(LEAVES).text, witness_key().verifier)


def test_an_answer_may_hold_signatures_of_others():
    text = LOG.checkpoint(LEAVES).text
    others = [witness_key("else", seed=7).sign(text), witness_key().sign(text, 5)]
    assert cosignature(encode_signatures(others), text, witness_key().verifier) == others[1]


def test_of_several_cosignatures_of_one_witness_the_first_is_taken_if_all_are_right():
    text, key = LOG.checkpoint(LEAVES).text, witness_key()
    several = [key.sign(text, 5), key.sign(text, 4)]
    assert cosignature(encode_signatures(several), text, key.verifier) == several[0]
    with pytest.raises(VerificationError):
        cosignature(encode_signatures([*several, key.sign("another", 6)]), text, key.verifier)


BOUNDS = {
    "a proof of 64 lines": Submission(1, (LEAVES[0],) * 64, LOG.note(LOG.checkpoint(LEAVES))).encode(),
    "a size beyond 2^63": Submission(0, (), LOG.note(Checkpoint(LOG.origin, 2**63, LEAVES[0]))).encode(),
    "a size beyond 2^64": Submission(0, (), LOG.note(Checkpoint(LOG.origin, 2**64, LEAVES[0]))).encode(),
    "many signatures": Submission(0, (), LOG.note(LOG.checkpoint(LEAVES), *[LOG.key] * (MAX_SIGNATURES + 1))).encode(),
    "a long line": b"old 0\n\n" + b"x" * MAX_BYTES,
    "no checkpoint": b"old 0\n\n",
    "no newline at its end": VALID[:-1],
    "carriage returns": VALID.replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("what", BOUNDS)
def test_beyond_its_bounds_a_request_is_malformed(witness: Cosigner, what: str):
    assert witness.answer(BOUNDS[what]).status == HTTPStatus.BAD_REQUEST


@given(REQUESTS)
@settings(max_examples=60)
def test_whatever_is_sent_over_http_is_never_answered_with_a_500(raw: bytes):
    async def ask(folder: str) -> httpx.Response:
        app = create_app(cosigner(Path(folder), LOG), 30.0)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://w.test") as client:
            return await client.post("/add-checkpoint", content=raw)

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(ask(folder)).status_code in TABLE


async def test_a_body_that_does_not_come_is_not_waited_for(tmp_path: Path):
    async def stalled() -> AsyncIterator[bytes]:
        yield b"old 0\n"
        await asyncio.Event().wait()

    transport = httpx.ASGITransport(create_app(cosigner(tmp_path / "w", LOG), 0.01))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://w.test") as client:
        answer = await client.post("/add-checkpoint", content=stalled())
    assert (answer.status_code, answer.headers["connection"], answer.text) == (408, "close", "request timeout\n")


async def test_over_http_the_answers_are_those_of_the_table_and_never_a_500(tmp_path: Path):
    app = create_app(cosigner(tmp_path / "w", LOG), 30.0)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://w.test") as client:
        good = await client.post("/add-checkpoint", content=LOG.submission(LEAVES, old=0, size=9))
        assert (good.status_code, good.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        cosignature(good.content, LOG.checkpoint(LEAVES, 9).text, witness_key().verifier)
        moved = await client.post("/add-checkpoint", content=LOG.submission(LEAVES, old=0, size=9))
        assert (moved.status_code, moved.headers["content-type"], moved.text) == (409, SIZE_TYPE, "9\n")
        for what, raw in BOUNDS.items():
            assert (await client.post("/add-checkpoint", content=raw)).status_code in (400, 413), what
        assert (await client.post("/add-checkpoint", content=b"x" * (MAX_BYTES + 1))).status_code == 413
        wrong = await client.get("/add-checkpoint")
        assert (wrong.status_code, set(wrong.headers["allow"].split(", "))) == (405, {"OPTIONS", "POST"})
        assert (await client.post("/")).status_code == 404
        for kind in ("application/json", "multipart/form-data", "nonsense"):
            answer = await client.post("/add-checkpoint", content=VALID, headers={"Content-Type": kind})
            assert answer.status_code == 409
        (tmp_path / "w" / FILE).unlink()
        gone = await client.post("/add-checkpoint", content=VALID)
        assert (gone.status_code, gone.headers["retry-after"]) == (503, "1")
        assert str(tmp_path) not in gone.text
