"""Makes of an installed registry what its next version could be, in the image that an upgrade is tried with.

    newer.py SITE

SITE is the folder with the program's packages. What is changed is found by its text: where that is not there any more,
this ends with what it did not find (tests/unit/test_newer.py).
"""

from __future__ import annotations

import sys
from pathlib import Path

MIGRATION = """-- A column in a table that every request reads, and one in a table that every command writes.
ALTER TABLE access.token ADD COLUMN purpose text;
ALTER TABLE log.entry ADD COLUMN remark text;
"""
# The name of a party is no more where it was: this version's statements would find none in the next one's tables.
NAMED = """SELECT id, sort,
    convert_to(replace(convert_from(body, 'UTF8'), '"name":""', '"name":' || to_json(named)), 'UTF8') AS body
FROM parties
WHERE """
CHANGES = {
    "parties.py": {
        "    number=2,\n": "    number=3,\n",
        '"merged_into", *TITLED),\n': '"merged_into", "named", *TITLED),\n',
        "    name: str\n": "    name: str\n    initial: str\n",
        "        name=state.name,\n": '        name="",\n        initial=state.name[:1],\n',
        "identifiers, merged_into)\n": "identifiers, merged_into, state.name)\n",
    },
    "parties.sql": {
        "    body bytea NOT NULL,\n": "    body bytea NOT NULL,\n    named text NOT NULL,\n",
        "SELECT id, sort, body FROM parties\nWHERE id = ": f"{NAMED}id = ",
        "SELECT id, sort, body FROM parties\nWHERE born < $1": f"{NAMED}born < $1",
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


def main(site: Path) -> None:
    """Add the migration, and change the read model."""
    migrations = site / "events" / "log" / "migrations"
    following = len(list(migrations.glob("*.sql"))) + 1
    (migrations / f"{following:04}_tried.sql").write_text(MIGRATION, encoding="utf-8")
    for name, changes in CHANGES.items():
        change(site / "projections" / name, changes)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
