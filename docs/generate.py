"""Writes the pages of docs/ that are made from the program, or checks (`--check`) that they are up to date."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from services.registry import settings

MADE: Final = "<!-- Made by `just docs`; not edited by hand. -->"


def settings_page() -> str:
    """Write the table of settings."""
    rows = "\n".join(
        f"| `{row.variable}` | {row.description} | {f'`{row.default}`' if row.default else ''} | {row.allowed} |"
        for row in settings.documentation()
    )
    secrets = ", ".join(f"`{row.variable}`" for row in settings.documentation() if row.secret)
    return f"""# Settings

{MADE}

Settings are environment variables, read and checked once, at the start. A wrong value, a missing one and a
`REGISTRY_` name that does not exist stop it, all of them told at once. `registry settings` shows what holds.

A secret ({secrets}) may be kept in a file: its path then stands in the variable with `_FILE` behind the name.

On Kubernetes set `enableServiceLinks: false`: otherwise a service named `registry` puts variables of its own,
such as `REGISTRY_PORT`, into the environment.

| variable | meaning | default | allowed |
|---|---|---|---|
{rows}
"""


PAGES: Final[Mapping[str, Callable[[], str]]] = {"settings.md": settings_page}


def main() -> int:
    """Return 1 when a page was to be checked and is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is not up to date")
    check = parser.parse_args().check
    stale: list[str] = []
    for name, page in PAGES.items():
        path, text = Path(__file__).with_name(name), page()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
    for name in stale:
        sys.stdout.write(f"docs/{name}: {'not up to date; run `just docs`' if check else 'written'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
