"""milestones: what the steps of roadmaps are called.

They are served within their roadmap, and as commitments while they are open: here is what they are found by.
"""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_state import Cooperation
from events.sql import load
from projections.model import Only, ReadModel, Row, some
from projections.titled import TITLED, titled


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row a milestone, without a body."""
    for key, milestone in some(state.milestones, only):
        yield Row(id=key, body=b"", sort="", columns=(state.id, *titled(milestone.title)))


MILESTONES = ReadModel(
    name="milestones",
    number=1,
    prefixes=("milestone",),
    rows={"cooperation": rows},
    columns=("cooperation", *TITLED),
    queries=load("projections", "milestones.sql"),
)
