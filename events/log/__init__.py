"""The log in PostgreSQL: append by group commit; read by position, by stream and by command."""

from events.log.append import Counts, Limits
from events.log.command import (
    Absent,
    Append,
    Appended,
    Claim,
    Draft,
    Head,
    NewKey,
    NewSalt,
    NewToken,
    Overtaken,
    Read,
    Recorded,
)
from events.log.log import Log
from events.log.preparation import claims_taken
from events.log.read import Reader, RecordedCommand

__all__ = [
    "Absent",
    "Append",
    "Appended",
    "Claim",
    "Counts",
    "Draft",
    "Head",
    "Limits",
    "Log",
    "NewKey",
    "NewSalt",
    "NewToken",
    "Overtaken",
    "Read",
    "Reader",
    "Recorded",
    "RecordedCommand",
    "claims_taken",
]
