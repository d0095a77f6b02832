from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import get_args

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from events.edtf import EdtfDate
from events.entry import MAX_ENTRY_BYTES, Envelope, canonical, canonical_bytes, is_public, leaf_hash, time_text
from events.errors import EntryTooLarge
from events.values import Classification

# Up to the surrogates, so that sorting by code point is sorting by UTF-16 code unit, as RFC 8785 has it.
keys = st.text(st.characters(max_codepoint=0xD7FF), max_size=20)
safe_integers = st.integers(-(2**53) + 1, 2**53 - 1)
leaves = st.none() | st.booleans() | safe_integers | st.text(max_size=50)
json_values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
)
json_objects = st.dictionaries(keys, json_values, max_size=8)


def envelope(data: object) -> Envelope:
    return Envelope(
        specversion="1.0",
        id="01977f3a-0000-7000-8000-000000000000",
        source="https://registry.example",
        type="registry.topic-raised.v1",
        subject="cooperation/coop_00000000000000000000000001",
        time="2019-06-19T10:00:00.000000Z",
        datacontenttype="application/json",
        dataschema="https://registry.example/v1/schemas/registry.topic-raised.v1",
        sequence="0",
        revision=0,
        commandid="01977f3a-0000-7000-8000-000000000001",
        commandhash="00" * 32,
        actor="ministry",
        classification="public",
        data=data,
    )


def envelope_of(size: int) -> Envelope:
    """Make an envelope whose canonical form has exactly `size` bytes."""
    return envelope("x" * (size - len(canonical_bytes(envelope("")))))


@given(json_objects)
def test_what_is_stored_is_in_the_canonical_form_of_rfc_8785(value):
    assert canonical.encode(value) == rfc8785.dumps(value)


@given(json_objects)
def test_an_entry_is_in_the_canonical_form_of_rfc_8785(data):
    encoded = canonical_bytes(envelope(data))
    assert encoded == rfc8785.dumps(json.loads(encoded))
    assert json.loads(encoded)["data"] == data


def test_every_character_that_json_escapes_is_written_as_rfc_8785_has_it():
    text = "".join(map(chr, range(0x100))) + "\u2028\u2029\ufeff\U0001f600"
    assert canonical.encode(text) == rfc8785.dumps(text)


def test_keys_beyond_the_surrogates_would_sort_otherwise_so_they_are_never_used():
    value = {"\ue000": 1, "\U00010000": 2}
    assert canonical.encode(value) != rfc8785.dumps(value)
    assert all(field.isascii() for field in Envelope.__struct_fields__)


def test_a_date_is_stored_as_it_was_stated():
    assert canonical.encode({"held": EdtfDate.parse("2019-06?")}) == b'{"held":"2019-06?"}'


def test_what_has_no_json_form_is_not_stored():
    with pytest.raises(TypeError, match="no JSON form for complex"):
        canonical.encode({"held": 1j})


def test_attributes_that_are_not_stated_are_left_out():
    assert {"onbehalfof", "correlationid", "causationid"}.isdisjoint(json.loads(canonical_bytes(envelope({}))))


def test_an_entry_of_65535_bytes_is_the_largest():
    assert len(canonical_bytes(envelope_of(65_535))) == MAX_ENTRY_BYTES == 65_535


def test_an_entry_of_65536_bytes_is_too_large():
    with pytest.raises(EntryTooLarge, match="65536 bytes; at most 65535"):
        canonical_bytes(envelope_of(65_536))


def test_the_limit_is_in_bytes_not_in_characters():
    with pytest.raises(EntryTooLarge):
        canonical_bytes(envelope("é" * 40_000))


@given(
    st.sampled_from(get_args(Classification)),
    st.text(st.characters(exclude_categories=["Cs"])) | st.just('","classification":"public","'),
    st.none() | st.just("01977f3a-0000-7000-8000-000000000002"),
    json_objects,
)
def test_that_an_entry_is_public_is_told_by_its_bytes(classification, actor, causation, data):
    data |= {"classification": "public", "actor": "ministry"}
    more = {"causationid": causation, "correlationid": causation, "onbehalfof": actor}
    entry = replace(envelope(data), classification=classification, actor=actor, **more)
    assert is_public(canonical_bytes(entry)) == (classification == "public")


@pytest.mark.parametrize(
    "entry",
    [b"", b"{}", b'{"classification":"public"}', b'{"actor":"a","auth":"x","classification":"public","data":{}}'],
)
def test_what_is_not_known_to_be_public_is_not_public(entry):
    assert not is_public(entry)


def test_a_leaf_is_hashed_with_the_prefix_of_rfc_6962():
    assert leaf_hash(b"entry") == hashlib.sha256(b"\x00entry").digest()
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2019, 6, 19, 10, 0, tzinfo=UTC), "2019-06-19T10:00:00.000000Z"),
        (datetime(2019, 6, 19, 10, 0, 0, 1, tzinfo=UTC), "2019-06-19T10:00:00.000001Z"),
        (datetime(2019, 6, 20, 1, 30, tzinfo=timezone(timedelta(hours=4))), "2019-06-19T21:30:00.000000Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_six_digits_of_microseconds(moment, text):
    assert time_text(moment) == text
