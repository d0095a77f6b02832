"""Every form that input is turned into, and good input for each."""

from __future__ import annotations

import json
from typing import Any

from events.catalogue import COMMANDS
from events.catalogue.person import PersonalDetails
from events.codec import EVENT_TYPES
from events.entry import canonical
from events.values import Value
from tests.golden.examples import EXAMPLES

FORMS: dict[str, type[Value]] = {
    **EVENT_TYPES,
    **{name: command.wire for name, (_, command) in COMMANDS.items() if command.wire},
}
"""Every type that input is turned into, by the event type or, where the input is not the event, by the command."""

DATA: dict[type, dict[str, Any]] = {type(event): json.loads(canonical.encode(event)) for event in EXAMPLES} | {
    PersonalDetails: {"name": "Somebody Made Up", "contact": "by letter", "citations": [], "note": "n"}
}
"""Good input for each, with every field given."""
