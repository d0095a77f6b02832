"""Bytes that are no entry of ours, or a newer program's. How entries are read that are ours: see test_golden."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue.cooperation_events import TopicRaised
from events.codec import decode_entries, decode_entry
from events.entry import canonical
from events.errors import Corrupt, EntryTooNew, InvalidField
from events.shape import convert
from tests.golden import files
from tests.support.forms import DATA


@given(st.binary() | st.sampled_from([b"[" * 100_000, b'{"data":' * 50_000, b'{"type":"\xff"}', b'{"\xed\xa0\x80":1}']))
def test_bytes_that_are_no_entry_are_corrupt(stored):
    with pytest.raises(Corrupt):
        decode_entry(stored)


GOOD = json.loads(files.read()["registry.topic-raised.v1"]["entries"][0]["bytes"])


@pytest.mark.parametrize(
    ("field", "value"),
    [
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
        ("data", GOOD["data"] | {"note": ""}),
        ("data", GOOD["data"] | {"note": "", "unheard_of": 1}),
        ("data", GOOD["data"] | {"topic": None}),
        ("data", GOOD["data"] | {"citations": {}}),
        ("data", [GOOD["data"]]),
    ],
    ids=repr,
)
def test_an_entry_with_a_field_that_cannot_be_is_corrupt(field, value):
    assert decode_entry(json.dumps(GOOD).encode())
    with pytest.raises(Corrupt) as raised:
        decode_entry(json.dumps(GOOD | {field: value}).encode())
    assert type(raised.value) is Corrupt


@pytest.mark.parametrize("field", ["type", "subject", "sequence", "revision", "time", "classification", "data"])
def test_an_entry_that_lacks_what_a_fold_needs_is_corrupt(field):
    with pytest.raises(Corrupt):
        decode_entry(json.dumps({key: value for key, value in GOOD.items() if key != field}).encode())


def test_of_a_page_it_is_told_which_entry_cannot_be_decoded():
    bad = canonical.encode(GOOD | {"sequence": "42", "data": GOOD["data"] | {"note": "", "sequence": "7"}})
    page = [canonical.encode(GOOD), bad, canonical.encode(GOOD)]
    with pytest.raises(Corrupt, match=r"^entry 42 cannot be decoded: "):
        decode_entries(iter(page))
    with pytest.raises(Corrupt, match=r"^an entry cannot be decoded: "):
        decode_entries([page[0], b"{}"])


# Entries of a newer program


@pytest.mark.parametrize("event_type", ["registry.topic-raised.v2", "registry.topic-raised.v99", "registry.war-won.v1"])
def test_a_type_that_is_not_known_is_a_newer_program_s(event_type):
    with pytest.raises(EntryTooNew, match=event_type):
        decode_entry(json.dumps(GOOD | {"type": event_type}).encode())


def entry(event_type: str, **changes: object) -> bytes:
    """Return a golden entry with other data."""
    golden = json.loads(files.read()[event_type]["entries"][0]["bytes"])
    return json.dumps(golden | {"data": golden["data"] | changes}).encode()


def with_(kind: str, event_type: str, field: str, at: int | None = None) -> object:
    """Return a field of a golden entry, an object or one of an array, with something in it that is not known yet."""
    held = files.read()[event_type]["entries"][0]["data"][field]
    if at is None:
        return held | {"unheard_of": kind}
    return [one | {"unheard_of": kind} if number == at else one for number, one in enumerate(held)]


@pytest.mark.parametrize(
    ("event_type", "changes"),
    [
        ("registry.topic-raised.v1", {"unheard_of": {"a": [1]}}),
        ("registry.topic-raised.v1", {"unheard_of": 1, "unseen": None}),
        ("registry.topic-raised.v1", {"topic": with_("object", "registry.topic-raised.v1", "topic")}),
        ("registry.meeting-held.v1", {"place": with_("object", "registry.meeting-held.v1", "place")}),
        ("registry.meeting-held.v1", {"participants": with_("item", "registry.meeting-held.v1", "participants", 1)}),
        ("registry.roadmap-agreed.v1", {"milestones": with_("item", "registry.roadmap-agreed.v1", "milestones", 0)}),
        ("registry.entry-corrected.v1", {"replacement": with_("it", "registry.entry-corrected.v1", "replacement")}),
    ],
    ids=[
        "a field",
        "two fields",
        "in an object",
        "in an optional object",
        "in an array",
        "in another",
        "in a replacement",
    ],
)
def test_what_a_newer_program_added_to_a_version_is_passed_over(event_type, changes):
    assert decode_entry(entry(event_type, **changes)) == decode_entry(entry(event_type))


def test_what_clients_send_is_not_passed_over():
    with pytest.raises(InvalidField):
        convert(DATA[TopicRaised] | {"unheard_of": 1}, TopicRaised)


def test_a_correction_that_brings_an_unknown_type_is_a_newer_program_s():
    with pytest.raises(EntryTooNew, match=r"visit-rescheduled\.v2"):
        decode_entry(entry("registry.entry-corrected.v1", replacement_type="registry.visit-rescheduled.v2"))


def test_a_correction_that_brings_no_event_of_its_type_is_corrupt():
    with pytest.raises(Corrupt):
        decode_entry(entry("registry.entry-corrected.v1", replacement={"window": "2031"}))


# Pages


ENTRIES = [one["bytes"].encode() for golden in files.read().values() for one in golden["entries"]]


@given(st.lists(st.sampled_from(ENTRIES), max_size=20))
def test_a_page_is_decoded_as_its_entries_are(stored):
    assert decode_entries(stored) == [decode_entry(one) for one in stored]


@given(st.lists(st.sampled_from(ENTRIES), max_size=5), st.lists(st.sampled_from(ENTRIES), max_size=5), st.data())
def test_a_page_cannot_be_decoded_if_one_of_its_entries_cannot(before, after, data):
    bad = data.draw(
        st.sampled_from(
            [
                entry("registry.topic-raised.v1", note="\x07"),
                entry("registry.meeting-held.v1", meeting_id="meeting_1"),
                entry("registry.topic-raised.v1", note=""),
                json.dumps(GOOD | {"sequence": "01"}).encode(),
                b"{}",
            ]
        )
    )
    for stored in ([bad], [*before, bad, *after]):
        with pytest.raises(Corrupt):
            decode_entries(stored)


@pytest.mark.parametrize("event_type", files.read())
def test_an_entry_is_read_alike_however_its_json_is_written(event_type):
    stored = files.read()[event_type]["entries"][0]["bytes"]
    turned = dict(reversed(json.loads(stored).items()))
    for written in (json.dumps(turned), json.dumps(turned, indent=1), json.dumps(json.loads(stored), indent=1)):
        assert decode_entry(written.encode()) == decode_entry(stored.encode())


def test_what_only_looks_like_the_type_at_the_end_misleads_nobody():
    stored = json.dumps(GOOD | {"type": "registry.topic-raised.v1"}, separators=(",", ":"))
    for other in ("registry.cooperation-opened.v1", "registry.topic-raised.v2", "registry.entry-retracted.v1"):
        longer = stored.removesuffix("}") + ',"x\\"type":"' + other + '"}'
        assert decode_entry(longer.encode()) == decode_entry(stored.encode())
    resumed = json.loads(files.read()["registry.cooperation-resumed.v1"]["entries"][0]["bytes"])
    longer = (
        json.dumps(resumed, separators=(",", ":")).removesuffix("}")
        + ',"x\\"type":"registry.cooperation-suspended.v1"}'
    )
    assert type(decode_entry(longer.encode()).event).event_type == "registry.cooperation-resumed.v1"
