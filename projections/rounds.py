"""rounds: next stages of discussions, and what became of them."""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_events import RoundHeld
from events.catalogue.cooperation_state import Cooperation, Status
from events.edtf import EdtfDate
from events.sql import load
from events.values import Participant, Place
from projections.commitments import PROMISED, of_event
from projections.model import Change, Filter, Only, ReadModel, Row, bounds, by_date, changes_of, row, some
from projections.titled import TITLED, said, titled
from projections.within import HELD, OF_COOPERATION, OF_PERSON, STATUS, CooperationPart, parties_of, persons_of


class RoundItem(CooperationPart, frozen=True, kw_only=True):
    """A round of discussions as it is served; `window` is null while none was stated."""

    status: Status
    place: Place
    participants: tuple[Participant, ...]
    subject: str
    window: EdtfDate | None
    held: EdtfDate | None
    attended: tuple[Participant, ...]
    outcome: str | None
    changes: tuple[Change, ...]


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a round."""
    for key, one in some(state.rounds, only):
        entry, event = one.scheduled, one.scheduled.event
        last = one.changes[-1].event if one.changes else None
        held = last if isinstance(last, RoundHeld) else None
        item = RoundItem(
            id=key,
            cooperation=state.id,
            status=one.status,
            place=event.place,
            participants=event.participants,
            subject=event.subject,
            window=one.window,
            held=held.held if held else None,
            attended=held.participants if held else (),
            outcome=held.outcome if held else None,
            changes=changes_of(one.changes),
            classification=entry.classification,
            position=entry.position,
            recorded_at=entry.recorded_at,
            citations=event.citations,
            note=event.note,
            corrections=entry.corrections,
        )
        parties = parties_of((*event.participants, *item.attended))
        yield row(
            item,
            by_date(item.held or one.window),
            (
                state.id,
                parties,
                persons_of((*event.participants, *item.attended)),
                event.place.country,
                item.status,
                *bounds(one.window),
                *bounds(item.held),
                *of_event(state, one),
                *titled(event.subject, said(one.changes)),
            ),
        )


ROUNDS = ReadModel(
    name="rounds",
    number=3,
    prefixes=("round",),
    rows={"cooperation": rows},
    columns=(
        "cooperation",
        "parties",
        "persons",
        "country",
        "status",
        "earliest",
        "latest",
        "qualified",
        "held_earliest",
        "held_latest",
        "held_qualified",
        *PROMISED,
        *TITLED,
    ),
    queries=load("projections", "rounds.sql"),
    item=RoundItem,
    filters=(
        *OF_COOPERATION,
        OF_PERSON,
        Filter("country", "country", "country where it takes place"),
        STATUS,
        Filter("window", "dates", "when it is due; a round without a window may be due at any time"),
        HELD,
    ),
)
