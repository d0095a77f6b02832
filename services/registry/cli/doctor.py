"""`registry doctor`."""

from __future__ import annotations

import os
import sys
from typing import Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.registry.cli.failures import FAILED, WRONGLY
from services.registry.doctor.examination import Examination, examine, unset
from services.registry.doctor.finding import Finding, Verdict
from services.registry.settings import InvalidSettings, load

PIPED_WIDTH: Final = 160  # columns, where there is no terminal whose width would count
STYLES: Final = {
    Verdict.OK: "green",
    Verdict.WARNING: "yellow",
    Verdict.FAILED: "bold red",
    Verdict.SKIPPED: "dim",
}


def doctor(*, json: bool, strict: bool) -> int:
    """Print what is found, and return the exit code."""
    try:
        settings = load(os.environ, needed=["database_url"])
    except InvalidSettings as error:
        _print(unset(error), json=json)
        return WRONGLY
    examination = uvloop.run(examine(settings))
    _print(examination, json=json)
    wrong = {Verdict.FAILED, Verdict.WARNING} if strict else {Verdict.FAILED}
    return FAILED if examination.verdict in wrong else 0


def _print(examination: Examination, *, json: bool) -> None:
    if json:
        sys.stdout.write(msgspec.json.encode(examination).decode() + "\n")
        return
    table = Table(header_style="bold")
    table.add_column("check", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("found, and what to do", overflow="fold")
    area = None
    for finding in examination.findings:
        if area is not None and finding.area != area:
            table.add_section()
        area = finding.area
        table.add_row(f"{finding.area} {finding.name}", Text(finding.verdict, STYLES[finding.verdict]), _told(finding))
    console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    console.print(table)
    counts = {one: sum(finding.verdict is one for finding in examination.findings) for one in Verdict}
    console.print(", ".join(f"{count} {one}" for one, count in counts.items() if count) + ".")


def _told(finding: Finding) -> Text:
    text = Text(_printable(finding.found))
    if finding.advice:
        text.append(f"\n→ {_printable(finding.advice)}", "bold" if finding.verdict is Verdict.FAILED else "")
    return text


def _printable(text: str) -> str:
    """Leave out what would move a terminal's cursor: names in the database are anybody's."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
