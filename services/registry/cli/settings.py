"""`registry settings`."""

from __future__ import annotations

import os
import sys

from rich.console import Console
from rich.table import Table

from services.registry.settings import Settings, documentation, load

PIPED_WIDTH = 200  # columns, where there is no terminal whose width would count


def show() -> int:
    """Print the table. Raises `InvalidSettings`."""
    settings = load(os.environ)
    table = Table(show_lines=False, header_style="bold")
    for column in ("variable", "value", "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column == "variable")
    for row in documentation():
        meaning = f"{row.description} Allowed: {row.allowed}."
        table.add_row(row.variable, _value(settings, row.variable, secret=row.secret), meaning)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    return 0


def _value(settings: Settings, variable: str, *, secret: bool) -> str:
    value = getattr(settings, variable.removeprefix("REGISTRY_").lower())
    if value is None or not str(value):
        return "not set"
    return "set, not shown" if secret else str(value)
