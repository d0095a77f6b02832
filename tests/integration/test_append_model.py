"""The log beside a model of it that fits on a page: whatever is sent at once, the outcome is that of some order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from copy import deepcopy
from itertools import count
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from events.errors import AlreadyClaimed, CommandIdReused, WrongExpectedVersion
from events.log import Append, Appended, Claim, Log
from tests.support.check_log import check_log
from tests.support.cluster import Database
from tests.support.recording import command, draft, open_log

Outcome: TypeAlias = tuple[str, object]

STREAMS = ("a", "b", "c")
requests = st.fixed_dictionaries(
    {
        "id": st.integers(0, 8),
        "request": st.sampled_from(["one request"] * 4 + ["another"]),
        "drafts": st.lists(st.tuples(st.sampled_from(STREAMS), st.integers(-1, 3)), min_size=1, max_size=3),
        "claims": st.lists(st.sampled_from("xyz"), unique=True, max_size=2),
    }
)
rounds = st.lists(st.lists(requests, min_size=1, max_size=6), min_size=1, max_size=6)


class Model:
    """What the log must do, one command after the other."""

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}
        self.commands: dict[UUID, bytes] = {}
        self.claims: set[str] = set()

    def outcome(self, said: Append) -> Outcome:
        if said.command_id in self.commands:
            return ("replayed" if self.commands[said.command_id] == said.command_hash else "reused"), None
        expected: dict[str, int] = {}
        for one in said.drafts:
            expected.setdefault(one.stream, one.expected_revision)
        found = {stream: self.revisions.get(stream, -1) for stream in expected}
        if moved := {
            stream: (expected[stream], found[stream]) for stream in expected if expected[stream] != found[stream]
        }:
            return "moved", moved
        if taken := [claim.pointer for claim in said.claims if claim.value in self.claims]:
            return "taken", taken
        return "recorded", None

    def record(self, said: Append) -> None:
        for one in said.drafts:
            self.revisions[one.stream] = self.revisions.get(one.stream, -1) + 1
        self.commands[said.command_id] = said.command_hash
        self.claims |= {claim.value for claim in said.claims}


def named(outcome: Appended | BaseException) -> Outcome:
    match outcome:
        case Appended(replayed=replayed):
            return ("replayed" if replayed else "recorded"), None
        case CommandIdReused():
            return "reused", None
        case WrongExpectedVersion(streams=streams):
            return "moved", streams
        case AlreadyClaimed(problems=problems):
            return "taken", [problem.pointer for problem in problems]
        case _:
            raise outcome


def explain(model: Model, sent: Sequence[Append], outcomes: Sequence[Appended | BaseException]) -> None:
    """Hold what was answered at once against the model: there is an order that gives just these answers."""
    given_ = [named(outcome) for outcome in outcomes]
    recorded = sorted(
        (outcome.entries[0].position, nth)
        for nth, outcome in enumerate(outcomes)
        if isinstance(outcome, Appended) and not outcome.replayed
    )
    states = [deepcopy(model)]
    for _, nth in recorded:
        assert model.outcome(sent[nth]) == ("recorded", None)
        model.record(sent[nth])
        states.append(deepcopy(model))
    for said, outcome in zip(sent, given_, strict=True):
        if outcome[0] != "recorded":
            assert any(state.outcome(said) == outcome for state in states), (outcome, said)


@pytest.fixture
async def logs(database: Database) -> AsyncGenerator[tuple[Log, Log], None]:
    """The same log, opened by two writers."""
    async with await open_log(database.service_dsn) as first, await open_log(database.service_dsn) as second:
        yield first, second
    await check_log(database.service_dsn)


@settings(
    max_examples=80,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(plan=rounds, writers=st.sampled_from([1, 2]))
async def test_what_is_sent_at_once_has_the_outcome_of_some_order(
    logs: tuple[Log, Log], plan: list[list[dict]], writers: int
) -> None:
    namespace, ids, model = uuid4(), [uuid4() for _ in range(9)], Model()
    turn = count()
    answers: dict[UUID, Appended] = {}
    for requested in plan:
        sent = [
            command(
                *(draft(f"{stream}/{namespace}", expected) for stream, expected in one["drafts"]),
                command_id=ids[one["id"]],
                request=one["request"],
                claims=tuple(Claim(str(namespace), value, f"/{value}") for value in one["claims"]),
            )
            for one in requested
        ]
        outcomes = await asyncio.gather(
            *(logs[next(turn) % writers].append(said) for said in sent), return_exceptions=True
        )
        explain(model, sent, outcomes)
        for said, outcome in zip(sent, outcomes, strict=True):
            if isinstance(outcome, Appended):
                first = answers.setdefault(said.command_id, outcome)
                assert (first.entries, first.size) == (outcome.entries, outcome.size)
    for stream in STREAMS:
        found = await logs[0].read_stream(f"{stream}/{namespace}")
        assert [entry.revision for entry in found] == list(range(model.revisions.get(f"{stream}/{namespace}", -1) + 1))
