"""The bench's own logic: figures, verdicts, the page and the chart, and what it reads off the wire."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import cast
from uuid import UUID
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import bulk, report
from bench.__main__ import TRIES, asked, judged, main, patiently
from bench.append import Run
from bench.chart import chart, reach
from bench.database import Server
from bench.latency import SAME, alike
from bench.load import headers_of, request
from bench.measure import Failed, Figure, Result, Silent, interleave, paired, table
from bench.memory import high_water
from bench.peers.contestants import place_of
from events.log.command import Recorded
from events.log.transfer import COLUMNS

RESULT = Result(
    {"append": Figure.of("entries/s", [1.0, 3.0, 2.0])}, {"bare": 0.9, "other": 2.0}, {"bare": 1.0, "peer": 2.0}
)


def test_a_figure_is_the_median_with_the_lowest_and_the_highest():
    assert RESULT.figures["append"] == Figure("entries/s", 2.0, 1.0, 3.0)


def test_a_ratio_is_the_median_of_rounds_beside_each_other():
    assert paired([10.0, 1.0, 30.0], [5.0, 1.0, 10.0]) == 2.0


async def test_rounds_are_interleaved_and_begin_with_another_each_time():
    ran: list[str] = []

    def runs(name):
        async def run():
            ran.append(name)
            return float(len(ran))

        return run

    found = await interleave({"a": runs("a"), "b": runs("b")}, 2)
    assert ran == ["a", "b", "a", "b", "b", "a"]
    assert found == {"a": [3.0, 6.0], "b": [4.0, 5.0]}


async def test_a_contestant_that_falls_silent_is_left_out_and_keeps_nobody():
    async def fine():
        return 1.0

    async def silent():
        raise Silent("no answer")

    assert await interleave({"a": fine, "b": silent, "c": fine}, 2) == {"a": [1.0, 1.0], "c": [1.0, 1.0]}


def test_a_figure_is_the_same_only_if_it_is_neither_a_fifth_more_nor_a_fifth_less():
    assert alike(2.0, 2.0) == 1.0
    assert alike(1.0, 1.19) == alike(1.19, 1.0) > SAME
    assert alike(1.0, 1.21) == alike(1.21, 1.0) < SAME


def test_a_run_is_told_in_milliseconds():
    assert Run.of([nth / 1000 for nth in reversed(range(100))], 30.0) == Run(50.0, 99.0, 30.0)


def test_copy_is_given_a_row_as_large_as_each_entry():
    entries = [
        Recorded(
            nth,
            "cooperation/x",
            nth,
            UUID(int=nth),
            f"registry.kind-{nth}.v1",
            datetime(2026, 1, 1, tzinfo=UTC),
            b"x" * size,
        )
        for nth, size in enumerate((1_098, 903, 1))
    ]
    made = [dict(zip(COLUMNS, row, strict=True)) for row in bulk.rows(7, entries)]
    assert [len(cast("bytes", row["bytes"])) for row in made] == [1_098, 903, 1]
    assert [row["type"] for row in made] == [entry.event_type for entry in entries]


def test_a_target_is_missed_by_a_lower_ratio_and_by_none():
    assert RESULT.missed() == ["bare", "peer"]
    assert RESULT.missed(0.5) == ["peer"]


def test_the_exit_status_says_whether_a_target_is_missed(capsys):
    fine = Result({}, {"bare": 0.6}, {"bare": 1.0})
    assert judged({"append": fine}, quick=True) == 0
    assert judged({"append": fine}, quick=False) == 1
    assert "append misses its target: bare is 0.60, not 1" in capsys.readouterr().err


async def test_what_is_below_half_its_target_is_measured_again_and_the_best_counts():
    def of(*ratios: float):
        coming = iter(ratios)

        async def once() -> Result:
            return Result({}, {"bare": next(coming)}, {"bare": 1.0})

        return once

    assert (await patiently(of(0.6))).ratios == {"bare": 0.6}
    assert (await patiently(of(0.4, 0.6))).ratios == {"bare": 0.6}
    busy = await patiently(of(*[0.4] * TRIES))
    assert judged({"append": busy}, quick=True) == 1


async def test_one_try_has_to_reach_half_of_all_targets():
    coming = iter([{"a": 0.4, "b": 0.6}, {"a": 0.6, "b": 0.4}, {"a": 0.4, "b": 0.9}])

    async def once() -> Result:
        return Result({}, next(coming), {"a": 1.0, "b": 1.0})

    assert (await patiently(once)).missed(0.5) == ["a"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--quick"], "takes a full run"),
        (["append"], "takes a full run"),
        ([], "the page has no"),
    ],
)
def test_a_page_that_would_mislead_or_cannot_be_written_is_refused_before_anything_is_measured(
    arguments, told, tmp_path, monkeypatch, capsys
):
    page = tmp_path / "page.md"
    page.write_text("no marks")
    monkeypatch.setattr("sys.argv", ["bench", *arguments, "--report", str(page)])
    with pytest.raises(SystemExit, match="2"):
        asked()
    assert told in capsys.readouterr().err
    assert page.read_text() == "no marks"


def test_a_page_that_is_not_there_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bench", "--report", str(tmp_path / "none.md")])
    with pytest.raises(SystemExit, match="2"):
        asked()
    assert "cannot write" in capsys.readouterr().err


@pytest.mark.parametrize("failure", [Failed("it broke"), SystemExit("it broke"), ValueError("it broke")])
def test_results_are_printed_though_a_work_fails(failure, monkeypatch, capsys):
    async def fine(_room, *, quick):
        assert quick
        return Result({}, {"bare": 1.0}, {"bare": 1.0})

    async def fails(_room, *, quick):
        async def deeper():
            raise failure

        if isinstance(failure, SystemExit):  # of the bench's own it would end the loop from within a task
            raise failure
        await asyncio.gather(deeper())

    @asynccontextmanager
    async def nowhere(*_):
        yield Server("", "18.6")

    monkeypatch.setattr("bench.__main__.WORKS", {"one": fine, "two": fails, "three": fine})
    monkeypatch.setattr("bench.__main__.server", nowhere)
    monkeypatch.setattr("bench.__main__.database", nowhere)
    monkeypatch.setattr("sys.argv", ["bench", "--quick", "--json"])
    assert main() == 1
    told = capsys.readouterr()
    assert list(json.loads(told.out)) == ["one", "three"]
    assert "two failed" in told.err
    assert "it broke" in told.err


def test_the_table_names_every_ratio_and_its_target():
    assert "(target 1)" in table("append", RESULT)
    assert "other" in table("append", RESULT)


def test_only_what_is_between_the_marks_is_rewritten():
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.replaced(page, "new\n") == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    assert report.replaced(report.replaced(page, "x"), "new\n") == report.replaced(page, "new\n")


def test_a_page_without_marks_is_refused():
    with pytest.raises(ValueError, match="the page has no"):
        report.replaced("nothing", "new")


def test_the_page_says_what_is_met_missed_and_not_measured():
    text = report.section({"append": RESULT}, "a machine", date(2026, 11, 25))
    assert "Measured on 2026-11-25: a machine." in text
    assert "| append | bare | 0.90 | 1 | **missed** |" in text
    assert "| append | peer | not measured | 2 | **missed** |" in text
    assert "| append | other | 2.00 |  |  |" in text


def test_the_page_names_the_server_as_it_named_itself_and_the_peers_as_they_are_pinned():
    told = report.machine("17.2 (Debian)")
    assert "; PostgreSQL 17.2 (Debian); Python 3." in told
    for name in ("eventsourcing", "psycopg", "message-db", "Emmett"):
        assert re.search(rf"{name} [0-9]+\.[0-9]+\.[0-9]+", told)
    assert "Node.js" in told


def test_the_chart_is_well_formed_and_has_a_row_for_each_target():
    drawn = ET.fromstring(chart({"append <&>": RESULT}))  # noqa: S314 - our own
    texts = ["".join(one.itertext()) for one in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "append <&>: bare" in texts
    assert "0.90 of 1" in texts
    assert "not measured" in texts


@given(st.floats(0.0, 1e6), st.floats(0.01, 1e3))
def test_a_bar_reaches_to_the_right_exactly_where_the_target_is_met(ratio, target):
    reached = reach(ratio, target)
    assert (reached >= 0) == (ratio / target >= 1)
    assert abs(reached) <= 230


def test_a_request_has_its_length_and_its_headers():
    assert request("POST", "/x", {"A": "b"}, b"{}").split(b"\r\n") == [
        b"POST /x HTTP/1.1",
        b"Host: 127.0.0.1",
        b"A: b",
        b"Content-Type: application/json",
        b"Content-Length: 2",
        b"",
        b"{}",
    ]


def test_header_fields_of_an_answer_are_found_whatever_their_case():
    head = b'HTTP/1.1 200 OK\r\nETag: "a:b"\r\ncontent-length: 5\r\n\r\n'
    assert headers_of(head) == {"etag": '"a:b"', "content-length": "5"}


def test_what_a_process_took_at_the_most_is_read_from_its_status():
    assert high_water("Name:\tx\nVmHWM:\t  1024 kB\nVmRSS:\t 12 kB\n") == 1024
    assert high_water("Name:\tx\nState:\tZ (zombie)\n") == 0


def test_a_connection_uri_is_taken_apart_for_programs_that_want_its_parts():
    assert place_of("postgresql://me:s%40@db.example:5433/log") == {
        "host": "db.example",
        "port": "5433",
        "user": "me",
        "password": "s@",
        "database": "log",
    }
    assert place_of("postgresql://me@/log?host=/run/pg&port=5444")["host"] == "/run/pg"
