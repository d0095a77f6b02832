"""What can happen: one module per aggregate. Pure: no I/O, no clock, no randomness (import-linter checks it)."""

from events.catalogue.aggregate import Aggregate, Claim, CommandType, Entry, Event, Facts
from events.catalogue.cooperation import COOPERATION
from events.catalogue.history import AMENDMENTS, CORRECT, RETRACT
from events.catalogue.occasion import OCCASION
from events.catalogue.party import PARTY
from events.catalogue.person import PERSON
from events.catalogue.source import SOURCE

AGGREGATES: dict[str, Aggregate] = {one.kind: one for one in (PARTY, PERSON, OCCASION, SOURCE, COOPERATION)}
"""The kinds of stream, by the part of a stream's name before the slash."""

COMMANDS: dict[str, tuple[Aggregate, CommandType]] = {
    command.name: (aggregate, command) for aggregate in AGGREGATES.values() for command in aggregate.commands
}
"""Every command by its imperative name, with the aggregate that it concerns."""

AMENDING: dict[str, CommandType] = {command.name: command for command in (CORRECT, RETRACT)}
"""The commands that amend what was recorded, in a stream of any kind."""

EVENTS: tuple[type[Event], ...] = (*(event for one in AGGREGATES.values() for event in one.events), *AMENDMENTS)
"""Every event that can be recorded."""

__all__ = [
    "AGGREGATES",
    "AMENDING",
    "COMMANDS",
    "EVENTS",
    "Aggregate",
    "Claim",
    "CommandType",
    "Entry",
    "Event",
    "Facts",
]
