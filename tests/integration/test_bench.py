"""The bench from its command line: one work, quickly, as CI does."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.long
def test_the_bench_measures_a_work_draws_it_and_says_so_in_json(tmp_path):
    chart = tmp_path / "chart.svg"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "bulk", "--quick", "--json", "--chart", str(chart)],
        capture_output=True,
        check=False,
        timeout=300,
        text=True,
    )
    assert done.stdout, done.stderr
    (work,) = json.loads(done.stdout).items()
    assert work[0] == "bulk"
    assert set(work[1]) == {"figures", "ratios", "targets"}
    assert work[1]["ratios"]["copy"] > 0
    assert "bulk: copy" in chart.read_text()
    missed = work[1]["ratios"]["copy"] < work[1]["targets"]["copy"] / 2
    assert done.returncode == int(missed), done.stderr
