"""Lines of libraries, and of the log's writer, say what failed and where; what a client sent is quoted by none."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog

from services.registry import journal

SECRET = "Zenobia Quillfeather"


@pytest.fixture(params=["json", "console"])
def form(request: pytest.FixtureRequest) -> Literal["json", "console"]:
    return request.param


@pytest.fixture
def written(form: Literal["json", "console"]) -> Iterator[io.StringIO]:
    stream = io.StringIO()
    journal.configure("info", form, stream)
    yield stream
    structlog.reset_defaults()


def fail() -> None:
    names: dict[str, str] = {}
    try:
        names[SECRET]
    except KeyError as error:
        raise ValueError(f"there is no {SECRET}") from error


def test_a_line_of_a_library_about_a_failure_has_its_kind_and_place_and_not_its_message(
    written: io.StringIO, form: Literal["json", "console"]
):
    try:
        fail()
    except ValueError:
        logging.getLogger("a library").exception("it failed")

    assert SECRET not in written.getvalue()
    assert "it failed" in written.getvalue()
    if form == "json":
        (line,) = map(json.loads, written.getvalue().splitlines())
        assert (line["error"], line["cause"]) == ("ValueError", "KeyError")
        assert line["frames"][-1].endswith(" fail")
        assert line["event"] == "it failed"


def test_what_stands_below_the_first_line_of_a_library_is_left_out(written: io.StringIO):
    """asyncio shows the exception of a task that nobody waited for there."""
    logging.getLogger("asyncio").error("Task exception was never retrieved\nfuture: <Task exception=%r>", SECRET)

    assert "Task exception was never retrieved" in written.getvalue()
    assert SECRET not in written.getvalue()


def test_our_own_lines_are_as_they_were(written: io.StringIO):
    journal.logger().info("request", route="/v1/parties", status=200)

    assert "request" in written.getvalue()
    assert "/v1/parties" in written.getvalue()
