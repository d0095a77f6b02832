"""Entries are examined together to take less time: nothing is found, or missed, that would not be one by one."""

from __future__ import annotations

import json
from itertools import pairwise
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.verify import examine
from services.registry.verify.chunk import Bundle, Chunk
from tests.support.exported import entries

SIZE = 12
GOOD = entries(SIZE)


@st.composite
def altered(draw: st.DrawFn) -> bytes | None:
    """Draw an entry that is as it was, is not there, is written otherwise, says something else, or is none."""
    number = draw(st.integers(0, SIZE - 1))
    entry = GOOD[number]
    said = json.loads(entry)
    field = draw(st.sampled_from(sorted(said.keys() - {"actor"})))  # whose text may be any
    at = draw(st.integers(0, len(entry)))
    return draw(
        st.sampled_from(
            [
                entry,
                None,
                entry + b"\n",
                b" " + entry,
                entry.replace(b"/", b"\\/"),
                entry.replace(b'"data":{', b'"data":{ '),
                entry.replace(b'"data":{', b'"data":{"zz":1,'),
                entry.replace(b'"data":{', b'"data":{"0":1.50,'),
                json.dumps(said, separators=(",", ":")).encode(),
                json.dumps(dict(reversed(said.items())), separators=(",", ":")).encode(),
                json.dumps(said).encode(),
                json.dumps(said | {field: "a\nb"}, separators=(",", ":"), sort_keys=True).encode(),
                json.dumps(said | {field: None}, separators=(",", ":"), sort_keys=True).encode(),
                json.dumps(said | {"zz": 1}, separators=(",", ":"), sort_keys=True).encode(),
                entry[:at] + entry[at + 1 :],
                entry[:at] + b"\xff" + entry[at:],
                b"",
            ]
        )
    )


@given(st.dictionaries(st.integers(0, SIZE - 1), altered(), max_size=3))
def test_entries_show_together_what_each_shows(changes: dict[int, bytes | None]):
    singles = tuple(changes.get(number, entry) for number, entry in enumerate(GOOD))
    chunk = Chunk((Bundle(0, SIZE, None, None, singles=singles),))
    together = examine.examine(chunk)
    with mock.patch.object(examine, "_plainly", return_value=[]):
        assert examine.examine(chunk) == together
    assert bool(together.findings.count) or singles == tuple(GOOD)


@pytest.mark.parametrize(
    "said", ['{"b":1, "a":2}', '{"b":1,"a":2}', '{"a":1,"a":2}', '{"a":"\\u0041"}', '{"a":1.0}', '{"a":[ ]}']
)
def test_what_an_entry_says_otherwise_than_in_canonical_form_is_named_if_it_is_looked_into(said: str):
    data = json.dumps(json.loads(GOOD[3])["data"], separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    stored = [*GOOD[:3], GOOD[3].replace(data, said.encode()), *GOOD[4:]]
    chunk = Chunk((Bundle(0, SIZE, None, None, singles=tuple(stored)),))
    (found,) = examine.examine(chunk).findings.kept
    assert (found.code, found.position) == ("entry-not-canonical", 3)
    assert examine.examine(Chunk(chunk.bundles, events=False)).findings.count == 0


@given(st.lists(st.sampled_from(GOOD), min_size=1, max_size=SIZE), st.integers(0, SIZE))
def test_of_a_command_whose_entries_do_not_share_their_hash_each_is_named(some: list[bytes], at: int):
    wrong = [json.loads(one) | {"sequence": str(number)} for number, one in enumerate(some)]
    if at < len(wrong):
        wrong[at] |= {"commandhash": "ab" * 32}
    stored = tuple(json.dumps(one, separators=(",", ":"), sort_keys=True).encode() for one in wrong)
    found = examine.examine(Chunk((Bundle(0, len(stored), None, None, singles=stored),))).findings
    differing = {
        number
        for number, (before, one) in enumerate(pairwise(wrong), 1)
        if before["commandid"] == one["commandid"] and before["commandhash"] != one["commandhash"]
    }
    assert {one.position for one in found.kept if one.code == "command-hash-differs"} == differing
