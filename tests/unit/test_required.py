"""REGISTRY_TEST_REQUIRE=all: a test that is skipped has failed."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SKIPS = """
import pytest

def test_skips():
    pytest.skip("no browser")

@pytest.mark.skip(reason="no container")
def test_is_skipped():
    pass

@pytest.mark.xfail(strict=True)
def test_fails_as_expected():
    raise ValueError

def test_passes():
    pass
"""


def said(pytester: pytest.Pytester, source: str) -> str:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(source)
    return str(pytester.runpytest_inprocess("-p", "tests.conftest", "-p", "no:cacheprovider").stdout)


@pytest.mark.parametrize("required", ["", "some"])
def test_a_skip_is_a_skip_unless_everything_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, required: str
):
    monkeypatch.setenv("REGISTRY_TEST_REQUIRE", required)

    assert "1 passed, 2 skipped, 1 xfailed" in said(pytester, SKIPS)


def test_a_skip_is_a_failure_with_its_reason_when_everything_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REGISTRY_TEST_REQUIRE", "all")

    output = said(pytester, SKIPS)

    assert "1 failed, 1 passed, 1 xfailed, 1 error" in output
    assert "REGISTRY_TEST_REQUIRE=all, and this was skipped: Skipped: no browser" in output
    assert "REGISTRY_TEST_REQUIRE=all, and this was skipped: Skipped: no container" in output


def test_a_module_that_skips_itself_is_a_failure_when_everything_is_required(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("REGISTRY_TEST_REQUIRE", "all")

    output = said(pytester, 'import pytest\npytest.importorskip("no_such_module")\n')

    assert "1 error" in output
    assert "could not import 'no_such_module'" in output
