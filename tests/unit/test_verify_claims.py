"""What verifying takes an entry to claim is what the catalogue says that it claims."""

from __future__ import annotations

from datetime import date

import pytest

from events.catalogue import AGGREGATES
from events.catalogue.history import EntryCorrected, convert_replacement
from events.codec import EVENT_TYPES
from services.registry.verify.claims import CLAIMING, stated
from tests.golden.examples import EXAMPLES
from tests.support.spec import entries_of, stored


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.event_type)
def test_an_entry_claims_what_the_catalogue_says(event):
    (entry,) = entries_of("party/x", [event], date(2026, 1, 1))
    said = event
    if isinstance(event, EntryCorrected):
        said = convert_replacement(event.replacement, EVENT_TYPES[event.replacement_type])
    expected = {
        claim[:2]
        for aggregate in AGGREGATES.values()
        if type(said) in aggregate.events
        for claim in aggregate.claims(None, said)
    }
    assert stated(stored(entry)) == expected
    assert event.event_type in CLAIMING or not expected


@pytest.mark.parametrize(
    "damaged", [b"", b"\xff", b"{}", b"[]", b'{"type":"registry.meeting-held.v1","data":{}}',
                b'{"type":"registry.party-registered.v1","data":{"identifiers":[1]}}',
                b'{"type":"registry.entry-corrected.v1","data":{"replacement":1,"replacement_type":"x"}}'],
)  # fmt: skip
def test_an_entry_that_is_damaged_claims_nothing(damaged):
    assert stated(damaged) == set()
