"""Container tests need a Docker engine with compose; without one they are skipped, and say so."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from tests.support import engine
from tests.support.engine import Compose


@pytest.fixture(scope="session")
def images() -> None:
    """The images, built from this tree."""
    if (lacking := engine.missing()) is not None:
        pytest.skip(f"no Docker engine: {lacking}")
    engine.build()


@pytest.fixture(scope="session")
def prometheus(images: None) -> str:
    """The image of a Prometheus, as the engine may not reach the official one."""
    return engine.derive("prometheus", engine.BASE)


@pytest.fixture(scope="module")
def compose(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """A clean checkout in which nothing was brought up yet; taken down when the module's tests are done."""
    with engine.composed(tmp_path_factory.mktemp("checkout") / "tree") as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the containers said last: they are gone when somebody looks."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for stack in {value for value in item.funcargs.values() if isinstance(value, Compose)}:
            report.sections.append(("containers", stack.logs()))
    return report
