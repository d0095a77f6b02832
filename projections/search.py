"""search: whatever can be looked for by its words, by names, titles, subjects, products, purposes, summaries, outcomes.

A query over other read models' rows (`projections.titled`). People are not in it: their names are sealed, and found by
blind tokens (`events.vault`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from events.sql import load

QUERIES: Final = load("projections", "search.sql")


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: a thing's id, its kind, what it is called, and the cooperation that it belongs to, if any.

    What a merged party lives on in is put in when it is read.
    """

    id: str
    kind: str
    title: str
    cooperation: str | None = None
    survivor: str | None = None
