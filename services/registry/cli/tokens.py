"""`registry token create|list|revoke`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import asyncpg
from rich.console import Console
from rich.table import Table

from services.registry.access import tokens
from services.registry.access.tokens import Token
from services.registry.cli import moments
from services.registry.cli.database import on_database
from services.registry.cli.operator import operator
from services.registry.clock import now

PROGRAM = "registry token"
PIPED_WIDTH = 200


def create(name: str, roles: Sequence[str], *, party: str | None, expires: str | None) -> int:
    """Print the new token, alone, on standard output; what is kept of it goes to standard error."""
    until = moments.parse(expires) if expires else None

    async def work(database: asyncpg.Connection) -> tuple[str, Token]:
        return await tokens.create(
            database, name=name, roles=roles, by=operator(), now=now(), party=party, expires_at=until
        )

    secret, token = on_database(PROGRAM, work)
    if token.party != party:
        sys.stderr.write(f"{party} was merged: the token is for {token.party}.\n")
    sys.stderr.write(f"{token.id}: keep the token, it is not shown again.\n")
    sys.stdout.write(f"{secret}\n")
    return 0


def list_all() -> int:
    """Print a table."""
    table = Table(header_style="bold")
    for column in ("id", "name", "roles", "party", "created", "state"):
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for token in on_database(PROGRAM, tokens.list_all):
        table.add_row(
            token.id, token.name, ", ".join(token.roles), token.party or "", f"{token.created_at:%F %T}Z", _state(token)
        )
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else PIPED_WIDTH).print(table)
    return 0


def revoke(token_id: str) -> int:
    """Say that it is done. Raises `NotFound`."""
    token = on_database(PROGRAM, lambda database: tokens.revoke(database, token_id, by=operator(), now=now()))
    sys.stdout.write(f"{token.id} ({token.name}) was revoked at {token.revoked_at:%F %T}Z.\n")
    return 0


def _state(token: Token) -> str:
    if token.revoked_at:
        return f"revoked {token.revoked_at:%F %T}Z"
    if token.expires_at:
        return f"{'holds until' if token.holds(now()) else 'expired'} {token.expires_at:%F %T}Z"
    return "holds"
