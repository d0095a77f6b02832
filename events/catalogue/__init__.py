"""What can happen: one module per aggregate. Pure: no I/O, no clock, no randomness (import-linter checks it)."""

from events.catalogue.aggregate import Aggregate, Claim, CommandType, Entry, Event, Facts
from events.catalogue.cooperation import COOPERATION
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

__all__ = ["AGGREGATES", "COMMANDS", "Aggregate", "Claim", "CommandType", "Entry", "Event", "Facts"]
