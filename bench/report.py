"""What was measured, written into docs/performance.md between two marks, with the machine that it was measured on."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from bench.chart import chart
from bench.measure import Result

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
CHART = "performance.svg"
PACKAGES = ("asyncpg", "granian", "litestar", "msgspec")
PINNED = re.compile(r"^(eventsourcing|psycopg)==([^ ]+)", re.MULTILINE)
NODE = {"Emmett": "@event-driven-io/emmett-postgresql", "message-db": "@eventide/message-db"}


def write(page: Path, results: Mapping[str, Result], day: date, postgresql: str) -> None:
    """Put tables of the results, and a chart beside the page, in place of those before. Raises ValueError: no marks."""
    text = page.read_text(encoding="utf-8")
    page.write_text(replaced(text, section(results, machine(postgresql), day)), encoding="utf-8")
    page.with_name(CHART).write_text(chart(results), encoding="utf-8")


def check(page: Path) -> None:
    """Raise OSError or ValueError for a page that could not be written when all is measured."""
    with page.open("r+", encoding="utf-8") as file:
        replaced(file.read(), "")


def replaced(text: str, between: str) -> str:
    """Return a page with something else between the marks. Raises ValueError for one that has not both, in order."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} … {END}")
    return f"{before}{BEGIN}\n\n{between}\n{END}{after}"


def section(results: Mapping[str, Result], machine: str, day: date) -> str:
    """Write the results as Markdown."""
    lines = [f"Measured on {day.isoformat()}: {machine}.", "", f"![Ratios beside their targets]({CHART})", ""]
    lines += ["| work | ours beside | ratio | target | |", "|---|---|---:|---:|---|"]
    for work, result in results.items():
        for name in [*result.targets, *(name for name in result.ratios if name not in result.targets)]:
            ratio, target = result.ratios.get(name), result.targets.get(name)
            said = "not measured" if ratio is None else f"{ratio:.2f}"
            wanted = "" if target is None else f"{target:g}"
            verdict = "" if target is None else "met" if ratio is not None and ratio >= target else "**missed**"
            lines.append(f"| {work} | {name} | {said} | {wanted} | {verdict} |")
    lines += ["", "| work | figure | median | unit | spread |", "|---|---|---:|---|---|"]
    for work, result in results.items():
        for name, figure in result.figures.items():
            spread = f"{figure.low:,.2f} to {figure.high:,.2f}"
            lines.append(f"| {work} | {name} | {figure.median:,.2f} | {figure.unit} | {spread} |")
    return "\n".join([*lines, ""])


def machine(postgresql: str) -> str:
    """Say what was measured on and with, in one line; PostgreSQL's version is what the server said."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{model}, {cores} processors, {memory / 2**20:.0f} GiB of memory, {platform.system()} {platform.release()}; "
        f"PostgreSQL {postgresql}; Python {platform.python_version()}, {packages}; {peers()}"
    )


def peers() -> str:
    """Name the versions of the peers that the bench installs, and of the Node.js that it finds for two of them."""
    folder = files("bench.peers")
    found = dict(PINNED.findall(folder.joinpath("requirements.txt").read_text(encoding="utf-8")))
    pinned = json.loads(folder.joinpath("package.json").read_text(encoding="utf-8"))["dependencies"]
    found |= {name: pinned[package] for name, package in NODE.items()}
    return "peers: " + ", ".join(f"{name} {number}" for name, number in found.items()) + f", Node.js {_node()}"


def _node() -> str:
    try:
        told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True, timeout=60)  # noqa: S607 - as for the peers
    except (OSError, subprocess.SubprocessError):
        return "not there"
    return told.stdout.strip().removeprefix("v")


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
