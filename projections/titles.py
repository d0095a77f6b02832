"""titles: what cooperations and the steps of roadmaps are called, apart from the rows that they are served in.

A cooperation's row changes with most of what happens in it, its title hardly ever. A milestone has no other row: this
one has the body and the sort key of the commitment that it is (`projections.commitments`), or else neither.
"""

from __future__ import annotations

from collections.abc import Iterator

from events.catalogue.cooperation_state import Cooperation
from events.sql import load
from projections.commitments import of_milestone
from projections.model import Only, ReadModel, Row, bounds, some
from projections.titled import TITLED, titled
from projections.within import all_parties


def rows(state: Cooperation, only: Only) -> Iterator[Row]:
    """One row the cooperation, one a milestone."""
    if only is None or state.id in only:
        opened = state.opened.event
        columns = (state.id, (), *bounds(None), *titled(opened.title, opened.fields))
        yield Row(id=state.id, body=b"", sort="", columns=columns)
    for key, milestone in some(state.milestones, only):
        parties = all_parties(state)
        sort, body = of_milestone(state, key, milestone, parties)
        columns = (state.id, parties, *bounds(milestone.due), *titled(milestone.title))
        yield Row(id=key, body=body, sort=sort, columns=columns)


TITLES = ReadModel(
    name="titles",
    number=1,
    prefixes=("coop", "milestone"),
    settled=("coop",),
    rows={"cooperation": rows},
    columns=("cooperation", "parties", "earliest", "latest", "qualified", *TITLED),
    queries=load("projections", "titles.sql"),
)
