"""`registry doctor` against a real database: nothing wrong with a fresh one, and each thing that goes wrong is found."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from services.registry.clock import Clock, now
from services.registry.doctor.examination import Examination, examine
from services.registry.doctor.finding import Finding, Verdict
from services.registry.settings import Settings
from services.registry.signing.keyring import KeyRing
from tests.support.check_log import check_log
from tests.support.cluster import Cluster, Database
from tests.support.console import registry
from tests.support.recording import note
from tests.support.service import ORIGIN, execute, running, settings_for

OK, WARNING, FAILED, SKIPPED = Verdict
OF_THE_TESTS = {"configuration durability"}
"""What fails because the tests' server may run without fsync."""
OF_THE_MACHINE = {"disk keys", "disk database"}


@pytest.fixture
async def installed(database: Database, tmp_path: Path) -> AsyncGenerator[Settings, None]:
    """A registry that serves and projects, with something recorded and a checkpoint over it."""
    async with running(database, tmp_path) as service:
        await service.parts.commands  # type: ignore[func-returns-value]
        yield settings_for(database, tmp_path)
    await check_log(database.service_dsn)


def found(examination: Examination) -> dict[str, Finding]:
    return {f"{one.area} {one.name}": one for one in examination.findings}


async def look(settings: Settings, clock: Clock = now) -> dict[str, Finding]:
    return found(await examine(settings, clock))
