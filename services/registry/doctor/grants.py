"""Whether the service's role can do its work and nothing more, and what was recorded cannot be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from services.registry.doctor.finding import Finding, failed, ok

AREA: Final = "grants"
ADD: Final = frozenset({"SELECT", "INSERT"})
SEAL: Final = ADD | {"DELETE"}
NEEDED: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "log.entry": ADD,
        "log.head": frozenset({"SELECT", "UPDATE"}),
        "log.claim": ADD,
        "log.document": ADD,
        "log.tile": ADD,
        "log.checkpoint": ADD,
        "log.signature": ADD,
        "log.verifier": ADD,
        "log.origin": ADD,
        "vault.key": SEAL,
        "vault.command_salt": SEAL,
        "vault.token": SEAL,
        "vault.mark": frozenset({"SELECT"}),
        "access.token": ADD | {"UPDATE (columns)"},
        "access.record": frozenset({"SELECT", "INSERT (columns)"}),
        "projection.generation": frozenset({"SELECT"}),
    }
)
"""What the migrations grant the service. Of a table that is not here, it may not change or remove rows."""
CHANGING: Final = frozenset({"UPDATE", "DELETE", "TRUNCATE", "TRIGGER"})
FUNCTIONS: Final = ("log.append_batch", "projection.rows_at")
TRIGGERS: Final = (
    *(
        f"log.{table} {table}_refuses_{what}"
        for table in ("entry", "tile", "origin", "verifier", "checkpoint", "signature")
        for what in ("change", "row_change")
    ),
    "log.head head_refuses_removal",
    "access.record record_refuses_change",
    "access.record record_refuses_row_change",
    "vault.key key_changes_mark",
    "vault.key key_refuses_another_master_key",
)
"""What refuses changes, what tells of those to keys (ADR 0030), and what refuses those of another master key (0041)."""
RESTORE: Final = "Run roles.sql as an administrator, and compare the grants with those in events/log/migrations."


class Role(msgspec.Struct, frozen=True, kw_only=True):
    """Who the service is to PostgreSQL; the lists name roles that its login may act as, itself included."""

    acts_as: str
    login: str
    superusers: Sequence[str] | None
    strong: Sequence[str] | None
    owners: Sequence[str] | None
    writers: Sequence[str] | None
    silences_triggers: bool


class Table(msgspec.Struct, frozen=True):
    """What is granted on a table to the role, and to any role that its login may act as."""

    name: str
    held: Sequence[str]
    reachable: Sequence[str]


class Trigger(msgspec.Struct, frozen=True):
    """A trigger; `enabled` is A if it fires whatever a session sets, `runs` the text of its function."""

    name: str
    enabled: str
    runs: str


def judge_role(role: Role) -> Finding:
    """Say whether the service's login is an ordinary one."""
    who = role.login if role.login == role.acts_as else f"{role.login}, as {role.acts_as}"
    wrong = [
        f"{what} ({', '.join(names)})"
        for what, names in (
            ("a superuser", role.superusers),
            ("a role that makes roles, replicates or passes over row security", role.strong),
            ("the owner", role.owners),
            ("a role that writes everywhere", role.writers),
        )
        if names
    ]
    if role.silences_triggers and not role.superusers:
        wrong.append("one that may set session_replication_role")
    if not wrong:
        return ok(AREA, "role", f"the service is {who}, and can be nobody with more rights")
    found = f"the service is {who}, and is or can act as {'; '.join(wrong)}"
    return failed(
        AREA, "role", found, "Serve as a login that is a member of registry_service alone: REVOKE the others from it."
    )


def judge_needed(tables: Sequence[Table], closed: Sequence[str], functions: Mapping[str, bool]) -> Finding:
    """Say whether all is granted that the service's work needs."""
    held = {table.name: frozenset(table.held) for table in tables}
    missing = [f"to use the schema {schema}" for schema in closed]
    missing += [f"to call {name}" for name, callable_ in functions.items() if not callable_]
    for name, needed in NEEDED.items():
        lacks = sorted(one for one in needed if not _covers(held.get(name, frozenset()), one))
        if lacks:
            missing.append(f"{', '.join(lacks)} on {name}")
    if missing:
        return failed(AREA, "needed", f"the service may not: {'; '.join(missing)}", RESTORE)
    return ok(AREA, "needed", f"the service may do its work on {len(NEEDED)} tables")


def judge_excess(tables: Sequence[Table], makes_in: Sequence[str]) -> Finding:
    """Say whether anything is granted that the service's work does not need."""
    extra = [f"to make things in the schema {schema}" for schema in makes_in]
    extra += [f"{', '.join(more)} on {table.name}" for table in tables if (more := sorted(_beyond(table)))]
    if not extra:
        return ok(AREA, "excess", "nothing more is granted: no entry can be changed or removed by the service")
    return failed(AREA, "excess", f"the service may, and must not: {'; '.join(extra)}", f"REVOKE it. {RESTORE}")


def _beyond(table: Table) -> Iterator[str]:
    """Yield what is granted beyond the need."""
    needed = NEEDED.get(table.name)
    held = frozenset(table.held)
    if needed is not None:
        yield from (one for one in held if one not in needed and not _covers(needed, one))
        yield from (one for one in table.reachable if one not in needed | held)
    else:
        yield from CHANGING & (held | frozenset(table.reachable))


def _covers(held: frozenset[str], privilege: str) -> bool:
    return privilege in held or privilege.removesuffix(" (columns)") in held


def judge_triggers(triggers: Sequence[Trigger], program: str) -> Finding:
    """Say whether every one of those triggers is there, always fires, and runs what the migrations made.

    `program` is the text of all migrations.
    """
    there = {trigger.name: trigger for trigger in triggers}
    wrong: list[str] = []
    for name in TRIGGERS:
        trigger = there.get(name)
        if trigger is None:
            wrong.append(f"{name} is missing")
        elif trigger.enabled != "A":
            wrong.append(f"{name} is {'disabled' if trigger.enabled == 'D' else 'not ENABLE ALWAYS'}")
        elif trigger.runs not in program:
            wrong.append(f"{name} runs another function than the migrations made")
    if not wrong:
        return ok(AREA, "triggers", f"{len(TRIGGERS)} triggers refuse changes or tell of them, and always fire")
    return failed(
        AREA,
        "triggers",
        "; ".join(wrong),
        "Find out who did it, `registry verify`, and restore it as the owner (ALTER TABLE … ENABLE ALWAYS TRIGGER …).",
    )
