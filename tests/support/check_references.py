"""Part of the oracle: what any stream refers to is there, and mergers and wholes go round in no circle.

Unlike the rest of the oracle this reads the log with the catalogue's own decoder and fold: what a history amounts to
is theirs to say. What it holds against the writer is that streams agree with each other, which no stream's own rules
see.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from events.catalogue import AGGREGATES, Entry
from events.catalogue.aggregate import references
from events.catalogue.history import ever_said, fold, in_force
from events.catalogue.party import Party
from events.codec import decode_entry
from tests.support.check_log import Connection, Summary


async def what_is_referred_to_is_there(connection: Connection, _: Summary) -> None:
    """A check for `check_log`."""
    streams: dict[str, list[Entry[Any]]] = defaultdict(list)
    async for row in connection.cursor("SELECT bytes FROM log.entry ORDER BY position"):
        entry = decode_entry(row["bytes"])
        streams[entry.stream].append(entry)
    states = {stream: fold(AGGREGATES[stream.partition("/")[0]], entries) for stream, entries in streams.items()}
    for stream, entries in streams.items():
        for position, event in in_force(entries):
            for leaf in references(event):
                there = states.get(f"{leaf.kind}/{leaf.value}")
                assert there is not None, f"entry {position} of {stream} refers to {leaf.kind} {leaf.value}: none"
    parties = {key: state for key, state in states.items() if isinstance(state, Party)}
    into = {key: f"party/{one.merged.event.into}" for key, one in parties.items() if one.merged is not None}
    whole = {key: f"party/{one.details.part_of}" for key, one in parties.items() if one.details.part_of is not None}
    for ways in (into, whole):
        for start in ways:
            assert not _goes_round(start, ways), f"{start} comes back to itself"


def _goes_round(start: str, ways: Mapping[str, str]) -> bool:
    seen, at = {start}, ways.get(start)
    while at is not None and at not in seen:
        seen.add(at)
        at = ways.get(at)
    return at is not None


async def what_was_claimed_is_one_things(connection: Connection, _: Summary) -> None:
    """A check for `check_log`: what entries claim is kept, and an identifier in force is of one party by now."""
    streams: dict[str, list[Entry[Any]]] = defaultdict(list)
    async for row in connection.cursor("SELECT bytes FROM log.entry ORDER BY position"):
        entry = decode_entry(row["bytes"])
        streams[entry.stream].append(entry)
    kept = {(row["scope"], row["value"]) for row in await connection.fetch("SELECT scope, value FROM log.claim")}
    into: dict[str, str] = {}
    having: dict[tuple[str, str], set[str]] = defaultdict(set)
    for stream, entries in streams.items():
        aggregate = AGGREGATES[stream.partition("/")[0]]
        for event in ever_said(entries):
            missing = {claim[:2] for claim in aggregate.claims(None, event)} - kept
            assert not missing, f"{stream} has what is not claimed: {missing}"
        for _position, event in in_force(entries):
            for claim in aggregate.claims(None, event):
                having[claim[:2]].add(stream)
        state = fold(aggregate, entries)
        if isinstance(state, Party) and state.merged is not None:
            into[stream] = f"party/{state.merged.event.into}"
    for claim, of in having.items():
        survivors = {_survivor(stream, into) for stream in of}
        assert len(survivors) == 1, f"{claim} belongs to {sorted(survivors)}"


def _survivor(stream: str, into: Mapping[str, str]) -> str:
    while stream in into:
        stream = into[stream]
    return stream
