"""Bytes that are no entry of ours. How entries are read that are: see test_golden."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.codec import decode_entry
from events.errors import Corrupt
from tests.golden import files


@given(st.binary() | st.sampled_from([b"[" * 100_000, b'{"data":' * 50_000, b'{"type":"\xff"}', b'{"\xed\xa0\x80":1}']))
def test_bytes_that_are_no_entry_are_corrupt(stored):
    with pytest.raises(Corrupt):
        decode_entry(stored)


GOOD = json.loads(files.read()["registry.topic-raised.v1"]["entries"][0]["bytes"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "registry.topic-raised.v99"),
        ("type", None),
        ("sequence", "x"),
        ("sequence", "-1"),
        ("sequence", "01"),
        ("sequence", "١"),
        ("sequence", 41),
        ("revision", "7"),
        ("classification", "secret"),
        ("data", {}),
        ("data", None),
        ("data", GOOD["data"] | {"unheard_of": 1}),
        ("data", GOOD["data"] | {"note": ""}),
    ],
    ids=repr,
)
def test_an_entry_with_a_field_that_cannot_be_is_corrupt(field, value):
    assert decode_entry(json.dumps(GOOD).encode())
    with pytest.raises(Corrupt):
        decode_entry(json.dumps(GOOD | {field: value}).encode())


@pytest.mark.parametrize("field", ["type", "subject", "sequence", "revision", "time", "classification", "data"])
def test_an_entry_that_lacks_what_a_fold_needs_is_corrupt(field):
    with pytest.raises(Corrupt):
        decode_entry(json.dumps({key: value for key, value in GOOD.items() if key != field}).encode())
