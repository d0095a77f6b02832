"""What every test may ask for, and what a skipped test means."""

from __future__ import annotations

import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Generator, Iterator, Mapping

import pytest
import uvloop

from tests.support import cluster as clusters

REQUIRE = "REGISTRY_TEST_REQUIRE"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--containers", action="store_true", help="take PostgreSQL from a container instead of embedding it"
    )


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Run tests on the event loop that the service runs on."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that no process is left with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[clusters.Cluster]:
    """The session's PostgreSQL; most tests want `database`."""
    with clusters.cluster(containers=bool(request.config.getoption("--containers"))) as made:
        yield made


@pytest.fixture
def database(cluster: clusters.Cluster) -> Iterator[clusters.Database]:
    """A fresh, migrated database: `owner_dsn`, `service_dsn`, `projector_dsn`, `admin_dsn`."""
    with cluster.database() as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """With REGISTRY_TEST_REQUIRE=all nothing may be missing: a skip is a failure with the skip's reason."""
    if report.skipped and os.environ.get(REQUIRE) == "all":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE}=all, and this was skipped: {reason}"
