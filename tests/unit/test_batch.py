"""Batches are put together without a database: entries, order, tree, and what does not fit."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.entry import MAX_ENTRY_BYTES, Envelope, canonical_bytes, leaf_hash
from events.errors import EntryTooLarge
from events.log import Append, Claim, Draft, Head
from events.log.batch import Batch
from events.log.encoding import EntryEncoder, entry_bytes
from events.log.preparation import Waiting
from events.merkle.tree import Frontier, root_of
from events.values import Classification
from tests.support.recording import command, draft, note

NOW = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
EMPTY = Head(0, Frontier(), None)


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def wait_for(loop: asyncio.AbstractEventLoop, said: Append) -> Waiting:
    return Waiting(said, EntryEncoder("registry.test/log"), loop.create_future(), 0.0)


def batch_of(loop: asyncio.AbstractEventLoop, *commands: Append, head: Head = EMPTY) -> Batch:
    return Batch.of([wait_for(loop, said) for said in commands], (), head, NOW)


awkward = st.text() | st.sampled_from(['"sequence":"', '"time":"9999-12-31T23:59:59.999999Z"', "\\", "\u2028", "é"])


@given(
    stream=awkward,
    kind=awkward.filter(lambda text: "\ue000" not in text),
    data=st.dictionaries(st.sampled_from(["sequence", "time", "a"]), awkward | st.just("9" * 19)),
    position=st.integers(0, 2**63 - 1),
)
def test_an_entry_is_canonical_whatever_its_texts_are(stream: str, kind: str, data: dict[str, str], position: int):
    said = command(Draft(stream=stream, expected_revision=6, event_type=kind, data=data))
    ((columns, form),), size = EntryEncoder("registry.test/log").entries(said, said.command_id, {})
    stored = entry_bytes(form, position, b"2026-11-24T12:00:00.123456Z")
    assert len(stored) <= size
    envelope = json.loads(stored)
    assert rfc8785.dumps(envelope) == stored
    assert envelope["sequence"] == str(position)
    assert envelope["time"] == "2026-11-24T12:00:00.123456Z"
    assert (envelope["subject"], envelope["type"], envelope["data"]) == (stream, kind, data)
    assert columns[:2] == (stream, 7)


def test_a_batch_goes_on_from_the_head(loop: asyncio.AbstractEventLoop):
    before = [hashlib.sha256(bytes([nth])).digest() for nth in range(5)]
    frontier = Frontier()
    for leaf in before:
        frontier = frontier.append(leaf)
    batch = batch_of(loop, note("a/1", 3, events=2), note("a/2"), head=Head(5, frontier, NOW))
    answers = [appended for _, appended in batch.answers()]
    entries = [entry for appended in answers for entry in appended.entries]
    assert [(entry.position, entry.revision) for entry in entries] == [(5, 4), (6, 5), (7, 0)]
    assert [appended.size for appended in answers] == [7, 8]
    assert batch.after.size == batch.after.frontier.size == 8
    assert batch.after.frontier.root() == root_of([*before, *(leaf_hash(entry.bytes) for entry in entries)])


def test_time_is_the_heads_when_the_clock_is_behind(loop: asyncio.AbstractEventLoop):
    later = NOW.replace(year=2027)
    batch = batch_of(loop, note("a/1"), head=Head(0, Frontier(), later))
    assert batch.recorded_at == later


def test_commands_that_do_not_fit_are_held(loop: asyncio.AbstractEventLoop):
    first = command(draft("a/1"), claims=(Claim("scope", "value"),))
    held = [
        note("a/1", -1),  # the revision that the first has taken
        note("a/1", 1),  # one that nobody has got to
        command(draft("a/2"), claims=(Claim("scope", "value"),)),
        note("a/3", command_id=first.command_id),
    ]
    batch = batch_of(loop, first, *held, note("a/1", 0))
    assert [waiting.command for waiting in batch.held] == held
    assert batch.entries == 2


def test_commands_that_nobody_waits_for_are_left_out(loop: asyncio.AbstractEventLoop):
    waiting = [wait_for(loop, note(f"a/{nth}")) for nth in range(3)]
    waiting[1].future.cancel()
    batch = Batch.of(waiting, (), EMPTY, NOW)
    assert batch.included == [waiting[0], waiting[2]]
    assert batch.held == []


def test_what_is_set_aside_is_held(loop: asyncio.AbstractEventLoop):
    waiting = [wait_for(loop, note(f"a/{nth}")) for nth in range(3)]
    batch = Batch.of(waiting, {waiting[1]}, EMPTY, NOW)
    assert batch.held == [waiting[1]]


def test_the_largest_entry_there_may_be_fits_at_the_last_position_there_can_be(loop: asyncio.AbstractEventLoop):
    (_, form), *_ = wait_for(loop, command(draft("a/1", text=""))).entries
    overhead = len(entry_bytes(form, 10**19 - 1, b"2026-11-24T12:00:00.123456Z"))
    (_, form), *_ = wait_for(loop, command(draft("a/1", text="x" * (MAX_ENTRY_BYTES - overhead)))).entries
    assert len(entry_bytes(form, 10**19 - 1, b"2026-11-24T12:00:00.123456Z")) == MAX_ENTRY_BYTES
    with pytest.raises(EntryTooLarge):
        wait_for(loop, command(draft("a/1", text="x" * (MAX_ENTRY_BYTES - overhead + 1))))


def test_an_envelope_is_that_of_the_entry_module(loop: asyncio.AbstractEventLoop):
    """The bytes that are cut and joined are those that encoding the finished envelope gives."""
    batch = batch_of(loop, note("a/1"))
    (_, appended), *_ = batch.answers()
    stored = appended.entries[0].bytes
    assert canonical_bytes(msgspec.json.decode(stored, type=Envelope)) == stored


@given(
    actor=awkward,
    optional=st.tuples(st.none() | awkward, st.none() | awkward, st.none() | awkward),
    classification=st.sampled_from(get_args(Classification)),
    texts=st.lists(awkward, min_size=1, max_size=3),
)
def test_an_envelope_says_on_whose_account_an_entry_is(
    actor: str,
    optional: tuple[str | None, str | None, str | None],
    classification: Classification,
    texts: list[str],
):
    behalf, correlation, causation = optional
    drafts = [draft("a/%s", text=text, classification=classification) for text in texts]
    said = command(*drafts, on_behalf_of=behalf, correlation_id=correlation, causation_id=causation)
    said = replace(said, actor=actor)
    entries, size = EntryEncoder("registry.test/100%b").entries(said, said.command_id, {})
    stored = [entry_bytes(form, 5, b"2026-11-24T12:00:00.123456Z") for _, form in entries]
    assert size >= sum(len(one) for one in stored)
    for revision, (one, ((_, _, identifier, *_), _)) in enumerate(zip(stored, entries, strict=True)):
        envelope = Envelope(
            specversion="1.0",
            id=str(identifier),
            source="https://registry.test/100%b",
            type="registry.noted.v1",
            subject="a/%s",
            time="2026-11-24T12:00:00.123456Z",
            datacontenttype="application/json",
            dataschema="https://registry.test/100%b/v1/schemas/registry.noted.v1",
            sequence="5",
            revision=revision,
            commandid=str(said.command_id),
            commandhash=said.command_hash.hex(),
            actor=actor,
            classification=classification,
            data={"text": texts[revision]},
            onbehalfof=behalf,
            correlationid=correlation,
            causationid=causation,
        )
        assert one == canonical_bytes(envelope)


said_of = st.tuples(
    st.sampled_from(["a/1", "a/2"]),
    st.sampled_from(["registry.noted.v1", "registry.said.v1"]),
    st.sampled_from(get_args(Classification)),
)


@given(drafts=st.lists(said_of, min_size=1, max_size=6))
def test_what_the_entries_of_a_command_do_not_have_in_common_is_each_ones_own(
    drafts: list[tuple[str, str, Classification]],
):
    said = command(
        *(
            Draft(stream=stream, expected_revision=6, event_type=kind, data={"nth": nth}, classification=classification)
            for nth, (stream, kind, classification) in enumerate(drafts)
        )
    )
    first: dict[str, int] = {}
    entries, _ = EntryEncoder("registry.test/log").entries(said, said.command_id, first)
    streams = [stream for stream, _, _ in drafts]
    assert first == dict.fromkeys(streams, 6)
    for nth, ((stream, kind, classification), (columns, form)) in enumerate(zip(drafts, entries, strict=True)):
        stored = entry_bytes(form, nth, b"2026-11-24T12:00:00.123456Z")
        envelope = msgspec.json.decode(stored, type=Envelope)
        assert canonical_bytes(envelope) == stored
        revision = 7 + streams[:nth].count(stream)
        assert columns == (stream, revision, UUID(envelope.id), kind, said.command_id, nth, classification)
        assert (envelope.subject, envelope.revision, envelope.type) == (stream, revision, kind)
        assert envelope.dataschema == f"https://registry.test/log/v1/schemas/{kind}"
        assert (envelope.classification, envelope.data) == (classification, {"nth": nth})


@pytest.mark.parametrize("kind", ["\ue000data\ue000", "registry.\ue000sequence\ue000.v1"])
def test_a_type_that_is_taken_for_a_place_in_the_envelope_is_refused(loop: asyncio.AbstractEventLoop, kind: str):
    with pytest.raises(ValueError, match="no type of an event"):
        wait_for(loop, command(Draft(stream="a/1", expected_revision=-1, event_type=kind, data={})))
