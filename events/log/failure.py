"""Which errors mean that PostgreSQL cannot be used now, rather than that a request is wrong."""

from __future__ import annotations

from typing import Final

import asyncpg

TRANSIENT: Final = (
    OSError,  # which TimeoutError is
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.TransactionRollbackError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
)
"""Away, going away, coming up, short of something, or not the primary.

An `asyncpg.InterfaceError` that is a ValueError is the exception to it: an argument that cannot be encoded.
An `asyncpg.InternalClientError` is among them as PostgreSQL's farewell to an idle session leaves one behind.
"""

AWAY: Final = (*TRANSIENT, asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""The same for who was connected before: the login or the database may be replaced just now."""

FAILURES: Final = (*TRANSIENT, asyncpg.PostgresError)
"""Whatever PostgreSQL, or the way to it, can answer: for who says so, or comes back later, whichever it was."""
