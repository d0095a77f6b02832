"""agreements: what the parties of a cooperation agreed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

from events.catalogue.cooperation_events import AgreementKind
from events.catalogue.cooperation_state import Cooperation
from events.edtf import EdtfDate
from events.sql import load
from projections.model import Change, Filter, Only, ReadModel, Row, bounds, by_date, changes_of, row, some
from projections.titled import TITLED, said, titled
from projections.within import OF_COOPERATION, OF_TOPICS, CooperationPart, all_parties, kinds_of

AgreementStatus = Literal["in-force", "terminated"]


class AgreementItem(CooperationPart, frozen=True, kw_only=True):
    """An agreement as it is served, on its terms of now; its parties are the cooperation's."""

    kind: AgreementKind
    subject: str
    reached: EdtfDate
    parties: tuple[str, ...]
    topics: tuple[str, ...]
    document: str | None
    status: AgreementStatus
    terminated: EdtfDate | None
    changes: tuple[Change, ...]


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row an agreement."""
    for key, agreement in some(state.agreements, only):
        entry, terms, parties = agreement.reached, agreement.terms, all_parties(state)
        ended = agreement.terminated
        item = AgreementItem(
            id=key,
            cooperation=state.id,
            kind=terms.kind,
            subject=terms.subject,
            reached=entry.event.reached,
            parties=parties,
            topics=terms.topics,
            document=terms.document,
            status="terminated" if ended else "in-force",
            terminated=ended.event.terminated if ended else None,
            changes=changes_of(agreement.changes),
            classification=entry.classification,
            position=entry.position,
            recorded_at=entry.recorded_at,
            citations=entry.event.citations,
            note=entry.event.note,
            corrections=entry.corrections,
        )
        kinds = kinds_of(state, terms.topics)
        columns = (state.id, parties, terms.topics, kinds, terms.kind, item.status)
        found_by = titled(terms.subject, said(agreement.changes))
        yield row(item, by_date(item.reached), (*columns, *bounds(item.reached), *found_by))


AGREEMENTS = ReadModel(
    name="agreements",
    number=1,
    prefixes=("agreement",),
    rows={"cooperation": rows},
    columns=(
        "cooperation",
        "parties",
        "topics",
        "topic_kinds",
        "kind",
        "status",
        "earliest",
        "latest",
        "qualified",
        *TITLED,
    ),
    queries=load("projections", "agreements.sql"),
    item=AgreementItem,
    filters=(
        *OF_COOPERATION,
        *OF_TOPICS,
        Filter("kind", "choice", "kind of agreement", choices=get_args(AgreementKind)),
        Filter("status", "choice", "whether it was terminated", choices=get_args(AgreementStatus)),
        Filter("reached", "dates", "when it was reached"),
    ),
)
