"""A running registry for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import service as services
from tests.support.check_log import check_log
from tests.support.cluster import Database


@pytest.fixture
async def service(database: Database, tmp_path: Path) -> AsyncIterator[services.Service]:
    """The application over a fresh database, its projector, and a client with every role; the oracle looks after it."""
    async with services.running(database, tmp_path) as running:
        yield running
    await check_log(database.admin_dsn)
