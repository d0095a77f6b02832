"""What things are called by, in the one place where each has its title; a person's name stays sealed in their row.

Rows of read models name things by id only, so that renaming and erasing have one place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from projections.occasions import OCCASIONS
from projections.parties import PARTIES
from projections.sources import SOURCES
from projections.titles import TITLES
from projections.topics import TOPICS

NAMED: Final = (PARTIES, OCCASIONS, SOURCES, TOPICS, TITLES)
"""The read models whose titles are labels (`around.sql`)."""


def names(kind: str, state: Any) -> Iterator[tuple[str, str]]:
    """Yield the ids of what has a name in a stream of a kind, and the names; none of a person."""
    for model in NAMED:
        if rows := model.rows.get(kind):
            at = model.columns.index("title")
            for row in rows(state, None):
                yield row.id, row.columns[at]
