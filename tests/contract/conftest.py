"""A running registry for each test, and one for all tests of a module that leave it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support import service as services
from tests.support import world as worlds
from tests.support.check_log import check_log
from tests.support.check_references import what_is_referred_to_is_there, what_was_claimed_is_one_things
from tests.support.cluster import Cluster


@pytest.fixture
async def service(cluster: Cluster, tmp_path: Path) -> AsyncIterator[services.Service]:
    """The application over a fresh database, its projector, and a client with every role; the oracle looks after it."""
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path) as running:
            yield running
        await check_log(database.admin_dsn, [what_is_referred_to_is_there, what_was_claimed_is_one_things])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[worlds.World]:
    """A registry with some of everything in it, for tests that run in their module's loop and change nothing."""
    with cluster.database(projected=True) as database:
        async with services.running(database, tmp_path_factory.mktemp("world")) as running:
            world = await worlds.build(running)
            await running.get("/v1/parties")  # from here on the read models are there
            yield world
        await check_log(database.admin_dsn)
