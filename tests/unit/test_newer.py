"""The version after this one, which an upgrade is tried with, can be made of this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from shutil import copytree

ROOT = Path(__file__).parents[2]


def test_the_next_version_can_be_made_of_this_one(tmp_path: Path):
    for folder in ("events", "projections"):
        copytree(ROOT / folder, tmp_path / folder)
    newer = ROOT / "tests" / "containers" / "images" / "newer.py"
    done = subprocess.run([sys.executable, newer, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    script = "from projections.parties import PARTIES; print(PARTIES.number, PARTIES.columns)"
    told = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert told.stdout.startswith("3 ")
    assert "'named'" in told.stdout
