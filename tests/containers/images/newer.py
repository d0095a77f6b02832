"""Makes of an installed registry what its next version could be, in the image that an upgrade is tried with."""

from __future__ import annotations

from pathlib import Path

SITE = next(Path("/opt/registry/lib").glob("python3*")) / "site-packages"
MIGRATION = """-- A column in a table that every request reads, and one in a table that every command writes.
ALTER TABLE access.token ADD COLUMN purpose text;
ALTER TABLE log.entry ADD COLUMN remark text;
"""
CHANGES = {
    "parties.py": {
        "    number=2,\n": "    number=3,\n",
        '"identifiers", "merged_into"),\n': '"identifiers", "merged_into", "initial"),\n',
        "    name: str\n": "    name: str\n    initial: str\n",
        "        name=state.name,\n": "        name=state.name,\n        initial=state.name[:1],\n",
        "identifiers, merged_into)\n": "identifiers, merged_into, state.name[:1])\n",
    },
    "parties.sql": {
        "    merged_into text,\n": "    merged_into text,\n    initial text NOT NULL,\n",
        "SELECT id, sort, refs, body FROM read.parties\nWHERE born < $1": (
            "SELECT id, sort, refs, body FROM read.parties\nWHERE initial IS NOT NULL AND born < $1"
        ),
    },
}


def change(file: Path, changes: dict[str, str]) -> None:
    """Replace each text, which has to stand in the file once."""
    text = file.read_text(encoding="utf-8")
    for old, new in changes.items():
        if text.count(old) != 1:
            raise SystemExit(f"{file.name} has {text.count(old)} times {old!r}")
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


migrations = SITE / "events" / "log" / "migrations"
following = len(list(migrations.glob("*.sql"))) + 1
(migrations / f"{following:04}_tried.sql").write_text(MIGRATION, encoding="utf-8")
for name, changes in CHANGES.items():
    change(SITE / "projections" / name, changes)
