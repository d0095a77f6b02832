"""How the sample's commands are written: fixed ids, and citations in each of them.

When the meetings took place is not stated. They were held during the exhibition, of which only the last day is given,
and not after the report: `2019-06/2019-06-19`, an interval that begins on an unknown day of June.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

from services.registry.bodies import Asked
from services.registry.sample.report import Report

Said: TypeAlias = dict[str, Any]
"""A command as a batch has it: its name, its subject, its data."""

PUBLISHED: Final = datetime(2019, 6, 19, tzinfo=UTC)
HELD: Final = "2019-06/2019-06-19"
DAY: Final = (
    "The report gives no day: it was during the exhibition, whose first day is not stated and is taken to lie in June, "
    "and not after the report itself."
)

_CROCKFORD: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def sample_id(prefix: str, number: int) -> str:
    """Return the sample's id of this number: a UUIDv7 of the report's day with the number where chance would be."""
    uuid = int(PUBLISHED.timestamp()) * 1000 << 80 | 7 << 76 | 2 << 62 | number
    return f"{prefix}_" + "".join(_CROCKFORD[uuid >> shift & 31] for shift in range(125, -1, -5))


REPORT: Final = sample_id("src", 1)
AIR_SHOW: Final = sample_id("occ", 1)
MINISTRY: Final = sample_id("party", 1)
ADVISER: Final = sample_id("person", 1)

# A party that was met has a number, and so have its line of cooperation and its meeting. Sentences of the report that
# more than one module cites:
DATELINE: Final = "Dateline"
MET: Final = "saw the management"


class Request(msgspec.Struct, frozen=True):
    """Commands that are recorded together, and the idempotency key that they are sent under."""

    key: str
    commands: tuple[Mapping[str, Any], ...]

    def asked(self) -> list[Asked]:
        """Return the commands as they are executed."""
        return [
            Asked(one["command"], one["subject"], one["data"], f"/commands/{number}/data")
            for number, one in enumerate(self.commands)
        ]

    def line(self) -> bytes:
        """Return the request as a line for `registry import`."""
        return msgspec.json.encode(self) + b"\n"


class Telling:
    """Writes commands that cite the report. `cited` names sentences by words that stand in no other."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def say(self, command: str, subject: str, /, *cited: str, **data: Any) -> Said:
        """Write any command."""
        citations = self.report.cite(REPORT, *cited)
        return {
            "command": command,
            "subject": subject,
            "data": {**data, "citations": citations, "classification": "public"},
        }

    def of(self, number: int, command: str, /, *cited: str, **data: Any) -> Said:
        """Write a command of the line of cooperation with the party of this number."""
        return self.say(command, f"cooperation/{sample_id('coop', number)}", *cited, **data)

    def opened(self, number: int, *cited: str, title: str, parties: Sequence[str] = (), field: str = "") -> Said:
        """Open a cooperation of the ministry. The field, where the report states none, is the ministry's own."""
        return self.of(
            number,
            "open-cooperation",
            *cited,
            title=title,
            parties=[MINISTRY, *(parties or [sample_id("party", number)])],
            fields=[field or "defence-industry"],
        )

    def topic(self, number: int, topic_id: str, *cited: str, note: str = "", **topic: Any) -> Said:
        """Raise a topic."""
        noted = {"note": note} if note else {}
        return self.of(number, "raise-topic", *cited, topic={"topic_id": topic_id, **topic}, **noted)

    def meeting(
        self, number: int, *cited: str, whom: Mapping[str, str], topics: Sequence[str], summary: str, note: str = ""
    ) -> Said:
        """Record that the adviser met somebody at the exhibition."""
        return self.of(
            number,
            "record-meeting",
            *cited,
            MET,
            DATELINE,
            id=sample_id("meeting", number),
            held=HELD,
            occasion=AIR_SHOW,
            place={"country": "FR", "city": "Paris"},
            participants=[{"party": MINISTRY, "person": ADVISER, "role": "adviser"}, dict(whom)],
            topics=list(topics),
            summary=summary,
            note=f"{note} {DAY}".strip(),
        )

    def negotiations(
        self, number: int, *cited: str, subject: str, topics: Sequence[str], at_meeting: bool, note: str = ""
    ) -> Said:
        """Record that there were negotiations, at the meeting with the party or apart from one."""
        meeting = {"meeting": sample_id("meeting", number)} if at_meeting else {}
        return self.of(
            number,
            "record-negotiations",
            *cited,
            DATELINE,
            id=sample_id("negotiations", number),
            held=HELD,
            subject=subject,
            topics=list(topics),
            note=f"{note} {DAY}".strip(),
            **meeting,
        )
