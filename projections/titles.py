"""titles: what cooperations and the steps of roadmaps are called, apart from the rows that they are served in.

A cooperation's row changes with most of what happens in it, its title hardly ever; a milestone has no row of its own
but as a commitment, while it is open.
"""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_state import Cooperation
from events.sql import load
from projections.model import Only, ReadModel, Row, some
from projections.titled import TITLED, titled


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row the cooperation, one a milestone, without bodies."""
    if only is None or state.id in only:
        opened = state.opened.event
        yield Row(id=state.id, body=b"", sort="", columns=(state.id, *titled(opened.title, opened.fields)))
    for key, milestone in some(state.milestones, only):
        yield Row(id=key, body=b"", sort="", columns=(state.id, *titled(milestone.title)))


TITLES = ReadModel(
    name="titles",
    number=1,
    prefixes=("coop", "milestone"),
    settled=("coop",),
    rows={"cooperation": rows},
    columns=("cooperation", *TITLED),
    queries=load("projections", "titles.sql"),
)
