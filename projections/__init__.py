"""Read models: what the log says, laid out to be read. Each can be thrown away and built anew from the log.

A module a read model (its rows, its table and queries in the `.sql` beside it); `engine` follows the log for all of
them, `versions` keeps every version of every row, `rebuild` makes generations, `reader` answers queries at a log size.
"""

from projections.agreements import AGREEMENTS
from projections.commitments import COMMITMENTS
from projections.cooperations import COOPERATIONS
from projections.meetings import MEETINGS
from projections.model import Filter, Listed, ReadModel, Row
from projections.negotiations import NEGOTIATIONS
from projections.occasions import OCCASIONS
from projections.parties import PARTIES
from projections.people import PEOPLE
from projections.roadmaps import ROADMAPS
from projections.rounds import ROUNDS
from projections.sources import SOURCES
from projections.titles import TITLES
from projections.topics import TOPICS
from projections.visits import VISITS

_THINGS: tuple[ReadModel, ...] = (
    PARTIES,
    PEOPLE,
    OCCASIONS,
    SOURCES,
    COOPERATIONS,
    MEETINGS,
    NEGOTIATIONS,
    ROADMAPS,
    VISITS,
    ROUNDS,
    AGREEMENTS,
)

LISTED: tuple[Listed, ...] = (*_THINGS, COMMITMENTS)
"""What clients list and get items of: read models, and what is a query over their rows."""

MODELS: tuple[ReadModel, ...] = (*_THINGS, TOPICS, TITLES)
"""All read models."""

__all__ = ["LISTED", "MODELS", "Filter", "Listed", "ReadModel", "Row"]
