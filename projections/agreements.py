"""agreements: what the parties of a cooperation agreed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from events.catalogue.cooperation_events import AgreementKind, Cooperation
from events.edtf import EdtfDate
from events.sql import load
from projections.model import Filter, Only, ReadModel, Row, bounds, by_date, provenance, row, some
from projections.within import OF_COOPERATION, OF_TOPICS, CooperationPart, all_parties, kinds_of


class AgreementItem(CooperationPart, frozen=True, kw_only=True):
    """An agreement as it is served; its parties are the cooperation's."""

    kind: AgreementKind
    subject: str
    reached: EdtfDate
    parties: tuple[str, ...]
    topics: tuple[str, ...]
    document: str | None


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row an agreement."""
    for key, entry in some(state.agreements, only):
        event, parties = entry.event, all_parties(state)
        item = AgreementItem(
            id=key,
            cooperation=state.id,
            kind=event.kind,
            subject=event.subject,
            reached=event.reached,
            parties=tuple(parties),
            topics=event.topics,
            document=event.document,
            **provenance(entry),
        )
        kinds = kinds_of(state, event.topics)
        sort = by_date(event.reached)
        yield row(item, sort, state.id, parties, list(event.topics), kinds, event.kind, *bounds(event.reached))


AGREEMENTS = ReadModel(
    name="agreements",
    number=1,
    prefixes=("agreement",),
    rows={"cooperation": rows},
    columns=("cooperation", "parties", "topics", "topic_kinds", "kind", "earliest", "latest", "qualified"),
    queries=load("projections", "agreements.sql"),
    item=AgreementItem,
    filters=(
        *OF_COOPERATION,
        *OF_TOPICS,
        Filter("kind", "choice", "kind of agreement", choices=get_args(AgreementKind)),
        Filter("reached", "dates", "when it was reached"),
    ),
)
