from __future__ import annotations

from datetime import date

import pytest
from msgspec.structs import replace

from events.catalogue.party import PartyRegistered
from events.catalogue.source import SOURCE, SourceFiled
from events.edtf import EdtfDate
from events.errors import AlreadyExists
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


def test_a_source_is_filed():
    given().when(REPORT).then(REPORT)


def test_a_source_is_filed_once():
    given(REPORT).when(replace(REPORT, title="Yearly report, second printing")).then_refused(AlreadyExists, "/id")


def test_the_state_keeps_the_entry_that_filed_it():
    (entry,) = entries_of(STREAM, [REPORT], TODAY)
    source = fold(SOURCE, [entry])
    assert (source.id, source.filed, source.touched) == (SOURCE_ID, entry, (SOURCE_ID,))


def test_an_event_of_another_aggregate_is_not_folded():
    stray = PartyRegistered(name="Halden Works", kind="company", country="NO")
    with pytest.raises(TypeError, match=r"party-registered\.v1 is no event of a source"):
        fold(SOURCE, entries_of(STREAM, [stray], TODAY))
