from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue.party import PartyRegistered
from events.catalogue.source import SOURCE, SourceFiled, SourceWithdrawn
from events.edtf import EdtfDate
from events.errors import AlreadyExists, NotFound
from events.errors import SourceWithdrawn as IsWithdrawn
from tests.support.spec import Specification, entries_of, fold, made_id

TODAY = date(2019, 6, 19)
SOURCE_ID = made_id("src", 1)
STREAM = f"source/{SOURCE_ID}"
given = Specification(SOURCE, STREAM, TODAY).given

REPORT = SourceFiled(
    title="Yearly report",
    publisher="Harbour Gazette",
    published=EdtfDate.parse("2019-06-19"),
    language="en",
    media_type="text/plain",
    sha256="ab" * 32,
    size=1200,
)
WITHDRAWN = SourceWithdrawn(authority="Coastal court", reason="It was not theirs to print.")


def test_a_source_is_filed():
    given().when(REPORT).then(REPORT)


def test_a_source_is_filed_once():
    given(REPORT).when(replace(REPORT, title="Yearly report, second printing")).then_refused(AlreadyExists, "/id")


def test_a_source_is_withdrawn():
    given(REPORT).when(WITHDRAWN).then(WITHDRAWN)


def test_nothing_is_withdrawn_that_was_not_filed():
    given().when(WITHDRAWN).then_refused(NotFound)


@pytest.mark.parametrize("again", [WITHDRAWN, replace(WITHDRAWN, reason="again")], ids=["the same", "another reason"])
def test_a_source_is_withdrawn_once(again):
    given(REPORT, WITHDRAWN).when(again).then_refused(IsWithdrawn)


def test_a_source_that_was_withdrawn_is_not_filed_again():
    given(REPORT, WITHDRAWN).when(REPORT).then_refused(AlreadyExists, "/id")


def test_the_state_keeps_what_was_filed_beside_its_withdrawal():
    entries = entries_of(STREAM, [REPORT, WITHDRAWN], TODAY)
    source = fold(SOURCE, entries)
    assert (source.filed, source.withdrawn, source.touched) == (*entries, (SOURCE_ID,))


def test_the_state_keeps_the_entry_that_filed_it():
    (entry,) = entries_of(STREAM, [REPORT], TODAY)
    source = fold(SOURCE, [entry])
    assert (source.id, source.filed, source.touched) == (SOURCE_ID, entry, (SOURCE_ID,))


def test_an_event_of_another_aggregate_is_not_folded():
    stray = PartyRegistered(name="Halden Works", kind="company", country="NO")
    with pytest.raises(TypeError, match=r"party-registered\.v1 is no event of a source"):
        fold(SOURCE, entries_of(STREAM, [stray], TODAY))
    with pytest.raises(TypeError, match=r"party-registered\.v1 is no event of a source"):
        fold(SOURCE, entries_of(STREAM, [REPORT, stray], TODAY))


def test_a_stream_that_begins_with_a_withdrawal_is_not_folded():
    with pytest.raises(TypeError, match=r"source-withdrawn\.v1 is no event of a source here"):
        fold(SOURCE, entries_of(STREAM, [WITHDRAWN], TODAY))
